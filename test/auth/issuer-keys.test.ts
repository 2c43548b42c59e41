import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { gzipSync } from "node:zlib"
import * as Auth from "stageflow/auth"
import { type Exchange, json, keyServer, plain } from "./support/key-server.ts"
import { audience, claims, issuer, keyPair, now, token, unsigned, verdict } from "./support/tokens.ts"

type Settings = Partial<Parameters<typeof Auth.layerJwks>[0]>

const layerOf = (url: string, settings: Settings = {}) => Auth.layerJwks({ issuer, audience, ...settings, url })

/** A verifier with the keys of this server, under the test clock, for the rest of the test. */
const loggingVerifierOf = (url: string, settings?: Settings) =>
  TestClock.setTime(now * 1000).pipe(
    Effect.andThen(Layer.build(layerOf(url, settings))),
    Effect.map((context) => <A, E>(effect: Effect.Effect<A, E, Auth.TokenVerifier>) => Effect.provide(effect, context))
  )

const verifierOf = (url: string, settings?: Settings) =>
  Effect.provide(loggingVerifierOf(url, settings), Logger.layer([]))

/** Has this in the place of `fetch`, for the rest of the test. */
const fetching = (substitute: typeof globalThis.fetch) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { fetch } = globalThis
      globalThis.fetch = substitute
      return fetch
    }),
    (fetch) =>
      Effect.sync(() => {
        globalThis.fetch = fetch
      })
  )

const times = <A, E, R>(count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), () => effect)

