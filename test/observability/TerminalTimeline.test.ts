import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Exit, Fiber, Layer, Logger, PlatformError, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { TerminalTimeline } from "stageflow/observability"
import { during } from "../acceptance/support/lifecycle.ts"
import { screenOf } from "../support/screen.ts"
import { cancelled, failing, good, nested, takes } from "./support/stages.ts"
import { FakeTerminal, type Settings } from "./support/terminal.ts"

/** Something below the timeline on a terminal. */
const below = (terminal: FakeTerminal) => Effect.provide(Layer.provideMerge(TerminalTimeline.layer, terminal.layer))

/** Runs something below the timeline on a terminal, for as long as it may take. */
const shown = <A, E>(effect: Effect.Effect<A, E>, settings: Settings = {}, millis = 2000) =>
  Effect.gen(function*() {
    const terminal = new FakeTerminal(settings)
    const exit = yield* during(
      Effect.exit(effect.pipe(below(terminal))),
      millis
    )
    return { exit, terminal }
  })

const runGood = Pipeline.run(good, Snapshot.make())
const runCancelled = Pipeline.run(cancelled, Snapshot.make())

const goodAt80 = [
  "good  completed in 500 ms",
  "  first    ok       100 ms  █████",
  "  flaky    ok       350 ms  ███░░░░░██░░░░░███ 3 attempts",
  "  nothing  skipped    0 ms  █ Nothing to add",
  "  router   ok         0 ms  █",
  "  talks    ok         0 ms  █ said ×2",
  "  second   ok       300 ms       ███████████████",
  "  last     ok       100 ms                      █████",
  "  right    skipped          its condition did not hold"
]

