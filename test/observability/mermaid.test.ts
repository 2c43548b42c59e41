/**
 * Runs as text for Mermaid. Mermaid itself is 150 MB with what it needs, so the texts are checked against a grammar of what is
 * used of it; each kind of line here was shown to mermaid 11.17 in a browser.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Pipeline, Snapshot, StageError } from "stageflow"
import { RunRecord, RunReport } from "stageflow/observability"
import { endOf, failing, good, nested, ranIn } from "./support/stages.ts"

/** Text in which everything that means something to Mermaid is written as a number. */
const label = "(?:[\\p{L}\\p{N}\\p{M} ,?_-]|#\\d+;)*"

const graphLines = [
  /^flowchart LR$/,
  new RegExp(`^ {2}s\\d+\\["#\\d+; ${label}(?:<br/>${label})*<br/>[a-z ]+(?:, [\\d.]+ [a-z0-9 ]+)?"\\]:::[a-z]+$`, "u"),
  /^ {2}s\d+ --> s\d+$/,
  /^ {2}classDef [a-z]+ [a-z#0-9:,-]+$/
]

const ganttLines = [
  /^gantt$/,
  /^ {2}dateFormat x$/,
  /^ {2}axisFormat \S+$/,
  new RegExp(`^ {2}section ${label}$`, "u"),
  new RegExp(`^ {2}#\\d+; ${label} :(?:(?:done|active|crit), )?t\\d+, \\d+, [1-9]\\d*ms$`, "u")
]

const checked = (text: string, lines: ReadonlyArray<RegExp>): ReadonlyArray<string> => {
  const all = text.split("\n")
  assert.match(all[0] ?? "", lines[0] as RegExp)
  for (const line of all) assert.isTrue(lines.some((known) => known.test(line)), line)
  return all
}

const unrecorded = { _tag: "NotKept", reason: "unrecorded" } as const

const Stages = Schema.Array(Schema.Struct({
  name: Schema.String,
  status: RunRecord.StageStatus,
  startedAt: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: -10, maximum: 1000 }))),
  durationMs: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: -10, maximum: 1000 })))
})).check(Schema.isMaxLength(6))

describe("RunReport.toMermaid", () => {
  it.effect("writes the graph with what became of each stage", () =>
    Effect.gen(function*() {
      const { exit } = yield* ranIn(Pipeline.run(failing, Snapshot.make(), { failure: "continue" }), 1000)
      const pipeline = yield* Pipeline.describe(failing)
      const lines = checked(RunReport.toMermaid(endOf(exit), { pipeline }), graphLines)
      assert.deepStrictEqual(lines.slice(0, 6), [
        "flowchart LR",
        "  s0[\"#10007; fails<br/>failed, 50 ms\"]:::bad",
        "  s1[\"#9719; hangs<br/>timed out, 200 ms\"]:::bad",
        "  s2[\"#9632; blocked<br/>blocked\"]:::stopped",
        "  s3[\"#10003; fine<br/>ok, 100 ms\"]:::good",
        "  s0 --> s2"
      ])
    }))

  it.effect("writes a Gantt chart, with a section for each run inside", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(nested, Snapshot.make()), 1000)
      const lines = checked(RunReport.toMermaid(events, { diagram: "gantt" }), ganttLines)
      assert.deepStrictEqual(lines.slice(3, 9), [
        "  section nested",
        "  #10003; alone :done, t0, 0, 300ms",
        "  #10003; each :done, t1, 0, 600ms",
        "  section alone #62; child",
        "  #10003; one :done, t2, 0, 100ms",
        "  #10003; two :done, t3, 100, 200ms"
      ])
      assert.lengthOf(lines.filter((line) => line.startsWith("  section each")), 3)
    }))

  it.prop("escapes whatever a stage is called, and takes whatever times there are", [Stages], ([stages]) => {
    const record: RunRecord.RunRecord = {
      version: 1,
      runId: "run",
      correlationId: "run",
      pipeline: "end\nsection %%{init}%% ; title",
      tags: [],
      status: "completed",
      startedAt: 0,
      durationMs: 1000,
      snapshot: unrecorded,
      events: [],
      stages: stages.map((stage, index) => ({
        ...stage,
        kind: "work",
        after: index === 0 ? [] : [stages[index - 1]?.name ?? ""],
        attempts: [],
        waits: [],
        input: unrecorded,
        output: unrecorded,
        runs: []
      }))
    }
    checked(RunReport.toMermaid(record), graphLines)
    checked(RunReport.toMermaid(record, { diagram: "gantt" }), ganttLines)
  })

  it.effect("rejects what it cannot draw", () =>
    Effect.gen(function*() {
      const { exit } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const result = endOf(exit)
      for (const options of [{ diagram: "pie" }, { diagrams: "graph" }]) {
        assert.throws(() => RunReport.toMermaid(result, options as RunReport.MermaidOptions), StageError.InvalidOption)
      }
      assert.throws(() => RunReport.toMermaid([]), StageError.InvalidOption)
    }))
})
