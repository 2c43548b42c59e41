/**
 * What holds for every ready-made interceptor, wherever it is put: it hands on what a stage ends with, leaves nothing behind
 * when it is interrupted, and fails closed in each of the ways in which it can deny.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted, Schedule, Schema } from "effect"
import { Interceptor, Snapshot, Stage, StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest, type Simulation } from "stageflow/testing"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Llm extends Context.Service<Llm, { readonly name: string }>()("contract/Llm") {}

type Failed = InterceptorTest.ContractBroken | Simulation.SimulationTimeout
type Place = InterceptorTest.Place
type Check = (at: Place) => Effect.Effect<void, Failed>

interface Row {
  /** The export that it is about, and what is special about it. */
  readonly exported: string
  readonly variant: string
  /** Where its type and its nature allow it to be put. */
  readonly places: ReadonlyArray<Place>
  readonly putOnStage: () => unknown
  readonly passes: Check
  readonly leaves: Check
  /** Whether it is inside of a retry; the others are entered once for all attempts. */
  readonly perAttempt: boolean
  readonly covers: Check
  readonly denials: ReadonlyArray<Denial>
}

interface Denial {
  readonly way: string
  /** Gives the error that it denied with. */
  readonly check: (at: Place) => Effect.Effect<unknown, Failed>
  readonly tag: string
}

const everywhere: ReadonlyArray<Place> = ["pipeline", "stage", "layer"]
/** It wraps runs: there is nothing for it on a stage. */
const aroundRuns: ReadonlyArray<Place> = ["pipeline", "layer"]
/** It gives stages a service, which the types of a Layer would not tell the pipelines below it. */
const giving: ReadonlyArray<Place> = ["pipeline", "stage"]

const row = <E, R, P>(exported: string, interceptor: Interceptor.Interceptor<E, R, P>, given: {
  readonly variant?: string
  readonly places?: ReadonlyArray<Place>
  /** The services that it needs, anew for each test. */
  readonly services: Layer.Layer<R>
  readonly snapshot?: (run: number) => Snapshot.With<never>
  readonly except?: ReadonlyArray<InterceptorTest.Ending>
  readonly perAttempt?: boolean
  readonly denials?: ReadonlyArray<Denial>
}): Row => {
  const { denials = [], except, perAttempt = false, places = everywhere, services, snapshot, variant = "" } = given
  const provided = (check: Effect.Effect<void, Failed, Exclude<R, never>>) => Effect.provide(check, services)
  return {
    exported,
    variant,
    places,
    perAttempt,
    denials,
    putOnStage: () => Stage.intercept(Stage.work("stage", { run: Effect.void }), interceptor),
    // None of their bodies needs anything, and none of the snapshots carries anything.
    passes: (at) => provided(InterceptorTest.passesOutcomes(interceptor, { at, snapshot, except }) as never),
    // The same snapshot twice: the second run asks for what the first one had.
    leaves: (at) =>
      provided(InterceptorTest.leavesOnInterruption(interceptor, { at, snapshot: snapshot?.(1) }) as never),
    covers: (at) => provided(InterceptorTest.coversEveryAttempt(interceptor, { at, snapshot }) as never)
  }
}

const none = Layer.empty

/** A way to deny: the interceptor in that state, and what else it takes. */
const denial = <E, R, P>(
  way: string,
  tag: string,
  interceptor: Interceptor.Interceptor<E, R, P>,
  services: Layer.Layer<R>,
  given?: Parameters<typeof InterceptorTest.failsClosed<E, R, P, InterceptorTest.Body, Snapshot.With<never>>>[1]
): Denial => ({
  way,
  tag,
  check: (at) =>
    Effect.provide(
      // What the bodies need is nothing, or what the interceptor gives.
      Effect.map(InterceptorTest.failsClosed(interceptor, { ...given, at }), ({ error }) => error) as Effect.Effect<
        unknown,
        Failed,
        R
      >,
      services
    )
})

const noKey = (): string => {
  throw new Error("no key")
}

// ---------------------------------------------------------------------------------------------------------------------
// authentication
// ---------------------------------------------------------------------------------------------------------------------

