import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Refused extends Schema.TaggedError<Refused>()("Refused", { org: Schema.String }) {
  override get message(): string {
    return `refused for ${this.org}`
  }
}

const look = Stage.enrich("look", {
  run: Effect.gen(function*() {
    const { orgId } = yield* Interceptors.OrgContext
    yield* Effect.sleep("1 second")
    return { secret: `secret of ${orgId}` }
  })
})
const touch = Stage.work("touch", {
  run: Effect.fnUntraced(function*(inputs: { readonly look: { readonly secret: string } }) {
    const { orgId } = yield* Interceptors.OrgContext
    if (orgId.endsWith("7")) return yield* new Refused({ org: orgId })
    return { touched: inputs.look.secret }
  })
})

const pipeline = Pipeline.make("shared").add(look).add(touch, { inputs: ["look"] }).pipe(Pipeline.intercept(
  Interceptors.tenant(),
  Interceptors.cache({ ttl: "1 hour", of: () => "the same question" }),
  Interceptors.rateLimit({ limit: 2, window: "1 hour" }),
  Interceptors.bulkhead({ name: "all", permits: 50, queue: 1000 }),
  Interceptors.circuitBreaker({ failures: 1, openFor: "1 hour" })
))

const layers = Layer.mergeAll(
  Interceptors.Results.layerMemory(),
  Interceptors.RateLimits.layerMemory,
  Interceptors.Bulkheads.layerMemory,
  Interceptors.CircuitBreakers.layerMemory,
  EventSink.layerMemory
)

describe("R29 tenants do not mix", () => {
  it.effect("200 tenants interleaved over shared pipelines, breakers, caches and limits", () =>
    Effect.gen(function*() {
      const tenants = Array.from({ length: 200 }, (_, index) => `tenant-${String(index).padStart(3, "0")}`)
      const rounds = tenants.concat(tenants).map((orgId) => ({ orgId }))
      const all = Effect.forEach(
        rounds,
        ({ orgId }) =>
          Effect.map(Effect.exit(Pipeline.run(pipeline, Snapshot.make({ orgId }))), (exit) => ({ orgId, exit })),
        { concurrency: "unbounded" }
      )
      const fiber = yield* Effect.forkChild(all, { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      const ended = fiber.pollUnsafe()
      assert(ended !== undefined && Exit.isSuccess(ended))
      const foreign = (orgId: string, text: string) =>
        (text.match(/tenant-\d{3}/g) ?? []).filter((name) => name !== orgId)
      for (const { exit, orgId } of ended.value) {
        const fails = orgId.endsWith("7")
        assert.strictEqual(Exit.isFailure(exit), fails, orgId)
        if (Exit.isSuccess(exit)) {
          assert.strictEqual(exit.value.outputs.touch.data.touched, `secret of ${orgId}`)
          assert.deepStrictEqual(foreign(orgId, JSON.stringify(exit.value)), [])
        } else {
          const error = yield* Effect.flip(exit)
          assert(error instanceof RunResult.StageFailed)
          assert.deepStrictEqual(foreign(orgId, `${error.message} ${JSON.stringify(error.outputs)}`), [])
        }
      }
      const events = yield* (yield* EventSink.Memory).events
      const runs = Map.groupBy(events, ({ runId }) => runId)
      assert.strictEqual(runs.size, 400)
      for (const run of runs.values()) {
        const named = new Set(JSON.stringify(run).match(/tenant-\d{3}/g))
        assert.isAtMost(named.size, 1)
        assert.strictEqual(run.filter(Event.isRunEnd).length, 1)
      }
    }).pipe(Effect.provide(layers)))

  it.effect("one tenant's failures, limits and results are no other's", () =>
    Effect.gen(function*() {
      const run = (orgId: string) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.exit(Pipeline.run(pipeline, Snapshot.make({ orgId }))), {
            startImmediately: true
          })
          yield* TestClock.adjust("1 second")
          const exit = fiber.pollUnsafe()
          assert(exit !== undefined)
          return yield* Effect.result(Effect.flatten(exit))
        })
      const tagOf = (result: Effect.Success<ReturnType<typeof run>>) =>
        result._tag === "Success"
          ? "ok"
          : result.failure instanceof RunResult.StageFailed
          ? result.failure.error._tag
          : result.failure._tag
      assert.strictEqual(tagOf(yield* run("tenant-007")), "Refused")
      assert.strictEqual(tagOf(yield* run("tenant-007")), "CircuitOpen")
      assert.strictEqual(tagOf(yield* run("tenant-001")), "ok")
      assert.strictEqual(tagOf(yield* run("tenant-001")), "ok")
    }).pipe(Effect.provide(layers)))

  it.effect("a resource of another organisation is CrossTenantAccess, never data, and names nobody else", () =>
    Effect.gen(function*() {
      let touched = false
      const open = Stage.work("open", {
        run: Effect.gen(function*() {
          yield* Interceptors.requireOrg("their-org")
          touched = true
          return { document: "theirs" }
        })
      })
      const run = Pipeline.run(
        Pipeline.make("p").add(open).pipe(Pipeline.intercept(Interceptors.tenant())),
        Snapshot.make({ orgId: "our-org" })
      )
      const error = yield* Effect.flip(run)
      assert(error instanceof RunResult.StageFailed && error.error instanceof Interceptors.CrossTenantAccess)
      assert.strictEqual(error.error.code, "CROSS_TENANT_ACCESS")
      assert.notInclude(error.message, "their-org")
      assert.isFalse(touched)
    }))

  it.effect("a run without an organisation fails before any stage starts", () =>
    Effect.gen(function*() {
      let started = false
      const stage = Stage.work("stage", {
        run: Effect.sync(() => {
          started = true
        })
      })
      const error = yield* Effect.flip(Pipeline.run(
        Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.tenant())),
        Snapshot.make()
      ))
      assert(error instanceof Interceptors.TenantMissing)
      assert.isFalse(started)
    }))

  it.effect("plan and features are looked up once for each run, and a look-up that fails denies", () =>
    Effect.gen(function*() {
      let lookUps = 0
      const has = (name: string) =>
        Stage.work(name, { run: Effect.map(Interceptors.hasFeature("beta"), (beta) => ({ beta })) })
      const found = Pipeline.make("p").add(has("a")).add(has("b")).pipe(Pipeline.intercept(Interceptors.tenant({
        lookUp: () =>
          Effect.sync(() => {
            lookUps++
            return { planTier: "pro", features: ["beta"] }
          })
      })))
      const result = yield* Pipeline.run(found, Snapshot.make({ orgId: "a" }))
      assert.isTrue(result.outputs.b.data.beta)
      assert.strictEqual(lookUps, 1)
      const lost = Pipeline.make("p").add(has("a")).pipe(Pipeline.intercept(Interceptors.tenant({
        lookUp: (orgId) => Effect.fail(new Refused({ org: orgId }))
      })))
      const error = yield* Effect.flip(Pipeline.run(lost, Snapshot.make({ orgId: "a" })))
      assert(error instanceof Refused)
    }))
})
