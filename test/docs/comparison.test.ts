import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer } from "effect"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { layerPorts, Llm, Memories, Profiles } from "../bench/comparison/ports.ts"
import { layerWorkflow, names, type Subject, subjects } from "../bench/comparison/subjects.ts"

const root = resolve(import.meta.dirname, "../..")
const page = readFileSync(resolve(root, "docs/comparison.md"), "utf8")

const fileOf: Record<Subject, string> = {
  "plain Effect": "plain-effect",
  "stageflow": "stageflow",
  "effect/workflow": "effect-workflow"
}

/** A program as the page shows it: without the comment that it opens with. */
const programOf = (file: string): string =>
  readFileSync(resolve(root, `test/bench/comparison/${file}.ts`), "utf8").replace(/^\/\*\*[\s\S]*?\*\/\n/, "").trim()

const linesOf = (code: string): number =>
  code.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//")).length

describe("docs/comparison.md", () => {
  it("shows the programs that are measured, and how long they are", () => {
    assert.include(page, programOf("ports"))
    for (const name of names) {
      const program = programOf(fileOf[name])
      assert.include(page, program)
      assert.include(page, `| ${name} | ${linesOf(program)} |`)
    }
    const shown = Array.from(page.matchAll(/^```typescript\n([\s\S]*?)\n```$/gm), ([, code = ""]) => code)
    for (const name of ["LangGraph", "Mastra"]) {
      const code = shown.find((code) => code.includes(name === "Mastra" ? "@mastra/core" : "@langchain/langgraph"))
      assert.include(page, `| ${name} | ${linesOf(code ?? "")} |`)
    }
  })

  it("the small chat of stageflow is at most 28 lines", () => {
    assert.isAtMost(linesOf(programOf("stageflow")), 28)
  })

  for (const name of names) {
    it.live(`${name} answers, and blocks`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* subjects[name]("broken", "ada"), "[support] ada: has a printer")
        const blocked = yield* Effect.exit(subjects[name]("the password", "ada"))
        assert.include(JSON.stringify(blocked), "Blocked")
      }).pipe(Effect.provide(Layer.provideMerge(layerWorkflow, layerPorts))))

    it.live(`${name} interrupts the sibling of what fails`, () =>
      Effect.gen(function*() {
        let interrupted = false
        const layerFailing = Layer.mergeAll(
          Layer.succeed(Llm, { ask: Effect.succeed }),
          Layer.succeed(Profiles, { nameOf: () => Effect.andThen(Effect.sleep(20), Effect.die("down")) }),
          Layer.succeed(Memories, {
            recall: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (interrupted = true)))
          })
        )
        const layer = Layer.provideMerge(layerWorkflow, layerFailing)
        const asking = Effect.provide(Effect.exit(subjects[name]("broken", "ada")), layer)
        const exit = yield* Fiber.join(yield* Effect.forkChild(asking))
        assert.isTrue(Exit.isFailure(exit))
        assert.isTrue(interrupted)
      }))
  }
})
