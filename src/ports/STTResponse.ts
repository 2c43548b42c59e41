/**
 * Describes what was understood of speech, as data that a stage can give, keep and show.
 */
import * as Schema from "effect/Schema"
import { type Attributes, known } from "./internal/attributes.ts"

/**
 * What was understood of speech.
 */
export class STTResponse extends Schema.Class<STTResponse>("stageflow/ports/STTResponse")({
  text: Schema.String,
  provider: Schema.String,
  model: Schema.optionalKey(Schema.String),
  /** From 0 to 1, where the provider says how sure it is. */
  confidence: Schema.optionalKey(Schema.Finite),
  language: Schema.optionalKey(Schema.String),
  /** How long the audio is. */
  durationMs: Schema.Finite,
  latencyMs: Schema.optionalKey(Schema.Finite),
  inputTokens: Schema.optionalKey(Schema.Int),
  outputTokens: Schema.optionalKey(Schema.Int)
}) {}

/**
 * A response as attributes of OpenTelemetry, for a span: never what was said.
 */
export const attributes = (response: STTResponse): Attributes =>
  known({
    "gen_ai.operation.name": "speech_to_text",
    "gen_ai.output.type": "text",
    "gen_ai.provider.name": response.provider,
    "gen_ai.response.model": response.model,
    "gen_ai.usage.input_tokens": response.inputTokens,
    "gen_ai.usage.output_tokens": response.outputTokens,
    "stageflow.stt.audio_ms": response.durationMs,
    "stageflow.stt.latency_ms": response.latencyMs,
    "stageflow.stt.confidence": response.confidence,
    "stageflow.stt.language": response.language
  })
