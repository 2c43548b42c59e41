/**
 * A run that is recorded, a stage that is changed, and the run replayed from there: what differs is shown.
 *
 * npm run example examples/replay.ts
 */
import { Console, Context, Effect, Layer } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { PortRecording, Replay, RunLog } from "stageflow/observability"

// What is outside of the program, here in memory.
class Orders extends Context.Service<Orders, {
  readonly find: (userId: string) => Effect.Effect<{ readonly item: string; readonly state: string }>
}>()("replay/Orders") {
  static readonly layer = Layer.succeed(Orders, {
    find: (userId) => Effect.as(Console.log(`  orders asked for ${userId}`), { item: "printer", state: "on its way" })
  })
}

class Model extends Context.Service<Model, {
  readonly complete: (prompt: string) => Effect.Effect<string>
}>()("replay/Model") {
  static readonly layer = Layer.succeed(Model, {
    complete: (prompt) =>
      Effect.as(
        Console.log("  model asked"),
        prompt.startsWith("Be kind.")
          ? "Good news, Ada!\nYour printer is on its way.\nAnything else?"
          : "Your order.\nYour printer is on its way.\nAnything else?"
      )
  })
}

// The calls of the model are kept with the run.
const model = PortRecording.make(Model)

const support = (instruction: string) =>
  Pipeline.make("support")
    .enrich("order", {
      run: Effect.gen(function*() {
        const { userId = "nobody" } = yield* Snapshot.current
        return yield* (yield* Orders).find(userId)
      })
    })
    .transform("prompt", {
      inputs: ["order"],
      run: ({ order }) => Effect.succeed({ text: `${instruction} The ${order.item} is ${order.state}.` })
    })
    .transform("answer", {
      inputs: ["prompt"],
      run: Effect.fnUntraced(function*({ prompt }) {
        return { text: yield* (yield* Model).complete(prompt.text) }
      })
    })

const program = Effect.gen(function*() {
  yield* Console.log("As it was")
  yield* Pipeline.run(support("Be brief."), Snapshot.make({ pipelineRunId: "monday", userId: "ada" }))

  yield* Console.log("From the prompt on, which is another one now")
  const again = yield* Replay.from(support("Be kind."), "monday", "prompt")

  const monday = yield* RunLog.get("monday")
  const replayed = yield* RunLog.get(again.lineage.runId)
  const { stages } = Replay.diff(monday, replayed)
  for (const { change, name, patch, texts } of stages) {
    yield* Console.log(`  ${name}: ${change}, ${patch.length} field(s)`)
    for (const { diff, path } of texts) yield* Console.log(`${path}\n${diff.trimEnd()}`)
  }
  yield* Console.log(`  a replay of ${replayed.replayOf}`)

  yield* Console.log("As a test: the model answers with what was recorded")
  const tested = yield* Replay.run(support("Be brief."), "monday").pipe(
    Effect.provide(RunLog.layerRecorded(monday, model))
  )
  yield* Console.log(`  ${tested.outputs.answer.data.text.split("\n")[0]}`)
})

Effect.runPromise(
  program.pipe(Effect.provide([RunLog.layerMemory(), Orders.layer, model.record(Model.layer)]))
)
