import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import {
  audience,
  claims,
  issuer,
  type KeyPair,
  keyPair,
  now,
  symmetricToken,
  token,
  unsigned,
  verdict
} from "./support/tokens.ts"

const local = ({ algorithm, pem }: KeyPair, expectations: Partial<Auth.Expectations> = {}) =>
  Auth.layerJwt({ issuer, audience, ...expectations, key: { algorithm, publicKey: pem } }).pipe(Layer.orDie)

/** What the verifier says of each token, one after the other. */
const verdicts = (layer: Layer.Layer<Auth.TokenVerifier>, tokens: Readonly<Record<string, string>>) =>
  Effect.forEach(Object.entries(tokens), ([name, text]) => Effect.map(verdict(text), (said) => [name, said] as const))
    .pipe(Effect.map(Object.fromEntries), Effect.provide(layer))

describe("a hostile token", () => {
  it.effect("is not let in by its algorithm", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("RS256", "k")
      const said = yield* verdicts(local(pair), {
        none: unsigned({ alg: "none" }),
        None: unsigned({ alg: "NoNe" }),
        "no algorithm": unsigned({ typ: "JWT" }),
        "an algorithm that is no text": unsigned({ alg: ["RS256"] }),
        "the public key as a secret": symmetricToken(pair.pem),
        "the public key as a secret, without its last line break": symmetricToken(pair.pem.trimEnd()),
        "the key's id as a secret": symmetricToken("k"),
        "another of RSA": token(pair, { alg: "PS256" }),
        "two algorithms": token(pair, `{"alg":"none","alg":"RS256"}`),
        "the algorithm of the prototype": token(pair, `{"__proto__":{"alg":"RS256"}}`)
      })
      assert.deepStrictEqual(said, {
        none: "algorithm",
        None: "algorithm",
        "no algorithm": "malformed",
        "an algorithm that is no text": "malformed",
        "the public key as a secret": "algorithm",
        "the public key as a secret, without its last line break": "algorithm",
        "the key's id as a secret": "algorithm",
        "another of RSA": "algorithm",
        // It is signed, and the last one counts.
        "two algorithms": "good",
        "the algorithm of the prototype": "malformed"
      })
    }))

  it.effect("is not let in by its header", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("ES256", "k")
      const other = yield* keyPair("ES256", "k")
      const said = yield* verdicts(local(pair), {
        good: token(pair),
        "an extension that nobody knows": token(pair, { crit: ["exp"], exp: 1 }),
        "an empty list of extensions": token(pair, { crit: [] }),
        "extensions that are no list": token(pair, { crit: "b64" }),
        "a payload that is not encoded": token(pair, { crit: ["b64"], b64: false }),
        "its own key": token(other, { jwk: other.publicJwk }),
        "the address of its key": token(other, { jku: "http://127.0.0.1:1/jwks", x5u: "http://127.0.0.1:1/" }),
        "a header that is no object": token(pair, "[]"),
        "a header that is no JSON": token(pair, "{"),
        "no header": `.${token(pair).split(".").slice(1).join(".")}`
      })
      assert.deepStrictEqual(said, {
        good: "good",
        "an extension that nobody knows": "malformed",
        "an empty list of extensions": "malformed",
        "extensions that are no list": "malformed",
        "a payload that is not encoded": "malformed",
        "its own key": "signature",
        "the address of its key": "signature",
        "a header that is no object": "malformed",
        "a header that is no JSON": "malformed",
        "no header": "malformed"
      })
    }))

  it.effect("is not let in by what it leaves out, and the reason is that it is missing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("EdDSA", "k")
      const { aud: _aud, ...withoutAudience } = claims
      const { iss: _iss, ...withoutIssuer } = claims
      const { exp: _exp, ...withoutEnd } = claims
      const said = yield* verdicts(local(pair), {
        "no issuer": token(pair, {}, withoutIssuer),
        "no audience": token(pair, {}, withoutAudience),
        "no end": token(pair, {}, withoutEnd),
        "an end that is a text": token(pair, {}, { ...claims, exp: String(claims.exp) }),
        "an end that is nothing": token(pair, {}, { ...claims, exp: null }),
        "a beginning that is a text": token(pair, {}, { ...claims, nbf: "0" }),
        "another issuer": token(pair, {}, { ...claims, iss: "https://evil.test" }),
        "an issuer that is a list": token(pair, {}, { ...claims, iss: [issuer] }),
        "an issuer that begins like it": token(pair, {}, { ...claims, iss: `${issuer}.evil.test` }),
        "another audience": token(pair, {}, { ...claims, aud: ["somebody", "else"] }),
        "an audience that is nothing": token(pair, {}, { ...claims, aud: null }),
        "no claims": token(pair, {}, {}),
        "claims that are a list": token(pair, {}, []),
        "claims that are no JSON": token(pair, {}, "claims"),
        "nothing": token(pair, {}, "")
      })
      assert.deepStrictEqual(said, {
        "no issuer": "claims",
        "no audience": "claims",
        "no end": "claims",
        "an end that is a text": "claims",
        "an end that is nothing": "claims",
        "a beginning that is a text": "claims",
        "another issuer": "issuer",
        "an issuer that is a list": "issuer",
        "an issuer that begins like it": "issuer",
        "another audience": "audience",
        "an audience that is nothing": "audience",
        "no claims": "claims",
        "claims that are a list": "malformed",
        "claims that are no JSON": "malformed",
        "nothing": "malformed"
      })
    }))

  it.effect("is good until the very second it says, and from the very second it says", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("ES256", "k")
      const ends = (exp: number) => token(pair, {}, { ...claims, exp })
      const begins = (nbf: number) => token(pair, {}, { ...claims, nbf })
      const tokens = {
        "ends now": ends(now),
        "ends in a second": ends(now + 1),
        "ended five seconds ago": ends(now - 5),
        "ended four seconds ago": ends(now - 4),
        "begins now": begins(now),
        "begins in a second": begins(now + 1),
        "begins in five seconds": begins(now + 5),
        "begins in six seconds": begins(now + 6)
      }
      assert.deepStrictEqual(yield* verdicts(local(pair, { clockTolerance: 0 }), tokens), {
        "ends now": "expired",
        "ends in a second": "good",
        "ended five seconds ago": "expired",
        "ended four seconds ago": "expired",
        "begins now": "good",
        "begins in a second": "not-yet-valid",
        "begins in five seconds": "not-yet-valid",
        "begins in six seconds": "not-yet-valid"
      })
      assert.deepStrictEqual(yield* verdicts(local(pair), tokens), {
        "ends now": "good",
        "ends in a second": "good",
        "ended five seconds ago": "expired",
        "ended four seconds ago": "good",
        "begins now": "good",
        "begins in a second": "good",
        "begins in five seconds": "good",
        "begins in six seconds": "not-yet-valid"
      })
    }))

  it.effect("is judged by the clock as it is, wherever that jumps", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const text = token(pair, {}, { ...claims, nbf: now })
      const at = (seconds: number) => Effect.andThen(TestClock.setTime(seconds * 1000), verdict(text))
      yield* Effect.gen(function*() {
        assert.strictEqual(yield* at(now), "good")
        assert.strictEqual(yield* at(now + 86_400), "expired")
        assert.strictEqual(yield* at(now + 1), "good")
        assert.strictEqual(yield* at(0), "not-yet-valid")
        // A clock that shows no time lets nobody in.
        assert.strictEqual(yield* at(Number.POSITIVE_INFINITY), "verifier")
      }).pipe(Effect.provide(local(pair)))
    }))

  it.effect("that is enormous is refused before anything is made of it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("ES256", "k")
      const padded = (bytes: number) => token(pair, {}, { ...claims, padding: "x".repeat(bytes) })
      const tenMegabytes = "A".repeat(10 * 1024 * 1024)
      const said = yield* verdicts(local(pair), {
        "many groups": padded(30 * 1024),
        "too many groups": padded(64 * 1024),
        "a long header": `${tenMegabytes}.e30.AA`,
        "a long signature": `${token(pair)}${tenMegabytes}`,
        dots: ".".repeat(10 * 1024 * 1024)
      })
      assert.deepStrictEqual(said, {
        "many groups": "good",
        "too many groups": "too-large",
        "a long header": "too-large",
        "a long signature": "too-large",
        dots: "too-large"
      })
    }))

  it.effect("of a shape that no token has is malformed, and what is no text lets nobody in", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const pair = yield* keyPair("ES256", "k")
      const good = token(pair)
      const [header, payload, signature] = good.split(".")
      const layer = local(pair)
      const said = yield* verdicts(layer, {
        "two parts": `${header}.${payload}`,
        "four parts": `${good}.e30`,
        "five parts": `${good}.e30.e30`,
        "a space": ` ${good}`,
        "not base64": `${header}.${payload}.%%%`,
        "no signature": `${header}.${payload}.`,
        "another payload": `${header}.${Buffer.from("{}").toString("base64url")}.${signature}`
      })
      assert.deepStrictEqual(said, {
        "two parts": "malformed",
        "four parts": "malformed",
        "five parts": "malformed",
        "a space": "signature",
        "not base64": "malformed",
        "no signature": "signature",
        "another payload": "signature"
      })
      const strange: ReadonlyArray<unknown> = [good, undefined, Redacted.make(12), Redacted.make(new Uint8Array(3))]
      for (const given of strange) {
        const exit = yield* Auth.TokenVerifier.pipe(
          // What untyped code may bring as a token.
          Effect.flatMap(({ verify }) => verify(given as Redacted.Redacted<string>)),
          Effect.provide(layer),
          Effect.exit
        )
        assert(Exit.isFailure(exit))
        assert.instanceOf(Option.getOrUndefined(Cause.findErrorOption(exit.cause)), Auth.AuthenticationFailed)
      }
    }))
})

describe("what a token must say", () => {
  const key: Auth.Key = { algorithm: "HS256", secret: Redacted.make("0123456789abcdef0123456789abcdef") }
  const refused = (settings: Readonly<Record<string, unknown>>): string | undefined => {
    try {
      Auth.layerJwt({ issuer, audience, ...settings, key })
    } catch (error) {
      return error instanceof StageError.InvalidOption ? error.option : String(error)
    }
    return undefined
  }

  it("is checked where it is given", () => {
    for (const clockTolerance of [Number.POSITIVE_INFINITY, "Infinity", Number.NaN, -1, "soon", null]) {
      assert.strictEqual(refused({ clockTolerance }), "clockTolerance", String(clockTolerance))
    }
    for (const option of ["issuer", "audience"]) {
      for (const value of ["", " ", [], [""], ["a", ""], [undefined], [null], undefined, null, 1, {}]) {
        assert.strictEqual(refused({ [option]: value }), option, JSON.stringify(value))
      }
    }
    assert.isUndefined(refused({ issuer: ["a", "b"], audience: ["c"], clockTolerance: 0 }))
  })
})