describe("an issuer's keys that cannot be had", () => {
  const broken: Readonly<Record<string, (exchange: Exchange) => void>> = {
    "it answers 500": (exchange) => plain(exchange, 500, "down for maintenance"),
    "it answers 404 with keys": (exchange) => {
      exchange.response.statusCode = 404
      json(exchange, { keys: [] })
    },
    "it answers HTML": (exchange) => plain(exchange, 200, "<!doctype html><title>Log in</title>"),
    "it answers nothing": (exchange) => plain(exchange, 200, ""),
    "it answers what is no set of keys": (exchange) => json(exchange, { keys: { kid: "k" } }),
    "it answers a list": (exchange) => json(exchange, []),
    "it answers keys that are no objects": (exchange) => json(exchange, { keys: ["k", null, 1] }),
    "it answers what nests without end": (exchange) => plain(exchange, 200, "[".repeat(100_000)),
    "it answers text that is no UTF-8": ({ response }) => {
      response.end(Buffer.concat([Buffer.from("{\"keys\":[],\"a\":\""), Buffer.from([0xff, 0xfe]), Buffer.from("\"}")]))
    },
    "it hangs up": ({ request }) => request.socket.destroy(),
    "it hangs up in the middle": ({ response }) => {
      response.write("{\"keys\":[")
      response.socket?.end()
    },
    "it redirects to where there are keys": ({ before, request, response }) => {
      if (request.url !== "/jwks") return json({ before, request, response }, { keys: [] })
      response.statusCode = 302
      response.setHeader("location", "/elsewhere")
      response.end()
    }
  }

  for (const [name, answer] of Object.entries(broken)) {
    it.effect(`20 runs are one fetch where ${name}`, () =>
      Effect.gen(function*() {
        const pair = yield* keyPair("ES256", "k")
        const server = yield* keyServer(answer)
        const provided = yield* verifierOf(server.url)
        const said = yield* provided(times(20, verdict(token(pair))))
        assert.deepStrictEqual(new Set(said), new Set(["keys-unavailable"]))
        assert.strictEqual(server.requests(), 1)
      }))
  }

  it.effect("20 runs at once are one fetch, and later ones ask again only after a while", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const server = yield* keyServer((exchange) => {
        if (exchange.before < 2) plain(exchange, 503, "later")
        else json(exchange, { keys: [pair.publicJwk] })
      })
      const provided = yield* verifierOf(server.url, { retryAfter: "10 seconds" })
      const all = provided(Effect.all(Array.from({ length: 20 }, () => verdict(token(pair))), { concurrency: 20 }))
      assert.deepStrictEqual(new Set(yield* all), new Set(["keys-unavailable"]))
      assert.strictEqual(server.requests(), 1)
      yield* TestClock.adjust("9 seconds")
      yield* all
      assert.strictEqual(server.requests(), 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(new Set(yield* all), new Set(["keys-unavailable"]))
      assert.strictEqual(server.requests(), 2)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(new Set(yield* all), new Set(["good"]))
      assert.strictEqual(server.requests(), 3)
    }))

  it.effect("a clock that jumps is no reason to ask without end", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const server = yield* keyServer((exchange) => plain(exchange, 500, ""))
      const provided = yield* verifierOf(server.url)
      for (const seconds of [now, 0, now - 86_400, 1]) {
        yield* TestClock.setTime(seconds * 1000)
        assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
      }
      // The clock went forward once, by far: that is a while.
      assert.isAtMost(server.requests(), 2)
    }))

  it.effect("a server that hangs is waited for as long as stated, whoever waits", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const hungUp = yield* Deferred.make<void>()
      const server = yield* keyServer(({ response }) => {
        response.on("close", () => Deferred.doneUnsafe(hungUp, Exit.void))
      })
      const provided = yield* verifierOf(server.url, { timeout: "3 seconds" })
      const first = yield* Effect.forkChild(provided(verdict(token(pair))))
      yield* server.asked(1)
      const second = yield* Effect.forkChild(provided(verdict(token(pair))))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(yield* Fiber.join(first), "keys-unavailable")
      assert.strictEqual(yield* Fiber.join(second), "keys-unavailable")
      assert.strictEqual(server.requests(), 1)
      yield* Deferred.await(hungUp)
    }))

  it.effect("runs that give up waiting make nobody ask again", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      let calls = 0
      yield* fetching(() => {
        calls++
        return new Promise(() => {})
      })
      const provided = yield* verifierOf("https://issuer.test/jwks")
      for (let round = 0; round < 20; round++) {
        const run = yield* Effect.forkChild(provided(verdict(token(pair))))
        yield* Effect.yieldNow
        yield* Fiber.interrupt(run)
      }
      assert.strictEqual(calls, 1)
    }))

  it.effect("a run that gives up takes nothing from the others", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const answered = yield* Deferred.make<Exchange>()
      const server = yield* keyServer((exchange) => Deferred.doneUnsafe(answered, Exit.succeed(exchange)))
      const provided = yield* verifierOf(server.url)
      const first = yield* Effect.forkChild(provided(verdict(token(pair))))
      const exchange = yield* Deferred.await(answered)
      const second = yield* Effect.forkChild(provided(verdict(token(pair))))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(first)
      json(exchange, { keys: [pair.publicJwk] })
      assert.strictEqual(yield* Fiber.join(second), "good")
      assert.strictEqual(server.requests(), 1)
    }))

  it.effect("a body that comes drop by drop is given up in time", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const hungUp = yield* Deferred.make<void>()
      const server = yield* keyServer(({ response }) => {
        response.write("{\"keys\":[")
        response.on("close", () => Deferred.doneUnsafe(hungUp, Exit.void))
      })
      const provided = yield* verifierOf(server.url)
      const run = yield* Effect.forkChild(provided(verdict(token(pair))))
      yield* server.asked(1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(run), "keys-unavailable")
      yield* Deferred.await(hungUp)
    }))

  it.effect("a body without end is read up to the limit, and no further", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const sent = yield* Deferred.make<number>()
      const chunk = Buffer.alloc(64 * 1024, " ")
      const server = yield* keyServer(({ response }) => {
        let bytes = 0
        const pour = () => {
          do {
            bytes += chunk.length
          } while (response.write(chunk))
        }
        response.on("drain", pour)
        response.on("close", () => {
          response.off("drain", pour)
          Deferred.doneUnsafe(sent, Exit.succeed(bytes))
        })
        response.write("{\"keys\":[")
        pour()
      })
      const provided = yield* verifierOf(server.url)
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
      // What was on its way is in the buffers of two sockets; it is not in the memory of who asked.
      assert.isBelow(yield* Deferred.await(sent), 32 * 1024 * 1024)
    }))

  it.effect("a small body that unpacks to a large one is no way around the limit", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const bomb = gzipSync(
        Buffer.from(JSON.stringify({ keys: [pair.publicJwk], padding: " ".repeat(8 * 1024 * 1024) }))
      )
      assert.isBelow(bomb.length, 64 * 1024)
      const server = yield* keyServer(({ response }) => {
        response.setHeader("content-encoding", "gzip")
        response.end(bomb)
      })
      const provided = yield* verifierOf(server.url)
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
    }))

  it.effect("10,000 keys are too many, unless they may be", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const others = Array.from({ length: 10_000 }, (_, index) => ({ ...pair.publicJwk, kid: `other-${index}` }))
      const server = yield* keyServer((exchange) => json(exchange, { keys: [...others, pair.publicJwk] }))
      assert.strictEqual(yield* (yield* verifierOf(server.url))(verdict(token(pair))), "keys-unavailable")
      const patient = yield* verifierOf(server.url, { maxBytes: 4 * 1024 * 1024 })
      assert.strictEqual(yield* patient(verdict(token(pair))), "good")
    }))

  it.effect("a body of exactly the limit is read, one byte more is not", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const body = JSON.stringify({ keys: [pair.publicJwk], padding: "ü" })
      const server = yield* keyServer((exchange) => plain(exchange, 200, body))
      const verifierWith = (maxBytes: number) => verifierOf(server.url, { maxBytes })
      const size = Buffer.byteLength(body)
      assert.strictEqual(yield* (yield* verifierWith(size))(verdict(token(pair))), "good")
      assert.strictEqual(yield* (yield* verifierWith(size - 1))(verdict(token(pair))), "keys-unavailable")
    }))

  it.effect("why is logged, with no secret of the URL", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      const server = yield* keyServer((exchange) => plain(exchange, 500, "secret-body"))
      yield* Effect.gen(function*() {
        const provided = yield* loggingVerifierOf(`${server.url}?key=secret-key`)
        yield* provided(times(3, verdict(token(pair))))
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], server.url)
      assert.include(lines[0], "500")
      assert.notInclude(lines[0], "secret")
    }))

  it.effect("are not asked for when the Layer is gone, and nothing hangs", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const hungUp = yield* Deferred.make<void>()
      const server = yield* keyServer(({ response }) => {
        response.on("close", () => Deferred.doneUnsafe(hungUp, Exit.void))
      })
      const scope = yield* Scope.make()
      const provided = yield* verifierOf(server.url).pipe(Scope.provide(scope))
      const waiting = yield* Effect.forkChild(provided(verdict(token(pair))))
      yield* server.asked(1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(waiting), "keys-unavailable")
      yield* Deferred.await(hungUp)
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
      assert.strictEqual(server.requests(), 1)
    }))
})

