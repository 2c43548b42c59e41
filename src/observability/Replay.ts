/**
 * Runs what the run log has kept again: as it was, from one stage on, or beside another run to see what differs.
 *
 * `run` runs the pipeline with the snapshot of a run. `from` runs one stage and all that depends on it; what the other stages
 * gave comes from the log, and nothing of them runs: no body, no retry, no cache, no gate. Both give what a run gives, and
 * are in the log themselves, as replays of that run. `diff` compares two runs, stage by stage.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { Replay, RunLog } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello")
 *   .enrich("name", { run: Effect.succeed({ name: "Ada" }) })
 *   .transform("greet", { inputs: ["name"], run: ({ name: { name } }) => Effect.succeed({ text: `Hello ${name}!` }) })
 *
 * const program = Effect.gen(function*() {
 *   yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run-1" }))
 *   const again = yield* Replay.from(pipeline, "run-1", "greet")
 *   const diff = Replay.diff(yield* RunLog.get("run-1"), yield* RunLog.get(again.lineage.runId))
 *   return Replay.formatDiff(diff)
 * }).pipe(Effect.provide(RunLog.layerMemory()))
 * ```
 */
import * as Effect from "effect/Effect"
import * as JsonPatch from "effect/JsonPatch"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TextDiff from "effect/TextDiff"
import { attemptIn } from "../attempt/attempt.ts"
import type { Outcome } from "../attempt/interceptor-model.ts"
import { asAnswered } from "../attempt/kept-outcome.ts"
import type { ReplayProblem, StageProblem } from "../checks/replay.ts"
import type { Taken } from "../checks/run.ts"
import type { Checked } from "../checks/sentence.ts"
import type { AnyNode } from "../checks/wiring.ts"
import type { Any as AnyExtension } from "../Extension.ts"
import * as Interceptor from "../Interceptor.ts"
import { Suggestions } from "../internal/nearest-name.ts"
import * as options from "../internal/options.ts"
import { changedOk, changedSignal } from "../internal/output-model.ts"
import { describeProblems } from "../internal/problems.ts"
import * as Pipeline from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import * as ResultCodec from "../ResultCodec.ts"
import type { RunOptions } from "../Run.ts"
import * as Snapshot from "../Snapshot.ts"
import { printable } from "./internal/cells.ts"
import { shortDuration } from "./internal/layout.ts"
import { get, ReplayOf, type RunLog, type RunLogFailed, type RunNotFound } from "./RunLog.ts"
import type { KeptValue, RecordedStage, RunRecord, RunStatus, StageStatus } from "./RunRecord.ts"

// ---------------------------------------------------------------------------------------------------------------------
// running again
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A run cannot be replayed: something that is needed was not kept, or the pipeline has changed since.
 */
export class ReplayImpossible extends Schema.TaggedError<ReplayImpossible>()("ReplayImpossible", {
  runId: Schema.String,
  pipeline: Schema.String,
  /** Every reason; without a stage it is about the run itself. */
  reasons: Schema.Array(Schema.Struct({ stage: Schema.optionalKey(Schema.String), reason: Schema.String }))
}) {
  readonly code = "REPLAY_IMPOSSIBLE"
  override get message(): string {
    const reasons = this.reasons.map(({ reason, stage }) =>
      stage === undefined ? reason : `stage "${stage}": ${reason}`
    )
    return `Run "${this.runId}" cannot be replayed by pipeline "${this.pipeline}": ${reasons.join("; ")}`
  }
}

/**
 * How a run is replayed: what a run takes, and the extensions that its snapshot carries.
 */
export interface Options<X extends ReadonlyArray<AnyExtension> = ReadonlyArray<AnyExtension>> extends RunOptions {
  readonly extensions?: X | undefined
}

/**
 * How a run is replayed from a stage on.
 */
export interface FromOptions<
  X extends ReadonlyArray<AnyExtension> = ReadonlyArray<AnyExtension>,
  P = never,
  E2 = unknown,
  R2 = unknown
> extends Options<X> {
  /** Ports for what runs again, built for this run alone. */
  readonly layers?: Layer.Layer<P, E2, R2> | undefined
}

