/**
 * The house: which module of src/ may import which, as "The rooms and the arrows" in docs/contributing.md draws it.
 */
import { assert, describe, it } from "@effect/vitest"
import { join, resolve } from "node:path"
import { instabilities, violations } from "./support/arrows.ts"
import { type Module, read, readAll } from "./support/modules.ts"
import { stabilityIn } from "./support/stability.ts"

const root = resolve(import.meta.dirname, "../..")
const house = readAll(join(root, "src"))
const stabilityOf = stabilityIn(join(root, "node_modules/effect/src"))

describe("the modules of src/", () => {
  it("import each other the way the arrows point, and never in a circle", () => {
    assert.isAbove(house.length, 100)
    assert.deepStrictEqual(violations(house), [])
  })

  it("rest, in the core, on what is stable in the installed effect", () => {
    assert.deepStrictEqual(instabilities(house, stabilityOf), [])
  })
})

/** The modules of a small house, by path: what is written in each. */
const houseOf = (texts: Readonly<Record<string, string>>): ReadonlyArray<Module> =>
  Object.entries(texts).map(([path, text]) => read(path, text))

/** A small house that is in order. */
const sound: Readonly<Record<string, string>> = {
  "index.ts": `export * as Pipeline from "./Pipeline.ts"`,
  "Event.ts": "",
  "Snapshot.ts": `import type { Event } from "./Event.ts"`,
  "Stage.ts": `import { Snapshot } from "./Snapshot.ts"\nimport { retry } from "./attempt/retry.ts"`,
  "Run.ts": `import type { Event } from "./Event.ts"`,
  "Pipeline.ts":
    `import { Stage } from "./Stage.ts"\nimport { Run } from "./Run.ts"\nimport { run } from "./engine/run.ts"`,
  "ResultCodec.ts": `import { Pipeline } from "./Pipeline.ts"\nimport { plan } from "./engine/plan.ts"`,
  "attempt/retry.ts": `import { Snapshot } from "../Snapshot.ts"\nimport { freeze } from "../internal/immutable.ts"`,
  "checks/wiring.ts": `import type { Snapshot } from "../Snapshot.ts"`,
  "engine/plan.ts": `import * as Effect from "effect/Effect"`,
  "engine/run.ts": `import { retry } from "../attempt/retry.ts"\nimport { plan } from "./plan.ts"\nimport "../Run.ts"`,
  "internal/immutable.ts": `import * as Effect from "effect/Effect"`,
  "interceptors/index.ts": `export * from "./Cache.ts"`,
  "interceptors/Cache.ts": `import { orders } from "./internal/orders.ts"\nimport { retry } from "../attempt/retry.ts"`,
  "interceptors/internal/orders.ts": "",
  "interceptors/internal/places.ts": "",
  "auth/Authentication.ts": `import { orders } from "../interceptors/internal/orders.ts"\nimport * as jose from "jose"`,
  "testing/Simulation.ts": `import { plan } from "../engine/plan.ts"\nimport { Run } from "../Run.ts"`,
  "tools/Tool.ts": `import type { Wiring } from "../checks/wiring.ts"`,
  "agent/Agent.ts": `import { Tool } from "../tools/Tool.ts"`,
  "cli/main.ts": `import { Agent } from "../agent/Agent.ts"\nimport { Stage } from "../Stage.ts"`
}

