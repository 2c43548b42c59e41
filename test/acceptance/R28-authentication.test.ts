// One run here is not to compile, and says so.
// @effect-diagnostics missingEffectContext:off
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import * as jose from "jose"
import { generateKeyPairSync } from "node:crypto"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Pipeline, RunResult, Snapshot, Stage, StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import { afterAll, beforeAll } from "vitest"

const issuer = "https://issuer.test"
const audience = "stageflow"
const secret = "0123456789abcdef0123456789abcdef"

/** Now, on the test clock. */
const start = 1_800_000_000_000

const claims = {
  sub: "user-1",
  sid: "session-1",
  org_id: "org-1",
  roles: ["editor"],
  scope: "read write",
  email: "a@b.c"
}

const signed = (
  key: Parameters<jose.SignJWT["sign"]>[0],
  alg: string,
  overrides: { readonly claims?: jose.JWTPayload; readonly kid?: string } = {}
) =>
  Effect.promise(() =>
    new jose.SignJWT({ ...claims, ...overrides.claims })
      .setProtectedHeader({ alg, ...(overrides.kid === undefined ? {} : { kid: overrides.kid }) })
      .setIssuer(overrides.claims?.iss ?? issuer)
      .setAudience(overrides.claims?.aud ?? audience)
      .setExpirationTime(overrides.claims?.exp ?? start / 1000 + 60)
      .sign(key)
  )

const symmetric = new TextEncoder().encode(secret)

const local = Auth.layerJwt({
  issuer,
  audience,
  key: { algorithm: "HS256", secret: Redacted.make(secret) }
})

/** A pipeline that counts what it does and shows who it does it for. */
const subject = () => {
  const state = { started: 0 }
  const who = (name: string) =>
    Stage.work(name, {
      run: Effect.gen(function*() {
        state.started++
        const caller = yield* Auth.AuthContext
        const { orgId, sessionId, userId } = yield* Snapshot.current
        return { caller, orgId, sessionId, userId }
      })
    })
  const pipeline = Pipeline.make("p").add(who("a")).add(who("b")).add(who("c"))
    .pipe(Pipeline.intercept(Auth.authentication()))
  return { pipeline, state }
}

const runWith = (token: string | undefined, verifier: Layer.Layer<Auth.TokenVerifier, unknown> = local) => {
  const { pipeline, state } = subject()
  const forged = Snapshot.make({ userId: "somebody else", orgId: "another org" })
  const run = TestClock.setTime(start).pipe(
    Effect.andThen(Pipeline.run(pipeline, forged)),
    Effect.provide([verifier.pipe(Layer.orDie), Auth.layerBearer(token)])
  )
  return { run, state }
}

const reasonFor = (token: string | undefined, verifier?: Layer.Layer<Auth.TokenVerifier, unknown>) =>
  Effect.gen(function*() {
    const { run, state } = runWith(token, verifier)
    const error = yield* Effect.flip(run)
    assert(error instanceof Auth.AuthenticationFailed)
    assert.strictEqual(state.started, 0, "no stage started")
    return error.reason
  })

