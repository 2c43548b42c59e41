import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll } from "vitest"
import { blocks } from "../docs/blocks.ts"

const root = resolve(import.meta.dirname, "../..")
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

const npm = (args: ReadonlyArray<string>, cwd: string) =>
  execFileSync("npm", [...args, "--no-audit", "--no-fund", "--prefer-offline"], {
    cwd,
    encoding: "utf8",
    stdio: "pipe"
  })

/** An empty ESM TypeScript project that installs the packed tarball next to effect, as a user would. */
describe("the packed tarball", { timeout: 180_000 }, () => {
  let folder: string
  let packed: ReadonlyArray<string>

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "stageflow-package-"))
    npm(["pack", "--pack-destination", folder], root)
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"))
    packed = execFileSync("tar", ["-tzf", join(folder, tarball ?? "")], { encoding: "utf8" }).trim().split("\n")
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "scratch", private: true, type: "module" }))
    const { effect, typescript } = manifest.devDependencies
    npm(["install", `./${tarball}`, `effect@${effect}`, `typescript@${typescript}`], folder)
    const compilerOptions = {
      target: "ES2022",
      lib: ["ES2023", "DOM"],
      module: "NodeNext",
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: []
    }
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }))
  }, 180_000)

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  /** Checks what has been written, and with it the declarations of every module of the package that it reaches. */
  const typeCheck = () => {
    const { stdout } = spawnSync(join(folder, "node_modules/.bin/tsc"), ["-p", "."], { cwd: folder, encoding: "utf8" })
    assert.strictEqual(stdout, "")
  }

  it("has types, source maps and sources, and no tests", () => {
    for (
      const file of ["dist/index.js", "dist/index.d.ts", "dist/index.js.map", "src/index.ts", "README.md", "LICENSE"]
    ) {
      assert.include(packed, `package/${file}`)
    }
    assert.deepStrictEqual(
      packed.filter((file) => /\/(test|examples|docs)\//.test(file) || file.includes(".test.")),
      []
    )
  })

  it("declares nothing that is internal", () => {
    const declarations = packed.filter((file) => file.endsWith(".d.ts")).map((file) => file.replace("package/", ""))
    assert.isAbove(declarations.length, 50)
    const internal = declarations.filter((file) =>
      readFileSync(join(folder, "node_modules/stageflow", file), "utf8").includes("@internal")
    )
    assert.deepStrictEqual(internal, [])
  })

  it("type-checks and runs the README's first pipeline", () => {
    const first = blocks().find(({ at, kind }) => at.startsWith("README.md") && kind === "program")
    assert(first !== undefined, "the README has a program")
    writeFileSync(join(folder, "first.ts"), first.code)
    typeCheck()
    const out = execFileSync(join(root, "node_modules/.bin/node"), ["first.ts"], { cwd: folder, encoding: "utf8" })
    assert.isAbove(out.trim().length, 0)
  })

  it("shows the outputs of a run by name, so that errors and services are visible", () => {
    const file = join(folder, "shown.ts")
    writeFileSync(
      file,
      `import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"
const pipeline = Pipeline.make("p").work("a", { run: Effect.fail("no" as const) })
export const shown: never = Pipeline.run(pipeline, Snapshot.make())
`
    )
    const { stdout } = spawnSync(join(folder, "node_modules/.bin/tsc"), ["-p", "."], { cwd: folder, encoding: "utf8" })
    rmSync(file)
    assert.include(stdout, "Type 'Effect<Completed<Outputs>, StageFailed<\"no\", Outputs>, never>'")
  })

  it("has every sub-path that it names, with the optional peers where they need them", () => {
    const optional = Object.keys(manifest.peerDependenciesMeta).map((name) =>
      `${name}@${manifest.devDependencies[name]}`
    )
    npm(["install", ...optional], folder)
    const names = Object.keys(manifest.exports).filter((name) => name !== "./package.json")
    const imports = names.map((name, index) => `import * as m${index} from "${name.replace(".", "stageflow")}"`)
    const uses = names.map((_, index) => `m${index}`)
    writeFileSync(join(folder, "all.ts"), [...imports, `export const all = [${uses.join(", ")}]`].join("\n"))
    typeCheck()
    const out = execFileSync(
      join(root, "node_modules/.bin/node"),
      ["--input-type=module", "-e", names.map((name) => `await import("${name.replace(".", "stageflow")}")`).join(";")],
      { cwd: folder, encoding: "utf8", stdio: "pipe" }
    )
    assert.strictEqual(out, "")
  })
})
