import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { spanAttributes } from "../../src/interceptors/internal/span-attributes.ts"

const page = readFileSync(resolve(import.meta.dirname, "../../docs/api/interceptors.md"), "utf8")

/** The rows of the table below a heading, which has these columns. */
const rowsBelow = (heading: string, columns: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const section = page.slice(page.indexOf(`\n### ${heading}\n`)).split("\n")
  const header = section.indexOf(`| ${columns.join(" | ")} |`)
  assert.isAtLeast(header, 0)
  const rows = section.slice(header + 2)
  return rows.slice(0, rows.findIndex((line) => !line.startsWith("|"))).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  )
}

describe("the page of the interceptors", () => {
  it("has every attribute of spans, of which spans, and what it is", () => {
    assert.deepStrictEqual(
      rowsBelow("Spans", ["attribute", "of", "what"]),
      Object.entries(spanAttributes).map(([name, { of, what }]) => [`\`${name}\``, of.join(", "), what])
    )
  })

  it("has every metric, as the module has it", () => {
    const source = readFileSync(resolve(import.meta.dirname, "../../src/interceptors/Metrics.ts"), "utf8")
    const made = new Set(Array.from(source.matchAll(/"(stageflow_\w+)"/g), ([, name = ""]) => name))
    const shown = rowsBelow("Metrics", ["metric", "kind", "attributes", "what"]).map(([name = ""]) =>
      name.replaceAll("`", "")
    )
    assert.sameMembers(shown, [...made])
    for (const name of made) assert.include(source, ` * | \`${name}\``)
  })
})
