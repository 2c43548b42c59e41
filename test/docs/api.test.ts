import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"
import { basename, resolve } from "node:path"
import { Event } from "stageflow"
import { familiesIn, withTables } from "./event-tables.ts"

const root = resolve(import.meta.dirname, "../..")
const pages = globSync("docs/api/*.md", { cwd: root }).map((page) => readFileSync(resolve(root, page), "utf8")).join(
  "\n"
)

const declaration = /(?<comment>\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*)?^export (?:const|type|interface|class) (?<name>\w+)/gm

/** What a module of the core exports, without what is marked internal. */
const exportsOf = (file: string): ReadonlyArray<string> =>
  Array.from(readFileSync(resolve(root, "src", file), "utf8").matchAll(declaration))
    .filter(({ groups }) => !(groups?.["comment"] ?? "").includes("@internal"))
    .map(({ groups }) => `${basename(file, ".ts")}.${groups?.["name"]}`)

describe("docs/api", () => {
  for (const file of globSync("*.ts", { cwd: resolve(root, "src") }).filter((name) => name !== "index.ts")) {
    it(`names every export of ${file}`, () => {
      const names = Array.from(new Set(exportsOf(file)))
      assert.isAbove(names.length, 0)
      assert.deepStrictEqual(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(pages)), [])
    })
  }
})

describe("docs/api, of sub-paths", () => {
  for (const part of ["interceptors", "auth", "control", "observability", "streaming", "ports", "tools"]) {
    const page = readFileSync(resolve(root, `docs/api/${part}.md`), "utf8")
    for (const file of globSync(`${part}/*.ts`, { cwd: resolve(root, "src") })) {
      it(`names every export of ${file}`, () => {
        const names = exportsOf(file).map((name) => name.slice(name.indexOf(".") + 1))
        assert.deepStrictEqual(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(page)), [])
      })
    }
  }
})

describe("docs/api/events.md", () => {
  const page = readFileSync(resolve(root, "docs/api/events.md"), "utf8")

  it("has a table for every family of events", () => {
    assert.deepStrictEqual(familiesIn(page), Object.keys(Event.families))
  })

  it("says what the schemas say; `npm run docs:events` writes it", () => {
    assert.strictEqual(page, withTables(page))
  })
})

describe("docs/dependencies.md", () => {
  const page = readFileSync(resolve(root, "docs/dependencies.md"), "utf8")
  const manifest = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"))
  const kinds = ["dependencies", "peerDependencies", "optionalDependencies", "devDependencies"]
  const names = new Set(kinds.flatMap((kind) => Object.keys(manifest[kind] ?? {})))

  it("has a reason for every dependency, and for nothing else", () => {
    const rows = Array.from(page.matchAll(/^\| (`[^|]+`) \|/gm), (match) => match[1] ?? "")
    const listed = rows.flatMap((row) => Array.from(row.matchAll(/`([^`]+)`/g), (match) => match[1] ?? ""))
    assert.deepStrictEqual(Array.from(new Set(listed)).toSorted(), Array.from(names).toSorted())
  })
})

describe("docs/getting-started/installation.md", () => {
  it("has a row for every import of the package, and for nothing else", () => {
    const page = readFileSync(resolve(root, "docs/getting-started/installation.md"), "utf8")
    const rows = Array.from(page.matchAll(/^\| `(stageflow[^`]*)` \|/gm), ([, name = ""]) => name)
    const manifest = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"))
    const imports = Object.keys(manifest.exports).filter((name) => name !== "./package.json")
    assert.deepStrictEqual(rows.toSorted(), imports.map((name) => name.replace(".", "stageflow")).toSorted())
  })
})

describe("the links in README and docs", () => {
  const anchorOf = (heading: string) =>
    heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(/\s/g, "-")
  const anchorsOf = (path: string) =>
    Array.from(readFileSync(path, "utf8").matchAll(/^#+ (.*)$/gm), (match) => anchorOf(match[1] ?? ""))

  for (const page of ["README.md", ...globSync("docs/**/*.md", { cwd: root })]) {
    it(`${page} links to pages and headings that exist`, () => {
      const path = resolve(root, page)
      const links = Array.from(readFileSync(path, "utf8").matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)/g))
      for (const [link, file = "", anchor] of links) {
        const target = file === "" ? path : resolve(path, "..", file)
        assert.isNotEmpty(globSync(target), `${link}: no such file`)
        if (anchor !== undefined) assert.include(anchorsOf(target), anchor, `${link}: no such heading`)
      }
    })
  }
})