/** What can go wrong before a replay starts. */
type Before = RunNotFound | RunLogFailed | ReplayImpossible | PipelineInvalid

/** The snapshot of the run, as its pipeline takes it. */
type Again<N extends AnyNode, X extends ReadonlyArray<AnyExtension>> = Snapshot.With<X[number]["Identifier"], Taken<N>>

type Reasons = ReplayImpossible["reasons"]

const impossible = (run: RunRecord, pipeline: Pipeline.Any, reasons: Reasons) =>
  Effect.fail(new ReplayImpossible({ runId: run.runId, pipeline: pipeline.name, reasons }))

const notKept = ({ detail, reason }: Extract<KeptValue, { readonly _tag: "NotKept" }>): string =>
  `was not kept (${reason}${detail === undefined ? "" : `: ${detail}`})`

/** The snapshot of a run, which gets an id of its own. */
const snapshotOf = Effect.fnUntraced(function*(
  run: RunRecord,
  pipeline: Pipeline.Any,
  extensions: ReadonlyArray<AnyExtension> | undefined
) {
  const { snapshot } = run
  if (run.pipeline !== pipeline.name) {
    return yield* impossible(run, pipeline, [{ reason: `it is a run of pipeline "${run.pipeline}"` }])
  }
  if (snapshot._tag === "NotKept") {
    return yield* impossible(run, pipeline, [{ reason: `its snapshot ${notKept(snapshot)}` }])
  }
  if (snapshot.redacted !== undefined) {
    return yield* impossible(run, pipeline, [
      { reason: `its snapshot was kept without ${snapshot.redacted.join(", ")}` }
    ])
  }
  const input = pipeline.input as Schema.Codec<unknown> | undefined // the schema of an input needs no services
  const decoded = yield* Effect.result(Snapshot.decode(snapshot.json, { extensions, input }))
  if (Result.isFailure(decoded)) {
    return yield* impossible(run, pipeline, [
      { reason: `its snapshot no longer fits: ${describeProblems(decoded.failure.problems)}` }
    ])
  }
  return Snapshot.update(decoded.success as Snapshot.Snapshot, { pipelineRunId: undefined })
})

/** Runs any pipeline; what that gives is in the types of those who call it. */
const runAny = Pipeline.run as unknown as (
  pipeline: Pipeline.Any,
  snapshot: Snapshot.Snapshot,
  options: RunOptions
) => Effect.Effect<unknown, unknown, unknown>

const optionKeys = [
  "concurrency",
  "failure",
  "interruptionGrace",
  "extensions"
] as const satisfies ReadonlyArray<keyof Options>

/** Only the fields that were given. */
const given = (fields: RunOptions): RunOptions =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/**
 * Runs a pipeline again with the snapshot of a run. All of it runs: ports, clock and chance are those of today.
 */
export const run = <
  N extends AnyNode,
  E,
  R,
  V,
  const X extends ReadonlyArray<AnyExtension> = [],
  const O extends RunOptions = {}
>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  runId: Checked<string, ReplayProblem<N, R, X[number]["Identifier"]>>,
  replayOptions?: O & { readonly extensions?: X | undefined }
): Effect.Effect<
  Pipeline.Result<N, E, O, V>,
  Pipeline.Failure<N, E, O, V> | Before,
  Pipeline.Services<N, R, Again<N, X>> | RunLog
> => {
  const { extensions, ...others } = options.fields<Options>("options", optionKeys, replayOptions ?? {})
  const replayed = Effect.gen(function*() {
    const record = yield* get(runId as string) // a sentence is no argument
    const snapshot = yield* snapshotOf(record, pipeline, extensions)
    return yield* runAny(pipeline, snapshot, given(others)).pipe(Effect.provideService(ReplayOf, record.runId))
  })
  // The result is that of this pipeline.
  return replayed as Effect.Effect<never, never, never>
}

/** The stages that run again: one, and all that depend on it. */
const behind = (stages: ReadonlyArray<ResultCodec.StageCodec>, from: string): ReadonlySet<string> => {
  const readers = new Map<string, Array<string>>()
  for (const { after, name } of stages) {
    for (const dependency of after) readers.set(dependency, [...readers.get(dependency) ?? [], name])
  }
  const found = new Set<string>()
  const rest = [from]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    if (found.has(next)) continue
    found.add(next)
    rest.push(...readers.get(next) ?? [])
  }
  return found
}

