import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "../..")

const program = `import { Effect } from "effect"
import { Stage, StageOutput } from "stageflow"
export const stage = Stage.work("stage", {
  run: function*() {
    const left = yield* Effect.succeed(0)
    if (left === 1) StageOutput.skip("nobody")
    if (left === 2) yield* StageOutput.cancel("enough")
    if (left === 3) return StageOutput.retry("again")
    Effect.log("lost")
    return {}
  }
})
`

/** What a tool prints about the program, in a folder of its own inside of the project. */
const printedBy = async (
  files: Readonly<Record<string, string>>,
  command: (folder: string) => ReadonlyArray<string>
) => {
  const folder = mkdtempSync(join(root, "test/lint/.generated-"))
  try {
    for (const [name, text] of Object.entries({ ...files, "program.ts": program })) {
      writeFileSync(join(folder, name), text)
    }
    const [tool = "", ...given] = command(folder)
    return await new Promise<string>((done) =>
      execFile(resolve(root, "node_modules/.bin", tool), given, { cwd: root }, (_error, out, err) => done(out + err))
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("an outcome or an Effect that nobody yields", () => {
  it("is found by the rule, when it is an outcome", async () => {
    const settings = {
      jsPlugins: [resolve(root, "src/lint/index.ts")],
      rules: { "stageflow/yielded-outcome": "error" }
    }
    const printed = await printedBy({ "oxlintrc.json": JSON.stringify(settings) }, (folder) => [
      "oxlint",
      "-c",
      join(folder, "oxlintrc.json"),
      "--no-ignore",
      join(folder, "program.ts")
    ])
    assert.include(printed, "StageOutput.skip(...) does nothing here: write yield* before it, or return it")
    assert.strictEqual(printed.match(/does nothing here/g)?.length, 1)
  })

  it("is found by floatingEffect of @effect/tsgo, when it is an Effect", async () => {
    const settings = { extends: "../../../tsconfig.json", include: [], files: ["program.ts"] }
    const printed = await printedBy({ "tsconfig.json": JSON.stringify(settings) }, (folder) => [
      "effect-tsgo",
      "diagnostics",
      "--project",
      join(folder, "tsconfig.json"),
      "--severity",
      "error,warning"
    ])
    assert.match(printed, /floatingEffect/)
    assert.strictEqual(printed.match(/effect\(floatingEffect\)/g)?.length, 1)
  })
})
