/**
 * Who says that a token is good.
 *
 * There is no default: an authentication without a verifier does not compile. The verifiers here check JWTs with `jose`.
 * A verifier accepts exactly the algorithms that go with its keys, so `none` and a public key used as a secret are
 * rejected.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as jose from "jose"
import * as options from "../internal/options.ts"
import { InvalidOption } from "../StageError.ts"

/**
 * Why a token was not accepted.
 */
export const Reason = Schema.Literals([
  "missing",
  "malformed",
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
 * `keys-unavailable`: the keys could not be fetched. `claims`: a claim is missing or of the wrong type. `verifier`: the
 * verifier itself broke; nobody is let in.
 */
export type Reason = typeof Reason.Type

const sentences: Readonly<Record<Reason, string>> = {
  missing: "there is no token",
  malformed: "the token is malformed",
  signature: "its signature is wrong",
  algorithm: "its algorithm is not accepted",
  "unknown-key": "it was signed with an unknown key",
  "keys-unavailable": "the keys to check it could not be fetched",
  expired: "it has expired",
  "not-yet-valid": "it is not valid yet",
  issuer: "it comes from another issuer",
  audience: "it is meant for another audience",
  claims: "a claim is missing or of the wrong type",
  verifier: "the verifier failed"
}

/**
 * A caller was not authenticated, so no stage started. It says why, and nothing of the token.
 */
export class AuthenticationFailed extends Schema.TaggedError<AuthenticationFailed>()("AuthenticationFailed", {
  reason: Reason
}) {
  readonly code = "AUTHENTICATION_FAILED"
  override get message(): string {
    return `Not authenticated: ${sentences[this.reason]}`
  }
}

/**
 * The claims of a verified token.
 */
export type Claims = Readonly<Record<string, unknown>>

/**
 * Who says that a token is good.
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

const listed = (value: string | ReadonlyArray<string>): string | Array<string> =>
  typeof value === "string" ? value : [...value]

type VerifyKey = Parameters<typeof jose.jwtVerify>[1] | jose.JWTVerifyGetKey

const reasonOfClaim = (claim: string): Reason => {
  switch (claim) {
    case "iss":
      return "issuer"
    case "aud":
      return "audience"
    case "nbf":
      return "not-yet-valid"
    default:
      return "claims"
  }
}

const reasonOf = (error: unknown): Reason => {
  if (error instanceof jose.errors.JWTExpired) return "expired"
  if (error instanceof jose.errors.JWTClaimValidationFailed) return reasonOfClaim(error.claim)
  if (error instanceof jose.errors.JOSEAlgNotAllowed) return "algorithm"
  if (error instanceof jose.errors.JOSENotSupported) return "algorithm"
  if (error instanceof jose.errors.JWSSignatureVerificationFailed) return "signature"
  if (error instanceof jose.errors.JWKSNoMatchingKey || error instanceof jose.errors.JWKSMultipleMatchingKeys) {
    return "unknown-key"
  }
  if (error instanceof jose.errors.JWSInvalid || error instanceof jose.errors.JWTInvalid) return "malformed"
  if (error instanceof jose.errors.JWKSTimeout || error instanceof jose.errors.JWKSInvalid) return "keys-unavailable"
  // What is left of jose's own errors is a JWKS that did not answer; a failed fetch is no error of jose's.
  return error instanceof jose.errors.JOSEError || error instanceof TypeError ? "keys-unavailable" : "verifier"
}

const verifier = (
  key: VerifyKey,
  algorithms: ReadonlyArray<string>,
  { audience, clockTolerance, issuer }: Expectations
): TokenVerifier["Service"] => {
  const tolerance = options.duration("clockTolerance", clockTolerance ?? Duration.seconds(5))
  return {
    verify: (token) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.tryPromise({
          try: () =>
            // jose tells a key from a function that finds one by itself; its overloads do not.
            jose.jwtVerify(Redacted.value(token), key as jose.JWTVerifyGetKey, {
              algorithms: [...algorithms],
              issuer: listed(issuer),
              audience: listed(audience),
              clockTolerance: Duration.toSeconds(tolerance),
              currentDate: new Date(now),
              requiredClaims: ["exp"]
            }),
          catch: (error) => new AuthenticationFailed({ reason: reasonOf(error) })
        })).pipe(Effect.map(({ payload }): Claims => payload))
  }
}

const required = (option: string, value: string | ReadonlyArray<string>): void => {
  if (value.length === 0) throw new InvalidOption({ option, expected: "at least one value", given: "none" })
}

const urlOf = (given: string): URL =>
  Result.getOrThrow(Result.try({
    try: () => new URL(given),
    catch: () => new InvalidOption({ option: "url", expected: "a URL such as \"https://issuer/jwks\"", given })
  }))

const checked = (expectations: Expectations): Expectations => {
  required("issuer", expectations.issuer)
  required("audience", expectations.audience)
  return expectations
}

/** 256 bits, as RFC 7518 asks of HS256. */
const shortestSecret = 32

const imported = (key: Key): Effect.Effect<VerifyKey, InvalidOption> => {
  if (key.algorithm === "HS256") {
    const secret = new TextEncoder().encode(Redacted.value(key.secret))
    return secret.length < shortestSecret
      ? Effect.fail(
        new InvalidOption({ option: "secret", expected: "at least 32 bytes", given: `${secret.length} bytes` })
      )
      : Effect.succeed(secret)
  }
  const { algorithm, publicKey } = key
  return Effect.tryPromise({
    try: (): Promise<VerifyKey> =>
      typeof publicKey === "string" ? jose.importSPKI(publicKey, algorithm) : jose.importJWK(publicKey, algorithm),
    catch: () =>
      new InvalidOption({ option: "publicKey", expected: `a ${algorithm} key as SPKI PEM or JWK`, given: "another" })
  })
}

/**
 * Verifies JWTs with one local key.
 *
 * The key is read when the Layer is built: one that does not fit its algorithm is an `InvalidOption`.
 */
export const layerJwt = (settings: Expectations & { readonly key: Key }): Layer.Layer<TokenVerifier, InvalidOption> => {
  const expectations = checked(settings)
  return Layer.effect(
    TokenVerifier,
    Effect.map(imported(settings.key), (key) => verifier(key, [settings.key.algorithm], expectations))
  )
}

/**
 * Verifies JWTs with the keys of an issuer, fetched over HTTP and kept.
 *
 * A token with an unknown key makes it look for new keys, at most once in `cooldown`.
 */
export const layerJwks = (
  settings: Expectations & {
    readonly url: string
    /** RS256, ES256 and EdDSA when left out. */
    readonly algorithms?: ReadonlyArray<Asymmetric> | undefined
    /** How long keys are kept. 10 minutes when left out. */
    readonly cacheFor?: Duration.Input | undefined
    /** 30 seconds when left out. */
    readonly cooldown?: Duration.Input | undefined
    /** How long to wait for an answer. 5 seconds when left out. */
    readonly timeout?: Duration.Input | undefined
  }
): Layer.Layer<TokenVerifier> => {
  const expectations = checked(settings)
  const { algorithms = ["RS256", "ES256", "EdDSA"] } = settings
  required("algorithms", algorithms)
  const url = urlOf(settings.url)
  const millis = (option: string, value: Duration.Input | undefined, otherwise: Duration.Input) =>
    Duration.toMillis(options.positiveDuration(option, value ?? otherwise))
  const remote = {
    cacheMaxAge: millis("cacheFor", settings.cacheFor, "10 minutes"),
    cooldownDuration: millis("cooldown", settings.cooldown, "30 seconds"),
    timeoutDuration: millis("timeout", settings.timeout, "5 seconds")
  }
  return Layer.sync(
    TokenVerifier,
    () => verifier(jose.createRemoteJWKSet(url, remote), algorithms, expectations)
  )
}
