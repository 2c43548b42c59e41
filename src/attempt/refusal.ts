/**
 * Tells whether a stage was refused: by what asks before it runs, or by the stage itself when it is a guard.
 */
import { isRefusal } from "../internal/refusal.ts"
import { RetryExhausted, StageFault, StageTimeout } from "../StageError.ts"
import type { StageInfo } from "./interceptor-model.ts"

const isOwn = (error: unknown): boolean =>
  !(error instanceof StageFault || error instanceof StageTimeout || error instanceof RetryExhausted)

/** Whether the typed error of a stage is a refusal: a denial, or what a guard found. */
export const isRefusedBy = ({ kind }: Pick<StageInfo, "kind">, error: unknown): boolean =>
  isRefusal(error) || (kind === "guard" && isOwn(error))
