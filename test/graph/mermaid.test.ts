import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, PipelineInvalid } from "stageflow"
import { toMermaid } from "stageflow/graph"
import { chat } from "./support/chat.ts"
import { idle, kinds, wirings } from "./support/stages.ts"

const lines = (...expected: ReadonlyArray<string>) => expected.join("\n")

/** The arrow between `giver` and `reader`, wired in this way. */
const arrow = (wiring: keyof typeof wirings) =>
  Pipeline.fromSpecs("one arrow", [{ stage: idle("giver") }, { stage: idle("reader"), ...wirings[wiring] }]).pipe(
    Effect.flatMap(toMermaid),
    Effect.map((text) => text.split("\n").slice(3).join("\n"))
  )

/** The line of a stage of this name. */
const box = (name: string) =>
  toMermaid({ name: "one box", stages: [{ name, kind: "transform" }], edges: [] }).split("\n").slice(1).join("\n")

describe("toMermaid", () => {
  it.effect("draws a whole pipeline", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* toMermaid(chat),
        lines(
          "flowchart TD",
          "  input_guard{{\"input_guard<br/>guard\"}}",
          "  router{\"router<br/>route\"}",
          "  profile[(\"profile<br/>enrich\")]",
          "  support[\"support<br/>transform\"]",
          "  llm[\"llm<br/>transform\"]",
          "  audit[[\"audit<br/>work\"]]",
          "  answer[\"answer<br/>transform\"]",
          "  input_guard -.-> router",
          "  router ==>|\"when\"| support",
          "  router --> llm",
          "  profile -->|\"profile?\"| llm",
          "  profile -->|\"who\"| audit",
          "  support -->|\"text?\"| answer",
          "  llm -->|\"text?\"| answer"
        )
      )
    }))

  it.effect("gives each kind a shape", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("kinds", kinds.map((kind) => ({ stage: idle(`a_${kind}`, kind) })))
      assert.strictEqual(
        yield* toMermaid(pipeline),
        lines(
          "flowchart TD",
          "  a_transform[\"a_transform<br/>transform\"]",
          "  a_enrich[(\"a_enrich<br/>enrich\")]",
          "  a_route{\"a_route<br/>route\"}",
          "  a_guard{{\"a_guard<br/>guard\"}}",
          "  a_work[[\"a_work<br/>work\"]]",
          "  a_agent([\"a_agent<br/>agent\"])"
        )
      )
    }))

  it.effect("tells the edges apart, and draws one arrow for all between two stages", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* arrow("order"), "  giver -.-> reader")
      assert.strictEqual(yield* arrow("requiredByName"), "  giver --> reader")
      assert.strictEqual(yield* arrow("optionalByName"), "  giver -->|\"giver?\"| reader")
      assert.strictEqual(yield* arrow("requiredBySource"), "  giver -->|\"text\"| reader")
      assert.strictEqual(yield* arrow("optionalBySource"), "  giver -->|\"text?\"| reader")
      assert.strictEqual(yield* arrow("sameTwice"), "  giver -->|\"giver?\"| reader")
      assert.strictEqual(yield* arrow("condition"), "  giver ==>|\"when\"| reader")
      assert.strictEqual(yield* arrow("orderAndData"), "  giver --> reader")
      assert.strictEqual(yield* arrow("requiredAndOptional"), "  giver -->|\"a, b?\"| reader")
      assert.strictEqual(yield* arrow("conditionAndData"), "  giver ==>|\"when, who?\"| reader")
      assert.strictEqual(yield* arrow("everything"), "  giver ==>|\"when, giver, who?\"| reader")
    }))

  it("takes a description without an Effect, and a direction", () => {
    const edges = [{ from: "a", to: "b", type: "order", input: undefined, optional: true }] as const
    const stages = [{ name: "a", kind: "guard" }, { name: "b", kind: "work" }] as const
    assert.strictEqual(
      toMermaid({ name: "plain", stages, edges }, { direction: "LR" }),
      lines("flowchart LR", "  a{{\"a<br/>guard\"}}", "  b[[\"b<br/>work\"]]", "  a -.-> b")
    )
  })

  it.effect("says what is wrong with a pipeline that cannot be drawn", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(toMermaid(Pipeline.make("empty")))
      assert.instanceOf(error, PipelineInvalid.PipelineInvalid)
      assert.deepStrictEqual(error.problems.map(({ code }) => code), ["NO_STAGES"])
    }))

  it("uses a name as the id only where Mermaid takes it for a name", () => {
    assert.strictEqual(box("input-guard_2"), "  input-guard_2[\"input-guard_2<br/>transform\"]")
    for (
      const name of ["end", "end-guard", "my-class", "default", "constructor", "toString", "a--b", "a-", "7up", "ä"]
    ) {
      assert.strictEqual(box(name).indexOf("  0["), 0, name)
    }
  })

  // Each was shown to mermaid 12.3 and came back as the name it was made from.
  it("escapes what is not plain text to Mermaid, Markdown or HTML", () => {
    const labels: ReadonlyArray<readonly [name: string, label: string]> = [
      ["say \"hi\"", "say #34;hi#34;"],
      ["a[b](c){d}|e", "a#91;b#93;#40;c#41;#123;d#125;#124;e"],
      ["two\nlines\r\nand\rmore", "two<br/>lines<br/>and<br/>more"],
      ["naïve 東京 🚀", "naïve 東京 #128640;"],
      ["__proto__", "#95;#95;proto#95;#95;"],
      ["snake_case kebab-case", "snake_case kebab-case"],
      ["_emphasis_ *b* `c`", "#95;emphasis#95; #42;b#42; #96;c#96;"],
      ["<b>&amp; #35;", "#60;b#62;#38;amp#59; #35;35#59;"],
      ["%%{init: {}}%%", "#37;#37;#123;init#58; #123;#125;#125;#37;#37;"],
      ["1. item", "1#46; item"],
      ["- item", "#45; item"],
      ["back\\slash", "back#92;slash"],
      ["\u0000\u001b[31m", "#0;#27;#91;31m"],
      ["\ud800", "#55296;"]
    ]
    for (const [name, label] of labels) assert.strictEqual(box(name), `  0["${label}<br/>transform"]`)
  })

  it("escapes the inputs on an arrow", () => {
    const name = "a \"b\"|\nc"
    const text = toMermaid({
      name: "input",
      stages: [{ name: "a", kind: "work" }],
      edges: [{ from: "a", to: "a", type: "data", input: name, optional: false }]
    })
    assert.strictEqual(text.split("\n").at(-1), "  a -->|\"a #34;b#34;#124;<br/>c\"| a")
  })
})
