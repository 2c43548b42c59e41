/**
 * Describes what a voice said, as data that a stage can give, keep and show.
 */
import * as Schema from "effect/Schema"
import { Pcm } from "../streaming/index.ts"
import { type Attributes, known } from "./internal/attributes.ts"

/**
 * What a voice said.
 */
export class TTSResponse extends Schema.Class<TTSResponse>("stageflow/ports/TTSResponse")({
  audio: Pcm.Chunk,
  provider: Schema.String,
  model: Schema.optionalKey(Schema.String),
  voice: Schema.optionalKey(Schema.String),
  /** How many characters were read out. */
  characters: Schema.Int,
  latencyMs: Schema.optionalKey(Schema.Finite)
}) {
  /** How long the audio is. */
  get durationMs(): number {
    return Pcm.millisOf(this.audio.format, this.audio.bytes.byteLength)
  }
}

/**
 * A response as attributes of OpenTelemetry, for a span: neither the text nor the audio.
 */
export const attributes = (response: TTSResponse): Attributes =>
  known({
    "gen_ai.operation.name": "text_to_speech",
    "gen_ai.output.type": "speech",
    "gen_ai.provider.name": response.provider,
    "gen_ai.response.model": response.model,
    "stageflow.tts.voice": response.voice,
    "stageflow.tts.characters": response.characters,
    "stageflow.tts.audio_ms": response.durationMs,
    "stageflow.tts.audio_bytes": response.audio.bytes.byteLength,
    "stageflow.tts.sample_rate": response.audio.format.sampleRate,
    "stageflow.tts.latency_ms": response.latencyMs
  })
