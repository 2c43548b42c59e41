/**
 * Runs a tool: the one way there is, whoever calls it. It checks what the tool is given, whether it may be used here and
 * whether somebody lets it, runs it as a run of its own, and keeps what can be taken back.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { pipe } from "effect/Function"
import * as Schema from "effect/Schema"
import { asRepetition } from "../../attempt/repetition.ts"
import { Subpipeline } from "../../control/index.ts"
import { elapsedMillis } from "../../internal/clock.ts"
import { problemsOf } from "../../internal/problems.ts"
import { isRefusal, refusing } from "../../internal/refusal.ts"
import { asText, type JsonCodec, jsonCodec, type TextCodec } from "../../internal/schema-json.ts"
import * as Pipeline from "../../Pipeline.ts"
import { type RunResult, StageFailed } from "../../RunResult.ts"
import * as Stage from "../../Stage.ts"
import { StageContext } from "../../StageContext.ts"
import type { Artifact, Ok, Skip } from "../../StageOutput.ts"
import type * as Tool from "../Tool.ts"
import { InvalidArguments, ToolSkipped, UnknownTool } from "../ToolError.ts"
import { type Registered, ToolRegistry } from "../ToolRegistry.ts"
import { UndoStore } from "../UndoStore.ts"
import { approve, withPorts } from "./approving.ts"
import { definitionOf } from "./definition.ts"
import { notAllowed } from "./gating.ts"
import { CurrentCall, type Ongoing } from "./invocation.ts"
import { jsonOf } from "./readable.ts"
import { errorIn, summaryFor } from "./shortened.ts"
import { tell, type Told } from "./telling.ts"

/** A tool that has done its work. */
export interface Performed {
  readonly value: unknown
  /** What it gave as JSON, where that has one. */
  readonly json: Schema.Json | undefined
  readonly isUndoable: boolean
  readonly durationMs: number
}

/** A call that is to be performed. */
export interface Action extends Place {
  readonly callId: string | undefined
  readonly tool: Tool.Any
  readonly parameters: unknown
}

/** Which action of a stage it is. */
export interface Place {
  readonly actionId: string
  /** Which one of this attempt of the stage, from 1. */
  readonly number: number
}

const actions = new WeakMap<object, number>()

/**
 * The next action of a stage. Its id is the same when the run is started again under the same id and the stage calls for the
 * same actions, so that what was asked before is found again.
 */
export const nextAction = (stage: StageContext["Service"]): Place => {
  const number = (actions.get(stage) ?? 0) + 1
  actions.set(stage, number)
  return { actionId: `${stage.lineage.runId}/${stage.stage}/${stage.attempt}.${number}`, number }
}

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

const pipelines = new WeakMap<Stage.Any, Pipeline.Any>()

/** The pipeline that a tool is run as: one stage, which takes what the tool takes. */
const pipelineOf = (stage: Stage.Any): Pipeline.Any => {
  const known = pipelines.get(stage)
  if (known !== undefined) return known
  const fed = Stage.mapInput(
    stage as Stage.Stage<string, unknown, object>,
    (inputs: { input: unknown }) => inputs.input
  )
  // What the tool takes has been checked.
  const made = Pipeline.make(stage.name, { input: Schema.Unknown }).add(fed as never, { inputs: ["input"] } as never)
  pipelines.set(stage, made)
  return made
}

/** A run inside of a stage, whatever its types. */
const runInStage = Subpipeline.run as unknown as (
  pipeline: Pipeline.Any,
  options: { readonly input: unknown; readonly onCancel: "fail" }
) => Effect.Effect<
  Exclude<RunResult, { readonly _tag: "Cancelled" }>,
  Subpipeline.SubpipelineFailed<unknown> | Subpipeline.SubpipelineCancelled,
  StageContext
>

