/**
 * Takes back what tools did: one action by its id, or all of a run, the last first.
 *
 * What an action did is taken back once, however often and in however many processes somebody asks. An undo that has begun is
 * not interrupted, but by its own limit of time. One that fails says so, and may be tried again. When nobody knows whether it
 * was done, because it died, took too long or its process was killed, it is not tried again: `UndoUnfinished`.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Undo } from "stageflow/tools"
 *
 * const takeBack = (runId: string) =>
 *   Effect.map(Undo.undoRun(runId), ({ failed, undone }) => `${undone.length} undone, ${failed.length} not`)
 * ```
 *
 * Called in a stage, it takes back what runs of the same organisation did, and nothing else.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { elapsedMillis } from "../internal/clock.ts"
import { InterruptionGrace, interruptWithin, within } from "../internal/interruption.ts"
import { StageContext } from "../StageContext.ts"
import { withPorts } from "./internal/approving.ts"
import { definitionOf } from "./internal/definition.ts"
import { entryCodec } from "./internal/performing.ts"
import { tellIfInStage } from "./internal/telling.ts"
import { type Registered, ToolRegistry } from "./ToolRegistry.ts"
import { type Begun, UndoStore, type UndoStoreFailed } from "./UndoStore.ts"

const actionId = Schema.String

/** Nothing is known of an action of that id that could be taken back. */
export class UndoUnknown extends Schema.TaggedError<UndoUnknown>()("UndoUnknown", { actionId }) {
  readonly code = "UNDO_UNKNOWN"
  override get message(): string {
    return `Nothing is known of an action "${this.actionId}" that could be taken back`
  }
}

/** The time in which the action could be taken back is over. */
export class UndoExpired extends Schema.TaggedError<UndoExpired>()("UndoExpired", { actionId }) {
  readonly code = "UNDO_EXPIRED"
  override get message(): string {
    return `It is too late to take back action "${this.actionId}"`
  }
}

/** The action was taken back before. */
export class AlreadyUndone extends Schema.TaggedError<AlreadyUndone>()("AlreadyUndone", {
  actionId,
  /** When, in milliseconds since the epoch. */
  at: Schema.Number
}) {
  readonly code = "ALREADY_UNDONE"
  override get message(): string {
    return `Action "${this.actionId}" was taken back before`
  }
}

/** Somebody has begun to take the action back, and either is not done yet or will never say what came of it. */
export class UndoUnfinished extends Schema.TaggedError<UndoUnfinished>()("UndoUnfinished", {
  actionId,
  /** Since when, in milliseconds since the epoch. */
  since: Schema.Number
}) {
  readonly code = "UNDO_UNFINISHED"
  override get message(): string {
    return `Somebody has begun to take back action "${this.actionId}", and nobody knows yet whether it is done`
  }
}

/** The tool that did it is not in the registry any more, or cannot take back what was kept. */
export class NotUndoable extends Schema.TaggedError<NotUndoable>()("NotUndoable", {
  actionId,
  tool: Schema.String,
  reason: Schema.Literals(["no-tool", "no-undo", "unreadable"])
}) {
  readonly code = "NOT_UNDOABLE"
  override get message(): string {
    const why = {
      "no-tool": "it is not in the registry",
      "no-undo": "it has no undo",
      unreadable: "it no longer takes what was kept"
    }
    return `Tool "${this.tool}" cannot take back action "${this.actionId}": ${why[this.reason]}`
  }
}

/** The undo of the tool failed: what the action did is still done, and somebody may try again. */
export class UndoFailed extends Schema.TaggedError<UndoFailed>()("UndoFailed", {
  actionId,
  tool: Schema.String,
  error: Schema.Defect()
}) {
  readonly code = "UNDO_FAILED"
  override get message(): string {
    return `Tool "${this.tool}" could not take back action "${this.actionId}": ${errorSummaryOf(this.error).tag}`
  }
}

/** Why an action was not taken back. */
export type UndoError =
  | UndoUnknown
  | UndoExpired
  | AlreadyUndone
  | UndoUnfinished
  | NotUndoable
  | UndoFailed
  | UndoStoreFailed

/** An action that was taken back. */
export interface Undone {
  readonly actionId: string
  readonly tool: string
}

/** What became of the actions of a run. */
export interface RunUndone {
  /** Those that were taken back, in that order. */
  readonly undone: ReadonlyArray<Undone>
  readonly failed: ReadonlyArray<{ readonly actionId: string; readonly tool: string; readonly error: UndoError }>
}

/** Whose actions this is about: in a stage, those of its organisation. */
const whose = Effect.map(
  Effect.serviceOption(StageContext),
  (stage) => Option.isSome(stage) ? { orgId: stage.value.identity.orgId } : undefined
)

type NotBegun = Exclude<Begun, { readonly _tag: "Begun" }>

