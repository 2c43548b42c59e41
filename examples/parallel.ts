/**
 * Fan-out and fan-in: stages that do not depend on each other run at the same time.
 *
 * npm run example examples/parallel.ts
 */
import { Console, Duration, Effect } from "effect"
import { Pipeline, type RunResult, Snapshot, Stage } from "stageflow"

const request = Stage.transform("request", {
  run: Effect.map(Snapshot.current, ({ userId = "nobody" }) => ({ userId }))
})

interface Request {
  readonly request: { readonly userId: string }
}

// Three look-ups that take their time and know nothing of each other.
const profile = Stage.enrich("profile", {
  run: ({ request }: Request) => Effect.delay(Effect.succeed({ name: `Ada (${request.userId})` }), "200 millis")
})
const memory = Stage.enrich("memory", {
  run: (_: Request) => Effect.delay(Effect.succeed({ topics: ["engines", "weaving"] }), "150 millis")
})
const documents = Stage.enrich("documents", {
  run: (_: Request) => Effect.delay(Effect.succeed({ titles: ["Notes"] }), "250 millis")
})

const context = Stage.transform("context", {
  run: (inputs: {
    readonly profile: { readonly name: string }
    readonly memory: { readonly topics: ReadonlyArray<string> }
    readonly documents: { readonly titles: ReadonlyArray<string> }
  }) => {
    const { documents: { titles }, memory: { topics }, profile: { name } } = inputs
    return Effect.succeed({ text: `${name}, who talked about ${topics.join(" and ")}, wrote ${titles.join(", ")}` })
  }
})

const parallel = Pipeline.make("parallel")
  .add(request)
  .add(profile, { inputs: ["request"] })
  .add(memory, { inputs: ["request"] })
  .add(documents, { inputs: ["request"] })
  .add(context, { inputs: ["profile", "memory", "documents"] })

const snapshot = Snapshot.make({ userId: "user-1" })

const millis = (value: number) => `${Math.round(value)} ms`.padStart(7)

const report = (title: string, took: Duration.Duration, { bag }: RunResult.Summary) =>
  Effect.gen(function*() {
    yield* Console.log(`${title}: ${millis(Duration.toMillis(took)).trim()}`)
    for (const { endedMs, stage, startedMs } of bag.entries) {
      yield* Console.log(`  ${stage.padEnd(9)} ${millis(startedMs)} to ${millis(endedMs)}`)
    }
  })

const program = Effect.gen(function*() {
  const [sequential, one] = yield* Effect.timed(Pipeline.run(parallel, snapshot, { concurrency: 1 }))
  yield* report("One stage at a time", sequential, one)

  const [together, all] = yield* Effect.timed(Pipeline.run(parallel, snapshot))
  yield* report("As parallel as the edges allow", together, all)

  const gain = Duration.toMillis(sequential) / Duration.toMillis(together)
  yield* Console.log(`${gain.toFixed(1)} times as fast, with the same result:`)
  yield* Console.log(all.outputs.context.data.text)
})

Effect.runPromise(program)