/** What is said of the sound house after these modules have been changed. */
const saidOf = (changed: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  violations(houseOf({ ...sound, ...changed }))

describe("the arrows", () => {
  it("of a house that is in order are all allowed", () => {
    assert.deepStrictEqual(saidOf({}), [])
  })

  const mistakes: ReadonlyArray<readonly [from: string, text: string, said: string]> = [
    [
      "interceptors/Cache.ts",
      `import { plan } from "../engine/plan.ts"`,
      "only Pipeline.ts, ResultCodec.ts and testing/"
    ],
    ["Run.ts", `import type { Plan } from "./engine/plan.ts"`, "only Pipeline.ts, ResultCodec.ts and testing/"],
    ["attempt/retry.ts", `import { plan } from "../engine/plan.ts"`, "only Pipeline.ts, ResultCodec.ts and testing/"],
    ["checks/wiring.ts", `import { plan } from "../engine/plan.ts"`, "only Pipeline.ts, ResultCodec.ts and testing/"],
    ["cli/main.ts", `import { plan } from "../engine/plan.ts"`, "only Pipeline.ts, ResultCodec.ts and testing/"],
    ["cli/main.ts", `import { freeze } from "../internal/immutable.ts"`, "cli/ imports public modules only"],
    ["graph/Dot.ts", `import { Tool } from "../tools/Tool.ts"`, "graph/ does not import tools/"],
    ["graph/Dot.ts", `import { main } from "../cli/main.ts"`, "cli/ is a program, which nobody imports"],
    ["tools/Tool.ts", `import { wired } from "../checks/wiring.ts"`, "checks/ is imported for its types only"],
    ["graph/Dot.ts", `import { orders } from "../interceptors/internal/orders.ts"`, "is private to interceptors/"],
    [
      "auth/Authentication.ts",
      `import { places } from "../interceptors/internal/places.ts"`,
      "is private to interceptors/"
    ],
    ["Event.ts", `export * from "./interceptors/internal/orders.ts"`, "is private to interceptors/"],
    ["Event.ts", `export * from "./interceptors/Cache.ts"`, "the core imports no sub-path"],
    ["engine/plan.ts", `import { Tool } from "../tools/Tool.ts"`, "engine/ imports the public modules below Pipeline"],
    ["engine/plan.ts", `import type { Wiring } from "../checks/wiring.ts"`, "engine/ imports the public modules below"],
    [
      "engine/plan.ts",
      `import type { Pipeline } from "../Pipeline.ts"`,
      "engine/ imports the public modules below Pipeline"
    ],
    [
      "engine/plan.ts",
      `import type { Codec } from "../ResultCodec.ts"`,
      "engine/ imports the public modules below Pipeline"
    ],
    ["attempt/retry.ts", `import type { Stage } from "../Stage.ts"`, "attempt/ imports the public modules below Stage"],
    ["attempt/retry.ts", `import { Run } from "../Run.ts"`, "attempt/ imports the public modules below Stage"],
    ["checks/wiring.ts", `import { Snapshot } from "../Snapshot.ts"`, "checks/ imports types only"],
    ["checks/wiring.ts", `import type { Pipeline } from "../Pipeline.ts"`, "checks/ imports the public modules below"],
    ["internal/immutable.ts", `import type { Event } from "../Event.ts"`, "internal/ imports nothing of stageflow"],
    ["Event.ts", `import { readFileSync } from "node:fs"`, "the core needs effect and nothing else"],
    ["engine/plan.ts", `import { Effect } from "effect"`, "it imports the modules of effect one by one"],
    ["Event.ts", `import { gone } from "./gone.ts"`, "there is no such module"]
  ]
  for (const [from, text, said] of mistakes) {
    it(`${from}: ${text}`, () => {
      const found = saidOf({ [from]: text })
      assert.isTrue(
        found.some((sentence) => sentence.startsWith(`${from} imports `) && sentence.includes(said)),
        found.join("\n")
      )
    })
  }

  it("lead to rooms that are known", () => {
    assert.deepStrictEqual(saidOf({ "utils/text.ts": "" }), ["utils/text.ts: utils/ is no room of the house"])
  })

  it("never go round in a circle: it is shown as a closed path, types included", () => {
    const said = saidOf({
      "Event.ts": `import type { Stage } from "./Stage.ts"`,
      "attempt/retry.ts": "",
      "engine/plan.ts": `import { run } from "./run.ts"`
    })
    assert.deepStrictEqual(said, [
      "a circle of imports: Event.ts -> Stage.ts -> Snapshot.ts -> Event.ts",
      "a circle of imports: engine/plan.ts -> engine/run.ts -> engine/plan.ts"
    ])
  })

  it("do not lead from a module to itself", () => {
    assert.deepStrictEqual(saidOf({ "Event.ts": `import * as Self from "./Event.ts"` }), [
      "a circle of imports: Event.ts -> Event.ts"
    ])
  })
})

describe("what the core uses of effect", () => {
  const saidOfUse = (text: string) => instabilities(houseOf({ "Event.ts": text }), stabilityOf)

  it("is looked up in the tags of the installed effect", () => {
    assert.strictEqual(stabilityOf("effect/Effect", "gen"), "stable")
    assert.strictEqual(stabilityOf("effect/Fiber", "await"), "stable")
    assert.strictEqual(stabilityOf("effect/sql/SqlClient", ""), "unstable")
    assert.strictEqual(stabilityOf("effect/persistence/CircuitBreaker", "make"), "experimental")
    assert.strictEqual(stabilityOf("effect/Effect", "nothingOfThatName"), undefined)
  })

  it("may be stable exports, by name, through a namespace and as types", () => {
    assert.deepStrictEqual(
      saidOfUse(
        `import * as Effect from "effect/Effect"\nimport { dual } from "effect/Function"\nexport const a = Effect.gen(dual)
        export type B = Effect.Effect<import("effect/Option").Option<1>>`
      ),
      []
    )
  })

  it("may be no module that is unstable", () => {
    assert.include(
      saidOfUse(`import type { SqlClient } from "effect/sql/SqlClient"`)[0],
      "effect/sql/SqlClient: the core"
    )
  })

  it("may be no unstable export of a module that is stable", () => {
    assert.deepStrictEqual(saidOfUse(`import * as Metric from "effect/Metric"\nMetric.nothingOfThatName`), [
      "Event.ts uses effect/Metric.nothingOfThatName: the core rests on what is stable, and it is not there"
    ])
    assert.include(
      saidOfUse(`import * as Effect from "effect/Effect"\nEffect.withExecutionPlan`)[0],
      "Event.ts uses effect/Effect.withExecutionPlan: the core rests on what is stable, and it is unstable"
    )
  })

  it("is not asked of a sub-path", () => {
    assert.deepStrictEqual(
      instabilities(houseOf({ "sqlite/Sqlite.ts": `import { SqlClient } from "effect/sql"` }), stabilityOf),
      []
    )
  })
})

describe("the reader of imports", () => {
  const importsOf = (text: string) => read("engine/run.ts", text).imports

  it("sees imports over several lines, of types, of everything, for their effect, and in types", () => {
    const text = `
      import {
        one,
        type Two as Deux
      } from "./plan.ts"
      import type { Three } from "../Event.ts"
      import { type Four } from "../Stage.ts"
      import * as Five from "effect/Effect"
      import "../Run.ts"
      export * from "../Snapshot.ts"
      export * as Seven from "../Source.ts"
      export { eight } from "../Extension.ts"
      export type { Nine } from "../OutputBag.ts"
      // import { ten } from "./ten.ts"
      /** import { eleven } from "./eleven.ts" */
      const text = 'import { twelve } from "./twelve.ts"'
      const lazy = () => import("../RunResult.ts")
      type Thirteen = import("../StageError.ts").StageError
      Five.gen(one)`
    const of = (module: string, types: boolean, names: ReadonlyArray<string>, own = true) => ({
      module,
      own,
      types,
      names
    })
    assert.deepStrictEqual(importsOf(text), [
      of("engine/plan.ts", false, ["one", "Two"]),
      of("Event.ts", true, ["Three"]),
      of("Stage.ts", true, ["Four"]),
      of("effect/Effect", false, ["gen"], false),
      of("Run.ts", false, []),
      of("Snapshot.ts", false, []),
      of("Source.ts", false, []),
      of("Extension.ts", false, ["eight"]),
      of("OutputBag.ts", true, ["Nine"]),
      of("RunResult.ts", false, []),
      of("StageError.ts", true, ["StageError"])
    ])
  })
})