const claims = { sub: "user", roles: ["reader"] }
const verifying = (verify: Auth.TokenVerifier["Service"]["verify"]) => Layer.succeed(Auth.TokenVerifier, { verify })
const caller = (verify: Auth.TokenVerifier["Service"]["verify"] = () => Effect.succeed(claims), token?: string) =>
  Layer.merge(verifying(verify), Layer.succeed(Auth.BearerToken, token === "" ? undefined : Redacted.make("token")))

const asking = (key: typeof Auth.RequiredRoles | typeof Auth.RequiredScopes) =>
  Stage.work("stage", { run: Effect.void }).pipe(Stage.annotate(key, ["admin"]))

// ---------------------------------------------------------------------------------------------------------------------
// stores that do not answer
// ---------------------------------------------------------------------------------------------------------------------

const circuitsDown = Layer.succeed(Interceptors.CircuitBreakers, {
  within: ({ stage }) => Effect.fail(new Interceptors.CircuitUnavailable({ stage })),
  state: () => Effect.die("down")
})

const limitsDown = Layer.succeed(Interceptors.RateLimits, {
  admit: ({ stage }) => Effect.fail(new Interceptors.RateLimitUnavailable({ stage })),
  await: ({ stage }) => Effect.fail(new Interceptors.RateLimitUnavailable({ stage }))
})

const storeOf = (claim: Effect.Effect<never, Interceptors.IdempotencyStoreFailed>) =>
  Layer.succeed(Interceptors.IdempotencyStore, {
    claim: () => claim,
    renew: () => Effect.die("never claimed"),
    keep: () => Effect.die("never claimed"),
    release: () => Effect.void,
    watch: () => Effect.succeed(Effect.never)
  })

const withKey = (run: number) => Snapshot.make({ metadata: { idempotencyKey: `key ${run}` } })

const breaking = { body: Effect.fail(new Down()) }
/** As a program without types would give it. */
const noText: Interceptors.Key = ({ snapshot }) => snapshot.userId as string

const perMinute = (limit: number) => ({ limit, window: "1 minute" }) as const
const text: Interceptors.Key = ({ snapshot }) => snapshot.inputText ?? ""

