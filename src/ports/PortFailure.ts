/**
 * Says why ports fail, and whether another attempt makes sense: what the errors of all ports share.
 *
 * Each port has an error of its own, with a `reason`, `isRetryable`, and `retryAfter` where the service said how long to
 * leave it alone. Retry policies wait that long by themselves; which errors they try again is for `isRetryable` to say:
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Stage } from "stageflow"
 * import { PortFailure, STTResponse, SpeechToText } from "stageflow/ports"
 * import { Pcm } from "stageflow/streaming"
 *
 * const listen = Stage.transform("listen", {
 *   output: Schema.Struct({ heard: STTResponse.STTResponse }),
 *   run: Effect.gen(function*() {
 *     const speech = yield* SpeechToText.SpeechToText
 *     return { heard: yield* speech.transcribe(Pcm.silence(Pcm.speech, "1 second")) }
 *   })
 * }).pipe(Stage.retry({ attempts: 3, while: PortFailure.isRetryable }))
 * ```
 */
import * as Predicate from "effect/Predicate"

export { Reason } from "./internal/failure.ts"

/**
 * Whether another attempt makes sense after an error, as the error itself says: those of ports, and `AiError` of
 * `effect/ai`. After one that does not say, it makes none.
 */
export const isRetryable = (error: unknown): boolean =>
  Predicate.hasProperty(error, "isRetryable") && error.isRetryable === true
