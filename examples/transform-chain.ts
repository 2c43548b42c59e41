/**
 * A chain: each stage reads what the one before it gives, and the compiler checks that it fits.
 *
 * npm run example examples/transform-chain.ts
 */
import { Effect, Schema } from "effect"
import { Pipeline, Snapshot } from "stageflow"

const chain = Pipeline.make("transform-chain", { input: Schema.String })
  .transform("clean", {
    inputs: ["input"],
    run: ({ input }) => Effect.succeed({ text: input.trim().replaceAll(/\s+/g, " ") })
  })
  .transform("words", {
    inputs: ["clean"],
    run: ({ clean }) => Effect.succeed({ words: clean.text.toLowerCase().split(" ") })
  })
  // With a schema the data is checked where it is made: no reader ever sees a summary without words.
  .transform("summary", {
    inputs: ["words"],
    output: Schema.Struct({ count: Schema.Int.check(Schema.isGreaterThan(0)), longest: Schema.String }),
    run: ({ words: { words } }) => {
      const [longest = ""] = words.toSorted((a, b) => b.length - a.length)
      return Effect.succeed({ count: words.length, longest })
    }
  })
  // By source: any part of any stage before, under any name.
  .transform("headline", {
    inputs: (s) => ({ text: s.summary.map(({ longest }) => longest), words: s.summary.map(({ count }) => count) }),
    run: ({ text, words }) => Effect.succeed({ headline: `${text.toUpperCase()} (${words} words)` })
  })

const snapshot = Snapshot.make({ input: "  Stages  are   Effects and  pipelines are data " })
const { outputs } = await Effect.runPromise(Pipeline.run(chain, snapshot))
for (const [name, { data }] of Object.entries(outputs)) console.log(`${name.padEnd(9)} ${JSON.stringify(data)}`)
