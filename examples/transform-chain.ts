/**
 * A chain: each stage reads what the one before it gives, and the compiler checks that it fits.
 *
 * npm run example examples/transform-chain.ts
 */
import { Console, Effect, Schema } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"

const clean = Stage.transform("clean", {
  run: Effect.gen(function*() {
    const { inputText = "" } = yield* Snapshot.current
    return { text: inputText.trim().replaceAll(/\s+/g, " ") }
  })
})

// Its input is the data of the stage called "clean": that is all it knows of the pipeline.
const words = Stage.transform("words", {
  run: (inputs: { readonly clean: { readonly text: string } }) =>
    Effect.succeed({ words: inputs.clean.text.toLowerCase().split(" ") })
})

// With a schema the data is checked where it is made: no reader ever sees a summary without words.
const summary = Stage.transform("summary", {
  output: Schema.Struct({ count: Schema.Int.check(Schema.isGreaterThan(0)), longest: Schema.String }),
  run: (inputs: { readonly words: { readonly words: ReadonlyArray<string> } }) =>
    Effect.succeed({
      count: inputs.words.words.length,
      longest: inputs.words.words.toSorted((a, b) => b.length - a.length)[0] ?? ""
    })
})

const headline = Stage.transform("headline", {
  run: (inputs: { readonly text: string; readonly words: number }) =>
    Effect.succeed({ headline: `${inputs.text.toUpperCase()} (${inputs.words} words)` })
})

const chain = Pipeline.make("transform-chain")
  .add(clean)
  .add(words, { inputs: ["clean"] })
  .add(summary, { inputs: ["words"] })
  // By source: any part of any stage before, under any name.
  .add(headline, (s) => ({
    inputs: { text: s.summary.map(({ longest }) => longest), words: s.summary.map(({ count }) => count) }
  }))

const program = Effect.gen(function*() {
  const { outputs } = yield* Pipeline.run(
    chain,
    Snapshot.make({ inputText: "  Stages  are   Effects and  pipelines are data " })
  )
  yield* Console.log(`clean     ${JSON.stringify(outputs.clean.data)}`)
  yield* Console.log(`words     ${JSON.stringify(outputs.words.data)}`)
  yield* Console.log(`summary   ${JSON.stringify(outputs.summary.data)}`)
  yield* Console.log(`headline  ${JSON.stringify(outputs.headline.data)}`)
})

Effect.runPromise(program)
