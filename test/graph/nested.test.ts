/**
 * Pictures of pipelines whose stages run pipelines: boxes in boxes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Stage } from "stageflow"
import { Subpipeline } from "stageflow/control"
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
      stages: [{ name: "a", kind: "work", pipeline: { name: "q", stages: [], edges: [] } }],
      edges: []
    })
    assert.strictEqual(text, lines("flowchart TD", "  a[[\"a<br/>work\"]]"))
  })

  it.effect("is described with what is in it, by annotation, too", () =>
    Effect.gen(function*() {
      const own = Stage.annotate(Stage.work("own", { run: Effect.void }), Pipeline.Inside, search)
      const { stages } = yield* Pipeline.describe(Pipeline.make("p").add(own))
      assert.deepStrictEqual(stages, [{
        name: "own",
        kind: "work",
        pipeline: yield* Pipeline.describe(search)
      }])
    }))
})
