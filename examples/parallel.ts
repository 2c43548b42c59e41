/**
 * Fan-out and fan-in: stages that do not depend on each other run at the same time.
 *
 * npm run example examples/parallel.ts
 */
import { Console, Effect } from "effect"
import { Pipeline, type RunResult, Snapshot } from "stageflow"

const parallel = Pipeline.make("parallel")
  .transform("request", { run: Effect.map(Snapshot.current, ({ userId = "nobody" }) => ({ userId })) })
  // Three look-ups that take their time and know nothing of each other.
  .enrich("profile", {
    inputs: ["request"],
    run: ({ request }) => Effect.delay(Effect.succeed({ name: `Ada (${request.userId})` }), "200 millis")
  })
  .enrich("memory", {
    after: ["request"],
    run: Effect.delay(Effect.succeed({ topics: ["engines", "weaving"] }), "150 millis")
  })
  .enrich("documents", { after: ["request"], run: Effect.delay(Effect.succeed({ titles: ["Notes"] }), "250 millis") })
  .transform("context", {
    inputs: ["profile", "memory", "documents"],
    run: ({ documents: { titles }, memory: { topics }, profile: { name } }) =>
      Effect.succeed({ text: `${name}, who talked about ${topics.join(" and ")}, wrote ${titles.join(", ")}` })
  })

const millis = (value: number) => `${Math.round(value)} ms`.padStart(7)

const report = (title: string, { bag, durationMs }: RunResult.Summary) => {
  const stages = bag.entries.map((one) => `  ${one.stage.padEnd(9)} ${millis(one.startedMs)} to ${millis(one.endedMs)}`)
  return Console.log([`${title}: ${Math.round(durationMs)} ms`, ...stages].join("\n"))
}

const program = Effect.gen(function*() {
  const snapshot = Snapshot.make({ userId: "user-1" })
  const one = yield* Pipeline.run(parallel, snapshot, { concurrency: 1 })
  yield* report("One stage at a time", one)
  const all = yield* Pipeline.run(parallel, snapshot)
  yield* report("As parallel as the edges allow", all)
  yield* Console.log(`${(one.durationMs / all.durationMs).toFixed(1)} times as fast, with the same result:`)
  yield* Console.log(all.outputs.context.data.text)
})
await Effect.runPromise(program)
