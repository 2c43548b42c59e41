/**
 * Verifies tokens: JWTs with a key of your own, or with the keys of an issuer.
 *
 * There is no default: an authentication without a verifier does not compile. The verifiers here check JWTs with `jose`.
 * A verifier accepts exactly the algorithms that go with its keys, so `none` and a public key used as a secret are
 * rejected.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { RefusalTypeId } from "../internal/refusal.ts"
import type { InvalidOption } from "../StageError.ts"
import * as issuerKeys from "./internal/issuer-keys.ts"
import { type Refusal, type Verification, verify } from "./internal/jwt.ts"
import * as check from "./internal/settings.ts"
import * as verificationKey from "./internal/verification-key.ts"

/**
 * Why a token was not accepted.
 */
export const Reason = Schema.Literals([
  "missing",
  "malformed",
  "too-large",
  "signature",
  "algorithm",
  "unknown-key",
  "keys-unavailable",
  "expired",
  "not-yet-valid",
  "issuer",
  "audience",
  "claims",
  "verifier"
])

/**
 * Why a token was not accepted.
 *
 * `too-large`: it has more than 65,536 characters. `unknown-key`: the issuer has no key, or not exactly one, that verifies
 * it. `keys-unavailable`: the keys could not be fetched. `claims`: a claim is missing or of the wrong type. `verifier`: the
 * verifier itself broke; nobody is let in.
 */
export type Reason = typeof Reason.Type

const sentences: Readonly<Record<Reason, string>> = {
  missing: "there is no token",
  malformed: "the token is malformed",
  "too-large": "the token is too large",
  signature: "the signature of the token is wrong",
  algorithm: "the algorithm of the token is not accepted",
  "unknown-key": "the token was signed with an unknown key",
  "keys-unavailable": "the keys to check the token could not be fetched",
  expired: "the token has expired",
  "not-yet-valid": "the token is not valid yet",
  issuer: "the token comes from another issuer",
  audience: "the token is meant for another audience",
  claims: "a claim of the token is missing or of the wrong type",
  verifier: "the verifier failed"
}

/**
 * A caller was not authenticated, so no stage started. It says why, and nothing of the token.
 */
export class AuthenticationFailed extends Schema.TaggedError<AuthenticationFailed>()("AuthenticationFailed", {
  reason: Reason
}) {
  readonly code = "AUTHENTICATION_FAILED"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Not authenticated: ${sentences[this.reason]}`
  }
}

/**
 * The claims of a verified token.
 */
export type Claims = Readonly<Record<string, unknown>>

/**
 * The service that verifies tokens.
 */
export class TokenVerifier extends Context.Service<TokenVerifier, {
  readonly verify: (token: Redacted.Redacted<string>) => Effect.Effect<Claims, AuthenticationFailed>
}>()("stageflow/auth/TokenVerifier") {}

/**
 * What every JWT must say.
 */
export interface Expectations {
  readonly issuer: string | ReadonlyArray<string>
  readonly audience: string | ReadonlyArray<string>
  /** How far clocks may be apart. 5 seconds when left out. */
  readonly clockTolerance?: Duration.Input | undefined
}

/**
 * Algorithms with a public key.
 */
export type Asymmetric = "RS256" | "ES256" | "EdDSA"

/**
 * A key, and the one algorithm that goes with it.
 */
export type Key =
  | { readonly algorithm: "HS256"; readonly secret: Redacted.Redacted<string> }
  | { readonly algorithm: Asymmetric; readonly publicKey: string | Readonly<Record<string, unknown>> }

const verifier = (verification: Verification): TokenVerifier["Service"] => ({
  verify: (token) =>
    Effect.suspend(() => verify(Redacted.value(token), verification)).pipe(
      // Whatever breaks in here lets nobody in.
      Effect.catchDefect(() => Effect.fail<Refusal>("verifier")),
      Effect.mapError((reason) => new AuthenticationFailed({ reason }))
    )
})

/**
 * Verifies JWTs with one local key.
 *
 * The key is read when the Layer is built: one that does not fit its algorithm, is private, too short or meant for
 * something else is an `InvalidOption` that says so, and shows nothing of it.
 */
export const layerJwt = (settings: Expectations & { readonly key: Key }): Layer.Layer<TokenVerifier, InvalidOption> => {
  const expected = check.expected(settings)
  const read = verificationKey.read(settings.key)
  return Layer.effect(
    TokenVerifier,
    Effect.map(
      read,
      ({ algorithm, key }) => verifier({ algorithms: [algorithm], keyOf: () => Effect.succeed(key), expected })
    )
  )
}

/**
 * Verifies JWTs with the keys of an issuer, fetched over HTTP and kept.
 *
 * A token with an unknown key makes it look for new keys, at most once in `cooldown`. While keys cannot be fetched, it
 * asks once in `retryAfter`, and why is logged as a warning. All who wait for keys share one fetch.
 */
export const layerJwks = (
  settings: Expectations & {
    readonly url: string
    /** RS256, ES256 and EdDSA when left out. */
    readonly algorithms?: ReadonlyArray<Asymmetric> | undefined
    /** How long keys are used before they are fetched again. 10 minutes when left out. */
    readonly cacheFor?: Duration.Input | undefined
    /** How much longer they are used while they cannot be fetched. Not at all when left out. */
    readonly staleFor?: Duration.Input | undefined
    /** 30 seconds when left out. */
    readonly cooldown?: Duration.Input | undefined
    /** How long nobody asks after a fetch that failed. 5 seconds when left out. */
    readonly retryAfter?: Duration.Input | undefined
    /** How long a fetch may take, its body included. 5 seconds when left out. */
    readonly timeout?: Duration.Input | undefined
    /** How many bytes the issuer may answer, unpacked. 256 KiB when left out. */
    readonly maxBytes?: number | undefined
  }
): Layer.Layer<TokenVerifier> => {
  const { cacheFor = "10 minutes", cooldown = "30 seconds", maxBytes = 256 * 1024 } = settings
  const { retryAfter = "5 seconds", staleFor = Duration.zero, timeout = "5 seconds" } = settings
  const expected = check.expected(settings)
  const algorithms = check.algorithms(settings.algorithms, verificationKey.asymmetric)
  const url = check.url(settings.url)
  const policy = {
    cacheFor: check.span("cacheFor", cacheFor),
    staleFor: check.spanOrZero("staleFor", staleFor),
    cooldown: check.span("cooldown", cooldown),
    retryAfter: check.span("retryAfter", retryAfter),
    timeout: check.span("timeout", timeout),
    maxBytes: check.bytes("maxBytes", maxBytes)
  }
  return Layer.effect(
    TokenVerifier,
    Effect.map(
      issuerKeys.make(url, policy),
      (keys) => verifier({ algorithms, keyOf: (header) => keys.find(header), expected })
    )
  )
}