/** The stages that one waits for, and those that these wait for. */
const before = (stages: ReadonlyArray<ResultCodec.StageCodec>, of: ReadonlySet<string>): ReadonlySet<string> => {
  const dependencies = new Map(stages.map(({ after, name }) => [name, after]))
  const found = new Set<string>()
  const rest = Array.from(of)
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    for (const dependency of dependencies.get(next) ?? []) {
      if (found.has(dependency) || of.has(dependency)) continue
      found.add(dependency)
      rest.push(dependency)
    }
  }
  return found
}

const sameNames = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  new Set([...one, ...other]).size === new Set(one).size && new Set(one).size === new Set(other).size

const answered = "replay.answered"

/** What a stage gave, without the note that it came from a log already. */
const withoutNote = (output: Outcome): Outcome => {
  const events = output.events.filter(({ type }) => type !== answered)
  return output._tag === "Ok"
    ? changedOk(output, { events })
    : output._tag === "Skip"
    ? changedSignal(output, { events })
    : output
}

/** What a stage gave in a run; `undefined` for one that had not ended, or why it cannot be taken from there. */
const answerOf = Effect.fnUntraced(function*(
  codec: ResultCodec.StageCodec,
  recorded: RecordedStage | undefined,
  isBefore: boolean
): Effect.fn.Return<Outcome | undefined, string> {
  if (recorded === undefined) return yield* Effect.fail("it was added since: replay from it, or from a stage before it")
  const { after, output, status } = recorded
  if (status !== "ok" && status !== "skipped") {
    if (!isBefore) return undefined
    return yield* Effect.fail(`it ended as ${status.replaceAll("_", " ")}: replay from it, or from a stage before it`)
  }
  if (!sameNames(after, codec.after)) {
    return yield* Effect.fail(
      `it waits for other stages since (${after.join(", ") || "none"} then, ${codec.after.join(", ") || "none"} now)`
    )
  }
  if (output._tag === "NotKept") return yield* Effect.fail(`what it gave ${notKept(output)}`)
  if (output.redacted !== undefined) {
    return yield* Effect.fail(`what it gave was kept without ${output.redacted.join(", ")}`)
  }
  const outcome = yield* Effect.mapError(
    codec.outcome.read(output.json),
    (problems) => `what it gave no longer fits: ${describeProblems(problems)}`
  )
  return outcome._tag === "Cancel" ? undefined : withoutNote(outcome)
})

/** What the stages gave that do not run again. */
const answersOf = Effect.fnUntraced(function*(
  run: RunRecord,
  pipeline: Pipeline.Any,
  stages: ReadonlyArray<ResultCodec.StageCodec>,
  from: string
) {
  const again = behind(stages, from)
  const needed = before(stages, again)
  const recorded = new Map(run.stages.map((stage) => [stage.name, stage]))
  const answers = new Map<string, Outcome>()
  const reasons: Array<Reasons[number]> = []
  for (const stage of stages) {
    if (again.has(stage.name)) continue
    const answer = yield* Effect.result(answerOf(stage, recorded.get(stage.name), needed.has(stage.name)))
    if (Result.isFailure(answer)) reasons.push({ stage: stage.name, reason: answer.failure })
    else if (answer.success !== undefined) answers.set(stage.name, answer.success)
  }
  return reasons.length === 0 ? answers : yield* impossible(run, pipeline, reasons)
})

/** Answers for stages of one run, outside of everything else that is around them. */
const answering = (answers: ReadonlyMap<string, Outcome>): Layer.Layer<never> => {
  let runId: string | undefined
  return Interceptor.layer(Interceptor.make({
    name: "replay",
    order: Number.NEGATIVE_INFINITY,
    // The first run that comes is the one: those that its stages start come later.
    aroundRun: (effect, { snapshot }) =>
      Effect.suspend(() => {
        runId ??= snapshot.pipelineRunId
        return effect
      }),
    around: (effect, { name }) =>
      answers.has(name)
        ? Effect.withFiber((fiber) => {
          const answer = answers.get(name)
          const attempt = attemptIn(fiber)
          if (answer === undefined || attempt.lineage.runId !== runId) return effect
          attempt.tell(answered, {})
          return Effect.succeed(asAnswered(answer))
        })
        : effect
  }))
}

