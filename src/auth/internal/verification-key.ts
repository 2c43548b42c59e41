/**
 * Reads the key that tokens are verified with, and refuses one that could not verify any or that proves nothing.
 *
 * `jose` takes such a key without a word and fails with each token, or accepts what anybody can write, so what is asked of
 * a key is checked here, before there is a token. Nothing of the key is in an error.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import { InvalidOption } from "../../StageError.ts"

/** A key as `jose` verifies with it: a secret, or a public key. */
export type VerificationKey = jose.CryptoKey | Uint8Array

export const asymmetric = ["RS256", "ES256", "EdDSA"] as const

export type Asymmetric = typeof asymmetric[number]

/** 256 bits, as RFC 7518 asks of HS256. */
const shortestSecret = 32

/** As RFC 7518 asks of RS256; and more than OpenSSL checks any signature with. */
const modulus = { shortest: 2048, longest: 16_384 }

/** Members of a JWK that only who signs may know. */
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"]

/** What the public may know is no secret. */
const publicPem = /-----BEGIN [A-Z ]*(?:PUBLIC KEY|CERTIFICATE)-----/

const refuseSecret = (given: string) =>
  new InvalidOption({ option: "secret", expected: "a redacted secret of at least 32 bytes", given })

const secretOf = Effect.fnUntraced(function*(given: unknown) {
  if (!Redacted.isRedacted(given)) return yield* refuseSecret("one that is not redacted")
  const text = Option.getOrUndefined(Option.liftThrowable(Redacted.value)(given))
  if (typeof text !== "string") return yield* refuseSecret("no text")
  if (publicPem.test(text)) return yield* refuseSecret("a public key")
  const secret = new TextEncoder().encode(text)
  return secret.length < shortestSecret ? yield* refuseSecret(`${secret.length} bytes`) : secret
})

/** What is wrong with a PEM before it is read. */
const flawOfPem = (pem: string): string | undefined => {
  if (pem.startsWith("-----BEGIN PUBLIC KEY-----")) return undefined
  if (pem.includes("PRIVATE KEY-----")) return "a private key"
  if (pem.includes("-----BEGIN CERTIFICATE-----")) return "a certificate"
  return pem.includes("-----BEGIN ") ? "another PEM" : "a text that is no PEM"
}

/** What is wrong with a JWK before it is read. `jose` does not look at what an imported JWK says that it is for. */
const flawOfJwk = (jwk: jose.JWK, algorithm: Asymmetric): string | undefined => {
  const { alg, key_ops: operations, kty, use } = jwk
  if (kty === "oct" || "k" in jwk) return "a symmetric key"
  if (privateMembers.some((member) => member in jwk)) return "a private key"
  if (use !== undefined && use !== "sig") return "a key for another use"
  // The same algorithm under its newer name.
  const names: ReadonlyArray<unknown> = algorithm === "EdDSA" ? ["EdDSA", "Ed25519"] : [algorithm]
  if (alg !== undefined && !names.includes(alg)) return "a key for another algorithm"
  const verifies = operations === undefined || Array.isArray(operations) && operations.includes("verify")
  return verifies ? undefined : "a key for other operations"
}

/** An exponent of 1 makes a signature of any text by itself, and there is no pair of keys with an even one. */
const isExponent = (exponent: Uint8Array): boolean => {
  const last = exponent.at(-1) ?? 0
  const isOne = last === 1 && exponent.subarray(0, -1).every((byte) => byte === 0)
  return last % 2 === 1 && !isOne
}

/**
 * What is wrong with a key that was read, if anything: it could verify no signature, or it would accept those of others.
 */
export const flawOfKey = ({ algorithm, type, usages }: jose.CryptoKey): string | undefined => {
  if (type !== "public") return "a private key"
  if (!usages.includes("verify")) return "a key for other operations"
  if (!Predicate.hasProperty(algorithm, "modulusLength")) return undefined
  const bits = Number(algorithm.modulusLength)
  if (!(bits >= modulus.shortest && bits <= modulus.longest)) return `an RSA key of ${bits} bits`
  const exponent = Predicate.hasProperty(algorithm, "publicExponent") ? algorithm.publicExponent : undefined
  return exponent instanceof Uint8Array && isExponent(exponent) ? undefined : "an RSA key with an exponent of no use"
}

const publicKeyOf = Effect.fnUntraced(function*(algorithm: Asymmetric, given: unknown) {
  const size = algorithm === "RS256" ? " of 2,048 to 16,384 bits" : ""
  const refuse = (what: string) =>
    new InvalidOption({
      option: "publicKey",
      expected: `a public ${algorithm} key${size} as SPKI PEM or JWK`,
      given: what
    })
  const key = typeof given === "string" ? given.trim() : given
  if (typeof key !== "string" && !Predicate.isObject(key)) return yield* refuse("no key")
  const flaw = typeof key === "string" ? flawOfPem(key) : flawOfJwk(key, algorithm)
  if (flaw !== undefined) return yield* refuse(flaw)
  const imported = yield* Effect.tryPromise({
    try: (): Promise<VerificationKey> =>
      typeof key === "string" ? jose.importSPKI(key, algorithm) : jose.importJWK(key, algorithm),
    catch: () => refuse("one of another type or curve, or none that can be read")
  })
  const weakness = imported instanceof Uint8Array ? "a symmetric key" : flawOfKey(imported)
  return weakness === undefined ? imported : yield* refuse(weakness)
})

const isAsymmetric = (algorithm: unknown): algorithm is Asymmetric => asymmetric.some((known) => known === algorithm)

/** A key and its algorithm, as configurations have them. */
export interface KeyOfAlgorithm {
  readonly algorithm: "HS256" | Asymmetric
  readonly key: VerificationKey
}

const readCopy = Effect.fnUntraced(
  function*(
    { algorithm, publicKey, secret }: Readonly<Record<string, unknown>>
  ): Effect.fn.Return<KeyOfAlgorithm, InvalidOption> {
    if (algorithm === "HS256") return { algorithm, key: yield* secretOf(secret) }
    if (isAsymmetric(algorithm)) return { algorithm, key: yield* publicKeyOf(algorithm, publicKey) }
    const expected = `HS256, ${asymmetric.join(", ")}`
    return yield* new InvalidOption({ option: "algorithm", expected, given: "another" })
  }
)

/**
 * Reads the key of a configuration, which may come from untyped code. What is changed in it from now on changes nothing.
 */
export const read = (given: unknown): Effect.Effect<KeyOfAlgorithm, InvalidOption> => {
  const { algorithm, publicKey, secret }: Readonly<Record<string, unknown>> = Object(given)
  return readCopy({ algorithm, secret, publicKey: Predicate.isObject(publicKey) ? { ...publicKey } : publicKey })
}