describe("R28 no permissive default", () => {
  it.effect("the identity that a token proves is the one that stages see, whatever the snapshot says", () =>
    Effect.gen(function*() {
      const token = yield* signed(symmetric, "HS256")
      const { run, state } = runWith(`Bearer ${token}`)
      const result = yield* run
      assert.strictEqual(state.started, 3)
      const { caller, orgId, sessionId, userId } = result.outputs.b.data
      assert.deepStrictEqual([userId, sessionId, orgId], ["user-1", "session-1", "org-1"])
      assert.deepStrictEqual(caller.roles, ["editor"])
      assert.deepStrictEqual(caller.scopes, ["read", "write"])
      assert.strictEqual(result.identity.userId, "user-1")
      assert.strictEqual(String(caller.email), "<redacted>")
    }))

  it.effect("what the token does not say is not taken from the snapshot either", () =>
    Effect.gen(function*() {
      const token = yield* signed(symmetric, "HS256", { claims: { org_id: undefined } })
      const result = yield* runWith(token).run
      assert.isUndefined(result.outputs.a.data.orgId)
    }))

  it.effect("is checked once per run, not once per stage", () =>
    Effect.gen(function*() {
      let checks = 0
      const counting = Layer.succeed(Auth.TokenVerifier, {
        verify: () =>
          Effect.sync(() => {
            checks++
            return claims
          })
      })
      yield* runWith("token", counting).run
      assert.strictEqual(checks, 1)
    }))

  it.effect("each wrong token has its own reason and starts no stage", () =>
    Effect.gen(function*() {
      const now = start / 1000
      const good = yield* signed(symmetric, "HS256")
      const [header = "", payload = ""] = good.split(".")
      const none = `${Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url")}.${payload}.`
      assert.strictEqual(yield* reasonFor(undefined), "missing")
      assert.strictEqual(yield* reasonFor("Bearer "), "missing")
      assert.strictEqual(yield* reasonFor("not a token"), "malformed")
      assert.strictEqual(yield* reasonFor(none), "algorithm")
      assert.strictEqual(yield* reasonFor(`${header}.${payload}.AAAA`), "signature")
      const other = new TextEncoder().encode("another secret of at least 32 bytes")
      assert.strictEqual(yield* reasonFor(yield* signed(other, "HS256")), "signature")
      assert.strictEqual(yield* reasonFor(yield* signed(symmetric, "HS384")), "algorithm")
      const wrong = (overrides: jose.JWTPayload) =>
        Effect.flatMap(signed(symmetric, "HS256", { claims: overrides }), reasonFor)
      assert.strictEqual(yield* wrong({ exp: now - 6 }), "expired")
      assert.strictEqual(yield* wrong({ nbf: now + 60 }), "not-yet-valid")
      assert.strictEqual(yield* wrong({ iss: "https://evil.test" }), "issuer")
      assert.strictEqual(yield* wrong({ aud: "somebody" }), "audience")
      assert.strictEqual(yield* wrong({ sub: "" }), "claims")
    }))

  it.effect("clocks may be a little apart", () =>
    Effect.gen(function*() {
      const token = yield* signed(symmetric, "HS256", { claims: { exp: start / 1000 - 4 } })
      assert.strictEqual((yield* runWith(token).run)._tag, "Completed")
    }))

  it.effect("a public key cannot be used as a secret", () =>
    Effect.gen(function*() {
      const { publicKey } = yield* Effect.promise(() => jose.generateKeyPair("RS256", { extractable: true }))
      const pem = yield* Effect.promise(() => jose.exportSPKI(publicKey))
      const confused = yield* signed(new TextEncoder().encode(pem), "HS256")
      const verifier = Auth.layerJwt({ issuer, audience, key: { algorithm: "RS256", publicKey: pem } })
      assert.strictEqual(yield* reasonFor(confused, verifier), "algorithm")
    }))

  for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
    it.effect(`accepts ${algorithm} with a local key, as PEM and as JWK`, () =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* Effect.promise(() =>
          jose.generateKeyPair(algorithm, { extractable: true })
        )
        const token = yield* signed(privateKey, algorithm)
        const pem = yield* Effect.promise(() => jose.exportSPKI(publicKey))
        const jwk = yield* Effect.promise(() => jose.exportJWK(publicKey))
        for (const key of [pem, { ...jwk }]) {
          const verifier = Auth.layerJwt({ issuer, audience, key: { algorithm, publicKey: key } })
          assert.strictEqual((yield* runWith(token, verifier).run)._tag, "Completed")
        }
      }))
  }

  it.effect("a verifier that breaks lets nobody in", () =>
    Effect.gen(function*() {
      const broken = Layer.succeed(Auth.TokenVerifier, { verify: () => Effect.die(new Error("boom")) })
      assert.strictEqual(yield* reasonFor("token", broken), "verifier")
    }))

  it.effect("keys that do not fit are found when the layer is built", () =>
    Effect.gen(function*() {
      const short = Auth.layerJwt({ issuer, audience, key: { algorithm: "HS256", secret: Redacted.make("short") } })
      const noKey = Auth.layerJwt({ issuer, audience, key: { algorithm: "ES256", publicKey: "no key" } })
      for (const layer of [short, noKey]) {
        const error = yield* Effect.flip(Effect.provide(Auth.TokenVerifier, layer))
        assert(error instanceof StageError.InvalidOption)
        assert.notInclude(error.message, "short\"")
      }
      assert.throws(() => Auth.layerJwks({ url: "http://localhost", issuer: "", audience }), /issuer/)
    }))

  it.effect("a key that could verify no token does not start, and is not shown", () =>
    Effect.gen(function*() {
      const { privateKey } = yield* Effect.promise(() => jose.generateKeyPair("RS256", { extractable: true }))
      const privateJwk = yield* Effect.promise(() => jose.exportJWK(privateKey))
      const symmetricJwk = { kty: "oct", k: Buffer.from(secret).toString("base64url") }
      const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" })
      for (const publicKey of [{ ...privateJwk }, symmetricJwk, { ...short }]) {
        const layer = Auth.layerJwt({ issuer, audience, key: { algorithm: "RS256", publicKey } })
        const error = yield* Effect.flip(Effect.provide(Auth.TokenVerifier, layer))
        assert(error instanceof StageError.InvalidOption && error.option === "publicKey")
        for (const hidden of [privateJwk.d, symmetricJwk.k]) assert.notInclude(error.message, String(hidden))
      }
      const key: Auth.Key = { algorithm: "HS256", secret: Redacted.make(secret) }
      assert.throws(() => Auth.layerJwt({ issuer, audience, key, clockTolerance: "Infinity" }), /clockTolerance/)
    }))

  it.effect("roles and scopes are required by annotation on a stage", () =>
    Effect.gen(function*() {
      const state = { ran: false }
      const secretStage = Stage.work("secret", {
        run: Effect.sync(() => {
          state.ran = true
        })
      }).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"]), Stage.annotate(Auth.RequiredScopes, ["read", "delete"]))
      const pipeline = Pipeline.make("p").add(secretStage).pipe(Pipeline.intercept(Auth.authentication()))
      const run = (token: string) =>
        TestClock.setTime(start).pipe(
          Effect.andThen(Pipeline.run(pipeline, Snapshot.make())),
          Effect.provide([local.pipe(Layer.orDie), Auth.layerBearer(token)])
        )
      const error = yield* Effect.flip(run(yield* signed(symmetric, "HS256")))
      assert(error instanceof RunResult.StageFailed && error.error instanceof Auth.AccessDenied)
      assert.deepStrictEqual(error.error.missingRoles, ["admin"])
      assert.deepStrictEqual(error.error.missingScopes, ["delete"])
      assert.isFalse(state.ran)
      yield* run(yield* signed(symmetric, "HS256", { claims: { roles: ["admin"], scope: "read delete" } }))
      assert.isTrue(state.ran)
    }))

  it.effect("a stage that requires a role needs an authentication, by its type", () =>
    Effect.gen(function*() {
      let ran = false
      const secretStage = Stage.work("secret", {
        run: Effect.sync(() => {
          ran = true
        })
      }).pipe(Stage.intercept(Auth.require({ roles: ["admin"], scopes: ["read"] })))
      const open = Pipeline.make("p").add(secretStage)
      // @ts-expect-error nobody says who is calling
      const unauthenticated: Effect.Effect<unknown, unknown> = Pipeline.run(open, Snapshot.make())
      assert.isDefined(unauthenticated)
      const run = (token: string) =>
        TestClock.setTime(start).pipe(
          Effect.andThen(Pipeline.run(open.pipe(Pipeline.intercept(Auth.authentication())), Snapshot.make())),
          Effect.provide([local.pipe(Layer.orDie), Auth.layerBearer(token)])
        )
      const error = yield* Effect.flip(run(yield* signed(symmetric, "HS256")))
      assert(error instanceof RunResult.StageFailed && error.error instanceof Auth.AccessDenied)
      assert.deepStrictEqual(error.error.missingRoles, ["admin"])
      assert.isFalse(ran)
      yield* run(yield* signed(symmetric, "HS256", { claims: { roles: ["admin"] } }))
      assert.isTrue(ran)
    }))

  describe("with keys over HTTP", () => {
    const keys = Effect.runPromise(Effect.promise(() => jose.generateKeyPair("ES256", { extractable: true })))
    const requests = { count: 0 }
    let server: Server
    let url: string

    beforeAll(async () => {
      const jwk = await jose.exportJWK((await keys).publicKey)
      server = createServer((request, response) => {
        requests.count++
        if (request.url === "/jwks/down") response.statusCode = 500
        response.setHeader("content-type", "application/json")
        response.end(JSON.stringify({ keys: [{ ...jwk, kid: "k1", alg: "ES256", use: "sig" }] }))
      })
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
    })
    afterAll(() => server.close())

    it.effect("fetches them once and keeps them; an unknown key and a dead issuer have their reasons", () =>
      Effect.gen(function*() {
        const { privateKey } = yield* Effect.promise(() => keys)
        const verifier = Auth.layerJwks({ url, issuer, audience })
        const { pipeline } = subject()
        const run = (token: string) => Effect.provide(Pipeline.run(pipeline, Snapshot.make()), Auth.layerBearer(token))
        yield* Effect.gen(function*() {
          yield* TestClock.setTime(start)
          const token = yield* signed(privateKey, "ES256", { kid: "k1" })
          for (let round = 0; round < 5; round++) yield* run(token)
          assert.strictEqual(requests.count, 1)
          const unknown = yield* Effect.flip(run(yield* signed(privateKey, "ES256", { kid: "k2" })))
          assert(unknown instanceof Auth.AuthenticationFailed && unknown.reason === "unknown-key")
        }).pipe(Effect.provide(verifier))
        const dead = Auth.layerJwks({ url: "http://127.0.0.1:1/jwks", issuer, audience })
        assert.strictEqual(
          yield* reasonFor(yield* signed(privateKey, "ES256", { kid: "k1" }), dead),
          "keys-unavailable"
        )
      }))

    it.effect("an issuer that is down is asked once by 20 runs, and no stage starts", () =>
      Effect.gen(function*() {
        const { privateKey } = yield* Effect.promise(() => keys)
        const token = yield* signed(privateKey, "ES256", { kid: "k1" })
        const asked = requests.count
        const { pipeline, state } = subject()
        const run = Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(
          Effect.provide(Auth.layerBearer(token)),
          Effect.map((error) => error instanceof Auth.AuthenticationFailed ? error.reason : error._tag)
        )
        const reasons = yield* Effect.all(Array.from({ length: 20 }, () => run)).pipe(
          Effect.provide(Layer.provide(Auth.layerJwks({ url: `${url}/down`, issuer, audience }), Logger.layer([])))
        )
        assert.deepStrictEqual(new Set(reasons), new Set(["keys-unavailable"]))
        assert.strictEqual(requests.count - asked, 1)
        assert.strictEqual(state.started, 0)
      }))
  })
})

