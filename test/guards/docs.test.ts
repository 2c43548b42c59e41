import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import * as Guards from "stageflow/guards"
import { corpus, type Guard, limits, unmark, words } from "./corpus.ts"

const root = resolve(import.meta.dirname, "../..")
const read = (path: string): string => readFileSync(resolve(root, path), "utf8")
const guide = read("docs/guides/governance.md")

const headings: Readonly<Record<Guard, string>> = {
  personalData: "#### Personal data",
  contentFilter: "#### Words that you give",
  instructionOverride: "#### Attempts to change instructions",
  lengthLimit: "#### Length"
}

const sectionOf = (heading: string): string => {
  const start = guide.indexOf(`${heading}\n`)
  assert.isAtLeast(start, 0, heading)
  const rest = guide.slice(start + heading.length)
  return rest.slice(0, /^#/m.exec(rest)?.index ?? rest.length)
}

const quoted = (cell: string): ReadonlyArray<string> =>
  Array.from(cell.matchAll(/`([^`]+)`/g), (match) => match[1] ?? "")

const rowsOf = (heading: string) =>
  Array.from(sectionOf(heading).replaceAll("\\|", "\0").matchAll(/^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm))
    .map(([, name = "", finds = "", examples = ""]) => ({
      name: name.trim(),
      finds: finds === "nothing" ? undefined : quoted(finds)[0],
      examples: quoted(examples).map((example) => example.replaceAll("\0", "|").replaceAll("↵", "\n"))
    }))
    .slice(1)

describe("the guide's table of what is found and what is not", () => {
  for (const [guard, heading] of Object.entries(headings)) {
    const rows = rowsOf(heading)
    const groups = corpus.filter((group) => group.guard === guard)

    it(`${guard}: has the groups of the corpus, found as the corpus says`, () => {
      assert.deepStrictEqual(
        rows.map(({ finds, name }) => ({ name, finds })),
        groups.map(({ finds, name }) => ({ name, finds }))
      )
    })

    it(`${guard}: has examples of the corpus`, () => {
      for (const { examples, name } of rows) {
        const texts = groups.find((group) => group.name === name)?.texts.map((marked) => unmark(marked).text) ?? []
        assert.deepStrictEqual(examples.filter((example) => !texts.includes(example)), [], name)
        if (name !== "hidden text") assert.isAbove(examples.length, 0, name)
      }
    })
  }

  it("says what the corpus looks for", () => {
    assert.deepStrictEqual(quoted(sectionOf(headings.contentFilter).split("\n\n")[1] ?? ""), words)
    assert.include(sectionOf(headings.lengthLimit), `${limits.minimum} to ${limits.maximum} characters`)
  })
})

describe("the corpus", () => {
  it("has every kind that guards find", () => {
    const kinds = [
      ...Guards.PersonalData.kinds,
      ...Guards.ContentFilter.make({ words: ["x"] }).kinds,
      ...Guards.InstructionOverride.make().kinds,
      ...Guards.LengthLimit.make(limits).kinds
    ]
    const found = new Set(corpus.map(({ finds }) => finds).filter((kind) => kind !== undefined))
    assert.deepStrictEqual(Array.from(found).toSorted(), kinds.toSorted())
  })
})

describe("docs/api/guards.md", () => {
  const page = read("docs/api/guards.md")
  const declaration = /^export (?:const|type|interface|class) (\w+)/gm

  for (const file of globSync("src/guards/*.ts", { cwd: root })) {
    it(`names every export of ${file}`, () => {
      const names = Array.from(read(file).matchAll(declaration), ([, name]) => name ?? "")
      assert.deepStrictEqual(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page)), [])
    })
  }

  /** What the page shows as code. */
  const shown = quoted(page.replaceAll(/^```[^]*?^```/gm, ""))

  const isShown = (name: string): boolean =>
    shown.some((code) => code === name || (code.startsWith(name) && /^[(<]/.test(code.slice(name.length))))

  const isNamespace = (value: unknown): value is Readonly<Record<string, unknown>> =>
    typeof value === "object" && value !== null && Reflect.get(value, Symbol.toStringTag) === "Module"

  for (const [name, value] of Object.entries(Guards)) {
    it(`shows all that can be reached through ${name} at run time`, () => {
      const names = isNamespace(value) ? Object.keys(value).map((key) => `${name}.${key}`) : [name]
      assert.isAbove(names.length, 0)
      assert.deepStrictEqual(names.filter((reached) => !isShown(reached)), [])
    })
  }
})