const notBegun = (actionId: string, begun: NotBegun): UndoError => {
  switch (begun._tag) {
    case "Unknown":
      return new UndoUnknown({ actionId })
    case "Expired":
      return new UndoExpired({ actionId })
    case "Undone":
      return new AlreadyUndone({ actionId, at: begun.at })
    default:
      return new UndoUnfinished({ actionId, since: begun.since })
  }
}

/** An entry of an action, ready to be taken back. */
const takeBackOf = Effect.fnUntraced(function*(actionId: string, { tool, ...bound }: Registered, entry: string) {
  const cannot = (reason: NotUndoable["reason"]) => new NotUndoable({ actionId, tool: tool.name, reason })
  const { undo } = definitionOf(tool)
  if (undo === undefined) return yield* cannot("no-undo")
  const { parameters, value } = yield* Effect.mapError(entryCodec(tool).read(entry), () => cannot("unreadable"))
  return withPorts(Effect.suspend(() => undo(value, parameters)), { tool, ...bound })
})

/**
 * How an undo ended within its limit. It runs in a fiber of its own: one that ignores its interruption can then be left
 * behind.
 */
const endWithin = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>, limit: Duration.Duration) {
  const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
  if (fiber.pollUnsafe() === undefined) yield* within(Fiber.await(fiber), limit)
  const inTime = fiber.pollUnsafe()
  if (inTime !== undefined) return inTime
  yield* interruptWithin([fiber], yield* InterruptionGrace)
  const exit = fiber.pollUnsafe()
  // What it did at the last moment it has done.
  return exit?._tag === "Success" ? exit : undefined
})

/** Takes back what was kept of an action, the last first. It is not to be interrupted. */
const takeBack = Effect.fnUntraced(function*(
  store: UndoStore["Service"],
  { kept }: Extract<Begun, { readonly _tag: "Begun" }>,
  since: number
): Effect.fn.Return<void, UndoError, ToolRegistry> {
  const { actionId, tool } = kept
  const left = [...kept.entries]
  const giveBack = <E extends UndoError>(error: E) => Effect.andThen(store.giveBack(actionId, left), Effect.fail(error))
  const registry = yield* ToolRegistry
  const registered = yield* Effect.catch(
    registry.registered(tool),
    () => giveBack(new NotUndoable({ actionId, tool, reason: "no-tool" }))
  )
  for (let entry = left.at(-1); entry !== undefined; entry = left.at(-1)) {
    const taking = yield* Effect.catch(takeBackOf(actionId, registered, entry), giveBack)
    const exit = yield* endWithin(taking, definitionOf(registered.tool).undoLimit)
    // It died, or it is still going on: who knows what it did.
    if (exit === undefined) return yield* new UndoUnfinished({ actionId, since })
    if (exit._tag === "Failure") {
      const failed = exit.cause.reasons.find(({ _tag }) => _tag === "Fail")
      if (failed?._tag !== "Fail" || exit.cause.reasons.length > 1) {
        return yield* new UndoUnfinished({ actionId, since })
      }
      return yield* giveBack(new UndoFailed({ actionId, tool, error: failed.error }))
    }
    left.pop()
  }
  yield* store.end(actionId, yield* Clock.currentTimeMillis)
})

/**
 * Takes back what an action did, by its id.
 */
export const undo = (actionId: string): Effect.Effect<Undone, UndoError, ToolRegistry | UndoStore> =>
  Effect.gen(function*() {
    const store = yield* UndoStore
    const startedAt = yield* elapsedMillis
    const now = yield* Clock.currentTimeMillis
    const begun = yield* store.begin(actionId, now, yield* whose)
    if (begun._tag !== "Begun") return yield* notBegun(actionId, begun)
    yield* takeBack(store, begun, now)
    const { tool } = begun.kept
    yield* tellIfInStage({ _tag: "ToolUndone", tool, actionId, durationMs: (yield* elapsedMillis) - startedAt })
    return { actionId, tool }
  }).pipe(
    Effect.tapError((error) => tellIfInStage({ _tag: "ToolUndoFailed", actionId, error: errorSummaryOf(error) })),
    // What has begun comes to an end, within its own limit.
    Effect.uninterruptible
  )

/**
 * Takes back all that the tools of a run did and can be taken back, the last first. Of the first run of a tree it is all that
 * was done in the tree. One that fails stops no other.
 */
export const undoRun = Effect.fnUntraced(function*(
  runId: string
): Effect.fn.Return<RunUndone, UndoStoreFailed, ToolRegistry | UndoStore> {
  const store = yield* UndoStore
  const actions = yield* store.ofRun(runId, yield* Clock.currentTimeMillis, yield* whose)
  const undone: Array<Undone> = []
  const failed: Array<RunUndone["failed"][number]> = []
  for (const { actionId, tool } of actions) {
    yield* Effect.match(undo(actionId), {
      onSuccess: (done) => void undone.push(done),
      onFailure: (error) => void failed.push({ actionId, tool, error })
    })
  }
  return { undone, failed }
})
