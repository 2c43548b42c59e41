import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { blocks } from "./blocks.ts"

const root = resolve(import.meta.dirname, "../..")
// Inside the package, so that the test imports "stageflow" by its own name.
const folder = join(root, "test/docs/.generated-vitest")

describe("docs/getting-started/testing.md", () => {
  it("its test file passes in vitest", () => {
    const page = blocks().find(({ at }) => at.startsWith("docs/getting-started/testing.md"))
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(join(folder, "test"), { recursive: true })
    writeFileSync(join(folder, "test/chat.test.ts"), page?.code ?? "")
    const { status, stdout } = spawnSync(
      join(root, "node_modules/.bin/vitest"),
      ["run", "--root", folder, "--config", join(root, "vitest.config.ts"), "--maxWorkers=1"],
      { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } }
    )
    rmSync(folder, { recursive: true, force: true })
    assert.strictEqual(status, 0, stdout)
    assert.match(stdout, /Tests +3 passed/)
  })
})
