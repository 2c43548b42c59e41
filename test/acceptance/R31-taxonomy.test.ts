/**
 * The events that tell of more than starts and ends: how else runs and stages end, what is around a stage, what it is made
 * of, and whom a run is for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink, Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, Subpipeline } from "stageflow/control"
import * as Guards from "stageflow/guards"
import * as Interceptors from "stageflow/interceptors"
import { announced } from "../support/announced.ts"
import { Broken, during, recorded } from "./support/lifecycle.ts"
import { byRun, checked } from "./support/told.ts"

const broken = new Broken({ by: "test" })
// An error that has denied a run is a denial wherever it is seen again.
const down = new Broken({ by: "stage" })
const start = Snapshot.make()
const second = Effect.sleep("1 second")
const one = Pipeline.make("one").add(Stage.work("stage", { run: second }))

describe("R31 every end has an event of its own", () => {
  const denies = Interceptor.make({ name: "denies", aroundRun: () => Effect.fail(broken) })
  const dies = Interceptor.make({ name: "dies", aroundRun: () => Effect.die("bug") })
  const failsLate = Interceptor.make({ name: "late", aroundRun: (run) => Effect.andThen(run, Effect.fail(broken)) })
  const outer = Interceptor.make({ name: "outer", order: 1, aroundRun: (run) => Effect.onExit(run, () => Effect.void) })
  const limit = Interceptors.deadline("10 millis")
  class Port extends Context.Service<Port, {}>()("test/R31/Port") {}
  const using = Pipeline.make("one").add(Stage.work("stage", { run: Effect.asVoid(Port) }))

  const ends: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>, string, string | undefined]> = [
    ["denied", Pipeline.run(one.pipe(Pipeline.intercept(denies)), start), "RunDenied", "denies"],
    [
      "denied, inside of another",
      Pipeline.run(one.pipe(Pipeline.intercept(denies, outer)), start),
      "RunDenied",
      "denies"
    ],
    [
      "denied by one of a Layer",
      Effect.provide(Pipeline.run(one, start), Interceptor.layer(denies)),
      "RunDenied",
      "denies"
    ],
    ["died", Pipeline.run(one.pipe(Pipeline.intercept(dies)), start), "RunRejected", "dies"],
    ["failed afterwards", Pipeline.run(one.pipe(Pipeline.intercept(failsLate)), start), "RunRejected", undefined],
    [
      "a layer that fails",
      Pipeline.run(using.pipe(Pipeline.provide(Layer.effect(Port, Effect.fail(broken)))), start),
      "RunRejected",
      undefined
    ],
    ["deadline", Pipeline.run(one.pipe(Pipeline.intercept(limit)), start), "RunTimedOut", undefined],
    [
      "deadline of a Layer",
      Effect.provide(Pipeline.run(one, start), Interceptor.layer(limit)),
      "RunTimedOut",
      undefined
    ]
  ]
  for (const [how, run, tag, interceptor] of ends) {
    it.effect(how, () =>
      Effect.gen(function*() {
        const { events, exit } = yield* recorded(during(run, "1 minute"))
        const tags = checked(events)
        assert.deepStrictEqual([tags[0], tags.at(-1)], ["RunStarted", tag])
        const end = events.at(-1) as Event.Event
        assert.strictEqual("interceptor" in end ? end.interceptor : undefined, interceptor)
        if (tag === "RunTimedOut") assert.deepInclude(end, { limitMs: 10, durationMs: 10 })
        const unheard = yield* Effect.exit(during(run, "1 minute"))
        assert.strictEqual(Exit.isFailure(unheard), Exit.isFailure(exit))
      }))
  }

  it.effect("a stage that takes longer than its timeout", () =>
    Effect.gen(function*() {
      const slow = Pipeline.make("p").add(Stage.work("slow", { run: Effect.never }).pipe(Stage.timeout("1 second")))
      const { events } = yield* recorded(during(Effect.exit(Pipeline.run(slow, start)), "1 minute"))
      assert.deepStrictEqual(checked(events), ["RunStarted", "StageStarted slow", "StageTimedOut slow", "RunFailed"])
      assert.deepInclude(events[2], { limitMs: 1000, durationMs: 1000 })
      // An error of the stage's own that is called the same is none of ours.
      const own = Stage.work("own", { run: Effect.fail({ _tag: "StageTimeout", code: "STAGE_TIMEOUT" } as const) })
      const other = yield* recorded(Effect.exit(Pipeline.run(Pipeline.make("p").add(own), start)))
      assert.include(checked(other.events), "StageFailed own")
    }))
})

describe("R31 waits are told of, and only those", () => {
  const four = Pipeline.make("four")
    .add(Stage.work("a", { run: second }))
    .add(Stage.work("b", { run: second }))
    .add(Stage.work("c", { run: second }), { after: ["a"] })

  it.effect("for the concurrency limit of the run", () =>
    Effect.gen(function*() {
      const queued = (concurrency: number) =>
        Effect.map(recorded(during(Pipeline.run(four, start, { concurrency }), "1 minute")), ({ events }) => {
          checked(events)
          return events.flatMap((event) => event._tag === "StageStarted" ? [[event.stage, event.queuedMs]] : [])
        })
      assert.deepStrictEqual(yield* queued(1), [["a", undefined], ["b", 1000], ["c", 1000]])
      assert.deepStrictEqual(yield* queued(2), [["a", undefined], ["b", undefined], ["c", undefined]])
      assert.deepStrictEqual(yield* queued(3), [["a", undefined], ["b", undefined], ["c", undefined]])
    }))

  const inside = (name: string, interceptor: Interceptor.Interceptor<unknown, Interceptors.Bulkheads>) =>
    Stage.work(name, { run: second }).pipe(Stage.intercept(interceptor))

  it.effect("for a place in a bulkhead, also of one that goes away", () =>
    Effect.gen(function*() {
      const bulkhead = Interceptors.bulkhead({ name: "db", permits: 1, queue: 5 })
      const pipeline = Pipeline.make("p").add(inside("first", bulkhead)).add(inside("next", bulkhead))
        .add(inside("late", bulkhead).pipe(Stage.timeout("1500 millis")))
      const { events } = yield* recorded(during(Effect.exit(Pipeline.run(pipeline, start)), "1 minute"))
      checked(events)
      assert.deepStrictEqual(announced(events), [
        { _tag: "StageQueued", queue: "bulkhead db" },
        { _tag: "StageQueued", queue: "bulkhead db" },
        { _tag: "StageDequeued", queue: "bulkhead db", waitedMs: 1000, admitted: true },
        { _tag: "StageDequeued", queue: "bulkhead db", waitedMs: 1500, admitted: false }
      ])
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory)))

  it.effect("for a rate limit, and what one refuses", () =>
    Effect.gen(function*() {
      const limited = (onExceeded: "fail" | "delay") => {
        const interceptor = Interceptors.rateLimit({
          limit: 1,
          window: "1 second",
          onExceeded,
          algorithm: "fixed-window",
          key: Interceptors.named(onExceeded)
        })
        const stage = (name: string) => Stage.work(name, { run: Effect.void }).pipe(Stage.intercept(interceptor))
        return Pipeline.make("p").add(stage("a")).add(stage("b"))
      }
      const waits = yield* recorded(during(Pipeline.run(limited("delay"), start), "1 minute"))
      checked(waits.events)
      assert.deepStrictEqual(announced(waits.events), [
        { _tag: "StageQueued", queue: "rate limit" },
        { _tag: "StageDequeued", queue: "rate limit", waitedMs: 1000, admitted: true }
      ])
      const refused = yield* recorded(Effect.exit(Pipeline.run(limited("fail"), start)))
      checked(refused.events)
      assert.deepStrictEqual(announced(refused.events), [{ _tag: "RateLimited", limit: 1, retryAfterMs: 1000 }])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))
})

describe("R31 what is around a stage tells of what it decides", () => {
  it.effect("a circuit breaker", () =>
    Effect.gen(function*() {
      let isDown = true
      const stage = Stage.work("stage", { run: Effect.suspend(() => isDown ? Effect.fail(down) : Effect.void) }).pipe(
        Stage.intercept(
          Interceptors.circuitBreaker({ failures: 1, openFor: "1 minute", key: Interceptors.named("provider") })
        )
      )
      const told = Effect.map(
        recorded(Effect.exit(Pipeline.run(Pipeline.make("p").add(stage), start))),
        ({ events }) => {
          checked(events)
          return announced(events)
        }
      )
      const [first] = yield* told
      assert.isDefined(first)
      assert.deepStrictEqual(first, { ...first, _tag: "BreakerOpened" })
      assert.deepStrictEqual(yield* told, [])
      yield* TestClock.adjust("1 minute")
      isDown = false
      assert.deepStrictEqual(yield* told, [
        { ...first, _tag: "BreakerHalfOpened" },
        { ...first, _tag: "BreakerClosed" }
      ])
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("a cache, a fallback inside of it, and a replay: once each, and nothing as if the stage had emitted it", () =>
    Effect.gen(function*() {
      const stage = Stage.transform("stage", { run: Effect.fail(down) }).pipe(
        Interceptors.fallbackTo(() => Effect.succeed({ from: "fallback" })),
        Stage.intercept(Interceptors.cache({ ttl: "1 minute", of: () => "x" }))
      )
      const kept = Stage.transform("kept", { run: Effect.fail(down) }).pipe(
        Interceptors.fallbackTo(() => Effect.succeed({ from: "fallback" })),
        Stage.intercept(Interceptors.idempotency({ key: () => "key" }))
      )
      const pipeline = Pipeline.make("p").add(stage).add(kept, { after: ["stage"] })
      const error = { tag: "Broken", message: "" }
      const told = (events: ReadonlyArray<Event.Event>) => {
        checked(events)
        assert.isEmpty(events.filter(({ _tag }) => _tag === "StageEmitted"))
        return announced(events)
      }
      const first = yield* recorded(Pipeline.run(pipeline, start))
      assert.deepStrictEqual(told(first.events), [
        { _tag: "FallbackUsed", error },
        { _tag: "FallbackUsed", error }
      ])
      const again = yield* recorded(Pipeline.run(pipeline, start))
      assert.deepStrictEqual(told(again.events), [{ _tag: "CacheHit" }, { _tag: "IdempotentReplay" }])
      // The outputs still say what they are.
      assert(Exit.isSuccess(again.exit))
      const { kept: replayed, stage: hit } = again.exit.value.outputs
      assert.deepStrictEqual(hit.events.map(({ type }) => type), ["fallback.used", "cache.hit"])
      assert.deepStrictEqual(replayed.events.map(({ type }) => type), ["fallback.used", "idempotency.replayed"])
      assert.isTrue(Interceptors.usedFallback(hit) && Interceptors.usedFallback(replayed))
    }).pipe(
      Effect.provide(Layer.merge(Interceptors.Results.layerMemory(), Interceptors.IdempotencyStore.layerMemory))
    ))

  it.effect("a hedge that loses", () =>
    Effect.gen(function*() {
      let attempts = 0
      const run = Effect.suspend(() => ++attempts === 1 ? Effect.sleep("2 seconds") : Effect.never)
      const stage = Stage.work("stage", { run }).pipe(Stage.intercept(Interceptors.hedge({ after: "1 second" })))
      const { events } = yield* recorded(during(Pipeline.run(Pipeline.make("p").add(stage), start), "1 minute"))
      checked(events)
      assert.deepStrictEqual(announced(events), [{ _tag: "HedgeStarted", hedge: 2 }])
    }))
})

describe("R31 what a stage is made of is told of", () => {
  it.effect("the verdicts of guards, without what they found", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(Guards.lengthLimit("length", { maximum: 100 }))
        .add(Guards.personalData("pii"), { after: ["length"] })
        .add(Guards.contentFilter("content", { words: ["ada"] }), { after: ["pii"] })
      const { events } = yield* recorded(Pipeline.run(pipeline, Snapshot.make({ inputText: "ada@example.com" })))
      checked(events)
      assert.deepStrictEqual(announced(events), [
        { _tag: "GuardVerdict", guard: "length", verdict: "accepted", findings: 0 },
        { _tag: "GuardVerdict", guard: "pii", verdict: "redacted", findings: 1 },
        { _tag: "GuardVerdict", guard: "content", verdict: "rejected", findings: 1 }
      ])
      assert.notInclude(JSON.stringify(events), "example.com")
    }))

  it.effect("the runs inside, with how they ended, and those of a for-each by its items alone", () =>
    Effect.gen(function*() {
      const fails = Pipeline.make("fails").add(Stage.work("leaf", { run: Effect.fail(down) }))
      const each = ForEach.stage("each", { items: () => [1, 2, 3], each: (_: number) => Subpipeline.run(one) })
      const parent = Pipeline.make("parent")
        .add(Subpipeline.stage("good", one))
        .add(each, { after: ["good"] })
        .add(Subpipeline.stage("bad", fails), { after: ["each"] })
      const { events } = yield* recorded(during(Effect.exit(Pipeline.run(parent, start)), "1 minute"))
      checked(events)
      const [own = [], ...children] = byRun(events)
      const idOf = (stage: string) => children.find(([first]) => first?.parentStage === stage)?.[0]?.runId
      assert.strictEqual(children.filter(([first]) => first?.parentStage === "each").length, 3)
      assert.deepStrictEqual(announced(own, "SubpipelineStarted", "SubpipelineEnded"), [
        { _tag: "SubpipelineStarted", childRunId: idOf("good"), childPipeline: "one" },
        { _tag: "SubpipelineEnded", childRunId: idOf("good"), status: "completed" },
        { _tag: "SubpipelineStarted", childRunId: idOf("bad"), childPipeline: "fails" },
        { _tag: "SubpipelineEnded", childRunId: idOf("bad"), status: "failed" }
      ])
      assert.strictEqual(announced(own, "ItemEnded").length, 3)
    }))

  it.effect("a run inside that is interrupted with its stage has its end there", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("inside", one))
      const events: Array<Event.Event> = []
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Pipeline.run(parent, start), EventSink.EventSink, {
          offer: (event) => void events.push(event)
        }),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(fiber)
      checked(events)
      assert.deepStrictEqual(events.map(({ _tag, pipeline }) => `${pipeline} ${_tag}`).slice(-5), [
        "one StageInterrupted",
        "one RunInterrupted",
        "parent SubpipelineEnded",
        "parent StageInterrupted",
        "parent RunInterrupted"
      ])
    }))
})

describe("R31 events say whom a run is for, in ids", () => {
  const idsOf = ({ executionMode, orgId, requestId, sessionId, topology, userId }: Event.Event) =>
    JSON.parse(JSON.stringify({ requestId, sessionId, userId, orgId, topology, executionMode })) as object

  const claimed = { sessionId: "s", userId: "u", orgId: "o" }
  const given = { ...claimed, requestId: "r", topology: "t", executionMode: "m" }

  it.effect("those of the snapshot, in every event, and nothing where it has none", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("inside", one))
      const all = yield* recorded(
        during(Pipeline.run(parent, Snapshot.make({ ...given, inputText: "text" })), "1 second")
      )
      checked(all.events)
      assert.strictEqual(byRun(all.events).length, 2)
      for (const event of all.events) assert.deepStrictEqual(idsOf(event), given)
      assert.notInclude(JSON.stringify(all.events), "text")
      const none = yield* recorded(during(Pipeline.run(parent, start), "1 second"))
      const known = new Set(["requestId", "sessionId", "userId", "orgId", "topology", "executionMode"])
      for (const event of none.events) assert.isEmpty(Object.keys(event).filter((key) => known.has(key)))
    }))

  it.effect("those that were proven, once they are, also in runs inside", () =>
    Effect.gen(function*() {
      const proves = Interceptor.make({
        name: "proves",
        aroundRun: (run) => Effect.provideService(run, Snapshot.ProvenIdentity, { userId: "proven" })
      })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("inside", one)).pipe(Pipeline.intercept(proves))
      const { events } = yield* recorded(during(Pipeline.run(parent, Snapshot.make(given)), "1 second"))
      checked(events)
      const others = { requestId: "r", topology: "t", executionMode: "m" }
      const [first, ...rest] = events
      assert.deepStrictEqual(first && idsOf(first), given)
      for (const event of rest) assert.deepStrictEqual(idsOf(event), { ...others, userId: "proven" })
    }))

  it.effect("those that are claimed, of a run that is denied", () =>
    Effect.gen(function*() {
      const denies = Interceptor.make({ name: "denies", aroundRun: () => Effect.fail(broken) })
      const { events } = yield* recorded(
        Effect.exit(Pipeline.run(one.pipe(Pipeline.intercept(denies)), Snapshot.make(claimed)))
      )
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["RunStarted", "RunDenied"])
      for (const event of events) assert.deepStrictEqual(idsOf(event), claimed)
    }))
})