/**
 * Runs one stage of a run again, and all stages that depend on it, directly or not. What the others gave comes from the
 * log: none of them runs, nor anything that is around one of them. Each has an event `replay.answered`.
 *
 * `layers` are ports for what runs again, in place of those around. It fails with `ReplayImpossible`, and with every reason,
 * where a stage that is to be answered was not kept, no longer fits its schema, waits for other stages since, was added
 * since, or had not ended though the stages that run again wait for it. A stage that had not ended and that none of them
 * waits for runs as in any run.
 */
export const from = <
  N extends AnyNode,
  E,
  R,
  V,
  const Name extends string,
  const X extends ReadonlyArray<AnyExtension> = [],
  const O extends RunOptions = {},
  P = never,
  E2 = never,
  R2 = never
>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  runId: Checked<string, ReplayProblem<N, R, X[number]["Identifier"]>>,
  stage: Checked<Name, StageProblem<N, Name>>,
  replayOptions?: O & {
    readonly extensions?: X | undefined
    readonly layers?: Layer.Layer<P, E2, R2> | undefined
  }
): Effect.Effect<
  Pipeline.Result<N, E, O, V>,
  Pipeline.Failure<N, E, O, V> | Before | E2,
  Exclude<Pipeline.Services<N, R, Again<N, X>>, P> | R2 | RunLog
> => {
  const { extensions, layers, ...others } = options.fields<FromOptions>(
    "options",
    [...optionKeys, "layers"],
    replayOptions ?? {}
  )
  const name = options.text("stage", stage as string) // a sentence is no argument
  if (layers !== undefined) options.ofKind("layers", "a Layer", Layer.isLayer, layers)
  // What it needs and can fail with is in the type.
  const ports = (layers ?? Layer.empty) as Layer.Layer<never>
  const replayed = Effect.gen(function*() {
    const record = yield* get(runId as string)
    const snapshot = yield* snapshotOf(record, pipeline, extensions)
    const stages = yield* ResultCodec.stages(pipeline)
    if (!stages.some((known) => known.name === name)) {
      const nearest = new Suggestions(new Set(stages.map((known) => known.name))).nearest(name, "")
      const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
      return yield* impossible(record, pipeline, [{ stage: name, reason: `the pipeline has no such stage${hint}` }])
    }
    const answers = yield* answersOf(record, pipeline, stages, name)
    return yield* runAny(pipeline, snapshot, given(others)).pipe(
      Effect.provide(answering(answers)),
      Effect.provideService(ReplayOf, record.runId),
      Effect.provide(ports)
    )
  })
  // The result is that of this pipeline.
  return replayed as Effect.Effect<never, never, never>
}

// ---------------------------------------------------------------------------------------------------------------------
// comparing
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What became of a run, in a comparison.
 */
export interface RunSide {
  readonly runId: string
  readonly status: RunStatus
  readonly durationMs: number | undefined
}

/**
 * What became of a stage, in a comparison.
 */
export interface StageSide {
  readonly status: StageStatus
  readonly durationMs: number | undefined
  readonly attempts: number
  /** Whether what it gave came from the log: neither it nor a run inside of it ran. */
  readonly isAnswered: boolean
}

/**
 * A text that differs, line by line, as a unified diff.
 */
export interface ChangedText {
  /** Where it is in the output, as a JSON Pointer. */
  readonly path: string
  readonly diff: string
}

/**
 * How a stage differs in two runs.
 *
 * `unknown`: it ended in the same way, and what it gave was not kept of one of them, or not all of it.
 */
export interface StageDiff {
  readonly name: string
  readonly change: "same" | "changed" | "added" | "removed" | "unknown"
  readonly a: StageSide | undefined
  readonly b: StageSide | undefined
  /** What makes the output of `a` that of `b`; empty where nothing differs. */
  readonly patch: JsonPatch.JsonPatch
  /** The texts among what differs that have several lines. */
  readonly texts: ReadonlyArray<ChangedText>
  /** The runs that it started, in their order; none of a stage that was answered from the log. */
  readonly runs: ReadonlyArray<RunDiff>
}

