/**
 * Makes the reports that a browser opens.
 */
import { Effect, Exit, Schedule, Schema } from "effect"
import { writeFileSync } from "node:fs"
import { EventSink, Pipeline, Snapshot, Stage, StageContext } from "stageflow"
import { Subpipeline } from "stageflow/control"
import { type RunRecord, RunReport } from "stageflow/observability"

class ModelDown extends Schema.TaggedError<ModelDown>()("ModelDown", { reason: Schema.String }) {
  override get message() {
    return `The model is down: ${this.reason}`
  }
}

/** What nobody should call a stage, and what would break out of a page that believed it. */
export const hostile = "</script><script>document.title='stolen'</script><!-- \u2028 \"'&"

const takes = <const Name extends string>(name: Name, millis: number) =>
  Stage.transform(name, { run: Effect.sleep(millis) })

const research = Pipeline.make("research")
  .add(takes("plan", 10))
  .add(takes("search", 20), { after: ["plan"] })
  .add(takes("read", 10), { after: ["search"] })

const llm = Stage.transform("llm", {
  run: Effect.gen(function*() {
    yield* StageContext.emit("llm.asked", { prompt: hostile })
    yield* Effect.sleep(20)
    return yield* new ModelDown({ reason: "overloaded" })
  })
}).pipe(Stage.retry({ schedule: Schedule.spaced("15 millis"), attempts: 3 }))

const support = Pipeline.make("support")
  .add(Stage.guard("input_guard", { run: Effect.sleep(15) }))
  .add(takes("profile", 30))
  .add(
    Stage.route("router", { run: Effect.succeed<{ readonly route: "answer" | "sell" }>({ route: "answer" }) }),
    { after: ["input_guard"] }
  )
  .add(Subpipeline.stage("research", research), { after: ["router"] })
  .add(Stage.enrich(hostile, { run: Effect.succeed({ text: hostile }) }), { after: ["router"] })
  .add(llm, { after: ["profile", "research"] })
  .add(takes("archive", 5_000), { after: ["router"] })
  .add(takes("offer", 10), (s) => ({ when: s.router.is("sell") }))
  .add(takes("answer", 10), { after: ["llm"] })

/** The report of a run in which a stage fails at its third attempt, with a run inside of another. */
export const failedRun = Effect.gen(function*() {
  const memory = yield* EventSink.Memory
  const exit = yield* Effect.exit(Pipeline.run(support, Snapshot.make()))
  if (!Exit.isFailure(exit)) return yield* Effect.die("it did not fail")
  return RunReport.toHtml(yield* memory.events, { pipeline: yield* Pipeline.describe(support) })
}).pipe(Effect.provide(EventSink.layerMemory))

const unrecorded = { _tag: "NotKept", reason: "unrecorded" } as const

/** A run of very many stages in layers of ten, some of which fail. */
export const largeRun = (count: number): RunRecord.RunRecord => ({
  version: 1,
  runId: "large",
  correlationId: "large",
  pipeline: "large",
  tags: [],
  status: "incomplete",
  startedAt: 1_800_000_000_000,
  durationMs: count,
  snapshot: unrecorded,
  events: [],
  stages: Array.from({ length: count }, (_, index): RunRecord.RecordedStage => {
    const layer = Math.floor(index / 10)
    const startedAt = 1_800_000_000_000 + layer * 10
    const attempts = Array.from({ length: 1 + index % 3 }, (_, attempt) => ({
      attempt: attempt + 1,
      startedAt: startedAt + attempt * 3,
      endedAt: startedAt + attempt * 3 + 2
    }))
    return {
      name: `stage_${index}`,
      kind: "transform",
      after: layer === 0 ? [] : [0, 3, 7].map((step) => `stage_${(layer - 1) * 10 + (index * 7 + step) % 10}`),
      status: index % 97 === 96 ? "failed" : "ok",
      startedAt,
      durationMs: attempts.length * 3 - 1,
      attempts,
      waits: [],
      input: { _tag: "Kept", json: { index } },
      output: { _tag: "Kept", json: { _tag: "Ok", data: { text: `what stage ${index} gave` } } },
      runs: []
    }
  })
})

/** Writes a report and gives its address. */
export const written = (folder: string, name: string, html: string): string => {
  const path = `${folder}/${name}.html`
  writeFileSync(path, html)
  return `file://${path}`
}