const rows: ReadonlyArray<Row> = [
  row("timeout", Interceptors.timeout("10 seconds"), { services: none, perAttempt: true }),
  row("deadline", Interceptors.deadline("10 seconds"), { services: none, places: aroundRuns }),
  row("retry", Interceptors.retry(Schedule.recurs(2)), { services: none }),
  row("retryWithinBudget", Interceptors.retryWithinBudget(), { services: Interceptors.RetryBudget.layerMemory() }),
  row("circuitBreaker", Interceptors.circuitBreaker(), {
    services: Interceptors.CircuitBreakers.layerMemory,
    denials: [
      denial(
        "while it is open",
        "CircuitOpen",
        Interceptors.circuitBreaker({ failures: 2 }),
        Interceptors.CircuitBreakers.layerMemory,
        { ...breaking, after: 2, times: 3 }
      ),
      denial(
        "while its probe is on the way",
        "CircuitOpen",
        Interceptors.circuitBreaker({ failures: 1, openFor: "1 second" }),
        Interceptors.CircuitBreakers.layerMemory,
        {
          // The first run breaks it, the second is the probe.
          body: InterceptorTest.inTurn(Effect.fail(new Down()), Effect.sleep("1 minute")),
          after: 2,
          every: "5 seconds"
        }
      ),
      denial(
        "without a key",
        "KeyFailed",
        Interceptors.circuitBreaker({ key: noKey }),
        Interceptors.CircuitBreakers.layerMemory
      ),
      denial("without its state", "CircuitUnavailable", Interceptors.circuitBreaker(), circuitsDown)
    ]
  }),
  row("rateLimit", Interceptors.rateLimit(perMinute(10)), {
    services: Interceptors.RateLimits.layerMemory,
    denials: [
      denial(
        "beyond its limit",
        "RateLimited",
        Interceptors.rateLimit(perMinute(2)),
        Interceptors.RateLimits.layerMemory,
        { after: 2, times: 3 }
      ),
      denial(
        "without a key",
        "KeyFailed",
        Interceptors.rateLimit({ ...perMinute(2), key: noKey }),
        Interceptors.RateLimits.layerMemory
      ),
      denial("without its count", "RateLimitUnavailable", Interceptors.rateLimit(perMinute(2)), limitsDown)
    ]
  }),
  row("rateLimit", Interceptors.rateLimit({ ...perMinute(2), onExceeded: "delay" }), {
    variant: "that delays",
    services: Interceptors.RateLimits.layerMemory,
    denials: [
      denial(
        "without its count",
        "RateLimitUnavailable",
        Interceptors.rateLimit({ ...perMinute(1), onExceeded: "delay" }),
        limitsDown
      )
    ]
  }),
  row("bulkhead", Interceptors.bulkhead({ name: "one", permits: 1, queue: 0 }), {
    services: Interceptors.Bulkheads.layerMemory,
    denials: [
      denial(
        "when it is full",
        "BulkheadFull",
        Interceptors.bulkhead({ name: "two", permits: 2, queue: 0 }),
        Interceptors.Bulkheads.layerMemory,
        { body: Effect.sleep("1 second"), after: 2, times: 3, every: 0 }
      ),
      denial(
        "without a key",
        "KeyFailed",
        Interceptors.bulkhead({ name: "one", permits: 1, key: noKey }),
        Interceptors.Bulkheads.layerMemory
      )
    ]
  }),
  row("cache", Interceptors.cache({ ttl: "1 minute", of: text }), {
    services: Interceptors.Results.layerMemory(),
    denials: [
      denial(
        "without a key",
        "KeyFailed",
        Interceptors.cache({ ttl: "1 minute", of: text, key: noKey }),
        Interceptors.Results.layerMemory()
      ),
      denial(
        "with a subject that is no text",
        "KeyFailed",
        Interceptors.cache({ ttl: "1 minute", of: noText }),
        Interceptors.Results.layerMemory()
      ),
      denial(
        "without a subject",
        "KeyFailed",
        Interceptors.cache({ ttl: "1 minute", of: noKey }),
        Interceptors.Results.layerMemory()
      )
    ]
  }),
  row("idempotency", Interceptors.idempotency(), {
    services: Interceptors.IdempotencyStore.layerMemory,
    snapshot: withKey,
    denials: [
      denial(
        "without a key that is required",
        "IdempotencyKeyMissing",
        Interceptors.idempotency({ required: true }),
        Interceptors.IdempotencyStore.layerMemory
      ),
      denial(
        "when the key cannot be computed",
        "KeyFailed",
        Interceptors.idempotency({ key: noKey }),
        Interceptors.IdempotencyStore.layerMemory
      ),
      denial(
        "when the same key comes with other parameters",
        "IdempotencyMismatch",
        Interceptors.idempotency({ key: () => "key" }),
        Interceptors.IdempotencyStore.layerMemory,
        { after: 1, snapshot: (run) => Snapshot.make({ inputText: `#${run}` }) }
      ),
      denial(
        "when its store fails",
        "IdempotencyUnavailable",
        Interceptors.idempotency(),
        storeOf(Effect.fail(new Interceptors.IdempotencyStoreFailed({ defect: "down" }))),
        { snapshot: withKey }
      ),
      denial("when its store dies", "IdempotencyUnavailable", Interceptors.idempotency(), storeOf(Effect.die("down")), {
        snapshot: withKey
      }),
      denial("when its store hangs", "IdempotencyUnavailable", Interceptors.idempotency(), storeOf(Effect.never), {
        snapshot: withKey
      })
    ]
  }),
  row("idempotency", Interceptors.idempotency(), {
    variant: "without a key",
    services: Interceptors.IdempotencyStore.layerMemory
  }),
  row("fallback", Interceptors.fallback({ when: () => true, to: () => Effect.succeed({ instead: true }) }), {
    services: none,
    except: ["fail"]
  }),
  row("fallback", Interceptors.fallback({ when: () => false, to: () => Effect.succeed({ instead: true }) }), {
    variant: "of other errors",
    services: none
  }),
  row(
    "providers",
    Interceptors.providers(
      { provide: Layer.succeed(Llm, { name: "one" }) },
      { provide: Layer.succeed(Llm, { name: "two" }) }
    ),
    {
      services: none,
      places: giving,
      denials: [
        denial(
          "when no provider can be built",
          "Down",
          Interceptors.providers(
            { provide: Layer.effect(Llm, Effect.fail(new Down())) },
            { provide: Layer.effect(Llm, Effect.fail(new Down())) }
          ),
          none,
          { body: Effect.asVoid(Llm) }
        )
      ]
    }
  ),
  row("hedge", Interceptors.hedge({ after: "500 millis" }), { services: none, perAttempt: true }),
  row("outputSize", Interceptors.outputSize({ maxBytes: 1000 }), { services: none, perAttempt: true }),
  row("snapshotSize", Interceptors.snapshotSize({ maxBytes: 1000 }), {
    services: none,
    places: aroundRuns,
    denials: [
      denial("a snapshot that is too large", "SnapshotTooLarge", Interceptors.snapshotSize({ maxBytes: 10 }), none, {
        snapshot: Snapshot.make({ inputText: "more than ten bytes" })
      })
    ]
  }),
  row("unchangedInputs", Interceptors.unchangedInputs(), { services: none, perAttempt: true }),
  row("validation", Interceptors.validation, { services: none, places: everywhere, perAttempt: true }),
  row("logging", Interceptors.logging(), { services: none, perAttempt: true }),
  row("metrics", Interceptors.metrics(), { services: none }),
  row("tracing", Interceptors.tracing(), { services: none, places: everywhere, perAttempt: true }),
  row("defaults", Interceptors.defaults, { services: none, places: everywhere, perAttempt: true }),
  row("tenant", Interceptors.tenant(), {
    services: none,
    places: ["pipeline"],
    snapshot: () => Snapshot.make({ orgId: "org" }),
    denials: [
      denial("a run without an organisation", "TenantMissing", Interceptors.tenant(), none),
      denial(
        "an organisation that cannot be looked up",
        "Down",
        Interceptors.tenant({ lookUp: () => Effect.fail(new Down()) }),
        none,
        { snapshot: Snapshot.make({ orgId: "org" }) }
      )
    ]
  }),
  row("require", Auth.require({ roles: ["editor"] }), {
    services: Layer.succeed(Auth.AuthContext, { userId: "user-1", roles: ["editor"], scopes: [] }),
    denials: [
      denial(
        "a caller who lacks a role",
        "AccessDenied",
        Auth.require({ roles: ["admin"] }),
        Layer.succeed(Auth.AuthContext, { userId: "user-1", roles: ["editor"], scopes: [] })
      )
    ]
  }),
  row("authentication", Auth.authentication(), {
    services: caller(),
    places: ["pipeline"],
    denials: [
      denial("a caller without a token", "AuthenticationFailed", Auth.authentication(), caller(undefined, "")),
      denial(
        "a token that is not accepted",
        "AuthenticationFailed",
        Auth.authentication(),
        caller(() => Effect.fail(new Auth.AuthenticationFailed({ reason: "expired" })))
      ),
      denial("when its verifier dies", "AuthenticationFailed", Auth.authentication(), caller(() => Effect.die("boom"))),
      denial(
        "when its verifier throws",
        "AuthenticationFailed",
        Auth.authentication(),
        caller(() => {
          throw new Error("boom")
        })
      ),
      denial(
        "when its verifier interrupts itself",
        "AuthenticationFailed",
        Auth.authentication(),
        caller(() => Effect.interrupt)
      ),
      denial(
        "claims that name nobody",
        "AuthenticationFailed",
        Auth.authentication(),
        caller(() => Effect.succeed({ sub: 7 }))
      ),
      denial(
        "when its claims cannot be read",
        "AuthenticationFailed",
        Auth.authentication({
          claims: () => {
            throw new Error("boom")
          }
        }),
        caller()
      ),
      denial("a caller without a role", "AccessDenied", Auth.authentication(), caller(), {
        body: asking(Auth.RequiredRoles)
      }),
      denial("a caller without a scope", "AccessDenied", Auth.authentication(), caller(), {
        body: asking(Auth.RequiredScopes)
      })
    ]
  })
]

