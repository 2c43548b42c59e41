/**
 * Decides, before anybody is asked, whether a tool may run, must not run, or somebody has to be asked after all.
 *
 * Without a policy a tool is asked about when it says so itself. A policy may look at the tool, its parameters, whose run it
 * is and, through `Approvals`, at what was decided before. One that dies denies.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { ApprovalPolicy } from "stageflow/tools"
 *
 * const careful = ApprovalPolicy.layer(({ identity, tool }) =>
 *   Effect.succeed(
 *     identity.userId === undefined
 *       ? ApprovalPolicy.deny("policy", "Sign in first")
 *       : tool.isIrreversible
 *       ? ApprovalPolicy.ask
 *       : ApprovalPolicy.asDeclared
 *   )
 * )
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { withoutSurroundings } from "../attempt/installed.ts"
import * as options from "../internal/options.ts"
import type { RunIdentity } from "../Snapshot.ts"
import { Approvals } from "./Approvals.ts"
import type { Facts } from "./Tool.ts"

/**
 * What a policy decides on.
 */
export interface Question {
  readonly tool: Facts
  /** What it would be given. */
  readonly parameters: unknown
  /** Whether the tool itself wants somebody to approve it. */
  readonly isDeclared: boolean
  readonly actionId: string
  /** Whose run it is. */
  readonly identity: RunIdentity
  readonly executionMode: string | undefined
  readonly pipeline: string
  readonly stage: string
}

/**
 * What a policy says.
 */
export type Verdict =
  | { readonly _tag: "AsDeclared" }
  | { readonly _tag: "Ask" }
  | { readonly _tag: "Approve"; readonly by: string }
  | { readonly _tag: "Deny"; readonly by: string; readonly comment: string | undefined }

/** Somebody is asked if the tool says so. */
export const asDeclared: Verdict = { _tag: "AsDeclared" }

/** Somebody is asked, whatever the tool says. */
export const ask: Verdict = { _tag: "Ask" }

/** The tool may run, and nobody is asked. */
export const approve = (by: string): Verdict => ({ _tag: "Approve", by: options.name("by", by) })

/** The tool must not run, and nobody is asked. */
export const deny = (by: string, comment?: string): Verdict => ({ _tag: "Deny", by: options.name("by", by), comment })

/** A policy with what it needs at hand. */
export interface Policy {
  readonly decide: (question: Question) => Effect.Effect<Verdict>
  readonly approvals: Approvals["Service"]
}

/** The policy that is in force, if there is one. */
export const Current = Context.Reference<Policy | undefined>("stageflow/tools/ApprovalPolicy", {
  defaultValue: () => undefined
})

/**
 * Puts a policy in force for everything below the Layer. Since it may want somebody to be asked, it needs `Approvals`.
 */
export const layer = <R = never>(
  decide: (question: Question) => Effect.Effect<Verdict, never, R>
): Layer.Layer<never, never, R | Approvals> => {
  const checked = options.callable("decide", decide)
  return Layer.effect(
    Current,
    Effect.gen(function*() {
      const approvals = yield* Approvals
      const own = withoutSurroundings(yield* Effect.context<R>())
      return {
        approvals,
        decide: (question) =>
          Effect.updateContext(
            Effect.suspend(() => checked(question)),
            // The ports are the policy's own; time, chance and traces are those of the run.
            (run: Context.Context<never>) => Context.merge(run, own) as Context.Context<R>
          )
      } satisfies Policy
    })
  )
}

/**
 * A policy under which somebody has to approve every tool that cannot be taken back.
 */
export const askForIrreversible: Layer.Layer<never, never, Approvals> = layer(({ tool }) =>
  Effect.succeed(tool.isIrreversible ? ask : asDeclared)
)
