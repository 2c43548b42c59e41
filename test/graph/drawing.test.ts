import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Pipeline, Stage } from "stageflow"
import { toDot, toMermaid } from "stageflow/graph"
import { idle } from "./support/stages.ts"

const size = 12

const Edge = Schema.Struct({
  from: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: size - 1 })),
  to: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: size - 1 })),
  type: Schema.Literals(["data", "order", "condition"]),
  optional: Schema.Boolean
})

type Edge = typeof Edge.Type

const nameOf = (index: number) => `stage_${index}`

/** Edges from lower to higher numbers, as a pipeline has them. */
const describeEdges = (edges: ReadonlyArray<Edge>): Pipeline.Description => ({
  warnings: [],
  name: "random",
  stages: Array.from({ length: size }, (_, index) => ({ name: nameOf(index), kind: "transform" })),
  edges: edges.filter(({ from, to }) => from !== to).map(({ from, optional, to, type }) => ({
    from: nameOf(Math.min(from, to)),
    to: nameOf(Math.max(from, to)),
    type,
    input: type === "data" ? "input" : undefined,
    optional
  }))
})

const pairsOf = ({ edges }: Pipeline.Description) =>
  Array.from(new Set(edges.map(({ from, to }) => `${from} ${to}`))).toSorted()

const drawnInMermaid = (text: string) =>
  text.split("\n").filter((line) => line.includes("> ") || line.includes(">|"))
    .map((line) => line.trim().split(" ")).map((words) => `${words[0]} ${words.at(-1)}`).toSorted()

const drawnInDot = (text: string) =>
  text.split("\n").filter((line) => line.includes("->"))
    .map((line) => line.replaceAll("\"", "").trim().split(" ")).map((words) => `${words[0]} ${words[2]}`).toSorted()

/** Which stages come after which, by any path. */
const orderOf = (pairs: ReadonlyArray<string>) => {
  const reached = Array.from({ length: size }, () => new Set<string>())
  for (let from = size - 1; from >= 0; from--) {
    for (let to = from + 1; to < size; to++) {
      if (!pairs.includes(`${nameOf(from)} ${nameOf(to)}`)) continue
      reached[from]?.add(nameOf(to))
      for (const further of reached[to] ?? []) reached[from]?.add(further)
    }
  }
  return reached.map((names) => Array.from(names).toSorted())
}

describe("what a picture shows", () => {
  it.effect.prop("every pair of stages with edges has one arrow, and no other pair has one", {
    edges: Schema.Array(Edge)
  }, ({ edges }) =>
    Effect.sync(() => {
      const description = describeEdges(edges)
      assert.deepStrictEqual(drawnInMermaid(toMermaid(description)), pairsOf(description))
      assert.deepStrictEqual(drawnInDot(toDot(description)), pairsOf(description))
    }))

  it.effect.prop("hiding implied order takes only order away, and changes no order", {
    edges: Schema.Array(Edge)
  }, ({ edges }) =>
    Effect.sync(() => {
      const description = describeEdges(edges)
      const tellsMore = pairsOf({ ...description, edges: description.edges.filter(({ type }) => type !== "order") })
      const drawn = drawnInMermaid(toMermaid(description, { impliedOrder: "hide" }))
      assert.includeMembers(drawn, tellsMore)
      assert.deepStrictEqual(orderOf(drawn), orderOf(pairsOf(description)))
      for (const pair of drawn.filter((pair) => !tellsMore.includes(pair))) {
        assert.notDeepEqual(orderOf(drawn.filter((other) => other !== pair)), orderOf(drawn), `${pair} is implied`)
      }
      assert.deepStrictEqual(drawnInDot(toDot(description, { impliedOrder: "hide" })), drawn)
    }))

  it.effect("hides an arrow of order that a path implies, and no arrow of data", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("implied")
        .add(idle("a"))
        .add(idle("b"), { after: ["a"] })
        .add(idle("c"), (s) => ({ after: ["a", "b"], when: s.b.output.map(() => true) }))
        .add(Stage.transform("d", { run: (_: { readonly b: {} }) => Effect.void }), {
          after: ["a", "c"],
          inputs: ["b"]
        })
      const arrows = (text: string) => text.split("\n").slice(5)
      assert.deepStrictEqual(arrows(yield* toMermaid(pipeline, { impliedOrder: "hide" })), [
        "  a -.-> b",
        "  b ==>|\"when\"| c",
        "  b --> d",
        "  c -.-> d"
      ])
      assert.deepStrictEqual(arrows(yield* toMermaid(pipeline)), [
        "  a -.-> b",
        "  b ==>|\"when\"| c",
        "  a -.-> c",
        "  b --> d",
        "  a -.-> d",
        "  c -.-> d"
      ])
    }))

  it("draws a description made by hand, with a cycle and a stage that it does not list", () => {
    const edge = (from: string, to: string) => ({ from, to, type: "order", input: undefined, optional: true } as const)
    const description: Pipeline.Description = {
      warnings: [],
      name: "by hand",
      stages: [{ name: "a", kind: "work" }, { name: "b", kind: "agent" }],
      edges: [edge("a", "b"), edge("b", "a"), edge("b", "missing")]
    }
    assert.strictEqual(
      toMermaid(description, { impliedOrder: "hide" }),
      [
        "flowchart TD",
        "  a[[\"a<br/>work\"]]",
        "  b([\"b<br/>agent\"])",
        "  missing[\"missing\"]",
        "  a -.-> b",
        "  b -.-> a",
        "  b -.-> missing"
      ].join("\n")
    )
    assert.include(toDot(description), "  \"missing\" [label=\"missing\", shape=box];")
  })

  it.effect("draws 20,000 stages that wait for one", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("wide", [
        { stage: idle("first") },
        ...Array.from({ length: 20_000 }, (_, index) => ({ stage: idle(`later_${index}`), after: ["first"] }))
      ])
      const text = yield* toMermaid(pipeline)
      assert.strictEqual(text.split("\n").length, 1 + 20_001 + 20_000)
    }))
})