/** What `stageflow/interceptors` and `stageflow/auth` export as well, and is no interceptor. */
const others = new Set([
  // around runs
  "linkedTo",
  // for a single stage, with its types
  "fallbackTo",
  // policies and keys
  "exponential",
  "linear",
  "constant",
  "perStage",
  "perTenant",
  "shared",
  "named",
  "namedPerTenant",
  "keyOf",
  // asked inside of stages, and of results
  "requireOrg",
  "hasFeature",
  "hasRole",
  "hasScope",
  "usedFallback",
  // tokens and verifiers
  "bearer",
  "layerBearer",
  "layerJwt",
  "layerJwks"
])

describe("the table", () => {
  it("has every interceptor", () => {
    const exported = Object.keys({ ...Interceptors, ...Auth }).filter((name) =>
      /^[a-z]/.test(name) && !others.has(name)
    )
    assert.deepStrictEqual(exported.toSorted(), Array.from(new Set(rows.map((each) => each.exported))).toSorted())
  })
})

describe("by a Layer", () => {
  it("goes what gives stages nothing: the pipelines below could not know what they get", () => {
    // @ts-expect-error OrgContext is a service that stages get
    assert.isDefined(Interceptor.layer(Interceptors.tenant()))
    // @ts-expect-error AuthContext as well
    assert.isDefined(Interceptor.layer(Auth.authentication()))
    assert.isDefined(Interceptor.layer(Interceptors.timeout()))
  })
})

