/**
 * Describes what a language model answered, as data that a stage can give, keep and show.
 *
 * Language models are services of `effect/ai`: a stage asks `LanguageModel.generateText`, and this makes data of what comes.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { LanguageModel } from "effect/ai"
 * import { Stage } from "stageflow"
 * import { LLMResponse } from "stageflow/ports"
 *
 * const answer = Stage.transform("answer", {
 *   output: Schema.Struct({ text: Schema.String, llm: LLMResponse.LLMResponse }),
 *   run: Effect.fnUntraced(function*(inputs: { readonly question: { readonly text: string } }) {
 *     const llm = yield* LLMResponse.fromAi(LanguageModel.generateText({ prompt: inputs.question.text }), {
 *       provider: "openai",
 *       model: "small"
 *     })
 *     yield* Effect.annotateCurrentSpan(LLMResponse.attributes(llm))
 *     return { text: llm.content, llm }
 *   })
 * })
 * ```
 */
import type * as LanguageModel from "effect/ai/LanguageModel"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { elapsedMillis } from "../internal/clock.ts"
import { type Attributes, known } from "./internal/attributes.ts"

/**
 * What a language model answered.
 */
export class LLMResponse extends Schema.Class<LLMResponse>("stageflow/ports/LLMResponse")({
  content: Schema.String,
  provider: Schema.String,
  model: Schema.String,
  inputTokens: Schema.optionalKey(Schema.Int),
  outputTokens: Schema.optionalKey(Schema.Int),
  /** Those of the input that came from a cache. */
  cachedTokens: Schema.optionalKey(Schema.Int),
  finishReason: Schema.optionalKey(Schema.String),
  /** The names of the tools that it wants called. */
  toolCalls: Schema.optionalKey(Schema.Array(Schema.String)),
  latencyMs: Schema.optionalKey(Schema.Finite)
}) {
  /** All tokens, when both numbers are known. */
  get totalTokens(): number | undefined {
    const { inputTokens, outputTokens } = this
    return inputTokens === undefined || outputTokens === undefined ? undefined : inputTokens + outputTokens
  }
}

/** What is read of an answer of `effect/ai`, whatever its tools are. */
interface Answer extends
  Pick<
    LanguageModel.GenerateTextResponse<{}>,
    "text" | "finishReason" | "usage"
  >
{
  readonly toolCalls: ReadonlyArray<{ readonly name: string }>
}

/**
 * Asks a model, and makes a response of what it answers and how long that took.
 */
export const fromAi = <E, R>(
  answer: Effect.Effect<Answer, E, R>,
  from: { readonly provider: string; readonly model: string }
): Effect.Effect<LLMResponse, E, R> =>
  Effect.gen(function*() {
    const since = yield* elapsedMillis
    const { finishReason, text, toolCalls, usage } = yield* answer
    const { cacheRead, total } = usage.inputTokens
    return new LLMResponse({
      content: text,
      provider: from.provider,
      model: from.model,
      finishReason,
      latencyMs: (yield* elapsedMillis) - since,
      toolCalls: toolCalls.map(({ name }) => name),
      ...total === undefined ? {} : { inputTokens: total },
      ...usage.outputTokens.total === undefined ? {} : { outputTokens: usage.outputTokens.total },
      ...cacheRead === undefined ? {} : { cachedTokens: cacheRead }
    })
  })

/**
 * A response as attributes of OpenTelemetry, for a span: never what was said.
 */
export const attributes = (response: LLMResponse): Attributes =>
  known({
    "gen_ai.operation.name": "chat",
    "gen_ai.output.type": "text",
    "gen_ai.provider.name": response.provider,
    "gen_ai.response.model": response.model,
    "gen_ai.response.finish_reasons": response.finishReason === undefined ? undefined : [response.finishReason],
    "gen_ai.usage.input_tokens": response.inputTokens,
    "gen_ai.usage.output_tokens": response.outputTokens,
    "gen_ai.usage.cache_read.input_tokens": response.cachedTokens,
    "stageflow.llm.latency_ms": response.latencyMs,
    "stageflow.llm.tool_calls": response.toolCalls?.length
  })
