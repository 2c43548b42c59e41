/**
 * What users can reach: every name of every entry of the package is documented where it is declared, and none is internal.
 */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { type Exported, ExportReader } from "./support/exports.ts"

const root = resolve(import.meta.dirname, "../..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** The entries of the package, each with its source below src/: "stageflow/graph" is "graph/index.ts". */
const entries: ReadonlyArray<readonly [name: string, source: string]> = Object.keys(manifest.exports)
  .filter((entry) => entry !== "./package.json")
  .map((entry) => [entry.replace(".", "stageflow"), manifest.exports[entry]["stageflow-source"].replace("./src/", "")])

const reader = new ExportReader(join(root, "src"))

interface Reachable extends Exported {
  /** As users write it: "Stage.retry". */
  readonly name: string
}

/** Everything that a module exports, what is in its namespaces included. */
const reachableFrom = (path: string, prefix = ""): ReadonlyArray<Reachable> =>
  Array.from(reader.exportsOf(path)).flatMap(([key, exported]) => {
    const name = `${prefix}${key}`
    const inside = exported.space === undefined ? [] : reachableFrom(exported.space, `${name}.`)
    return [{ ...exported, name }, ...inside]
  })

/** The same as far as it is there at run time. */
const keysOf = (namespace: object, prefix = ""): ReadonlyArray<string> =>
  Object.entries(namespace).flatMap(([key, value]) => {
    const name = `${prefix}${key}`
    const isModule = Object.prototype.toString.call(value) === "[object Module]"
    return [name, ...(isModule ? keysOf(value, `${name}.`) : [])]
  })

/** Whether a comment says something in words, besides its tags. */
const saysSomething = (comment: string): boolean =>
  /[a-z]{2}/i.test(comment.replaceAll(/^\s*\/?\*+\/?/gm, "").replaceAll(/^\s*@.*$/gm, ""))

describe("the entries of the package", () => {
  it("are the core and the folders that have an index.ts", () => {
    assert.includeMembers(entries.map(([name]) => name), ["stageflow", "stageflow/graph", "stageflow/testing"])
    for (const [name, source] of entries) {
      assert.strictEqual(source, `${name.replace(/^stageflow\/?/, "")}/index.ts`.replace(/^\//, ""))
    }
  })

  for (const [name, source] of entries) {
    describe(name, () => {
      const reachable = reachableFrom(source)

      it("is read whole: what is there at run time is among what is declared", async () => {
        const keys = keysOf(await import(/* @vite-ignore */ name))
        assert.isAbove(keys.length, 0)
        const declared = new Set(reachable.map((exported) => exported.name))
        assert.deepStrictEqual(keys.filter((key) => key !== "default" && !declared.has(key)), [])
      })

      it("has no name without a comment", () => {
        const silent = reachable.filter(({ comments }) => !comments.some(saysSomething))
        assert.deepStrictEqual(silent.map((exported) => `${exported.name} (${exported.module})`), [])
      })

      it("has no name that is internal", () => {
        const internal = reachable.filter(({ comments }) => comments.some((comment) => comment.includes("@internal")))
        assert.deepStrictEqual(internal.map((exported) => `${exported.name} (${exported.module})`), [])
      })
    })
  }
})

describe("the reader of exports", () => {
  it("tells what is documented, what is not and what is internal", () => {
    const { comments } = new Map(reader.exportsOf("index.ts")).get("Stage") ?? { comments: [] }
    assert.isTrue(comments.some(saysSomething), "a namespace is documented by its module's opening")
    assert.isTrue(saysSomething("/** Runs it. */"))
    assert.isFalse(saysSomething("/** @internal */"))
    assert.isFalse(saysSomething("/**\n * @since 1.0.0\n */"))
  })
})