/**
 * How two runs differ. One of them is missing where a stage started a run in the other only.
 */
export interface RunDiff {
  readonly pipeline: string
  /** Whether all stages are the same, and the runs ended in the same way. Durations do not count. */
  readonly isSame: boolean
  readonly a: RunSide | undefined
  readonly b: RunSide | undefined
  readonly stages: ReadonlyArray<StageDiff>
}

const runSide = (run: RunRecord | undefined): RunSide | undefined =>
  run && { runId: run.runId, status: run.status, durationMs: run.durationMs }

/** Whether what a stage gave came from the log. */
const isAnswered = ({ output }: RecordedStage): boolean => {
  const json = output._tag === "Kept" ? output.json : undefined
  const { events } = (json ?? {}) as { readonly events?: unknown }
  return Array.isArray(events) && events.some((event) => (event as { readonly type?: unknown }).type === answered)
}

const stageSide = (stage: RecordedStage | undefined): StageSide | undefined =>
  stage && {
    status: stage.status,
    durationMs: stage.durationMs,
    attempts: stage.attempts.length,
    isAnswered: isAnswered(stage)
  }

/** How many differences are looked for in one text. */
const mostEdits = 1_000

/** In a patch of more operations, texts are not compared. */
const mostOperations = 200

/** What a stage ended with, without what differs in any two runs. */
const comparable = ({ error, failure, output, status }: RecordedStage): Schema.Json | undefined => {
  if (status === "failed" || status === "timed_out") {
    const kept = failure?._tag === "Kept" ? failure.json : null
    return { error: error === undefined ? null : { ...error }, failure: kept }
  }
  if (status !== "ok" && status !== "skipped" && status !== "cancelled") return {}
  if (output._tag === "NotKept" || typeof output.json !== "object" || output.json === null) return undefined
  const { durationMs: _, events, ...rest } = output.json as Schema.JsonObject
  const own = Array.isArray(events)
    ? events.filter((event) => (event as { readonly type?: unknown }).type !== answered)
    : []
  return own.length === 0 ? rest : { ...rest, events: own }
}

const valueAt = (json: Schema.Json, path: string): unknown => {
  let value: unknown = json
  for (const token of path.split("/").slice(1)) {
    if (typeof value !== "object" || value === null) return undefined
    value = Reflect.get(value, token.replaceAll("~1", "/").replaceAll("~0", "~"))
  }
  return value
}

const textsIn = (patch: JsonPatch.JsonPatch, a: Schema.Json): ReadonlyArray<ChangedText> => {
  if (patch.length > mostOperations) return []
  const texts: Array<ChangedText> = []
  let current = a
  for (const operation of patch) {
    const old = valueAt(current, operation.path)
    if (operation.op === "replace" && typeof old === "string" && typeof operation.value === "string") {
      if (old.includes("\n") || operation.value.includes("\n")) {
        const edits = TextDiff.lines(old, operation.value, { maxEdits: mostEdits })
        texts.push({ path: operation.path, diff: TextDiff.unified(edits) })
      }
    }
    current = JsonPatch.apply([operation], current)
  }
  return texts
}

/** Whether something is left out of what a stage ended with: nobody knows whether that is the same. */
const isMasked = ({ failure, output }: RecordedStage): boolean =>
  [failure, output].some((kept) => kept?._tag === "Kept" && kept.redacted !== undefined)

const changeOf = (
  a: RecordedStage,
  b: RecordedStage
): Pick<StageDiff, "change" | "patch" | "texts"> => {
  const [before, after] = [comparable(a), comparable(b)]
  const isSameStatus = a.status === b.status
  if (before === undefined || after === undefined) {
    return { change: isSameStatus ? "unknown" : "changed", patch: [], texts: [] }
  }
  const patch = JsonPatch.get(before, after)
  if (patch.length === 0) {
    const change = !isSameStatus ? "changed" : isMasked(a) || isMasked(b) ? "unknown" : "same"
    return { change, patch, texts: [] }
  }
  return { change: "changed", patch, texts: textsIn(patch, before) }
}