describe("R28 what is required of a caller is checked where it is said", () => {
  const untyped: ReadonlyArray<readonly [what: string, make: () => unknown]> = [
    ["nothing", () => Auth.require({} as never)],
    ["no requirement at all", () => Auth.require(undefined as never)],
    ["an empty list of roles", () => Auth.require({ roles: [] })],
    ["an empty list of scopes beside roles", () => Auth.require({ roles: ["admin"], scopes: [] })],
    ["a misspelt key", () => Auth.require({ role: ["admin"] } as never)],
    ["a role that is no list", () => Auth.require({ roles: "admin" as never })],
    ["a role that is no text", () => Auth.require({ roles: [1] as never })],
    ["annotated roles that are no list", () => Stage.annotate(plainStage, Auth.RequiredRoles, "admin" as never)],
    ["annotated roles that are missing", () => Stage.annotate(plainStage, Auth.RequiredRoles, undefined as never)],
    ["annotated scopes that are no texts", () => Stage.annotate(plainStage, Auth.RequiredScopes, [1] as never)],
    [
      "a pipeline, whose stages would not be asked",
      () => Pipeline.annotate(Pipeline.make("p").add(plainStage), Auth.RequiredRoles, ["admin"])
    ]
  ]
  const plainStage = Stage.work("stage", { run: Effect.void })
  for (const [what, make] of untyped) {
    it(what, () => {
      const made = Result.try(make)
      assert(Result.isFailure(made) && made.failure instanceof StageError.InvalidOption, String(made))
    })
  }

  it("a list that is changed later changes nothing", () => {
    const roles = ["admin"]
    const stage = Stage.intercept(plainStage, Auth.require({ roles }))
    roles.length = 0
    const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Auth.authentication()))
    return Effect.gen(function*() {
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert(failed instanceof RunResult.StageFailed && failed.error instanceof Auth.AccessDenied)
    }).pipe(
      Effect.provide([
        Auth.layerBearer("x"),
        Layer.succeed(Auth.TokenVerifier, { verify: () => Effect.succeed({ sub: "somebody" }) })
      ]),
      Effect.runPromise
    )
  })
})

