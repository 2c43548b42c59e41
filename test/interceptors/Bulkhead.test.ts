import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

const layer = Effect.provide(Interceptors.Bulkheads.layerMemory)

/** How many of each tenant run, and in which order they ended. */
class Tenants {
  inside = 0
  most = 0
  readonly ran: Array<string> = []

  readonly stage = Stage.work("work", {
    run: Effect.gen({ self: this }, function*() {
      const { orgId = "" } = yield* Snapshot.current
      this.most = Math.max(this.most, ++this.inside)
      yield* Effect.sleep("1 second")
      this.ran.push(orgId)
    }).pipe(Effect.ensuring(Effect.sync(() => this.inside--)))
  })

  of(orgId: string): number {
    return this.ran.filter((ran) => ran === orgId).length
  }
}

const start = <A, E, R>(run: Effect.Effect<A, E, R>) => Effect.forkChild(Effect.exit(run), { startImmediately: true })

const isFull = (exit: Exit.Exit<unknown, { readonly error?: unknown }> | undefined): boolean =>
  exit !== undefined && Exit.isFailure(exit)
  && Cause.findErrorOption(exit.cause).pipe((error) =>
    error._tag === "Some" && error.value.error instanceof Interceptors.BulkheadFull
  )

describe("a full queue", () => {
  const settings = { name: "db", permits: 1, queue: 10 } as const

  /** Starts the runs of tenants in this order, and gives how many of each ran in the end. */
  const outcome = Effect.fnUntraced(
    function*(asked: ReadonlyArray<string>, given: { readonly key?: Interceptors.Key } = {}) {
      const tenants = new Tenants()
      const pipeline = Pipeline.make("p").add(tenants.stage).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ ...settings, ...given }))
      )
      const fibers = yield* Effect.forEach(asked, (orgId) => start(Pipeline.run(pipeline, Snapshot.make({ orgId }))))
      yield* TestClock.adjust("1 hour")
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      const full = exits.filter(isFull).length
      assert.strictEqual(full + tenants.ran.length, asked.length)
      assert.strictEqual(tenants.most, 1)
      const counts = Object.fromEntries([...new Set(asked)].map((orgId) => [orgId, tenants.of(orgId)]))
      return { counts, order: tenants.ran }
    }
  )
  const times = (count: number, ...orgIds: ReadonlyArray<string>) => Array.from({ length: count }, () => orgIds).flat()

  it.effect("belongs to a tenant that is alone", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* outcome(times(50, "a"))).counts, { a: 11 })
    }).pipe(layer))

  it.effect("has room for a tenant that has fewer waiting than another", () =>
    Effect.gen(function*() {
      const { counts, order } = yield* outcome([...times(50, "many"), "few"])
      assert.deepStrictEqual(counts, { many: 10, few: 1 })
      assert.isBelow(order.indexOf("few"), 3)
    }).pipe(layer))

  it.effect("is shared in equal parts by those who ask for more than their part", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* outcome([...times(50, "a"), ...times(50, "b")])).counts, { a: 1 + 5, b: 5 })
    }).pipe(layer))

  it.effect("is shared so however many come, and what some do not ask for goes to others", () =>
    Effect.gen(function*() {
      const asked = [...times(50, "a"), "b", ...times(30, "c"), ...times(2, "d"), ...times(40, "a", "c")]
      const { counts } = yield* outcome(asked)
      assert.deepStrictEqual([counts.b, counts.d], [1, 2])
      assert.strictEqual((counts.a ?? 0) - 1 + (counts.c ?? 0), 7)
      assert.isAtLeast(counts.c ?? 0, 3)
    }).pipe(layer))

  it.effect("gives nobody a place by taking it from one who has no more", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 40 }, (_, index) => `tenant ${index}`)
      const { order } = yield* outcome(many)
      assert.deepStrictEqual(order, many.slice(0, 11))
    }).pipe(layer))

  it.effect("lets the last of the longest line go, and the others keep their order", () =>
    Effect.gen(function*() {
      const tenants = new Tenants()
      const ended: Array<string> = []
      const pipeline = Pipeline.make("p").add(tenants.stage).pipe(Pipeline.intercept(Interceptors.bulkhead(settings)))
      const go = (orgId: string, name: string) =>
        start(Effect.tap(Pipeline.run(pipeline, Snapshot.make({ orgId })), () => Effect.sync(() => ended.push(name))))
      const many = yield* Effect.forEach(
        Array.from({ length: 11 }, (_, index) => index),
        (index) => go("m", `m${index}`)
      )
      yield* go("f", "f0")
      assert.isTrue(
        isFull(many[10]?.pollUnsafe()?.pipe(Exit.match({ onFailure: Exit.failCause, onSuccess: (exit) => exit })))
      )
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(
        ended.filter((name) => name.startsWith("m")),
        many.slice(0, 10).map((_, index) => `m${index}`)
      )
    }).pipe(layer))

  it.effect("takes turns by the key that it is given", () =>
    Effect.gen(function*() {
      const { counts } = yield* outcome([...times(50, "a"), ...times(50, "b")], { key: Interceptors.named("all") })
      assert.deepStrictEqual(counts, { a: 11, b: 0 })
    }).pipe(layer))

  it.effect("costs the same however many tenants and waiters there are", () =>
    Effect.gen(function*() {
      const tenants = new Tenants()
      const pipeline = Pipeline.make("p").add(tenants.stage).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits: 1, queue: 1_000 }))
      )
      const go = (orgId: string) => start(Pipeline.run(pipeline, Snapshot.make({ orgId })))
      // 1,000 of one tenant, which 1,000 tenants with one each push out, one after the other.
      const many = yield* Effect.forEach(Array.from({ length: 1_001 }), () => go("many"))
      yield* Effect.forEach(Array.from({ length: 1_000 }, (_, index) => index), (index) => go(`tenant ${index}`))
      yield* TestClock.adjust(1)
      assert.strictEqual(many.filter((fiber) => fiber.pollUnsafe() !== undefined).length, 999)
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(tenants.ran.length, 2)
    }).pipe(layer))
})

