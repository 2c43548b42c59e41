/**
 * A for-each against a tiny model: random items that take their time, succeed, fail or skip, under random limits, run in
 * virtual time; and interrupted at a random moment.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { EventSink, Pipeline, Snapshot, StageOutput } from "stageflow"
import { ForEach } from "stageflow/control"
import { Simulation } from "stageflow/testing"
import { announced } from "../support/announced.ts"

const within = (least: number, most: number) =>
  Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: least, maximum: most })))

const Item = Schema.Struct({
  takes: within(0, 40),
  ends: Schema.Literals(["ok", "ok", "ok", "fail", "die", "skip"])
})
type Item = typeof Item.Type

const Setting = Schema.Struct({
  items: Schema.Array(Item),
  concurrency: within(1, 6),
  source: Schema.Literals(["array", "generator", "stream"]),
  failure: Schema.Literals(["fail-fast", "continue", "tolerate"]),
  tolerate: within(0, 3),
  seed: within(0, 1_000_000)
})
type Setting = typeof Setting.Type

/** An item that was worked on, in the model: when it began and when it would end. */
interface Worked extends Item {
  readonly index: number
  readonly begins: number
  readonly endsAt: number
}

const isFailure = ({ ends }: Item): boolean => ends === "fail" || ends === "die"

/** Whoever is free first takes the next item. */
const schedule = ({ concurrency, items }: Setting): ReadonlyArray<Worked> => {
  const free = Array<number>(concurrency).fill(0)
  return items.map((item, index) => {
    const begins = Math.min(...free)
    const endsAt = begins + item.takes
    free[free.indexOf(begins)] = endsAt
    return { ...item, index, begins, endsAt }
  })
}

/** When enough have failed, or never. */
const stopsAt = (setting: Setting, worked: ReadonlyArray<Worked>): number => {
  const allowed = setting.failure === "continue"
    ? Number.POSITIVE_INFINITY
    : setting.failure === "tolerate"
    ? setting.tolerate
    : 0
  const failures = worked.filter(isFailure).map(({ endsAt }) => endsAt).toSorted((a, b) => a - b)
  return failures[allowed] ?? Number.POSITIVE_INFINITY
}

/** Counts from outside what the items did. */
class Account {
  running = 0
  most = 0
  readonly begun: Array<number> = []
  readonly ended: Array<number> = []
  readonly interrupted: Array<number> = []

  readonly watch = ({ ends, takes }: Item, index: number) =>
    Effect.suspend(() => {
      this.begun.push(index)
      this.most = Math.max(this.most, ++this.running)
      return Effect.sleep(takes)
    }).pipe(
      Effect.andThen(Effect.suspend((): Effect.Effect<number | StageOutput.Skip, string> => {
        if (ends === "fail") return Effect.fail(`item ${index}`)
        if (ends === "die") return Effect.die(new Error(`item ${index}`))
        return Effect.succeed(ends === "skip" ? StageOutput.skip("nothing") : index)
      })),
      Effect.onInterrupt(() => Effect.andThen(Effect.sleep(5), Effect.sync(() => this.interrupted.push(index)))),
      Effect.ensuring(Effect.sync(() => {
        this.running--
        this.ended.push(index)
      }))
    )
}

const sourceOf = ({ items, source }: Setting) => (): Iterable<Item> | Stream.Stream<Item> =>
  source === "array" ? items : source === "stream" ? Stream.fromIterable(items).pipe(Stream.rechunk(1)) : items.values()

const stageOf = (setting: Setting, account: Account) =>
  ForEach.stage("s", {
    items: sourceOf(setting),
    each: account.watch,
    concurrency: setting.concurrency,
    events: "all",
    // The type of the stage knows all three.
    failure: (setting.failure === "tolerate" ? { tolerate: setting.tolerate } : setting.failure) as ForEach.Failure
  })

interface Counts {
  readonly done: number
  readonly ok: number
  readonly failed: number
  readonly skipped: number
}

const indicesOf = (items: ReadonlyArray<{ readonly index: number }>) => items.map(({ index }) => index)