const runsDiff = (a: ReadonlyArray<RunRecord>, b: ReadonlyArray<RunRecord>): ReadonlyArray<RunDiff> =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, index) => runDiff(a[index], b[index]))

const stageDiff = (name: string, a: RecordedStage | undefined, b: RecordedStage | undefined): StageDiff => ({
  name,
  a: stageSide(a),
  b: stageSide(b),
  ...a === undefined
    ? { change: "added", patch: [], texts: [] }
    : b === undefined
    ? { change: "removed", patch: [], texts: [] }
    : changeOf(a, b),
  // Inside of a stage that did not run nothing is gone.
  runs: [a, b].some((side) => side !== undefined && isAnswered(side)) ? [] : runsDiff(a?.runs ?? [], b?.runs ?? [])
})

const runDiff = (a: RunRecord | undefined, b: RunRecord | undefined): RunDiff => {
  const before = new Map(a?.stages.map((stage) => [stage.name, stage]))
  const after = new Map(b?.stages.map((stage) => [stage.name, stage]))
  // In the order of the second run, and what only the first had behind that.
  const names = new Set([...after.keys(), ...before.keys()])
  const stages = Array.from(names, (name) => stageDiff(name, before.get(name), after.get(name)))
  return {
    pipeline: (b ?? a)?.pipeline ?? "",
    isSame: a?.status === b?.status
      && stages.every(({ change, runs }) => change === "same" && runs.every(({ isSame }) => isSame)),
    a: runSide(a),
    b: runSide(b),
    stages
  }
}

/**
 * Compares two runs, stage by stage: what is the same, what has changed and how, what was added and removed, with states
 * and durations side by side. The runs that stages started are compared in their order.
 */
export const diff = (a: RunRecord, b: RunRecord): RunDiff => runDiff(a, b)

/** As much of a value as a line can bear. */
const shownValue = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing"
  return text.length <= 80 ? text : `${text.slice(0, 80)}...`
}

const sideText = (side: RunSide | StageSide | undefined): string => {
  if (side === undefined) return "-"
  const took = side.durationMs === undefined ? "" : ` ${shortDuration(side.durationMs)}`
  const attempts = "attempts" in side && side.attempts > 1 ? `, ${side.attempts} attempts` : ""
  if ("isAnswered" in side && side.isAnswered) return `${side.status} from the log`
  return `${side.status.replaceAll("_", " ")}${took}${attempts}`
}

const stageLines = ({ a, b, change, name, patch, runs, texts }: StageDiff, width: number): ReadonlyArray<string> => {
  const told = new Map(texts.map((text) => [text.path, text.diff]))
  const operations = patch.slice(0, 20).flatMap((operation) => {
    const text = told.get(operation.path)
    if (text !== undefined) return [`${operation.path}:`, ...text.trimEnd().split("\n").map((line) => `  ${line}`)]
    return [
      operation.op === "remove"
        ? `${operation.path} removed`
        : `${operation.path === "" ? "all" : operation.path} ${operation.op === "add" ? "added" : "is now"}: ${
          shownValue(operation.value)
        }`
    ]
  })
  const more = patch.length > 20 ? [`and ${patch.length - 20} more`] : []
  return [
    `${change.padEnd(8)} ${printable(name).padEnd(width)}  ${sideText(a)} | ${sideText(b)}`,
    ...[...operations, ...more].map((line) => `    ${line}`),
    ...runs.filter(({ isSame }) => !isSame).flatMap((run) => runLines(run).map((line) => `    ${line}`))
  ]
}

const runLines = ({ a, b, pipeline, stages }: RunDiff): ReadonlyArray<string> => {
  const width = Math.max(...stages.map(({ name }) => printable(name).length), 0)
  return [
    `${printable(pipeline)}: ${sideText(a)} | ${sideText(b)}`,
    ...stages.flatMap((stage) => stageLines(stage, width)).map((line) => `  ${line}`)
  ]
}

/**
 * Writes a comparison for people: a line for each stage with both runs side by side, and below it what has changed.
 */
export const formatDiff = (diff: RunDiff): string => runLines(diff).join("\n")
