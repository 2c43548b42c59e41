import { Effect, Redacted } from "effect"
import * as jose from "jose"
import { createHmac, createPrivateKey, sign } from "node:crypto"
import * as Auth from "stageflow/auth"

export const issuer = "https://issuer.test"
export const audience = "stageflow"

/** Now, in seconds, on the test clock. */
export const now = 1_800_000_000

export const claims = { iss: issuer, aud: audience, sub: "ada", exp: now + 3600 }

/** A pair of keys, and the public one as an issuer publishes it. */
export interface KeyPair {
  readonly algorithm: "RS256" | "ES256" | "EdDSA"
  readonly kid: string
  readonly pem: string
  readonly publicJwk: Readonly<Record<string, unknown>>
  readonly privateJwk: Readonly<Record<string, unknown>>
}

export const keyPair = (
  algorithm: KeyPair["algorithm"],
  kid: string,
  options?: { readonly modulusLength?: number }
): Effect.Effect<KeyPair> =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await jose.generateKeyPair(algorithm, { extractable: true, ...options })
    return {
      algorithm,
      kid,
      pem: await jose.exportSPKI(publicKey),
      publicJwk: { ...(await jose.exportJWK(publicKey)), kid, alg: algorithm, use: "sig" },
      privateJwk: { ...(await jose.exportJWK(privateKey)), kid, alg: algorithm, use: "sig" }
    }
  })

const encoded = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url")

const signatureOf = ({ algorithm, privateJwk }: KeyPair, input: string): string => {
  const key = createPrivateKey({ key: privateJwk, format: "jwk" })
  const options = algorithm === "ES256" ? { key, dsaEncoding: "ieee-p1363" as const } : key
  return sign(algorithm === "EdDSA" ? null : "sha256", Buffer.from(input), options).toString("base64url")
}

/** A token of any header and any payload, whatever `jose` would say of them: as JSON, or the text itself. */
export const token = (pair: KeyPair, header: unknown = {}, payload: unknown = claims): string => {
  const whole = typeof header === "string" ? header : { alg: pair.algorithm, kid: pair.kid, ...Object(header) }
  const input = `${encoded(whole)}.${encoded(payload)}`
  return `${input}.${signatureOf(pair, input)}`
}

/** A token signed with this text as the secret of HS256. */
export const symmetricToken = (secret: string, header: unknown = {}, payload: unknown = claims): string => {
  const input = `${encoded({ alg: "HS256", ...Object(header) })}.${encoded(payload)}`
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`
}

/** The token without its signature. */
export const unsigned = (header: unknown, payload: unknown = claims): string =>
  `${encoded(header)}.${encoded(payload)}.`

/** What the verifier says of a token: that it is good, or why not. */
export const verdict = (text: string): Effect.Effect<string, never, Auth.TokenVerifier> =>
  Auth.TokenVerifier.pipe(
    Effect.flatMap(({ verify }) => verify(Redacted.make(text))),
    Effect.match({ onSuccess: () => "good", onFailure: ({ reason }) => reason })
  )
