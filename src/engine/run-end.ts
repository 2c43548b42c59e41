/**
 * Reads how a run ended, with all that was around it: the one reading that its last event, its record and the stage that
 * started it tell of.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { isRefusal } from "../internal/refusal.ts"
import { limitOfRun } from "../internal/run-timeout.ts"
import { type RunResult, StageFailed } from "../RunResult.ts"
import { RunRejected } from "../StageError.ts"

/** How a run ended. */
export type RunEnd =
  | { readonly status: "completed" | "cancelled" | "incomplete"; readonly result: RunResult }
  | { readonly status: "failed"; readonly failed: StageFailed }
  | { readonly status: "timed_out"; readonly error: unknown; readonly limitMs: number }
  | { readonly status: "denied" | "rejected"; readonly error: unknown; readonly interceptor: string | undefined }
  | { readonly status: "interrupted" }

const interrupted: RunEnd = { status: "interrupted" }

/** Reads it; `deniedBy` is the interceptor around the run that ended it before it began, if one did. */
export const runEndOf = (exit: Exit.Exit<RunResult, unknown>, deniedBy: string | undefined): RunEnd => {
  if (exit._tag === "Success") return { status: statuses[exit.value._tag], result: exit.value }
  const typed = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (typed instanceof StageFailed) return { status: "failed", failed: typed }
  if (typed === undefined && Exit.hasInterrupts(exit)) return interrupted
  const given = typed ?? Cause.squash(exit.cause)
  const rejected = given instanceof RunRejected ? given : undefined
  const error = rejected === undefined ? given : rejected.error
  const limitMs = limitOfRun(error)
  if (limitMs !== undefined) return { status: "timed_out", error, limitMs }
  // One that denied it and another that died of that: the second is what ended the run.
  const isDenied = deniedBy !== undefined && (rejected === undefined || isRefusal(rejected))
  return { status: isDenied ? "denied" : "rejected", error, interceptor: isDenied ? deniedBy : rejected?.interceptor }
}

const statuses = { Completed: "completed", Cancelled: "cancelled", Incomplete: "incomplete" } as const
