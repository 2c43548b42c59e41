/**
 * Pictures of pipelines whose stages run pipelines: boxes in boxes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Stage } from "stageflow"
import { Route, Shapes, Subpipeline } from "stageflow/control"
import { toDot, toMermaid } from "stageflow/graph"
import { idle } from "./support/stages.ts"

const search = Pipeline.make("search")
  .add(Stage.enrich("index", { run: Effect.void }))
  .add(Stage.transform("rank them", { run: Effect.void }), { after: ["index"] })
const research = Pipeline.make("research").add(Subpipeline.stage("search", search, { kind: "enrich" }))
const answer = Pipeline.make("answer")
  .add(idle("plan"))
  .add(Subpipeline.stage("research", research), { after: ["plan"] })
  .add(idle("write"), { after: ["research"] })

const lines = (...expected: ReadonlyArray<string>) => expected.join("\n")

describe("a stage that runs a pipeline", () => {
  it.effect("is a box with boxes in it, in Mermaid", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* toMermaid(answer),
        lines(
          "flowchart TD",
          "  plan[\"plan<br/>transform\"]",
          "  subgraph research[\"research<br/>transform\"]",
          "    direction TD",
          "    subgraph research__search[\"search<br/>enrich\"]",
          "      direction TD",
          "      research__search__index[(\"index<br/>enrich\")]",
          "      research__search__1[\"rank them<br/>transform\"]",
          "      research__search__index -.-> research__search__1",
          "    end",
          "  end",
          "  write[\"write<br/>transform\"]",
          "  plan -.-> research",
          "  research -.-> write"
        )
      )
    }))

  it.effect("is a box with boxes in it, in DOT: arrows end where the box ends", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* toDot(answer, { direction: "LR" }),
        lines(
          "digraph \"answer\" {",
          "  rankdir=LR;",
          "  compound=true;",
          "  \"plan\" [label=\"plan\\ntransform\", shape=box];",
          "  subgraph \"cluster_research\" {",
          "    label=\"research\\ntransform\";",
          "    subgraph \"cluster_research__search\" {",
          "      label=\"search\\nenrich\";",
          "      \"research__search__index\" [label=\"index\\nenrich\", shape=cylinder];",
          "      \"research__search__1\" [label=\"rank them\\ntransform\", shape=box];",
          "      \"research__search__index\" -> \"research__search__1\" [style=dotted];",
          "    }",
          "  }",
          "  \"write\" [label=\"write\\ntransform\", shape=box];",
          "  \"plan\" -> \"research__search__index\" [style=dotted, lhead=\"cluster_research\"];",
          "  \"research__search__index\" -> \"write\" [style=dotted, ltail=\"cluster_research\"];",
          "}"
        )
      )
    }))

  it("is a box of its own when a hand-made description says that nothing is in it", () => {
    const text = toMermaid({
      name: "p",
      stages: [{
        name: "a",
        kind: "work",
        inside: { pipelines: [{ pipeline: { name: "q", stages: [], edges: [] } }] }
      }],
      edges: []
    })
    assert.strictEqual(text, lines("flowchart TD", "  a[[\"a<br/>work\"]]"))
  })

  it.effect("is described with what is in it, by annotation, too", () =>
    Effect.gen(function*() {
      const own = Stage.annotate(Stage.work("own", { run: Effect.void }), Pipeline.Inside, {
        pipelines: [{ pipeline: search }]
      })
      const { stages } = yield* Pipeline.describe(Pipeline.make("p").add(own))
      assert.deepStrictEqual(stages, [{
        name: "own",
        kind: "work",
        inside: { pipelines: [{ pipeline: yield* Pipeline.describe(search) }] }
      }])
    }))

  it.effect("has a labelled box for each of several pipelines, and arrows back in a loop", () =>
    Effect.gen(function*() {
      const loop = Stage.annotate(Stage.agent("draft", { run: Effect.void }), Pipeline.Inside, {
        pipelines: [{ pipeline: search }],
        repeats: "loop"
      })
      const each = Stage.annotate(Stage.work("notify", { run: Effect.void }), Pipeline.Inside, {
        pipelines: [{ label: "by mail", pipeline: search }, {
          label: "mobile",
          pipeline: Pipeline.make("one").add(idle("push"))
        }],
        repeats: "for-each"
      })
      const alone = Stage.annotate(idle("poll"), Pipeline.Inside, { pipelines: [], repeats: "loop" })
      const text = yield* toMermaid(Pipeline.make("p").add(loop).add(each).add(alone))
      assert.strictEqual(
        text,
        lines(
          "flowchart TD",
          "  subgraph draft[\"draft<br/>agent, in a loop\"]",
          "    direction TD",
          "    draft__index[(\"index<br/>enrich\")]",
          "    draft__1[\"rank them<br/>transform\"]",
          "    draft__index -.-> draft__1",
          "    draft__1 -->|\"again\"| draft__index",
          "  end",
          "  subgraph notify[\"notify<br/>work, for each item\"]",
          "    direction TD",
          "    subgraph notify__0[\"by mail\"]",
          "      direction TD",
          "      notify__0__index[(\"index<br/>enrich\")]",
          "      notify__0__1[\"rank them<br/>transform\"]",
          "      notify__0__index -.-> notify__0__1",
          "    end",
          "    subgraph notify__mobile[\"mobile\"]",
          "      direction TD",
          "      notify__mobile__push[\"push<br/>transform\"]",
          "    end",
          "  end",
          "  poll[\"poll<br/>transform, in a loop\"]",
          "  poll -->|\"again\"| poll"
        )
      )
    }))
})

describe("a stage that runs functions", () => {
  const branches = Pipeline.make("branches").add(
    Route.match("answer", () => ({ route: "sales" } as const), { sales: () => Effect.succeed({ by: "sales" }) }, {
      otherwise: Stage.transform("general", { run: Effect.succeed({ by: "general" }) })
    })
  )
  const race = Pipeline.make("race").add(
    Shapes.race("fastest", { primary: () => Effect.succeed({ by: 1 }), "the backup": () => Effect.succeed({ by: 2 }) })
  )

  it.effect("has a box for each, with its label", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* toMermaid(branches),
        lines(
          "flowchart TD",
          "  subgraph answer[\"answer<br/>transform\"]",
          "    direction TD",
          "    subgraph answer__otherwise[\"otherwise\"]",
          "      direction TD",
          "      answer__otherwise__general[\"general<br/>transform\"]",
          "    end",
          "    answer__sales[\"sales\"]",
          "  end"
        )
      )
      const drawn = yield* toDot(race)
      assert.include(drawn, "\"fastest__primary\" [label=\"primary\"")
      assert.include(drawn, "\"fastest__1\" [label=\"the backup\"")
    }))

  it.effect("says so in its description", () =>
    Effect.gen(function*() {
      const { stages: [answer] } = yield* Pipeline.describe(branches)
      assert.deepStrictEqual(answer?.inside?.functions, ["sales"])
      assert.deepStrictEqual(answer?.inside?.pipelines.map(({ label }) => label), ["otherwise"])
      const { stages: [fastest] } = yield* Pipeline.describe(race)
      assert.deepStrictEqual(fastest?.inside, { pipelines: [], functions: ["primary", "the backup"] })
    }))
})
