import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, ResultCodec, Snapshot, Stage, StageError } from "stageflow"
import { RunReport } from "stageflow/observability"
import { cancelled, endOf, failing, fails, good, nested, ranIn, takes } from "./support/stages.ts"

/** The report as lines, to compare it with a picture. */
const linesOf = (source: RunReport.Reported, options?: RunReport.TextOptions) =>
  RunReport.toText(source, options).split("\n")

describe("RunReport.toText", () => {
  it.effect("of a run that completed: retries, skips, what was emitted", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      assert.deepStrictEqual(linesOf(events), [
        "good  completed in 500 ms",
        "  first    ok         +0 ms  100 ms  ██████",
        "  flaky    ok         +0 ms  350 ms  ███░░░░░░███░░░░░░░███ 3 attempts",
        "  nothing  skipped    +0 ms    0 ms  █ Nothing to add",
        "  router   ok         +0 ms    0 ms  █",
        "  talks    ok         +0 ms    0 ms  █ said ×2",
        "  second   ok       +100 ms  300 ms        ███████████████████",
        "  last     ok       +400 ms  100 ms                           ██████",
        "  right    skipped                   its condition did not hold"
      ])
      // A result does not keep what was emitted. What started in the same instant is in the order of its end.
      assert.deepStrictEqual(linesOf(endOf(exit), { columns: 60 }), [
        "good  completed in 500 ms",
        "  nothing  skipped    0 ms  █ Nothing to add",
        "  router   ok         0 ms  █",
        "  talks    ok         0 ms  █",
        "  flaky    ok       350 ms  ██░░░█░░░░█ 3 attempts",
        "  first    ok       100 ms  ███",
        "  second   ok       300 ms     ██████████",
        "  last     ok       100 ms               ███",
        "  right    skipped          its condition did not hold"
      ])
    }))

  it.effect("of a run that was cancelled: a result knows what never started, events only how many", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* ranIn(Pipeline.run(cancelled, Snapshot.make()), 1000)
      const stages = [
        "cancelled  cancelled by guard after 50 ms: Not this",
        "  guard  cancelled    50 ms  ███████████████████████████████",
        "  slow   interrupted  50 ms  ███████████████████████████████"
      ]
      assert.deepStrictEqual(linesOf(endOf(exit), { columns: 60 }), [...stages, "  never started: later, even_later"])
      assert.deepStrictEqual(linesOf(events, { columns: 60 }), [...stages, "  2 never started"])
    }))

  it.effect("of a run that failed: its error, and the same from its events", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* ranIn(Pipeline.run(failing, Snapshot.make()), 1000)
      const stages = [
        "failing  failed at fails after 50 ms: Broken: It is broken",
        "  fails  failed       50 ms  ███████████████████████████████",
        "  hangs  interrupted  50 ms  ███████████████████████████████",
        "  fine   interrupted  50 ms  ███████████████████████████████"
      ]
      assert.deepStrictEqual(linesOf(endOf(exit), { columns: 60 }), [...stages, "  never started: blocked"])
      assert.deepStrictEqual(linesOf(events, { columns: 60 }), [...stages, "  1 never started"])
      // A title that has no room for the reason leaves it to the stage.
      assert.deepStrictEqual(linesOf(events, { columns: 40 }).slice(0, 3), [
        "failing  failed at fails after 50 ms: B…",
        "  fails failed      50 ms ████████",
        "    Broken: It is broken"
      ])
    }))

  it.effect("of a run that is incomplete: failures, timeouts, and what they blocked", () =>
    Effect.gen(function*() {
      const run = Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      const { events, exit } = yield* ranIn(run, 1000)
      assert.deepStrictEqual(linesOf(events, { columns: 80 }), [
        "failing  incomplete after 200 ms: 2 failed, 1 blocked",
        "  fails    failed      50 ms  ██████ Broken: It is broken",
        "  hangs    timed out  200 ms  █████████████████████████",
        "    StageTimeout: Stage \"hangs\" took longer than 200ms (attempt 1).",
        "  fine     ok         100 ms  █████████████",
        "  blocked  blocked            fails failed"
      ])
      assert.deepStrictEqual(linesOf(endOf(exit), { columns: 80 }), [
        "failing  incomplete after 200 ms: 2 failed, 1 blocked",
        "  fails    failed      50 ms  ██████ Broken: It is broken",
        "  fine     ok         100 ms  █████████████",
        "  hangs    timed out  200 ms  █████████████████████████",
        "    StageTimeout: Stage \"hangs\" took longer than 200ms (attempt 1).",
        "  blocked  blocked"
      ])
    }))

  it.effect("of runs inside of a run: one in its stage's place, several side by side", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* ranIn(Pipeline.run(nested, Snapshot.make()), 1000)
      assert.deepStrictEqual(linesOf(events, { columns: 80 }), [
        "nested  completed in 600 ms",
        "  alone    ok         300 ms  █████████████",
        "    one    ok         100 ms  ████",
        "    two    ok         200 ms      █████████",
        "  each     ok         600 ms  █████████████████████████ runs: 3 completed",
        "    child  completed  300 ms  █████████████",
        "      one  ok         100 ms  ████",
        "      two  ok         200 ms      █████████",
        "    child  completed  300 ms  █████████████",
        "      one  ok         100 ms  ████",
        "      two  ok         200 ms      █████████",
        "    child  completed  300 ms               ████████████",
        "      one  ok         100 ms               ████",
        "      two  ok         200 ms                   ████████"
      ])
      assert.strictEqual(linesOf(endOf(exit)).length, 3)
    }))

  it.effect("of a run in few lines: what matters most stays, the rest is counted", () =>
    Effect.gen(function*() {
      const run = Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      const { events } = yield* ranIn(run, 1000)
      const title = "failing  incomplete after 200 ms: 2 failed, 1 blocked"
      assert.deepStrictEqual(linesOf(events, { columns: 60, rows: 1 }), [title])
      assert.deepStrictEqual(linesOf(events, { columns: 60, rows: 2 }), [
        title,
        "  … 4 more: 1 failed, 1 timed out, 1 blocked, 1 ok"
      ])
      assert.deepStrictEqual(linesOf(events, { columns: 60, rows: 4 }), [
        title,
        "  fails  failed      50 ms  ████ Broken: It is broken",
        "  hangs  timed out  200 ms  ████████████████ StageTimeout: …",
        "  … 2 more: 1 blocked, 1 ok"
      ])
    }))

  it.effect("of events of a run that goes on: as things were at the last one", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const until = (ms: number) => events.filter(({ at }) => at - (events[0]?.at ?? 0) <= ms)
      assert.deepStrictEqual(linesOf(until(50), { columns: 70 }), [
        "good  running for 50 ms",
        "  first    running   50 ms  ████",
        "  flaky    retrying  50 ms  ████ attempt 2 after Broken",
        "  nothing  skipped    0 ms  █ Nothing to add",
        "  router   ok         0 ms  █",
        "  talks    ok         0 ms  █ said ×2",
        "  right    skipped          its condition did not hold",
        "  2 waiting"
      ])
      assert.deepStrictEqual(linesOf(until(200), { columns: 70, rows: 4 }), [
        "good  running for 200 ms",
        "  flaky   retrying  200 ms  ████░░░░░░░░░████ attempt 3 after Broken",
        "  second  running   100 ms          █████████",
        "  … 6 more: 1 waiting, 3 ok, 2 skipped"
      ])
    }))

  it.effect("of a run that was denied, from its events", () =>
    Effect.gen(function*() {
      class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
      const door = Interceptor.make({ name: "door", aroundRun: () => Effect.fail(new Closed()) })
      const { events } = yield* ranIn(Pipeline.run(good.pipe(Pipeline.intercept(door)), Snapshot.make()), 1)
      assert.deepStrictEqual(linesOf(events), ["good  denied by door after 0 ms: Closed", "  8 never started"])
    }))

  it.effect("of a stage that was abandoned, and of one that was interrupted while it waited", () =>
    Effect.gen(function*() {
      const deaf = Pipeline.make("deaf")
        .add(Stage.work("hears_nothing", { run: Effect.uninterruptible(Effect.sleep("1 minute")) }))
        .add(fails("again", 10).pipe(Stage.retry(Schedule.spaced("1 hour"))))
      const options = { interruptionGrace: "1 second" } as const
      const handle = yield* Pipeline.start(deaf, Snapshot.make(), options)
      yield* TestClock.adjust("1 second")
      const cancelling = yield* Effect.forkChild(handle.cancel("Enough"))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(cancelling)
      assert.deepStrictEqual(linesOf(yield* handle.await, { columns: 70 }), [
        "deaf  cancelled after 2.00 s: Enough",
        "  again          interrupted   10 ms  █",
        "  hears_nothing  abandoned    2.00 s  ████████████████████████████████"
      ])
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.scoped))

  it.effect("of names and reasons that would spoil a screen", () =>
    Effect.gen(function*() {
      class Loud extends Schema.TaggedError<Loud>()("Loud", {}) {
        override get message() {
          return "two\nlines \u001b[31mand red\u001b[0m"
        }
      }
      const odd = Pipeline.make("an\u001b[2Jodd one")
        .add(takes("段階の名前", 100))
        .add(takes("__proto__", 100))
        .add(Stage.work("tab\there", { run: Effect.andThen(Effect.sleep(50), new Loud()) }))
      const { events, exit } = yield* ranIn(Pipeline.run(odd, Snapshot.make(), { failure: "continue" }), 1000)
      const lines = [
        "an [2Jodd one  incomplete after 100 ms: 1 failed",
        "  段階の名前  ok      100 ms  ███████████████",
        "  __proto__   ok      100 ms  ███████████████",
        "  tab here    failed   50 ms  ████████",
        "    Loud: two lines [31mand red [0m"
      ]
      assert.deepStrictEqual(linesOf(events, { columns: 60 }), lines)
      assert.sameMembers(linesOf(endOf(exit), { columns: 60 }), lines)
    }))

  it.effect("of a result that was kept and read again", () =>
    Effect.gen(function*() {
      const { exit } = yield* ranIn(Pipeline.run(cancelled, Snapshot.make()), 1000)
      const result = endOf(exit)
      const again = yield* ResultCodec.decode(cancelled, yield* ResultCodec.encode(cancelled, result))
      assert(!Array.isArray(again))
      assert.strictEqual(RunReport.toText(again), RunReport.toText(result))
    }))

  it.effect("in colours changes nothing but the colours, and without them has no escape code", () =>
    Effect.gen(function*() {
      for (const pipeline of [good, cancelled, failing, nested] as ReadonlyArray<typeof good>) {
        const { events } = yield* ranIn(Pipeline.run(pipeline, Snapshot.make()), 1000)
        const plain = RunReport.toText(events)
        const coloured = RunReport.toText(events, { colours: true })
        assert.notInclude(plain, "\u001b")
        assert.include(coloured, "\u001b[1m")
        // oxlint-disable-next-line no-control-regex
        assert.strictEqual(coloured.replaceAll(/\u001b\[\d+m/g, ""), plain)
      }
    }))

  it("of a run of very many stages, started or not", { timeout: 60_000 }, () => {
    const names = Array.from({ length: 150_000 }, (_, index) => `stage_${index}`)
    const lineage = { runId: "1", parentRunId: undefined, parentStage: undefined, correlationId: "1" }
    const entry = (stage: string) => ({
      stage,
      attempt: 1,
      end: { _tag: "Interrupted", abandoned: false } as const,
      startedMs: 0,
      endedMs: 10
    })
    const result = (started: ReadonlyArray<string>, neverStarted: ReadonlyArray<string>): RunReport.Reported => ({
      _tag: "Cancelled",
      pipeline: "large",
      identity: { pipelineRunId: "1", requestId: "1", interactionId: "1" },
      lineage,
      durationMs: 10,
      bag: { entries: started.map(entry) },
      outputs: {},
      by: undefined,
      reason: "Enough",
      data: {},
      interrupted: started,
      abandoned: [],
      neverStarted,
      blocked: [],
      failures: []
    })
    assert.strictEqual(linesOf(result(names, [])).length, 150_001)
    assert.deepStrictEqual(linesOf(result(names, []), { rows: 3, columns: 50 }), [
      "large  cancelled after 10 ms: Enough",
      "  stage_0 interrupted 10 ms ██████████████████████",
      "  … 149999 more: 149999 interrupted"
    ])
    assert.strictEqual(linesOf(result([], names)).at(-1), "                 stage_149999")
    assert.deepStrictEqual(linesOf(result([], names), { rows: 3, columns: 60 }), [
      "large  cancelled after 10 ms: Enough",
      "  never started: stage_0, stage_1, stage_2, stage_3,",
      "                 stage_4, stage_5, stage_6, stage_7, stage_…"
    ])
  })

  it("of no events is empty", () => {
    assert.strictEqual(RunReport.toText([]), "")
  })

  it.effect("of events without the start of a run says that there is nothing to show", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const late = events.filter(({ _tag }) => _tag !== "RunStarted")
      assert.strictEqual(
        RunReport.toText(late),
        `No run to show: none of ${late.length} events is the start of one (RunStarted)`
      )
    }))

  it("says what it was given instead of a run", () => {
    for (const [given, said] of [[null, "null"], [undefined, "undefined"], [[], "an array"]] as const) {
      for (const report of [RunReport.toHtml, RunReport.toMermaid]) {
        let message = ""
        try {
          report(given as never)
        } catch (error) {
          assert(error instanceof StageError.InvalidOption)
          message = error.message
        }
        assert.isTrue(message.endsWith(`got ${said}`), message)
      }
    }
  })

  it("rejects options that it cannot follow", () => {
    for (const options of [{ columns: 0 }, { columns: 1.5 }, { rows: 0 }, { rows: Number.NaN }, { width: 80 }]) {
      assert.throws(() => RunReport.toText([], options as RunReport.TextOptions), StageError.InvalidOption)
    }
  })
})
