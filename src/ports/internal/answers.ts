/**
 * Asks an HTTP endpoint, and says in the words of ports what went wrong. Nothing that it says in words is passed on: that
 * may hold the key, or what somebody said.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type HttpClient, type HttpClientError, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { waitAskedBy } from "../../attempt/retry-after.ts"
import type { Reason } from "./failure.ts"

export interface Endpoint {
  readonly url: string
  readonly apiKey: Redacted.Redacted | undefined
  readonly provider: string
  readonly timeout: Duration.Duration
}

/** How much is read of an answer that is words. */
const longestText = 10 * 2 ** 20

/** How much is read of one that says what is wrong, and for how long. */
const longestError = 2 ** 16
const errorPatience = Duration.seconds(2)

const Problem = Schema.fromJsonString(Schema.Struct({
  error: Schema.Struct({
    code: Schema.optionalKey(Schema.Unknown),
    type: Schema.optionalKey(Schema.Unknown),
    param: Schema.optionalKey(Schema.Unknown)
  })
}))

const decodeProblem = Schema.decodeUnknownOption(Problem)

/** A word that programs use for what is wrong; no key and no sentence looks like one. */
const isCode = (given: unknown): given is string => typeof given === "string" && /^[a-z]+(?:_[a-z]+){0,7}$/.test(given)

/** The codes in an answer that says what is wrong. */
const detailIn = (body: string): string | undefined => {
  const problem = Option.getOrUndefined(decodeProblem(body))?.error
  const codes = [problem?.code, problem?.type, problem?.param].filter(isCode)
  return codes.length === 0 ? undefined : Array.from(new Set(codes)).join(", ")
}

const waitIn = (response: HttpClientResponse.HttpClientResponse, now: number): Duration.Duration | undefined => {
  const wait = waitAskedBy(response.headers["retry-after"], now)
  return Duration.isZero(wait) ? undefined : wait
}

const refusal = Effect.fnUntraced(function*(response: HttpClientResponse.HttpClientResponse): Effect.fn.Return<Reason> {
  const { status } = response
  const wait = waitIn(response, yield* Clock.currentTimeMillis)
  const retryAfter = wait === undefined ? {} : { retryAfter: wait }
  if (status === 401 || status === 403) return { _tag: "Unauthorized", status }
  if (status === 429) return { _tag: "RateLimited", ...retryAfter }
  if (status === 408 || status >= 500) return { _tag: "Unavailable", status, ...retryAfter }
  const body = yield* Effect.orElseSucceed(limitedText(response, errorPatience, longestError), () => "")
  const detail = detailIn(body)
  return { _tag: "Refused", status, ...detail === undefined ? {} : { detail } }
})

/** A request that cannot be made is as wrong another time. */
const unsent = ({ reason }: HttpClientError.HttpClientError): Reason =>
  reason._tag === "TransportError" ? { _tag: "Unavailable" } : { _tag: "Refused" }

/** Sends a request. What comes back says yes. */
export const ask = Effect.fnUntraced(function*(
  client: HttpClient.HttpClient,
  { apiKey, timeout }: Endpoint,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<HttpClientResponse.HttpClientResponse, Reason> {
  const signed = apiKey === undefined ? request : HttpClientRequest.bearerToken(request, apiKey)
  const response = yield* client.execute(signed).pipe(
    Effect.mapError(unsent),
    Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail<Reason>({ _tag: "TimedOut", after: timeout }) })
  )
  return response.status >= 200 && response.status < 300 ? response : yield* Effect.fail(yield* refusal(response))
})

/** The bytes of an answer. Each has to come in time. */
export const bodyOf = (
  { stream }: HttpClientResponse.HttpClientResponse,
  timeout: Duration.Duration
): Stream.Stream<Uint8Array, Reason> =>
  stream.pipe(
    Stream.mapError((): Reason => ({ _tag: "BrokenOff" })),
    Stream.timeoutOrElse({ duration: timeout, orElse: () => Stream.fail<Reason>({ _tag: "TimedOut", after: timeout }) })
  )

const limitedText = (
  response: HttpClientResponse.HttpClientResponse,
  timeout: Duration.Duration,
  limit: number
): Effect.Effect<string, Reason> =>
  Effect.suspend(() => {
    let size = 0
    return bodyOf(response, timeout).pipe(
      Stream.mapEffect((bytes) => {
        size += bytes.byteLength
        return size > limit
          ? Effect.fail<Reason>({ _tag: "Unintelligible", expected: "an answer of a sensible size" })
          : Effect.succeed(bytes)
      }),
      Stream.decodeText,
      Stream.mkString
    )
  })

/** The words of an answer. */
export const textOf = (
  response: HttpClientResponse.HttpClientResponse,
  timeout: Duration.Duration
): Effect.Effect<string, Reason> => limitedText(response, timeout, longestText)
