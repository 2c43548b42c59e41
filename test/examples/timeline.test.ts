import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Event, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import * as Timeline from "../../examples/support/timeline.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {
  override get message() {
    return "It is broken"
  }
}

const takes = <const Name extends string>(name: Name, millis: number) =>
  Stage.transform(name, { run: Effect.sleep(millis) })

const fails = Stage.work("fails", { run: Effect.andThen(Effect.sleep(50), new Broken()) })

const pipeline = Pipeline.make("timeline")
  .add(takes("first", 100))
  .add(takes("second", 300), { after: ["first"] })
  .add(fails.pipe(Stage.as("flaky"), Stage.retry(Schedule.recurs(1)), Stage.catch(() => Effect.void)))
  .add(Stage.enrich("nothing", { run: Effect.succeed(StageOutput.skip("Nothing to add")) }))
  .add(takes("last", 100), { after: ["second"] })

/** The timeline after the events that `keep` keeps. */
const timelineOf = Effect.fnUntraced(function*(
  self: Pipeline.Any,
  events: ReadonlyArray<Event.Event>,
  keep: (event: Event.Event) => boolean = () => true
) {
  return events.filter(keep).reduce(Timeline.add, Timeline.make(yield* Pipeline.describe(self)))
})

const draw = (timeline: Timeline.Timeline, options?: Partial<Timeline.DrawOptions>) =>
  Timeline.draw(timeline, { now: 0, columns: 90, colours: false, ...options })

describe("the timeline of the examples", () => {
  it.effect("draws a run that is over", () =>
    Effect.gen(function*() {
      const run = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      const events = yield* Stream.runCollect(run.events)
      assert.deepStrictEqual(draw(yield* timelineOf(pipeline, events)), [
        "stage    status           start  duration",
        "first    ok                0 ms    100 ms  ██████",
        "second   ok              100 ms    300 ms        ██████████████████",
        "flaky    ok                0 ms    100 ms  ██████ 2 attempts",
        "nothing  skipped           0 ms      0 ms  █ Nothing to add",
        "last     ok              400 ms    100 ms                          ██████"
      ])
    }).pipe(Effect.scoped))

  it.effect("draws a run that goes on: its bars end now", () =>
    Effect.gen(function*() {
      const run = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      const events = yield* Stream.runCollect(run.events)
      const until = (now: number) =>
        Effect.map(timelineOf(pipeline, events, (event) => event.at <= now), (timeline) => draw(timeline, { now }))
      assert.deepStrictEqual(yield* until(75), [
        "stage    status           start  duration",
        "first    running           0 ms     75 ms  █████████",
        "second   waiting",
        "flaky    running           0 ms     75 ms  █████████ Broken, trying again",
        "nothing  skipped           0 ms      0 ms  █ Nothing to add",
        "last     waiting"
      ])
      assert.deepStrictEqual((yield* until(251)).slice(1, 3), [
        "first    ok                0 ms    100 ms  ██████",
        "second   running         100 ms    151 ms        █████████"
      ])
    }).pipe(Effect.scoped))

  it.effect("says what became of every stage of a run that was cancelled", () =>
    Effect.gen(function*() {
      const guard = Stage.guard("guard", {
        run: Effect.andThen(Effect.sleep(50), Effect.succeed(StageOutput.cancel("Not this")))
      })
      const cancelled = Pipeline.make("cancelled").add(guard).add(takes("slow", 100)).add(takes("later", 1), {
        after: ["guard"]
      })
      const run = yield* Pipeline.start(cancelled, Snapshot.make())
      yield* TestClock.adjust("1 second")
      const events = yield* Stream.runCollect(run.events)
      assert.deepStrictEqual(draw(yield* timelineOf(cancelled, events), { columns: 70 }), [
        "stage  status           start  duration",
        "guard  cancelled         0 ms     50 ms  ██████████████████ Not this",
        "slow   interrupted       0 ms     50 ms  ██████████████████",
        "later  never started"
      ])
    }).pipe(Effect.scoped))

  it.effect("says what failed and what it blocked", () =>
    Effect.gen(function*() {
      const failing = Pipeline.make("failing").add(fails).add(takes("blocked", 1), { after: ["fails"] })
      const run = yield* Pipeline.start(failing, Snapshot.make(), { failure: "continue" })
      yield* TestClock.adjust("1 second")
      const events = yield* Stream.runCollect(run.events)
      assert.deepStrictEqual(draw(yield* timelineOf(failing, events), { columns: 70 }), [
        "stage    status           start  duration",
        "fails    failed            0 ms     50 ms  █████████████████ It is br…",
        "blocked  blocked                           by fails"
      ])
    }).pipe(Effect.scoped))

  it.effect("marks a stage that was abandoned", () =>
    Effect.gen(function*() {
      const deaf = Stage.work("deaf", { run: Effect.uninterruptible(Effect.sleep("1 minute")) })
      const abandoned = Pipeline.make("abandoned").add(deaf)
      const run = yield* Pipeline.start(abandoned, Snapshot.make(), { interruptionGrace: "1 second" })
      const cancelling = yield* Effect.forkChild(run.cancel("Enough"))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(cancelling)
      const events = yield* Stream.runCollect(run.events)
      assert.match(
        draw(yield* timelineOf(abandoned, events)).at(1) ?? "",
        /^deaf +interrupted +0 ms +1000 ms +█+ abandoned$/
      )
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.scoped))

  it.effect("never draws a line that is too long, and colours nothing but whole lines", () =>
    Effect.gen(function*() {
      const run = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      const timeline = yield* timelineOf(pipeline, yield* Stream.runCollect(run.events))
      for (const columns of [0, 1, 5, 20, 40, 41, 42, 43, 44, 45, 46, 50, 60, 80, 300]) {
        const plain = draw(timeline, { columns })
        assert.strictEqual(plain.length, 6)
        for (const line of plain) assert.isAtMost(line.length, columns)
        const coloured = draw(timeline, { columns, colours: true })
        // oxlint-disable-next-line no-control-regex
        assert.deepStrictEqual(coloured.map((line) => line.replace(/^\u001b\[\d+m(.*)\u001b\[0m$/, "$1")), plain)
      }
    }).pipe(Effect.scoped))
})
