import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, type Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { breakable, down } from "../interceptors/support/stores.ts"
import { Broken } from "./support/lifecycle.ts"

/** Numbers that look random and are the same each time (mulberry32). */
class Chance {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  /** At least 0 and below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  oneOf<A>(all: ReadonlyArray<A>): A {
    return all[this.below(all.length)] as A
  }
}

type Answer<A> = Effect.Effect<A, Interceptors.IdempotencyStoreFailed>

/** What a store can do wrong. */
const faults: ReadonlyArray<readonly [name: string, fault: <A>(answer: Answer<A>) => Answer<A>]> = [
  ["fails", () => down],
  ["does it and fails", (answer) => Effect.andThen(answer, down)],
  ["dies", () => Effect.die(new Error("connection refused"))],
  ["is slow to do it", (answer) => Effect.delay(answer, "3 seconds")],
  ["is slow to say so", (answer) => Effect.tap(answer, Effect.sleep("3 seconds"))],
  ["hangs", () => Effect.never],
  ["does it and hangs", (answer) => Effect.andThen(answer, Effect.never)],
  ["hangs and ignores its interruption", () => Effect.uninterruptible(Effect.never)]
]

const bodies = [
  Effect.void,
  Effect.yieldNow,
  Effect.sleep("1 second"),
  Effect.uninterruptible(Effect.sleep("8 seconds"))
]

const sometimesFails = (chance: Chance, by: string) =>
  Effect.suspend(() => chance.next() < 0.4 ? Effect.fail(new Broken({ by })) : Effect.void)

/** A store that goes wrong for 10 seconds, and 20 runs with one key, of which some are interrupted. */
const world = (seed: number) =>
  Effect.gen(function*() {
    const chance = new Chance(seed)
    const log = [`seed ${seed}`]
    const told = () => log.join("\n")
    const begin = yield* Clock.currentTimeMillis
    const say = (what: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${(now - begin) / 1000} s: ${what}`))

    const { broken, layer, store } = yield* breakable
    const faulty = <A>(operation: string, answer: Answer<A>): Answer<A> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (now >= begin + 10_000 || chance.next() < 0.5) return answer
        const [name, fault] = chance.oneOf(faults)
        return Effect.andThen(say(`${operation} ${name}`), fault(answer))
      })
    broken.claim = (claim) => faulty("claim", store.claim(claim))
    broken.renew = (claim) => faulty("renew", store.renew(claim))
    broken.keep = (claim) => faulty("keep", store.keep(claim))
    broken.release = (claim) => faulty("release", store.release(claim))

    let successes = 0
    const execute = Effect.tap(Effect.sync(() => ({ by: ++successes })), () => say("the body succeeds"))
    const body = chance.oneOf([...bodies, sometimesFails(chance, "body")])
    const impatient = Interceptors.timeout("2 seconds", { grace: "1 second" })
    // Has a say in what the body gave.
    const picky = Interceptor.make({
      name: "picky",
      order: 85,
      around: (effect) => Effect.tap(effect, () => sometimesFails(chance, "picky"))
    })
    const pipeline = Pipeline.make("pipeline")
      .add(Stage.work("stage", { run: Effect.andThen(body, execute) }))
      .pipe(Pipeline.intercept(
        Interceptors.idempotency({ lease: "1 minute", losses: 100 }),
        ...chance.oneOf([[], [picky]]),
        ...chance.oneOf([[], [impatient]])
      ))
    const results = new Set<number>()
    const run = Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "key" } })).pipe(
      Effect.tap(({ outputs }) => Effect.sync(() => results.add(outputs.stage.data.by))),
      Effect.provide(layer)
    )

    const runs: Array<Fiber.Fiber<unknown, unknown>> = []
    for (let index = 0; index < 20; index++) {
      const start = chance.below(12)
      const fiber = yield* Effect.forkDetach(Effect.delay(run, start * 1000), { startImmediately: true })
      runs.push(fiber)
      if (chance.next() < 0.3) {
        const interrupt = Effect.sync(() => fiber.interruptUnsafe())
        yield* Effect.forkDetach(Effect.delay(interrupt, (start + chance.below(6)) * 1000))
      }
    }
    for (let second = 0; second < 200; second++) yield* TestClock.adjust("1 second")
    for (const fiber of runs) assert.isDefined(fiber.pollUnsafe(), told())

    // Whoever comes later gets what there is.
    const later = yield* Effect.forkDetach(Effect.exit(Effect.retry(run, Schedule.recurs(20))))
    for (let minute = 0; minute < 10; minute++) yield* TestClock.adjust("1 minute")
    const last = later.pollUnsafe()
    assert(last?._tag === "Success", told())
    const canSucceed = !log.some((line) => line.includes("succeeds")) || Exit.isSuccess(last.value)
    assert.isTrue(canSucceed, told())
    assert.isAtMost(successes, 1, told())
    assert.strictEqual(results.size, successes, told())
  })

describe("R26 idempotency: the effect of a body that succeeded is not repeated", () => {
  for (let block = 0; block < 10; block++) {
    it.effect(`whatever the store does and whoever is interrupted, seeds from ${block * 30}`, () =>
      Effect.forEach(Array.from({ length: 30 }), (_, index) => world(block * 30 + index), { discard: true }))
  }
})
