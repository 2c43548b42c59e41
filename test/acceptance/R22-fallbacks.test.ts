import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted } from "effect"
import { Interceptor, Pipeline, type RunResult, Snapshot, Stage, StageOutput } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Guards from "stageflow/guards"
import * as Interceptors from "stageflow/interceptors"
import { Broken } from "./support/lifecycle.ts"

const services = Layer.mergeAll(
  Interceptors.CircuitBreakers.layerMemory,
  Interceptors.RateLimits.layerMemory,
  Interceptors.Bulkheads.layerMemory,
  Interceptors.RetryBudget.layerMemory(),
  Interceptors.Results.layerMemory(),
  Interceptors.IdempotencyStore.layerMemory,
  Auth.layerBearer("anybody"),
  Layer.succeed(Auth.TokenVerifier, { verify: (token) => Effect.succeed({ sub: Redacted.value(token) }) })
)

const instead = { instead: true }

type Any = Stage.Stage<"s", unknown, object, never, unknown, unknown>

/** The three ways to fall back from what one stage fails with; whatever they accept they answer for. */
const fallbacks: Record<string, (stage: Any) => Pipeline.Any> = {
  "fallbackTo": (stage) => Pipeline.make("p").add(stage.pipe(Interceptors.fallbackTo(() => Effect.succeed(instead)))),
  "fallback on the stage": (stage) =>
    Pipeline.make("p").add(
      stage.pipe(
        Stage.intercept(Interceptors.fallback({ when: () => true, to: () => Effect.succeed(instead) }))
      ) as Any
    ),
  "fallback on the pipeline": (stage) =>
    Pipeline.make("p").add(stage).pipe(
      Pipeline.intercept(Interceptors.fallback({ when: () => true, to: () => Effect.succeed(instead) }))
    )
}

const run = (pipeline: Pipeline.Any) =>
  Effect.provide(
    Pipeline.run(pipeline as never, Snapshot.make({ inputText: "spam" })),
    services
  ) as Effect.Effect<RunResult.Completed<{ readonly s: StageOutput.Ok<object> }>, RunResult.StageFailed>

const plain = Pipeline.make("child").add(Stage.work("c", { run: Effect.void }))

/** A stage that starts another run. */
const starting = (child: Pipeline.Any) =>
  Stage.work("s", {
    run: Effect.gen(function*() {
      yield* Pipeline.run(child as typeof plain, yield* Snapshot.current)
      return { instead: false }
    })
  })

const spamGuard = Guards.contentFilter("s", { words: ["spam"], action: "fail" })

const needsAdmin = Stage.work("c", { run: Effect.void }).pipe(Stage.intercept(Auth.require({ roles: ["admin"] })))

const gate = Interceptor.make({ name: "gate", gate: true, around: () => Effect.fail(new Broken({ by: "gate" })) })
const gateOfRuns = Interceptor.make({ name: "door", aroundRun: () => Effect.fail(new Broken({ by: "door" })) })

const badKey = (): string => {
  throw new Error("no key")
}

const work = Stage.work("s", { run: Effect.succeed({ instead: false }) })