describe("an issuer's keys that are known", () => {
  it.effect("stay usable while the issuer is down, as long as stated and no longer", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      let isUp = true
      const server = yield* keyServer((exchange) =>
        isUp ? json(exchange, { keys: [pair.publicJwk] }) : plain(exchange, 500, "")
      )
      const provided = yield* verifierOf(server.url, { cacheFor: "10 minutes", staleFor: "5 minutes" })
      const ask = provided(verdict(token(pair)))
      assert.strictEqual(yield* ask, "good")
      isUp = false
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual(yield* ask, "good")
      assert.strictEqual(server.requests(), 1)
      // A key that nobody knows makes it ask; that it gets no answer takes nothing from the others.
      const unknown = yield* keyPair("ES256", "unknown")
      assert.strictEqual(yield* provided(verdict(token(unknown))), "keys-unavailable")
      assert.strictEqual(server.requests(), 2)
      assert.strictEqual(yield* ask, "good")
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(new Set(yield* times(20, ask)), new Set(["good"]))
      assert.strictEqual(server.requests(), 3)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(new Set(yield* times(20, ask)), new Set(["keys-unavailable"]))
      assert.strictEqual(server.requests(), 4)
      isUp = true
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* ask, "good")
    }))

  it.effect("are not used beyond their time, unless that is stated", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const server = yield* keyServer((exchange) =>
        exchange.before === 0 ? json(exchange, { keys: [pair.publicJwk] }) : plain(exchange, 500, "")
      )
      const provided = yield* verifierOf(server.url)
      assert.strictEqual(yield* provided(verdict(token(pair))), "good")
      yield* TestClock.adjust("599 seconds")
      assert.strictEqual(yield* provided(verdict(token(pair))), "good")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
    }))

  it.effect("do not stay longer because the clock goes back", () =>
    Effect.gen(function*() {
      const [old, current] = [yield* keyPair("ES256", "old"), yield* keyPair("ES256", "current")]
      const server = yield* keyServer((exchange) =>
        json(exchange, { keys: [exchange.before === 0 ? old.publicJwk : current.publicJwk] })
      )
      const provided = yield* verifierOf(server.url)
      const ask = provided(verdict(token(old)))
      assert.strictEqual(yield* ask, "good")
      yield* TestClock.adjust("5 minutes")
      yield* TestClock.setTime((now - 86_400) * 1000)
      yield* TestClock.adjust("5 minutes")
      // Ten minutes have gone by, whatever the wall says.
      assert.strictEqual(yield* ask, "unknown-key")
      assert.strictEqual(server.requests(), 2)
    }))

  it.effect("are asked for again when a key is unknown, at most this often", () =>
    Effect.gen(function*() {
      const [old, current, unknown] = [
        yield* keyPair("RS256", "old"),
        yield* keyPair("RS256", "current"),
        yield* keyPair("RS256", "unknown")
      ]
      const server = yield* keyServer((exchange) =>
        json(exchange, { keys: exchange.before === 0 ? [old.publicJwk] : [current.publicJwk] })
      )
      const provided = yield* verifierOf(server.url, { cooldown: "30 seconds" })
      const ask = (pair: typeof old) => provided(verdict(token(pair)))
      assert.strictEqual(yield* ask(old), "good")
      assert.deepStrictEqual(new Set(yield* times(20, ask(unknown))), new Set(["unknown-key"]))
      assert.strictEqual(server.requests(), 1)
      yield* TestClock.adjust("30 seconds")
      const both = yield* Effect.all([ask(unknown), ask(current), ask(unknown), ask(old)], { concurrency: 4 })
      // The old one was known when it was asked about, or it was not any more.
      assert.deepStrictEqual(both.slice(0, 3), ["unknown-key", "good", "unknown-key"])
      assert.strictEqual(server.requests(), 2)
      assert.strictEqual(yield* ask(old), "unknown-key")
      assert.strictEqual(server.requests(), 2)
    }))

  it.effect("are asked for by no token that cannot be good", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const server = yield* keyServer((exchange) => json(exchange, { keys: [pair.publicJwk] }))
      const provided = yield* verifierOf(server.url, { algorithms: ["ES256"] })
      const rsa = yield* keyPair("RS256", "k")
      assert.strictEqual(yield* provided(verdict("no token")), "malformed")
      assert.strictEqual(yield* provided(verdict(unsigned({ alg: "none" }))), "algorithm")
      assert.strictEqual(yield* provided(verdict(token(rsa))), "algorithm")
      assert.strictEqual(yield* provided(verdict("x".repeat(10 * 1024 * 1024))), "too-large")
      assert.strictEqual(server.requests(), 0)
    }))

  it.effect("that cannot verify are not those of a good token", () =>
    Effect.gen(function*() {
      const good = yield* keyPair("ES256", "good")
      const short = yield* keyPair("RS256", "short")
      const rsa = yield* keyPair("RS256", "private")
      const encrypting = yield* keyPair("RS256", "encrypting")
      const signing = yield* keyPair("RS256", "signing")
      const twice = [yield* keyPair("ES256", "twice"), yield* keyPair("ES256", "twice")] as const
      const mixed = yield* keyPair("ES256", "mixed")
      const mixedRsa = yield* keyPair("RS256", "mixed")
      const curve = yield* keyPair("EdDSA", "curve")
      const keys = [
        { ...short.publicJwk, n: String(short.publicJwk["n"]).slice(0, 171) },
        rsa.privateJwk,
        { ...encrypting.publicJwk, use: "enc" },
        { ...signing.publicJwk, key_ops: ["sign"] },
        { kty: "oct", k: "c2VjcmV0", kid: "secret", alg: "HS256" },
        twice[0].publicJwk,
        twice[1].publicJwk,
        mixedRsa.publicJwk,
        mixed.publicJwk,
        { ...curve.publicJwk, crv: "Ed448" },
        { kid: "nothing" },
        {},
        good.publicJwk
      ]
      const server = yield* keyServer((exchange) => json(exchange, { keys }))
      const provided = yield* verifierOf(server.url)
      const said = yield* Effect.forEach(
        [short, rsa, encrypting, signing, ...twice, curve, mixed, mixedRsa, good],
        (pair) => Effect.map(provided(verdict(token(pair))), (verdict) => [pair.kid, pair.algorithm, verdict] as const)
      )
      assert.deepStrictEqual(said, [
        ["short", "RS256", "unknown-key"],
        ["private", "RS256", "unknown-key"],
        ["encrypting", "RS256", "unknown-key"],
        ["signing", "RS256", "unknown-key"],
        ["twice", "ES256", "unknown-key"],
        ["twice", "ES256", "unknown-key"],
        ["curve", "EdDSA", "unknown-key"],
        // Two keys of one id and of two algorithms are two keys.
        ["mixed", "ES256", "good"],
        ["mixed", "RS256", "good"],
        ["good", "ES256", "good"]
      ])
      assert.strictEqual(server.requests(), 1)
      // Without an id a token says nothing of which of them it means.
      assert.strictEqual(yield* provided(verdict(token(good, { kid: undefined }))), "unknown-key")
      assert.strictEqual(yield* provided(verdict(token(good, { kid: ["good"] }))), "unknown-key")
    }))

  it.effect("that prove nothing let nobody in", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("RS256", "k")
      const server = yield* keyServer((exchange) => json(exchange, { keys: [{ ...pair.publicJwk, e: "AQ" }] }))
      const provided = yield* verifierOf(server.url)
      assert.strictEqual(yield* provided(verdict(token(pair))), "unknown-key")
    }))

  it.effect("a token that ends while they are fetched has ended", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      const asked = yield* Deferred.make<Exchange>()
      const server = yield* keyServer((exchange) => Deferred.doneUnsafe(asked, Exit.succeed(exchange)))
      const provided = yield* verifierOf(server.url, { timeout: "1 minute", clockTolerance: 0 })
      const run = yield* Effect.forkChild(provided(verdict(token(pair, {}, { ...claims, exp: now + 20 }))))
      const exchange = yield* Deferred.await(asked)
      yield* TestClock.adjust("30 seconds")
      json(exchange, { keys: [pair.publicJwk] })
      assert.strictEqual(yield* Fiber.join(run), "expired")
    }))

  it.effect("that a broken `fetch` was to bring are unavailable, now and later", () =>
    Effect.gen(function*() {
      const pair = yield* keyPair("ES256", "k")
      let calls = 0
      yield* fetching(() => {
        calls++
        throw new Error("no fetch here")
      })
      const provided = yield* verifierOf("https://issuer.test/jwks")
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* provided(verdict(token(pair))), "keys-unavailable")
      assert.strictEqual(calls, 2)
    }))
})