/** What the items of a for-each ended with that went through all of them. */
const checkData = (data: ForEach.Results<number> | ForEach.Outcomes<number, string>, worked: ReadonlyArray<Worked>) => {
  const ok = indicesOf(worked.filter(({ ends }) => ends === "ok"))
  assert.deepStrictEqual(indicesOf(data.skipped), indicesOf(worked.filter(({ ends }) => ends === "skip")))
  if ("results" in data) return assert.deepStrictEqual(data.results, ok)
  assert.deepStrictEqual(data.ok.map(({ value }) => value), ok)
  for (const { durationMs, index } of [...data.ok, ...data.failed]) {
    assert.strictEqual(durationMs, worked[index]?.takes)
  }
  assert.deepStrictEqual(
    data.failed.map(({ error, index }) => [index, error === `item ${index}` ? "fail" : "die"]),
    worked.filter(isFailure).map(({ ends, index }) => [index, ends])
  )
}

/** What it failed with: who failed first, and everybody who had failed. */
const checkError = (error: unknown, stop: number, worked: ReadonlyArray<Worked>) => {
  if (error instanceof ForEach.ItemFailed) {
    const item = worked[error.index]
    assert.deepStrictEqual([item?.ends, item?.endsAt, error.error], ["fail", stop, `item ${error.index}`])
  } else if (error instanceof ForEach.TooManyFailed) {
    const before = indicesOf(worked.filter((item) => isFailure(item) && item.endsAt < stop))
    const until = indicesOf(worked.filter((item) => isFailure(item) && item.endsAt <= stop))
    const failed = indicesOf(error.failed)
    assert.deepStrictEqual(failed, failed.toSorted((a, b) => a - b))
    assert.includeMembers([...failed], before)
    assert.includeMembers(until, [...failed])
  } else {
    assert.isTrue(worked.some(({ ends, endsAt }) => ends === "die" && endsAt === stop))
  }
}

const simulate = (setting: Setting, account: Account) =>
  Simulation.run(Pipeline.make("p").add(stageOf(setting, account)), Snapshot.make(), { seed: setting.seed })

describe("a for-each and its model", () => {
  it.effect.prop(
    "agree on order, outcomes, counts and limits",
    { setting: Setting },
    ({ setting }) =>
      Effect.gen(function*() {
        const account = new Account()
        const { events, exit } = yield* simulate(setting, account)
        const worked = schedule(setting)
        const stop = stopsAt(setting, worked)
        assert.strictEqual(account.running, 0)
        assert.isAtMost(account.most, setting.concurrency)
        assert.strictEqual(new Set(account.begun).size, account.begun.length)
        assert.strictEqual(account.ended.length, account.begun.length)
        if (exit._tag === "Success") {
          assert.strictEqual(stop, Number.POSITIVE_INFINITY)
          assert.strictEqual(account.begun.length, setting.items.length)
          checkData(exit.value.outputs.s.data, worked)
        } else {
          const reason = exit.cause.reasons.find(({ _tag }) => _tag === "Fail") as {
            readonly error: { error: unknown }
          }
          checkError(reason.error.error, stop, worked)
          // Who began later than that was not to begin.
          for (const index of account.begun) assert.isAtMost(worked[index]?.begins ?? -1, stop)
        }
        const [ended] = announced(events, "ForEachEnded") as ReadonlyArray<
          { readonly counts: Counts & { readonly interrupted: number } }
        >
        const told = announced(events, "ItemEnded") as ReadonlyArray<
          { readonly index: number; readonly counts: Counts }
        >
        assert(ended !== undefined)
        const { done, failed, interrupted, ok, skipped } = ended.counts
        assert.strictEqual(ok + failed + skipped, done)
        assert.strictEqual(told.length, done)
        assert.deepStrictEqual(told.map(({ counts }) => counts.done), told.map((_, index) => index + 1))
        assert.strictEqual(interrupted, account.interrupted.length)
        assert.strictEqual(done + interrupted, account.begun.length)
      })
  )

  it.effect.prop(
    "leave nothing running when they are interrupted, at whichever moment",
    { setting: Setting, after: within(0, 120) },
    ({ after, setting }) =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p").add(stageOf(setting, account))
        const { exit } = yield* Simulation.simulate(
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(Effect.exit(Pipeline.run(pipeline, Snapshot.make())))
            yield* Effect.sleep(after)
            yield* Fiber.interrupt(fiber)
            const counts = [account.begun.length, account.ended.length, account.running]
            yield* Effect.sleep("1 second")
            return [counts, [account.begun.length, account.ended.length, account.running]]
          }).pipe(Effect.provideService(EventSink.EventSink, { offer: () => {} })),
          { seed: setting.seed }
        )
        assert(exit._tag === "Success")
        const [then, later] = exit.value
        assert.deepStrictEqual(then, later)
        assert.deepStrictEqual([account.running, account.ended.length], [0, account.begun.length])
      })
  )
})
