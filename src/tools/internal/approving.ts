/**
 * Asks whether a tool may run: the policy, and where that or the tool says so, a person.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { StageContext } from "../../StageContext.ts"
import * as ApprovalPolicy from "../ApprovalPolicy.ts"
import { type ApprovalRequest, Approvals, type Ask } from "../Approvals.ts"
import type { Diff } from "../Diff.ts"
import {
  ApprovalCancelled,
  ApprovalDenied,
  ApprovalExpired,
  type ApprovalRefusal,
  ApprovalUnavailable
} from "../ToolError.ts"
import type { Registered } from "../ToolRegistry.ts"
import { type Definition, definitionOf } from "./definition.ts"
import { digestOfText } from "./digest.ts"
import { jsonOf, linesOf, visible } from "./readable.ts"
import { tell } from "./telling.ts"

/** A call that has to be approved. */
export interface Asking {
  readonly registered: Registered
  readonly parameters: unknown
  readonly actionId: string
  readonly stage: StageContext["Service"]
}

/** Runs an Effect of a tool with the tool's ports; what the run provides itself comes first. */
export const withPorts = <A, E>(effect: Effect.Effect<A, E, unknown>, { context }: Registered): Effect.Effect<A, E> =>
  Effect.updateContext(
    effect as Effect.Effect<A, E>,
    (run: Context.Context<never>) => Context.merge(context, run)
  )

const isDeclared = (asking: Asking, { needsApproval }: Definition): Effect.Effect<boolean> => {
  if (typeof needsApproval !== "function") return Effect.succeed(needsApproval === "always")
  // Its type says that it does not fail.
  return withPorts(Effect.suspend(() => needsApproval(asking.parameters)), asking.registered) as Effect.Effect<boolean>
}

const verdictOf = (policy: ApprovalPolicy.Policy, question: ApprovalPolicy.Question) =>
  Effect.catchCause(
    policy.decide(question),
    (cause): Effect.Effect<ApprovalPolicy.Verdict> =>
      Cause.hasInterrupts(cause)
        ? Effect.failCause(cause)
        : Effect.succeed(ApprovalPolicy.deny("policy", "The policy could not decide"))
  )

/** Lets the tool run, or fails with why nobody let it. */
export const approve = Effect.fnUntraced(function*(
  asking: Asking
): Effect.fn.Return<void, ApprovalRefusal> {
  const { actionId, parameters, registered, stage } = asking
  const { tool } = registered
  const definition = definitionOf(tool)
  const policy = yield* ApprovalPolicy.Current
  const declared = yield* isDeclared(asking, definition)
  const action = { tool: tool.name, actionId }
  const verdict = policy === undefined ? ApprovalPolicy.asDeclared : yield* verdictOf(policy, {
    tool,
    parameters,
    isDeclared: declared,
    actionId,
    identity: stage.identity,
    executionMode: stage.snapshot.executionMode,
    pipeline: stage.pipeline,
    stage: stage.stage
  })
  switch (verdict._tag) {
    case "Approve":
      return yield* tell(stage, { _tag: "ApprovalDecided", ...action, decision: "approved", by: verdict.by })
    case "Deny": {
      yield* tell(stage, { _tag: "ApprovalDecided", ...action, decision: "denied", by: verdict.by })
      const comment = verdict.comment === undefined ? {} : { comment: verdict.comment }
      return yield* new ApprovalDenied({ ...action, by: verdict.by, ...comment })
    }
    case "AsDeclared":
      if (!declared) return
      break
    case "Ask":
      break
  }
  const approvals = policy?.approvals
    ?? Option.getOrUndefined(Context.getOption(yield* withPorts(Effect.context<never>(), registered), Approvals))
  if (approvals === undefined) {
    // The types of tools and policies ask for it.
    return yield* new ApprovalUnavailable({ ...action, defect: new Error("There are no Approvals") })
  }
  const unavailable = (defect: unknown) => new ApprovalUnavailable({ ...action, defect })
  const ask = yield* Effect.catchCause(
    askOf(asking, definition),
    (cause) => Cause.hasInterrupts(cause) ? Effect.failCause(cause) : Effect.fail(unavailable(Cause.squash(cause)))
  )
  const settled = yield* Effect.mapError(awaited(approvals, ask, asking), unavailable)
  return yield* endOf(settled, asking)
})

/** What is asked. */
const askOf = Effect.fnUntraced(function*(
  { actionId, parameters, registered, stage }: Asking,
  { approvalMessage, change }: Definition
): Effect.fn.Return<Ask> {
  const { actionType, isIrreversible, name, parameters: schema } = registered.tool
  const message = typeof approvalMessage === "string" ? approvalMessage : approvalMessage(parameters)
  const diff: Diff | undefined = change === undefined
    ? undefined
    // Its type says that it does not fail.
    : yield* withPorts(change(parameters), registered) as Effect.Effect<Diff | undefined>
  const json = yield* jsonOf(schema, parameters)
  const lines = linesOf(parameters)
  const about = JSON.stringify([name, json ?? lines])
  const { identity: { orgId, userId }, lineage } = stage
  return {
    // A decision on these parameters is none on others, should the action be called for again with those.
    id: `${actionId}/${digestOfText(about).slice(0, 16)}`,
    actionId,
    tool: name,
    actionType,
    message: visible(String(message)),
    parameters: lines,
    ...(diff === undefined ? {} : { change: diff }),
    irreversible: isIrreversible,
    runId: lineage.runId,
    correlationId: lineage.correlationId,
    pipeline: stage.pipeline,
    stage: stage.stage,
    ...(userId === undefined ? {} : { userId }),
    ...(orgId === undefined ? {} : { orgId }),
    about
  }
})

/** Asks, and waits for the answer. Whoever is interrupted meanwhile takes the question back, where that is wanted. */
const awaited = (approvals: Approvals["Service"], ask: Ask, { actionId, registered, stage }: Asking) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const asked = yield* approvals.request(ask)
      const action = { tool: registered.tool.name, actionId }
      yield* tell(stage, {
        _tag: "ApprovalRequested",
        ...action,
        approvalId: asked.id,
        ...(asked.expiresAt === undefined ? {} : { expiresAt: asked.expiresAt })
      })
      const takeBack = approvals.cancel(asked.id, "The run that waited for it was interrupted").pipe(
        Effect.andThen(tell(stage, { _tag: "ApprovalCancelled", ...action })),
        // Somebody was faster, or nobody can be told.
        Effect.ignore
      )
      return yield* approvals.whenInterrupted === "cancel"
        ? Effect.onInterrupt(restore(approvals.settled(asked.id)), () => takeBack)
        : restore(approvals.settled(asked.id))
    })
  )

const endOf = Effect.fnUntraced(function*(
  { by = "", comment, status }: ApprovalRequest,
  { actionId, registered, stage }: Asking
): Effect.fn.Return<void, ApprovalRefusal> {
  const action = { tool: registered.tool.name, actionId }
  switch (status) {
    case "approved":
      return yield* tell(stage, { _tag: "ApprovalDecided", ...action, decision: "approved", by })
    case "denied":
      yield* tell(stage, { _tag: "ApprovalDecided", ...action, decision: "denied", by })
      return yield* new ApprovalDenied({ ...action, by, ...(comment === undefined ? {} : { comment }) })
    case "expired":
      yield* tell(stage, { _tag: "ApprovalExpired", ...action })
      return yield* new ApprovalExpired(action)
    default:
      yield* tell(stage, { _tag: "ApprovalCancelled", ...action })
      return yield* new ApprovalCancelled(action)
  }
})