/** What the run of a tool failed with, as the tool would fail alone, with all that its cause says. */
const own = (
  failed: Subpipeline.SubpipelineFailed<unknown> | Subpipeline.SubpipelineCancelled
): Effect.Effect<never, unknown> => {
  if (failed._tag === "SubpipelineCancelled") return Effect.fail(failed)
  if (!(failed.error instanceof StageFailed)) return Effect.fail(failed.error)
  const { cause } = failed.error
  // Only the failure of the run says that its stage has refused.
  return Effect.failCause(isRefusal(failed.error) ? refusing(cause) : cause)
}

const outputOf = (result: Exclude<RunResult, { readonly _tag: "Cancelled" }>, name: string): Ok<unknown> | Skip =>
  // The run of one stage has its output.
  (result.outputs as Readonly<Record<string, Ok<unknown> | Skip>>)[name] as Ok<unknown> | Skip

/** Runs the tool, and gives its output. */
const run = ({ parameters, tool, ...action }: Action, registered: Registered, ongoing: Ongoing) => {
  const { stage } = definitionOf(tool)
  return runInStage(pipelineOf(stage), { input: parameters, onCancel: "fail" }).pipe(
    Effect.catch(own),
    // The same tool can be called several times in a turn, and each time counts for itself.
    (running) =>
      Effect.flatMap(
        StageContext,
        (context) => asRepetition(running, [context.stage, `tool ${tool.name}`, action.number], parameters)
      ),
    Effect.provideService(CurrentCall, ongoing),
    (running) =>
      withPorts(running as Effect.Effect<Exclude<RunResult, { readonly _tag: "Cancelled" }>, unknown>, registered),
    Effect.map((result) => outputOf(result, tool.name))
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// what can be taken back
// ---------------------------------------------------------------------------------------------------------------------

/** What is kept of an action: what the tool was given, and gave. */
export const entryCodec = ({ parameters, success }: Tool.Any): TextCodec<Entry> =>
  // What is read was checked by the schema.
  asText(jsonCodec(Schema.Struct({ parameters, value: success })) as JsonCodec<Entry>)

interface Entry {
  readonly parameters: unknown
  readonly value: unknown
}

/** Keeps what a tool did, and says whether it is kept. The tool has done it, whatever becomes of this. */
const keep = (
  { actionId, parameters, tool }: Action,
  registered: Registered,
  value: unknown,
  stage: StageContext["Service"]
): Effect.Effect<boolean> =>
  withPorts(
    Effect.gen(function*() {
      const store = yield* UndoStore
      const entry = yield* entryCodec(tool).write({ parameters, value })
      const { correlationId, runId } = stage.lineage
      const at = yield* Clock.currentTimeMillis
      yield* store.keep({ actionId, tool: tool.name, runId, correlationId, orgId: stage.identity.orgId, at, entry })
      return true
    }),
    registered
  ).pipe(
    Effect.catchCause(() =>
      Effect.as(
        Effect.logWarning(`What tool "${tool.name}" did cannot be taken back: it could not be kept (${actionId})`),
        false
      )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------
// all of it
// ---------------------------------------------------------------------------------------------------------------------

/** The tool as it is registered. Nobody calls one past the registry. */
export const registeredOf = Effect.fnUntraced(function*(tool: Tool.Any) {
  const registered = yield* Effect.flatMap(ToolRegistry, (registry) => registry.registered(tool.name))
  if (registered.tool !== tool) return yield* new UnknownTool({ tool: tool.name })
  return registered
})

const validated = ({ parameters, tool }: Action): Effect.Effect<unknown, InvalidArguments> => {
  const invalid = (problems: InvalidArguments["problems"]) => new InvalidArguments({ tool: tool.name, problems })
  return Effect.suspend(() =>
    // What a tool takes is decoded without services: see `Tool.Options`.
    Schema.decodeUnknownEffect(Schema.toType(tool.parameters as unknown as Schema.Codec<unknown>), { errors: "all" })(
      parameters
    )
  ).pipe(
    Effect.mapError(({ issue }) => invalid(problemsOf(issue))),
    // A schema looks into data by recursion, and its own code may throw.
    Effect.catchDefect(() => Effect.fail(invalid([{ path: [], message: "They could not be checked" }])))
  )
}

const mayNotRun: ReadonlySet<string> = new Set([
  "ToolNotAllowed",
  "ApprovalDenied",
  "ApprovalExpired",
  "ApprovalCancelled",
  "ApprovalUnavailable"
])

const endOf = (
  action: { readonly tool: string; readonly actionId: string },
  exit: Exit.Exit<Performed, unknown>,
  durationMs: number,
  hasStarted: boolean
): Told => {
  if (exit._tag === "Success") {
    return { _tag: "ToolCompleted", ...action, durationMs, undoable: exit.value.isUndoable }
  }
  if (Exit.hasInterrupts(exit) && !exit.cause.reasons.some(({ _tag }) => _tag !== "Interrupt")) {
    return { _tag: "ToolInterrupted", ...action, durationMs }
  }
  const error = summaryFor(action.tool, errorIn(exit.cause))
  return { _tag: !hasStarted && mayNotRun.has(error.tag) ? "ToolDenied" : "ToolFailed", ...action, durationMs, error }
}

const addAll = (stage: StageContext["Service"], artifacts: ReadonlyArray<Artifact>): Effect.Effect<void> =>
  Effect.forEach(artifacts, (artifact) => stage.addArtifact(artifact), { discard: true })

/**
 * Performs an action: checks, gates, asks, runs, keeps. It fails with what the tool fails with, or with why it did not run.
 */
export const perform = (action: Action): Effect.Effect<Performed, unknown, ToolRegistry | StageContext> =>
  Effect.gen(function*() {
    const stage = yield* StageContext
    const { actionId, callId, tool } = action
    const registered = yield* registeredOf(tool)
    const about = { tool: tool.name, actionId }
    const startedAt = yield* elapsedMillis
    let hasStarted = false
    let isUndoable = false

    const running = Effect.gen(function*() {
      const checked = { ...action, parameters: yield* validated(action) }
      const refusal = notAllowed(tool, stage.snapshot.executionMode)
      if (refusal !== undefined) return yield* refusal
      yield* approve({ registered, parameters: checked.parameters, actionId, stage })
      const ongoing: Ongoing = {
        actionId,
        callId,
        update: (data) => tell(stage, { _tag: "ToolUpdated", ...about, data }),
        done: (value) =>
          tool.isUndoable
            ? Effect.map(keep(checked, registered, value, stage), (isKept) => {
              isUndoable = isKept
            })
            : Effect.void
      }
      const output = yield* registered.places.with(Effect.suspend(() => {
        hasStarted = true
        return Effect.andThen(tell(stage, { _tag: "ToolStarted", ...about }), run(checked, registered, ongoing))
      }))
      if (output._tag === "Skip") return yield* new ToolSkipped({ tool: tool.name, reason: output.reason })
      // The stage of a tool gives what the tool gave as `value`.
      const { value } = output.data as { readonly value: unknown }
      const json = yield* jsonOf(tool.success, value)
      yield* addAll(stage, output.artifacts)
      if (tool.artifactType !== undefined) {
        yield* stage.addArtifact({ type: tool.artifactType, payload: json ?? value })
      }
      return { value, json, isUndoable, durationMs: (yield* elapsedMillis) - startedAt }
    })

    return yield* Effect.uninterruptibleMask((restore) =>
      pipe(
        tell(stage, { _tag: "ToolInvoked", ...about, ...(callId === undefined ? {} : { callId }) }),
        Effect.andThen(Effect.onExit(restore(running), (exit) =>
          Effect.flatMap(elapsedMillis, (now) =>
            tell(stage, endOf(about, exit, now - startedAt, hasStarted)))))
      )
    )
  })
