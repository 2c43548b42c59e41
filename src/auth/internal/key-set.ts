/**
 * Fetches the keys that an issuer publishes, within limits of time and size.
 *
 * `jose` reads a body to its end before anybody can say that it is too long, so it is read here, chunk by chunk; `jose`
 * gets what has come and finds keys in it.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as jose from "jose"
import type { Header } from "./jwt.ts"
import { flawOfKey, type VerificationKey } from "./verification-key.ts"

/** Why the keys could not be had, in words for who runs the program. */
export class FetchFailed extends Data.TaggedError("FetchFailed")<{ readonly why: string }> {}

/** The keys of an issuer. */
export interface KeySet {
  /** The one key that verifies tokens with this header, if there is one. */
  readonly find: (header: Header) => Effect.Effect<Option.Option<VerificationKey>>
}

/** How long a fetch may take and how much may come. */
export interface Limits {
  readonly timeout: Duration.Duration
  readonly maxBytes: number
}

interface Received {
  readonly chunks: Array<Uint8Array>
  readonly size: number
}

const unreachable = () => new FetchFailed({ why: "the connection failed" })
const unreadable = () => new FetchFailed({ why: "the answer is no JSON Web Key Set" })

const received = (body: ReadableStream<Uint8Array>, maxBytes: number): Effect.Effect<Received, FetchFailed> =>
  // What is left of the body goes with the request, which is aborted in any case.
  Stream.fromReadableStream({ evaluate: () => body, onError: unreachable, releaseLockOnEnd: true }).pipe(
    Stream.runFoldEffect((): Received => ({ chunks: [], size: 0 }), ({ chunks, size }, chunk) => {
      const total = size + chunk.byteLength
      if (total > maxBytes) return Effect.fail(new FetchFailed({ why: `the answer has more than ${maxBytes} bytes` }))
      chunks.push(chunk)
      return Effect.succeed({ chunks, size: total })
    })
  )

const textOf = ({ chunks }: Received): string => {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("") + decoder.decode()
}

const keySetOf = (body: Received): Effect.Effect<KeySet, FetchFailed> =>
  Effect.map(
    Effect.try({ try: () => jose.createLocalJWKSet(JSON.parse(textOf(body))), catch: unreadable }),
    (find) => ({
      find: (header) =>
        Effect.tryPromise(() => find(header)).pipe(
          // None that fits, more than one, or one that cannot be read: all the same, none verifies this token.
          Effect.option,
          Effect.map(Option.filter((key) => flawOfKey(key) === undefined))
        )
    })
  )

const requested = Effect.fnUntraced(function*(url: URL, signal: AbortSignal, maxBytes: number) {
  const { body, status } = yield* Effect.tryPromise({
    // What is at another address was published by somebody else.
    try: () =>
      fetch(url, { signal, redirect: "manual", headers: { accept: "application/jwk-set+json, application/json" } }),
    catch: unreachable
  })
  if (status !== 200) return yield* new FetchFailed({ why: `the answer has the status ${status}` })
  if (body === null) return yield* unreadable()
  return yield* keySetOf(yield* received(body, maxBytes))
})

/** The keys at this address. Whatever comes of it, the connection is free or closed afterwards. */
export const fetchKeySet = (url: URL, { maxBytes, timeout }: Limits): Effect.Effect<KeySet, FetchFailed> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new AbortController()),
    ({ signal }) => requested(url, signal, maxBytes),
    (controller) => Effect.sync(() => controller.abort())
  ).pipe(
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(new FetchFailed({ why: `there was no answer within ${Duration.format(timeout)}` }))
    })
  )
