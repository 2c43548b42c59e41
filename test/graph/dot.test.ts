import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, PipelineInvalid } from "stageflow"
import { toDot } from "stageflow/graph"
import { chat } from "./support/chat.ts"
import { idle, kinds, wirings } from "./support/stages.ts"

const lines = (...expected: ReadonlyArray<string>) => expected.join("\n")

/** The arrow between `giver` and `reader`, wired in this way. */
const arrow = (wiring: keyof typeof wirings) =>
  Pipeline.fromSpecs("one arrow", [{ stage: idle("giver") }, { stage: idle("reader"), ...wirings[wiring] }]).pipe(
    Effect.flatMap(toDot),
    Effect.map((text) => text.split("\n").slice(3, -1).join("\n"))
  )

/** The line of a stage of this name. */
const box = (name: string) =>
  toDot({ name: "one box", stages: [{ name, kind: "transform" }], edges: [] }).split("\n").slice(1, -1).join("\n")

describe("toDot", () => {
  it.effect("draws a whole pipeline", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* toDot(chat, { direction: "LR" }),
        lines(
          "digraph \"chat\" {",
          "  rankdir=LR;",
          "  \"input_guard\" [label=\"input_guard\\nguard\", shape=hexagon];",
          "  \"router\" [label=\"router\\nroute\", shape=diamond];",
          "  \"profile\" [label=\"profile\\nenrich\", shape=cylinder];",
          "  \"support\" [label=\"support\\ntransform\", shape=box];",
          "  \"llm\" [label=\"llm\\ntransform\", shape=box];",
          "  \"audit\" [label=\"audit\\nwork\", shape=component];",
          "  \"answer\" [label=\"answer\\ntransform\", shape=box];",
          "  \"input_guard\" -> \"router\" [style=dotted];",
          "  \"router\" -> \"support\" [style=bold, label=\"when\"];",
          "  \"router\" -> \"llm\" [style=solid];",
          "  \"profile\" -> \"llm\" [style=dashed, label=\"profile?\"];",
          "  \"profile\" -> \"audit\" [style=solid, label=\"who\"];",
          "  \"support\" -> \"answer\" [style=dashed, label=\"text?\"];",
          "  \"llm\" -> \"answer\" [style=dashed, label=\"text?\"];",
          "}"
        )
      )
    }))

  it.effect("gives each kind a shape", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("kinds", kinds.map((kind) => ({ stage: idle(`a_${kind}`, kind) })))
      assert.strictEqual(
        yield* toDot(pipeline),
        lines(
          "digraph \"kinds\" {",
          "  \"a_transform\" [label=\"a_transform\\ntransform\", shape=box];",
          "  \"a_enrich\" [label=\"a_enrich\\nenrich\", shape=cylinder];",
          "  \"a_route\" [label=\"a_route\\nroute\", shape=diamond];",
          "  \"a_guard\" [label=\"a_guard\\nguard\", shape=hexagon];",
          "  \"a_work\" [label=\"a_work\\nwork\", shape=component];",
          "  \"a_agent\" [label=\"a_agent\\nagent\", shape=oval];",
          "}"
        )
      )
    }))

  it.effect("tells the edges apart, and draws one arrow for all between two stages", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* arrow("order"), "  \"giver\" -> \"reader\" [style=dotted];")
      assert.strictEqual(yield* arrow("requiredByName"), "  \"giver\" -> \"reader\" [style=solid];")
      assert.strictEqual(yield* arrow("optionalByName"), "  \"giver\" -> \"reader\" [style=dashed, label=\"giver?\"];")
      assert.strictEqual(yield* arrow("requiredBySource"), "  \"giver\" -> \"reader\" [style=solid, label=\"text\"];")
      assert.strictEqual(yield* arrow("optionalBySource"), "  \"giver\" -> \"reader\" [style=dashed, label=\"text?\"];")
      assert.strictEqual(yield* arrow("sameTwice"), "  \"giver\" -> \"reader\" [style=dashed, label=\"giver?\"];")
      assert.strictEqual(yield* arrow("condition"), "  \"giver\" -> \"reader\" [style=bold, label=\"when\"];")
      assert.strictEqual(yield* arrow("orderAndData"), "  \"giver\" -> \"reader\" [style=solid];")
      assert.strictEqual(
        yield* arrow("requiredAndOptional"),
        "  \"giver\" -> \"reader\" [style=solid, label=\"a, b?\"];"
      )
      assert.strictEqual(
        yield* arrow("conditionAndData"),
        "  \"giver\" -> \"reader\" [style=bold, label=\"when, who?\"];"
      )
      assert.strictEqual(
        yield* arrow("everything"),
        "  \"giver\" -> \"reader\" [style=bold, label=\"when, giver, who?\"];"
      )
    }))

  it.effect("says what is wrong with a pipeline that cannot be drawn", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(toDot(Pipeline.make("empty")))
      assert.instanceOf(error, PipelineInvalid.PipelineInvalid)
    }))

  // Each was shown to Graphviz (viz-js 3) and came back as the name it was made from, but for the last two.
  it("escapes what is not plain text to Graphviz", () => {
    const labels: ReadonlyArray<readonly [name: string, label: string]> = [
      ["say \"hi\"", "say \\\"hi\\\""],
      ["back\\slash\\n and \\", "back\\\\slash\\\\n and \\\\"],
      ["two\nlines\r\nand\rmore", "two\\nlines\\nand\\nmore"],
      ["naïve 東京 🚀", "naïve 東京 🚀"],
      ["__proto__", "__proto__"],
      ["a[b]{c}|<d>", "a[b]{c}|<d>"],
      ["&amp; & &#35;", "&amp;amp; &amp; &amp;#35;"],
      ["\u0000\u001b[31m", "\uFFFD\uFFFD[31m"],
      ["\ud800", "\uFFFD"]
    ]
    for (const [name, label] of labels) {
      assert.strictEqual(box(name), `  "0" [label="${label}\\ntransform", shape=box];`)
    }
  })

  it("escapes the name of the pipeline", () => {
    assert.strictEqual(toDot({ name: "a \"b\"\n\\", stages: [], edges: [] }), "digraph \"a \\\"b\\\"\\n\\\\\" {\n}")
  })
})