describe("TerminalTimeline, in a terminal", () => {
  it.effect("draws a run in place while it goes on, and leaves it as it ended", () =>
    Effect.gen(function*() {
      const terminal = new FakeTerminal()
      const running = yield* Effect.forkChild(
        runGood.pipe(below(terminal))
      )
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(terminal.lines, [
        "good  running for 200 ms",
        "  first    ok       100 ms  ██████████",
        "  flaky    running  200 ms  █████░░░░░░░░░░█████ attempt 2 after Broken",
        "  nothing  skipped    0 ms  █ Nothing to add",
        "  router   ok         0 ms  █",
        "  talks    ok         0 ms  █ said ×2",
        "  second   running  100 ms            ██████████",
        "  right    skipped          its condition did not hold",
        "  1 waiting",
        ""
      ])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      assert.deepStrictEqual(terminal.lines, [...goodAt80, ""])
      // Each drawing is one text.
      assert.isAtLeast(terminal.written.length, 5)
      assert.include(terminal.output, "\u001b[32mok")
    }))

  it.effect("draws the next run below the one that is over, and the one that failed below that", () =>
    Effect.gen(function*() {
      const runs = Effect.all([runGood, Effect.exit(runCancelled), Effect.exit(Pipeline.run(failing, Snapshot.make()))])
      const { terminal } = yield* shown(runs)
      assert.deepStrictEqual(terminal.lines, [
        ...goodAt80,
        "cancelled  cancelled by guard after 50 ms: Not this",
        "  guard  cancelled    50 ms  ████████████████████████████████████████████████",
        "  slow   interrupted  50 ms  ████████████████████████████████████████████████",
        "  2 never started",
        "failing  failed at fails after 50 ms: Broken: It is broken",
        "  fails  failed       50 ms  ████████████████████████████████████████████████",
        "  hangs  interrupted  50 ms  ████████████████████████████████████████████████",
        "  fine   interrupted  50 ms  ████████████████████████████████████████████████",
        "  1 never started",
        ""
      ])
    }))

  it.effect("keeps what the program prints above what is drawn, in its order", () =>
    Effect.gen(function*() {
      const talking = Pipeline.make("talking").add(
        Stage.work("talks", {
          run: Effect.gen(function*() {
            yield* Console.log("one")
            yield* Effect.sleep(300)
            yield* Effect.logInfo("two")
            yield* Effect.sleep(300)
            yield* Console.error("three")
          })
        })
      )
      const program = Effect.gen(function*() {
        yield* Console.log("before")
        yield* Pipeline.run(talking, Snapshot.make())
        yield* Console.log("after")
        yield* runCancelled
        yield* Console.log("the end")
      }).pipe(Effect.provide(Logger.layer([Logger.withConsoleLog(Logger.formatSimple)])))
      const { terminal } = yield* shown(program)
      const lines = terminal.lines.map((line) => line.replace(/^timestamp=.* message=/, ""))
      assert.deepStrictEqual(lines.map((line) => line.replace(/ +█+$/, "")), [
        "before",
        "one",
        "two",
        "three",
        "talking  completed in 600 ms",
        "  talks  ok  600 ms",
        "after",
        "cancelled  cancelled by guard after 50 ms: Not this",
        "  guard  cancelled    50 ms",
        "  slow   interrupted  50 ms",
        "  2 never started",
        "the end",
        ""
      ])
    }))

  it.effect("is still there when a program has printed something, and not drawn for each of many lines", () =>
    Effect.gen(function*() {
      const chatty = Pipeline.make("chatty").add(
        Stage.work("talks", {
          run: Effect.gen(function*() {
            yield* Effect.sleep("250 millis")
            yield* Console.log("quiet before")
            yield* Effect.sleep("500 millis")
            for (let line = 0; line < 100; line++) yield* Console.log(line)
            yield* Effect.sleep("500 millis")
          })
        })
      )
      const terminal = new FakeTerminal()
      const running = yield* Effect.forkChild(Pipeline.run(chatty, Snapshot.make()).pipe(below(terminal)))
      yield* TestClock.adjust("250 millis")
      assert.deepStrictEqual(terminal.lines.slice(0, 2), ["quiet before", "chatty  running for 200 ms"])
      yield* TestClock.adjust("490 millis")
      const before = terminal.written.length
      yield* TestClock.adjust("10 millis")
      // Each line, and one drawing taken away and put back.
      assert.isAtMost(terminal.written.length - before, 104)
      assert.strictEqual(terminal.lines.at(-2), "99")
      yield* TestClock.adjust("100 millis")
      assert.match(terminal.lines.at(-2) ?? "", /talks {2}running/)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      assert.strictEqual(terminal.lines.filter((line) => line.startsWith("chatty")).length, 1)
    }))

  for (const [columns, rows] of [[40, 10], [40, 24], [60, 12], [80, 24], [200, 50], [20, 3], [10, 2]] as const) {
    it.effect(`fits ${columns} by ${rows} at any time`, () =>
      Effect.gen(function*() {
        const many = Array.from({ length: 100 }, (_, index) => index).reduce(
          (pipeline, index) => pipeline.add(takes(`stage_${index}`, 100 + index) as never) as never,
          nested.add(takes("a_stage_with_quite_a_long_name", 700))
        )
        const terminal = new FakeTerminal({ columns, rows })
        const runs = Effect.all([Pipeline.run(many, Snapshot.make()), runGood], { concurrency: 2 })
        const running = yield* Effect.forkChild(
          runs.pipe(below(terminal))
        )
        for (let step = 0; step < 7; step++) {
          yield* TestClock.adjust("70 millis")
          // Whatever is drawn is drawn over what was drawn before: one title for each run.
          const { lines } = terminal
          assert.isAtMost(lines.filter((line) => /^(nested|good|…)/.test(line)).length, 2, lines.join("\n"))
          assert.isAtMost(lines.length, rows)
          for (const line of lines) assert.isBelow(line.length, columns)
        }
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(running)
        assert.strictEqual(terminal.lines.filter((line) => /^(nested|good)/.test(line)).length, 2)
      }))
  }

  it.effect("follows a window that changes its size", () =>
    Effect.gen(function*() {
      const terminal = new FakeTerminal({ columns: 100, rows: 24 })
      const running = yield* Effect.forkChild(
        runGood.pipe(below(terminal))
      )
      yield* TestClock.adjust("150 millis")
      terminal.rows = 6
      terminal.columns = 50
      yield* TestClock.adjust("100 millis")
      const last = terminal.written.at(-1) ?? ""
      // As far up as the window is high, and no higher: what was drawn there is out of reach.
      assert.include(last, "\u001b[5A")
      assert.isAtMost(last.split("\n").length, 6)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
    }))

  it.effect("has no colours where nobody wants them", () =>
    Effect.gen(function*() {
      const { terminal } = yield* shown(runGood, { environment: { NO_COLOR: "1" } })
      // oxlint-disable-next-line no-control-regex
      assert.notMatch(terminal.output, /\u001b\[\d+m/)
      assert.deepStrictEqual(terminal.lines, [...goodAt80, ""])
    }))

  it.effect("takes 80 by 24 for a terminal that does not know its size", () =>
    Effect.gen(function*() {
      const { terminal } = yield* shown(runGood, { columns: 0, rows: 0 })
      assert.deepStrictEqual(screenOf(terminal.output), [...goodAt80, ""])
    }))

  it.effect("leaves a run that still goes on as it is when the Layer is closed", () =>
    Effect.gen(function*() {
      const terminal = new FakeTerminal()
      const scope = yield* Scope.make()
      const handle = Effect.andThen(Pipeline.start(good, Snapshot.make()), Effect.sleep("150 millis"))
      yield* during(
        handle.pipe(
          below(terminal),
          Effect.provideService(Scope.Scope, scope)
        ),
        "150 millis"
      )
      assert.strictEqual(terminal.lines[0], "good  running for 150 ms")
      assert.strictEqual(terminal.lines.length, 10)
      yield* Scope.close(scope, Exit.void)
    }))
})

describe("TerminalTimeline, where the cursor cannot move", () => {
  const plain = [
    "good  completed in 500 ms",
    "  first    ok         +0 ms  100 ms  ██████",
    "  flaky    ok         +0 ms  350 ms  ███░░░░░░███░░░░░░░███ 3 attempts",
    "  nothing  skipped    +0 ms    0 ms  █ Nothing to add",
    "  router   ok         +0 ms    0 ms  █",
    "  talks    ok         +0 ms    0 ms  █ said ×2",
    "  second   ok       +100 ms  300 ms        ███████████████████",
    "  last     ok       +400 ms  100 ms                           ██████",
    "  right    skipped                   its condition did not hold"
  ]

  for (
    const [what, settings] of [
      ["piped", { isTerminal: false, columns: 0, rows: 0 }],
      ["in a dumb terminal", { environment: { TERM: "dumb" }, columns: 40, rows: 10 }]
    ] as const
  ) {
    it.effect(`${what}: each run is written once, when it is over, without escape codes`, () =>
      Effect.gen(function*() {
        const { terminal } = yield* shown(Effect.all([Console.log("before"), runGood, Console.log("after")]), settings)
        assert.deepStrictEqual(terminal.output.split("\n"), ["before", ...plain, "after", ""])
      }))
  }

  it.effect("a run that goes on when the Layer is closed is written as it is", () =>
    Effect.gen(function*() {
      const { terminal } = yield* shown(Effect.timeoutOption(runGood, "150 millis"), { isTerminal: false })
      assert.match(terminal.output, /^good {2}interrupted after 150 ms\n/)
    }))
})

describe("R32 the timeline changes no run", () => {
  const outcomes = Effect.gen(function*() {
    const exits = yield* Effect.all(
      [good, cancelled, failing, nested].map((pipeline, index) =>
        Effect.exit(
          Pipeline.run(
            pipeline as typeof good,
            Snapshot.make({ pipelineRunId: `${index}`, requestId: "1", interactionId: "1" })
          )
        )
      )
    )
    return exits.map((exit) => JSON.stringify(exit))
  })

  const failure = PlatformError.badArgument({ module: "Terminal", method: "display", description: "broken" })
  const displays: ReadonlyArray<readonly [what: string, display: Settings["display"]]> = [
    ["works", Effect.void],
    ["fails", Effect.fail(failure)],
    ["dies", Effect.die("broken")],
    ["hangs", Effect.never],
    ["hangs and cannot be interrupted", Effect.uninterruptible(Effect.never)],
    ["takes a second each time", Effect.sleep("1 second")]
  ]
  for (const [what, display] of displays) {
    for (const isTerminal of [true, false]) {
      it.effect(`on a terminal that ${what}${isTerminal ? "" : ", piped"}`, () =>
        Effect.gen(function*() {
          const alone = yield* during(Effect.timed(outcomes), "5 seconds")
          const { exit } = yield* shown(
            Effect.timed(outcomes),
            { isTerminal, ...(display === undefined ? {} : { display }) },
            5000
          )
          assert(Exit.isSuccess(exit))
          assert.deepStrictEqual(exit.value, alone)
        }))
    }
  }

  it.effect("on a terminal that hangs, runs that are over are not kept for ever, and that is told", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      const quick = Pipeline.make("quick").add(takes("one", 1))
      const runs = Effect.forEach(
        Array.from({ length: 150 }),
        () => Pipeline.run(quick, Snapshot.make()),
        { concurrency: "unbounded" }
      )
      const { exit } = yield* shown(Effect.andThen(Effect.delay(runs, 500), runs), { display: Effect.never }, 5000)
        .pipe(
          Effect.provide(Logger.layer([logger]))
        )
      assert(Exit.isSuccess(exit))
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /^Terminal timeline closed: \d+ run\(s\) were not shown$/)
    }))
})
