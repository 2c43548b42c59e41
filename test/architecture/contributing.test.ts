/**
 * docs/contributing.md names files and exports that exist.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")
const page = readFileSync(join(root, "docs/contributing.md"), "utf8")
const named = Array.from(page.matchAll(/`((?:src|test|docs|examples)\/[\w./-]+)`/g), (match) => match[1] ?? "")

describe("docs/contributing.md", () => {
  it("names files and folders that exist", () => {
    assert.isAbove(named.length, 30)
    assert.deepStrictEqual(named.filter((path) => !existsSync(join(root, path))), [])
  })

  it("names every room", () => {
    const rooms = readdirSync(join(root, "src"), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    assert.deepStrictEqual(rooms.map(({ name }) => name).filter((name) => !page.includes(`${name}/`)), [])
  })
})