for (const { covers, denials, exported, leaves, passes, perAttempt, places, putOnStage, variant } of rows) {
  describe(`${exported} ${variant}`.trim(), () => {
    for (const at of places) {
      it.effect(`on a ${at}: hands on what a stage ends with`, () => passes(at))
      it.effect(`on a ${at}: leaves nothing behind when it is interrupted`, () => leaves(at))
      for (const { check, tag, way } of denials) {
        it.effect(`on a ${at}: fails closed: ${way}`, () =>
          Effect.gen(function*() {
            const error = yield* check(at)
            assert.propertyVal(error, "_tag", tag)
            assert.isString((error as { readonly code?: unknown }).code ?? "an error of the test's own")
          }))
      }
    }

    if (!places.includes("stage")) {
      it("on a stage: is rejected when it is put there, never ignored", () => {
        assert.throws(putOnStage, StageError.InvalidOption)
      })
    }

    it.effect(
      perAttempt ? "is entered for every attempt" : "is entered once for all attempts",
      () =>
        Effect.gen(function*() {
          if (perAttempt) return yield* covers("pipeline")
          const error = yield* Effect.flip(covers("pipeline"))
          assert(error instanceof InterceptorTest.ContractBroken)
          assert.deepStrictEqual(error.problems.map(({ code }) => code), ["ATTEMPT_NOT_COVERED"])
        })
    )
  })
}

describe("what is interrupted before the body has started", () => {
  const before = <E, R, P>(interceptor: Interceptor.Interceptor<E, R, P>, snapshot?: Snapshot.With<never>) =>
    Effect.map(
      InterceptorTest.run(interceptor, { interruptAfter: "1 second", snapshot }),
      ({ body, exit, notLeft }) => {
        assert.isTrue(Exit.hasInterrupts(exit), "is an interruption and no denial")
        assert.strictEqual(body.started, 0)
        assert.deepStrictEqual(notLeft, [])
      }
    )

  it.effect("a verifier that is asked", () => Effect.provide(before(Auth.authentication()), caller(() => Effect.never)))

  it.effect("a tenant that is looked up", () =>
    before(Interceptors.tenant({ lookUp: () => Effect.never }), Snapshot.make({ orgId: "org" })))

  it.effect("a store that is asked", () =>
    Effect.provide(before(Interceptors.idempotency(), withKey(1)), storeOf(Effect.never)))
})
