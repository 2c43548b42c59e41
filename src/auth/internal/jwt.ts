/**
 * Verifies a token with a key, and that it says what it must.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as jose from "jose"
import type { Expected } from "./settings.ts"
import type { VerificationKey } from "./verification-key.ts"

/** Why a token is not accepted. */
export type Refusal =
  | "malformed"
  | "too-large"
  | "signature"
  | "algorithm"
  | "unknown-key"
  | "keys-unavailable"
  | "expired"
  | "not-yet-valid"
  | "issuer"
  | "audience"
  | "claims"
  | "verifier"

/** What a token says of itself, before anybody knows whether it is true. */
export type Header = jose.ProtectedHeaderParameters & { readonly alg: string }

/** Who verifies: the algorithms that are accepted, the key that goes with a header, and what a token must say. */
export interface Verification {
  readonly algorithms: ReadonlyArray<string>
  readonly keyOf: (header: Header) => Effect.Effect<VerificationKey, Refusal>
  readonly expected: Expected
}

/** How many characters a token may have. Servers take far shorter headers; nothing longer is looked into. */
const longestToken = 65_536

const refusalOfClaim = ({ claim, reason }: jose.errors.JWTClaimValidationFailed): Refusal => {
  // One that is there and of the right type says something else than it must.
  if (reason !== "check_failed") return "claims"
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

const refusalOf = (error: unknown): Refusal => {
  if (error instanceof jose.errors.JWTExpired) return "expired"
  if (error instanceof jose.errors.JWTClaimValidationFailed) return refusalOfClaim(error)
  if (error instanceof jose.errors.JOSEAlgNotAllowed) return "algorithm"
  if (error instanceof jose.errors.JWSSignatureVerificationFailed) return "signature"
  if (error instanceof jose.errors.JWSInvalid || error instanceof jose.errors.JWTInvalid) return "malformed"
  // The algorithm is one that is supported; what is not is an extension that the token says is critical.
  return error instanceof jose.errors.JOSENotSupported ? "malformed" : "verifier"
}

const headerOf = Effect.fnUntraced(function*(token: string): Effect.fn.Return<Header, Refusal> {
  const header = yield* Effect.try({
    try: () => jose.decodeProtectedHeader(token),
    catch: (): Refusal => "malformed"
  })
  const { alg } = header
  return typeof alg === "string" ? { ...header, alg } : yield* Effect.fail<Refusal>("malformed")
})

/**
 * The claims of a token that is good.
 *
 * What it says of itself is looked at first, so that no key is looked for on behalf of a token that cannot be good.
 */
export const verify = Effect.fnUntraced(
  function*(token: string, verification: Verification): Effect.fn.Return<jose.JWTPayload, Refusal> {
    const { algorithms, expected, keyOf } = verification
    if (token.length > longestToken) return yield* Effect.fail<Refusal>("too-large")
    const header = yield* headerOf(token)
    if (!algorithms.includes(header.alg)) return yield* Effect.fail<Refusal>("algorithm")
    const key = yield* keyOf(header)
    // Not before: the key may have taken its time.
    const now = yield* Clock.currentTimeMillis
    const { payload } = yield* Effect.tryPromise({
      try: () =>
        jose.jwtVerify(token, key, {
          algorithms: [...algorithms],
          issuer: [...expected.issuer],
          audience: [...expected.audience],
          clockTolerance: Duration.toSeconds(expected.clockTolerance),
          currentDate: new Date(now),
          requiredClaims: ["exp"]
        }),
      catch: refusalOf
    })
    return payload
  }
)