const denied: Record<string, Stage.Any> = {
  "Auth.require in a child run": starting(
    Pipeline.make("child").add(needsAdmin).pipe(Pipeline.intercept(Auth.authentication()))
  ),
  "RequiredRoles in a child run": starting(
    Pipeline.make("child")
      .add(Stage.work("c", { run: Effect.void }).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"])))
      .pipe(Pipeline.intercept(Auth.authentication()))
  ),
  "no tenant in a child run": starting(plain.pipe(Pipeline.intercept(Interceptors.tenant()))),
  "a guard in a child run": starting(Pipeline.make("child").add(spamGuard)),
  "a gate of one's own in a child run": starting(plain.pipe(Pipeline.intercept(gate))),
  "a gate of one's own around a child run": starting(plain.pipe(Pipeline.intercept(gateOfRuns))),
  "a gate on the stage": work.pipe(Stage.intercept(gate)),
  "a breaker without a key": work.pipe(Stage.intercept(Interceptors.circuitBreaker({ key: badKey }))),
  "a bulkhead without a key": work.pipe(
    Stage.intercept(Interceptors.bulkhead({ name: "b", permits: 1, key: badKey }))
  ),
  "a rate limit without a key": work.pipe(
    Stage.intercept(Interceptors.rateLimit({ limit: 1, window: "1 second", key: badKey }))
  ),
  "an idempotency without its key": work.pipe(Stage.intercept(Interceptors.idempotency({ required: true }))),
  "a cache without a key": work.pipe(Stage.intercept(Interceptors.cache({ ttl: "1 second", of: badKey }))),
  "a retry budget without a key": work.pipe(
    Stage.intercept(Interceptors.retryWithinBudget({ attempts: 2 }, { key: badKey }))
  ),
  "circuits that cannot be read": work.pipe(
    Stage.intercept(Interceptor.make({
      name: "unreadable",
      around: (_, { name }) => Effect.fail(new Interceptors.CircuitUnavailable({ stage: name }))
    }))
  ),
  "counts that cannot be read": work.pipe(
    Stage.intercept(Interceptor.make({
      name: "unreadable",
      around: (_, { name }) => Effect.fail(new Interceptors.RateLimitUnavailable({ stage: name }))
    }))
  )
}

describe("R22 no fallback turns a denial into data", () => {
  for (const [what, stage] of Object.entries(denied)) {
    for (const [how, fallback] of Object.entries(fallbacks)) {
      it.effect(`${what} below ${how}`, () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(run(fallback(stage as Any)))
          assert.isTrue(Exit.isFailure(exit), JSON.stringify(exit))
        }))
    }
  }

  for (const how of ["fallback on the stage", "fallback on the pipeline"]) {
    it.effect(`what a guard found below ${how}`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          run((fallbacks[how] as (stage: Any) => Pipeline.Any)(spamGuard as unknown as Any))
        )
        assert.isTrue(Exit.isFailure(exit), JSON.stringify(exit))
      }))
  }

  it.effect("fallbackTo on the guard itself replaces what the guard found", () =>
    Effect.gen(function*() {
      const { outputs } = yield* run(
        (fallbacks["fallbackTo"] as (stage: Any) => Pipeline.Any)(spamGuard as unknown as Any)
      )
      assert.deepStrictEqual(outputs.s.data, instead)
    }))

  it.effect("an error that an interceptor lets through from a child run is replaced", () =>
    Effect.gen(function*() {
      const letting = Interceptor.make({ name: "open", gate: true, around: (effect) => effect })
      const failing = Pipeline.make("child")
        .add(Stage.work("c", { run: Effect.fail(new Broken({ by: "c" })) }).pipe(Stage.intercept(letting)))
      for (const fallback of Object.values(fallbacks)) {
        const { outputs } = yield* run(fallback(starting(failing as unknown as Pipeline.Any) as Any))
        assert.deepStrictEqual(outputs.s.data, instead)
      }
    }))
})

describe("R10 what failed is told as it was, whatever looked at it on the way", () => {
  const failing = Stage.work("s", {
    run: Effect.sync(() => StageOutput.fail(new Broken({ by: "s" }), { data: { kept: true } }))
  })
  const passing = {
    fallback: Interceptors.fallback({ when: () => false, to: () => Effect.succeed({}) }),
    providers: Interceptors.providers({ provide: Layer.empty }),
    "providers, the last of them": Interceptors.providers({ provide: Layer.empty }, {
      provide: Layer.empty,
      attempts: 2
    }),
    "providers, a final error": Interceptors.providers({ provide: Layer.empty, while: () => false }, {
      provide: Layer.empty
    })
  }
  for (const [how, interceptor] of Object.entries(passing)) {
    for (const place of ["stage", "pipeline", "layer"]) {
      it.effect(`${how} (${place})`, () =>
        Effect.gen(function*() {
          const stage = place === "stage" ? failing.pipe(Stage.intercept(interceptor)) : failing
          const inner = Pipeline.make("p").add(stage)
          const pipeline = place === "pipeline" ? inner.pipe(Pipeline.intercept(interceptor)) : inner
          const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(
            Effect.provide(place === "layer" ? Interceptor.layer(interceptor) : Layer.empty)
          )
          assert.deepStrictEqual([failed.error, failed.data], [new Broken({ by: "s" }), { kept: true }])
        }))
    }
  }
})
