/**
 * Layouts of random runs at random sizes, whatever the runs are like: they fit, and nothing in them is lost.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import type { Event } from "stageflow"
import { widthOf } from "../../src/observability/internal/cells.ts"
import { layout, shortDuration } from "../../src/observability/internal/layout.ts"
import { toPlain } from "../../src/observability/internal/line.ts"
import { SeenEvents } from "../../src/observability/internal/seen-events.ts"
import type { SeenRun } from "../../src/observability/internal/seen-run.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const ends = [
  "ok",
  "skip",
  "cancel",
  "fail",
  "time out",
  "interrupt",
  "abandon",
  "block",
  "none",
  "none",
  "none"
] as const

const Stages = Schema.Array(Schema.Struct({
  at: between(0, 5000),
  ms: between(0, 5000),
  retries: between(0, 3),
  emits: between(0, 2),
  end: Schema.Literals(ends),
  /** How many runs it starts. */
  children: between(0, 3)
})).check(Schema.isMaxLength(12))

const RawRun = Schema.Struct({
  /** So many of each stage. */
  times: between(1, 12),
  waiting: between(0, 200),
  isOver: Schema.Boolean,
  stages: Stages,
  inside: Stages
})
type RawRun = typeof RawRun.Type

const Runs = Schema.Array(RawRun).check(Schema.isMaxLength(5))

/** Names as they should not be. */
const oddities = ["", "段階", "👩‍👩‍👧", "\u001b[2J", "two\nlines", "x".repeat(300), "e\u0301\u0301", "\u202eback", "\ud83d"]

class Script {
  readonly events: Array<Event.Event> = []
  private readonly nameOf: (index: number) => string
  private ids = 0

  constructor(nameOf: (index: number) => string) {
    this.nameOf = nameOf
  }

  run(
    raw: RawRun,
    stages: RawRun["stages"],
    times: number,
    parent?: { readonly runId: string; readonly stage: string }
  ) {
    const runId = `run${this.ids++}`
    const base = {
      runId,
      correlationId: runId,
      pipeline: this.nameOf(this.ids).replace("s", "p"),
      sequence: 0,
      at: 0,
      ...(parent === undefined ? {} : { parentRunId: parent.runId, parentStage: parent.stage })
    }
    const all = Array.from({ length: times }, () => stages).flat()
    this.events.push({ ...base, _tag: "RunStarted", stages: all.length + raw.waiting })
    all.forEach(({ at, children, emits, end, ms, retries }, index) => {
      const stage = this.nameOf(index)
      const started = { ...base, stage, at, attempt: 1 }
      if (end !== "block") this.events.push({ ...started, _tag: "StageStarted", kind: "work" })
      for (let attempt = 1; attempt <= retries; attempt++) {
        this.events.push({ ...started, _tag: "StageRetrying", at: at + attempt * 10, attempt, delayMs: ms })
      }
      for (let count = 0; count < emits; count++) {
        this.events.push({ ...started, _tag: "StageEmitted", type: this.nameOf(count), data: count })
      }
      if (parent === undefined) {
        for (let child = 0; child < children; child++) this.run(raw, raw.inside, 1, { runId, stage })
      }
      this.end({ ...started, at: at + ms, durationMs: ms, attempt: retries + 1 }, end)
    })
    if (raw.isOver) this.events.push({ ...base, _tag: "RunInterrupted", at: 10_000, durationMs: 10_000 })
  }

  private end(
    stage: Omit<Event.Of<"StageCompleted">, "_tag" | "version">,
    end: typeof ends[number]
  ) {
    const reason = this.nameOf(7)
    const error = (tag: string, code: string) => ({ tag, code, message: reason })
    switch (end) {
      case "ok":
        return this.events.push({ ...stage, _tag: "StageCompleted" })
      case "skip":
        return this.events.push({ ...stage, _tag: "StageSkipped", reason })
      case "cancel":
        return this.events.push({ ...stage, _tag: "StageCancelled", reason })
      case "fail":
        return this.events.push({ ...stage, _tag: "StageFailed", error: error("Broken", "BROKEN") })
      case "time out":
        return this.events.push({ ...stage, _tag: "StageFailed", error: error("StageTimeout", "STAGE_TIMEOUT") })
      case "interrupt":
      case "abandon":
        return this.events.push({ ...stage, _tag: "StageInterrupted", abandoned: end === "abandon" })
      case "block":
        return this.events.push({ ...stage, _tag: "StageBlocked", attempt: 0, by: reason })
      case "none":
        return
    }
  }
}

/** The runs that these events tell of, those that are over first. */
const seenIn = (raws: ReadonlyArray<RawRun>, nameOf: (index: number) => string): ReadonlyArray<SeenRun> => {
  const script = new Script(nameOf)
  for (const raw of raws) script.run(raw, raw.stages, raw.times)
  const seen = new SeenEvents()
  const over = script.events.flatMap((event) => seen.add(event) ?? [])
  return [...over, ...seen.runs]
}

const runningIn = (run: SeenRun): number =>
  Array.from(run.stages.values()).reduce(
    (sum, { children, state }) =>
      sum + (state === "running" ? 1 : 0)
      + Array.from(children.values()).reduce((inside, child) => inside + runningIn(child), 0),
    0
  )

/** How many running stages a drawing shows or counts. */
const runningShown = (lines: ReadonlyArray<string>): number =>
  lines.reduce((sum, line) => {
    if (/^ +s\d+ +(running|retrying)\b/.test(line)) return sum + 1
    const counts = /^ *… |^p\d+ {2}/.test(line)
    return sum + (counts ? Number(/ (\d+) (?:stages )?running/.exec(line)?.[1] ?? 0) : 0)
  }, 0)

