/**
 * Tells whether a stage was refused: by what asks before it runs, or by the stage itself when it is a guard.
 */
import type * as Cause from "effect/Cause"
import { isRefusal } from "../internal/refusal.ts"
import { RetryExhausted, StageFault, StageTimeout } from "../StageError.ts"
import type { StageInfo } from "./interceptor-model.ts"

const isOwn = (error: unknown): boolean =>
  !(error instanceof StageFault || error instanceof StageTimeout || error instanceof RetryExhausted)

/** Whether the typed error of a stage, which was in the cause, is a refusal: a denial, or what a guard found. */
export const isRefusedBy = (
  { kind }: Pick<StageInfo, "kind">,
  error: unknown,
  cause: Cause.Cause<unknown> | undefined
): boolean => isRefusal(error, cause) || (kind === "guard" && isOwn(error))
