import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { beforeAll } from "vitest"
import { type Block, blocks, expectedErrors, expectedOutput } from "./blocks.ts"

const root = resolve(import.meta.dirname, "../..")
// Inside the package, so that the blocks import "stageflow" by its own name.
const folder = join(root, "test/docs/.generated")

const tool = (name: string) => join(root, "node_modules/.bin", name)

const run = (command: string, args: ReadonlyArray<string>): Promise<{ readonly code: number; readonly out: string }> =>
  new Promise((done) => {
    execFile(command, args, { cwd: root, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : 1, out: stdout + stderr })
    })
  })

const fileOf = (index: number) => `block${String(index).padStart(3, "0")}.ts`

const all: ReadonlyArray<Block> = blocks()
let diagnostics: ReadonlyArray<string> = []

const diagnosticsOf = (index: number) => diagnostics.filter((line) => line.includes(`${fileOf(index)}(`))

describe("the TypeScript in README, docs and comments", () => {
  beforeAll(async () => {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    all.forEach(({ code }, index) => writeFileSync(join(folder, fileOf(index)), `${code}\nexport {}\n`))
    const config = {
      extends: "../../../tsconfig.json",
      // A page shows one thing at a time: what it declares and does not use is no mistake there.
      compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
      include: ["*.ts"],
      exclude: []
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
    const { out } = await run(tool("tsc"), ["--noEmit", "--pretty", "false", "-p", folder])
    diagnostics = out.split("\n").reduce<Array<string>>((entries, line) => {
      if (/^\S.*\(\d+,\d+\): /.test(line)) entries.push(line)
      else if (entries.length > 0) entries.push(`${entries.pop()}\n${line}`)
      return entries
    }, [])
  })

  it("there are some", () => {
    assert.isAbove(all.length, 5)
  })

  all.forEach((block, index) => {
    it(`${block.kind} at ${block.at}`, async () => {
      const found = diagnosticsOf(index)
      if (block.kind === "error") {
        const expected = expectedErrors(block)
        assert.isAbove(expected.length, 0, "an error block says what the error is: // error: ...")
        // The compiler shows a sentence as a string literal, with its quotes escaped.
        const shown = found.join("\n").replaceAll("\\\"", "\"")
        for (const message of expected) assert.include(shown, message)
        return
      }
      assert.deepStrictEqual(found, [])
      if (block.kind === "program") {
        const { code, out } = await run(tool("node"), ["--conditions=stageflow-source", join(folder, fileOf(index))])
        assert.strictEqual(code, 0, out)
        for (const line of expectedOutput(block)) assert.include(out, line)
      }
    })
  })
})