describe("whatever happens", () => {
  /** Numbers that look random and are the same every time. */
  const numbers = (seed: number) => {
    let state = seed
    return (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor(state / 2 ** 32 * below)
    }
  }

  const permits = 3
  const bulkhead = Interceptors.bulkhead({ name: "db", permits, queue: 12 })

  for (let seed = 1; seed <= 30; seed++) {
    it.effect(`no more run than may, and no place is lost (${seed})`, () =>
      Effect.gen(function*() {
        const pick = numbers(seed)
        let inside = 0
        let most = 0
        const working = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              most = Math.max(most, ++inside)
            }),
            () => effect,
            () => Effect.sync(() => inside--)
          )
        const leaf = (): Effect.Effect<void, string> =>
          [
            Effect.void,
            Effect.yieldNow,
            Effect.sleep(1 + pick(50)),
            Effect.andThen(Effect.sleep(pick(20)), Effect.fail("failed")),
            Effect.andThen(Effect.sleep(pick(20)), Effect.die("died")),
            Effect.uninterruptible(Effect.sleep(pick(400)))
          ][pick(6)] ?? Effect.void
        // Those inside of others do nothing at the same time themselves: they wait for their children.
        const nested = (depth: number): Effect.Effect<void, string, Interceptors.Bulkheads> => {
          const count = 1 + pick(3)
          const child = Effect.suspend(() => nested(depth - 1))
          const body = depth === 0
            ? working(leaf())
            : Effect.all(Array.from({ length: count }, () => child), { concurrency: "unbounded", discard: true })
          const stage = Stage.work("stage", { run: body })
          const isLimited = pick(2) === 0
          const limited = Stage.timeout(stage, isLimited ? 5 + pick(20) : "1 day", { grace: pick(30) })
          const pipeline = Pipeline.make("p").add(limited).pipe(Pipeline.intercept(bulkhead))
          const snapshot = Snapshot.make({ orgId: `tenant ${pick(3)}` })
          return Pipeline.run(pipeline, snapshot, { interruptionGrace: pick(30) }).pipe(
            Effect.asVoid,
            Effect.mapError(({ message }) => message)
          )
        }
        const running: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let step = 0; step < 120; step++) {
          const run = Effect.exit(nested(pick(3))).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, 8 + pick(30))
          )
          running.push(yield* Effect.forkChild(run, { startImmediately: pick(2) === 0 }))
          if (pick(3) === 0) (running[pick(running.length)] as Fiber.Fiber<unknown, unknown>).interruptUnsafe()
          if (pick(2) === 0) yield* TestClock.adjust(pick(15))
          assert.isAtMost(inside, permits)
        }
        // Those that yield often take their time.
        for (let time = 0; time < 200; time++) yield* TestClock.adjust("1 second")
        for (const fiber of running) assert.isDefined(fiber.pollUnsafe())
        assert.deepStrictEqual([inside, most], [0, permits])
        const slow = Pipeline.make("slow").add(Stage.work("slow", { run: working(Effect.sleep("1 second")) })).pipe(
          Pipeline.intercept(bulkhead)
        )
        most = 0
        yield* Effect.forEach(Array.from({ length: 10 }), () => start(Pipeline.run(slow, Snapshot.make())))
        assert.strictEqual(inside, permits)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([inside, most], [0, permits])
      }).pipe(layer))
  }
})
