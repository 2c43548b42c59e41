import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { LLMResponse, SpeechToText, STTResponse, TTSResponse } from "stageflow/ports"
import { Pcm } from "stageflow/streaming"

const llm = new LLMResponse.LLMResponse({
  content: "a secret",
  provider: "openai",
  model: "small",
  inputTokens: 10,
  outputTokens: 5,
  cachedTokens: 4,
  finishReason: "stop",
  toolCalls: ["search"],
  latencyMs: 120
})
const stt = new STTResponse.STTResponse({
  text: "a secret",
  provider: "whisper",
  durationMs: 1500,
  confidence: 0.98,
  language: "en",
  latencyMs: 80
})
const tts = new TTSResponse.TTSResponse({
  audio: Pcm.tone(Pcm.speech, { hertz: 100, duration: "250 millis" }),
  provider: "espeak-ng",
  voice: "en",
  characters: 8
})

describe("responses", () => {
  it("go to JSON and back", () => {
    for (
      const [schema, response] of [
        [LLMResponse.LLMResponse, llm],
        [STTResponse.STTResponse, stt],
        [TTSResponse.TTSResponse, tts]
      ] as const
    ) {
      const codec: Schema.Codec<unknown, Schema.Json> = Schema.toCodecJson(schema)
      const json = JSON.stringify(Schema.encodeSync(codec)(response))
      assert.deepStrictEqual(Schema.decodeSync(codec)(JSON.parse(json)), response)
    }
    assert.deepStrictEqual([llm.totalTokens, tts.durationMs], [15, 250])
    assert.throws(() => new STTResponse.STTResponse({ text: "x", provider: "y", durationMs: Number.NaN }))
  })

  it("have attributes of OpenTelemetry, without what was said", () => {
    assert.deepStrictEqual(LLMResponse.attributes(llm), {
      "gen_ai.operation.name": "chat",
      "gen_ai.output.type": "text",
      "gen_ai.provider.name": "openai",
      "gen_ai.response.model": "small",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.input_tokens": 10,
      "gen_ai.usage.output_tokens": 5,
      "gen_ai.usage.cache_read.input_tokens": 4,
      "stageflow.llm.latency_ms": 120,
      "stageflow.llm.tool_calls": 1
    })
    assert.deepStrictEqual(STTResponse.attributes(stt), {
      "gen_ai.operation.name": "speech_to_text",
      "gen_ai.output.type": "text",
      "gen_ai.provider.name": "whisper",
      "stageflow.stt.audio_ms": 1500,
      "stageflow.stt.latency_ms": 80,
      "stageflow.stt.confidence": 0.98,
      "stageflow.stt.language": "en"
    })
    assert.deepInclude(TTSResponse.attributes(tts), {
      "gen_ai.output.type": "speech",
      "stageflow.tts.audio_ms": 250,
      "stageflow.tts.sample_rate": 16_000
    })
  })

  it("errors go to JSON and back as well", () => {
    const codec = Schema.toCodecJson(SpeechToText.SpeechToTextFailed)
    const failed = new SpeechToText.SpeechToTextFailed({
      service: "openai",
      reason: { _tag: "Refused", status: 400 },
      chunk: 3
    })
    const back = Schema.decodeSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(failed))))
    assert.strictEqual(back.message, failed.message)
    assert.strictEqual(back.message, "Speech to text (openai), chunk 3: refused (status 400)")
  })

  it.effect("of a language model are made of what effect/ai gives", () =>
    Effect.gen(function*() {
      const parts: Array<Response.PartEncoded> = [
        { type: "text", text: "Hello" },
        {
          type: "finish",
          reason: "stop",
          usage: { inputTokens: { total: 7, cacheRead: 2 }, outputTokens: { total: 3 } },
          response: undefined
        }
      ]
      const layer = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => Effect.succeed(parts), streamText: () => Stream.empty })
      )
      const response = yield* LLMResponse.fromAi(LanguageModel.generateText({ prompt: "Hi" }), {
        provider: "test",
        model: "small"
      }).pipe(Effect.provide(layer))
      assert.deepInclude({ ...response }, {
        content: "Hello",
        finishReason: "stop",
        inputTokens: 7,
        outputTokens: 3,
        cachedTokens: 2,
        toolCalls: []
      })
    }))
})