const room = { columns: between(1, 200), rows: between(1, 60) }

describe("the layout of runs", () => {
  it.prop(
    "is never wider nor higher than the room, whatever runs and names are like",
    [Runs, room.columns, room.rows, between(0, 10_000)],
    ([raws, columns, rows, nowMs]) => {
      const runs = seenIn(raws, (index) => `${oddities[index % oddities.length]}${index}`)
      const lines = layout(runs, { columns, rows, nowMs }).map(toPlain)
      assert.isAtMost(lines.length, rows)
      for (const line of lines) {
        assert.isAtMost(widthOf(line), columns)
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(line, /[\u0000-\u001f\u007f-\u009f]/)
      }
      assert.strictEqual(lines.length > 0, runs.length > 0)
    }
  )

  it.prop(
    "shows or counts every running stage from 40 columns on, in any height",
    [Runs, between(40, 200), room.rows, between(0, 10_000)],
    ([raws, columns, rows, nowMs]) => {
      // Of a run that is over only the title is sure to be there.
      const runs = seenIn(raws.map((raw) => ({ ...raw, isOver: false })), (index) => `s${index}`)
      const lines = layout(runs, { columns, rows, nowMs }).map(toPlain)
      const running = runs.reduce((sum, run) => sum + runningIn(run), 0)
      assert.strictEqual(runningShown(lines), running, lines.join("\n"))
    }
  )

  it.prop(
    "shows every stage where there is room for all",
    [Runs, between(60, 200)],
    ([raws, columns]) => {
      const runs = seenIn(raws, (index) => `s${index}`)
      const lines = layout(runs, { columns, rows: Number.POSITIVE_INFINITY, nowMs: 10_000 }).map(toPlain)
      const stagesIn = (run: SeenRun): number =>
        Array.from(run.stages.values()).reduce(
          (sum, { children }) =>
            Array.from(children.values()).reduce((inside, child) => inside + stagesIn(child), sum + 1),
          0
        )
      const stages = runs.reduce((sum, run) => sum + stagesIn(run), 0)
      assert.strictEqual(lines.filter((line) => /^ +s\d+ /.test(line)).length, stages)
      assert.notInclude(lines.join("\n"), " more: ")
    }
  )

  const drawn = (raws: ReadonlyArray<RawRun>, columns: number, rows: number, nowMs = 400) =>
    layout(seenIn(raws, (index) => `s${index}`), { columns, rows, nowMs }).map(toPlain)
  const stage = { at: 0, ms: 100, retries: 0, emits: 0, end: "ok", children: 0 } as const
  const busy: RawRun = {
    times: 100,
    waiting: 66,
    isOver: false,
    stages: [stage, { ...stage, at: 50, end: "none" }, { ...stage, ms: 150, end: "skip" }],
    inside: []
  }

  it("of 366 stages at 40 by 10", () => {
    assert.deepStrictEqual(drawn([busy], 40, 10), [
      "p1  running for 400 ms",
      "  s1  running 350 ms   █████████████",
      "  s4  running 350 ms   █████████████",
      "  s7  running 350 ms   █████████████",
      "  s10 running 350 ms   █████████████",
      "  s13 running 350 ms   █████████████",
      "  s16 running 350 ms   █████████████",
      "  s19 running 350 ms   █████████████",
      "  s22 running 350 ms   █████████████",
      "  … 358 more: 92 running, +266"
    ])
  })

  it("of many runs at once", () => {
    const few: RawRun = { ...busy, times: 1, waiting: 0 }
    assert.deepStrictEqual(drawn([few, busy, busy, few], 60, 9), [
      "p1  running for 400 ms",
      "  … 3 more: 1 running, 1 ok, 1 skipped",
      "p2  running for 400 ms",
      "  … 366 more: 100 running, 66 waiting, 100 ok, 100 skipped",
      "p3  running for 400 ms",
      "  s1  running  350 ms      ██████████████████████████",
      "  … 365 more: 99 running, 66 waiting, 100 ok, 100 skipped",
      "p4  running for 400 ms",
      "  … 3 more: 1 running, 1 ok, 1 skipped"
    ])
    assert.deepStrictEqual(drawn([few, busy, busy, few], 60, 4), [
      "p1  400 ms: 1 running, 1 ok, 1 skipped",
      "p2  400 ms: 100 running, 66 waiting, 100 ok, 100 skipped",
      "p3  400 ms: 100 running, 66 waiting, 100 ok, 100 skipped",
      "p4  400 ms: 1 running, 1 ok, 1 skipped"
    ])
    assert.deepStrictEqual(drawn([few, busy, busy, few], 40, 2), [
      "p1  400 ms: 1 running, 1 ok, 1 skipped",
      "… 3 more runs: 201 stages running"
    ])
    assert.deepStrictEqual(drawn([few, busy, busy, few], 40, 1), ["… 4 runs: 202 stages running"])
  })

  it("says how long in few characters", () => {
    assert.deepStrictEqual(
      [-1, 0, 0.4, 999.4, 999.6, 1000, 59_994, 59_995, 60_000, 3_599_499, 3_600_000, 90_000_000].map(shortDuration),
      [
        "0 ms",
        "0 ms",
        "0 ms",
        "999 ms",
        "1.00 s",
        "1.00 s",
        "59.99 s",
        "1 min 0 s",
        "1 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
        "25 h 0 min"
      ]
    )
  })
})
