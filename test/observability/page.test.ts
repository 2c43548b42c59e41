/**
 * The report's page as text: what must hold of it before a browser opens it. test/real opens it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Snapshot, StageError } from "stageflow"
import { type RunRecord, RunReport } from "stageflow/observability"
import { laidOut } from "../../src/observability/internal/graph-layout.ts"
import { orderOf, placed } from "../../src/observability/internal/order.ts"
import { boxHeight, boxWidth } from "../../src/observability/internal/page-model.ts"
import { endOf, failing, ranIn } from "./support/stages.ts"

const hostile = "</script><script>alert(1)</script><!--<b>\u2028\u2029&amp;\"'\ud800"

const kept = { _tag: "Kept", json: { [hostile]: hostile } } as const

const recordOf = (
  names: ReadonlyArray<string>,
  after: (index: number) => ReadonlyArray<string>
): RunRecord.RunRecord => ({
  version: 1,
  runId: hostile,
  correlationId: "run",
  pipeline: hostile,
  userId: hostile,
  tags: [hostile],
  status: "failed",
  reason: hostile,
  by: hostile,
  startedAt: 1_800_000_000_000,
  durationMs: 10,
  snapshot: kept,
  events: [],
  stages: names.map((name, index) => ({
    name,
    kind: "work",
    after: after(index),
    status: "failed",
    startedAt: 1_800_000_000_000,
    durationMs: 10,
    attempts: [],
    waits: [{ queue: hostile, startedAt: 1_800_000_000_000 }],
    input: kept,
    output: kept,
    error: { tag: hostile, message: hostile },
    explanation: hostile,
    runs: []
  }))
})

const dataOf = (html: string): unknown =>
  JSON.parse(/<script type="application\/json" id="data">(.*)<\/script>/.exec(html)?.[1] ?? "")

describe("RunReport.toHtml", () => {
  it("lets nothing out of its place, whatever names, errors and values are", () => {
    const html = RunReport.toHtml(recordOf([hostile, "other"], (index) => index === 0 ? [] : [hostile]))
    assert.lengthOf(html.match(/<script/g) ?? [], 2)
    assert.lengthOf(html.match(/<\/script/g) ?? [], 2)
    assert.notInclude(html, "<!--")
    assert.notInclude(html, "<b>")
    assert.notMatch(/id="data">(.*)<\/script>/.exec(html)?.[1] ?? "", /[\u2028\u2029<]/)
    assert.isTrue(html.isWellFormed())
    assert.include(JSON.stringify(dataOf(html)), JSON.stringify(hostile.toWellFormed()).slice(1, 30))
  })

  it("has nothing from elsewhere in it", () => {
    const html = RunReport.toHtml(recordOf(["one"], () => []))
    assert.deepStrictEqual(Array.from(html.matchAll(/(?:https?:)?\/\/[\w.]+\/?/g), ([url]) => url), [
      "http://www.w3.org/"
    ])
    assert.include(html, "default-src 'none'")
    // What a bundler puts into functions, and the tests' own compiler.
    assert.notMatch(html, /__vite|import_|require\(/)
  })

  it.effect("of a result, of the error of a run, and of nothing", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.describe(failing)
      const { exit } = yield* ranIn(Pipeline.run(failing, Snapshot.make()), 1000)
      const html = RunReport.toHtml(endOf(exit), { pipeline })
      assert.include(html, "<title>failing: failed</title>")
      assert.include(html, "It failed after 50 ms: fails 50 ms (which failed).")
      assert.throws(() => RunReport.toHtml([]), StageError.InvalidOption)
    }))
})

const namesOf = (count: number) => Array.from({ length: count }, (_, index) => `s${index}`)

describe("the layout of a graph", () => {
  const shapes: Readonly<Record<string, readonly [count: number, after: (index: number) => ReadonlyArray<string>]>> = {
    "one stage": [1, () => []],
    "a chain of 2,000": [2000, (index) => index === 0 ? [] : [`s${index - 1}`]],
    "a fan": [100, (index) => index === 0 ? [] : ["s0"]],
    "more than dagre is asked for": [3000, (index) => index < 50 ? [] : [`s${index - 50}`, `s${index - 49}`]],
    "edges across all of it": [1000, (index) => index === 0 ? [] : [...new Set(["s0", `s${index >> 1}`])]],
    "a stage that waits for itself, which no pipeline has": [2000, (index) => [`s${index}`]],
    "a circle, which no pipeline has": [3, (index) => [`s${(index + 1) % 3}`]]
  }
  for (const [name, [count, after]] of Object.entries(shapes)) {
    it(`of ${name} goes from left to right, and no box is on another`, () => {
      const stages = placed(recordOf(namesOf(count), after).stages)
      const { boxes, height, lines, width } = laidOut(stages)
      assert.lengthOf(boxes, count)
      assert.lengthOf(new Set(orderOf(stages)), count)
      for (const [x, y] of boxes) {
        assert.isTrue(x >= boxWidth / 2 && y >= boxHeight / 2 && x <= width && y <= height)
      }
      const columns = Map.groupBy(boxes, ([x]) => x)
      for (const column of columns.values()) {
        const rows = column.map(([, y]) => y).toSorted((a, b) => a - b)
        for (const [index, y] of rows.slice(1).entries()) assert.isAtLeast(y - (rows[index] ?? 0), boxHeight)
      }
      if (name.endsWith("which no pipeline has")) return
      for (const [from, to, path] of lines) {
        assert.isBelow(boxes[from]?.[0] ?? 0, boxes[to]?.[0] ?? 0)
        assert.match(path, /^M[\d. -]+C[\d. C-]+$/)
      }
    })
  }

  it("is in plain columns where edges cross so many that dagre would take seconds", () => {
    const after = (index: number) => index === 0 ? [] : [...new Set(["s0", `s${index >> 1}`])]
    const { boxes } = laidOut(placed(recordOf(namesOf(600), after).stages))
    for (const [, y] of boxes) assert.strictEqual((y - 12 - boxHeight / 2) % (boxHeight + 16), 0)
  })

  it("of no stages is empty", () => {
    assert.deepStrictEqual(laidOut([]), { width: 0, height: 0, boxes: [], lines: [] })
  })
})