describe("R28 a claim of the wrong type is refused, not taken for one that is missing", () => {
  const withClaims = (given: Readonly<Record<string, unknown>>) =>
    runWith("token", Layer.succeed(Auth.TokenVerifier, { verify: () => Effect.succeed({ sub: "user-1", ...given }) }))

  const wrong: ReadonlyArray<Readonly<Record<string, unknown>>> = [
    { sub: 7 },
    { sub: "" },
    { org_id: 7 },
    { org_id: "" },
    { org_id: ["a"] },
    { sid: {} },
    { roles: [1] },
    { roles: { admin: true } },
    { scope: 5 },
    { scp: [null] },
    { email: 5 }
  ]
  for (const given of wrong) {
    it.effect(JSON.stringify(given), () =>
      Effect.gen(function*() {
        const { run, state } = withClaims(given)
        const error = yield* Effect.flip(run)
        assert(error instanceof Auth.AuthenticationFailed, String(error))
        assert.strictEqual(error.reason, "claims")
        assert.strictEqual(state.started, 0)
      }))
  }

  it.effect("what is missing or null is not there", () =>
    Effect.gen(function*() {
      const { run } = withClaims({ org_id: null, sid: undefined, roles: null, scope: null, scp: "read  write" })
      const { outputs } = yield* run
      const { caller, orgId } = outputs.a.data
      assert.isUndefined(orgId)
      assert.deepStrictEqual(caller, {
        userId: "user-1",
        sessionId: undefined,
        orgId: undefined,
        roles: [],
        scopes: ["read", "write"],
        email: undefined
      })
    }))
})
