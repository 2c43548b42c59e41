/**
 * What an editor offers where a pipeline is written, asked of the TypeScript language service.
 */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import type * as TypeScript from "typescript-6"

// The TypeScript with a JavaScript API; the one that users have has none.
const ts = createRequire(import.meta.url)("./typescript-6/index.cjs") as typeof TypeScript

const root = fileURLToPath(new URL("../../", import.meta.url))
const file = `${root}test/types/fixtures/completed.ts`

const before = `import { Effect } from "effect"
import { Pipeline, Stage } from "stageflow"
const reader = Stage.work("reader", { run: (_: { readonly router: { readonly route: string } }) => Effect.void })
export default Pipeline.make("chat")
  .route("router", {
    run: function*() {
      return { route: (yield* Effect.succeed(1)) > 2 ? "support" : "general" }
    }
  })
  .enrich("profile", { run: Effect.succeed({ name: "Ann" }) })
  `

let text = ""
let version = 0

const host: TypeScript.LanguageServiceHost = {
  getScriptFileNames: () => [file],
  getScriptVersion: (name) => name === file ? String(version) : "1",
  getScriptSnapshot: (name) =>
    name === file
      ? ts.ScriptSnapshot.fromString(text)
      : existsSync(name)
      ? ts.ScriptSnapshot.fromString(readFileSync(name, "utf8"))
      : undefined,
  getCurrentDirectory: () => root,
  getCompilationSettings: () => ({
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    customConditions: ["stageflow-source"],
    allowImportingTsExtensions: true,
    types: []
  }),
  getDefaultLibFileName: (options) => ts.getDefaultLibFilePath(options),
  fileExists: (name) => name === file || ts.sys.fileExists(name),
  readFile: (name) => ts.sys.readFile(name),
  directoryExists: (name) => ts.sys.directoryExists(name),
  getDirectories: (name) => ts.sys.getDirectories(name)
}

const service = ts.createLanguageService(host)

/** What is offered where the code has a `|`. */
const offeredAt = (code: string): ReadonlyArray<string> => {
  text = before + code.replace("|", "")
  version++
  const found = service.getCompletionsAtPosition(file, before.length + code.indexOf("|"), {})
  return found?.entries.map(({ name }) => name) ?? []
}

const wiring = ["after", "inputs", "when"]

const cases: ReadonlyArray<readonly [code: string, offered: ReadonlyArray<string>]> = [
  [".add(reader, { inputs: [\"|\"] })", ["router", "profile"]],
  [".add(reader, { after: [\"|\"] })", ["router", "profile"]],
  [".add(reader, (s) => ({ when: s.router.is(\"|\") }))", ["support", "general"]],
  [".add(reader, (s) => ({ | }))", wiring],
  [".add(reader, (s) => ({ inputs: { router: s.| } }))", ["router", "profile"]],
  [".work(\"x\", { inputs: [\"|\"], run: () => Effect.void })", ["router", "profile"]],
  [".work(\"x\", { inputs: [\"router\", \"pro|\"], run: () => Effect.void })", ["profile"]],
  [".work(\"x\", { after: [\"|\"], run: Effect.void })", ["router", "profile"]],
  [".work(\"x\", { when: (s) => s.router.is(\"|\"), run: Effect.void })", ["support", "general"]],
  [".work(\"x\", { inputs: (s) => ({ who: s.| }), run: () => Effect.void })", ["router", "profile"]],
  [".work(\"x\", { inputs: [\"router\"], run: (i) => Effect.log(i.|) })", ["router"]],
  [".work(\"x\", { inputs: [\"router\"], run: (i) => Effect.log(i.router.|) })", ["route"]],
  [".work(\"x\", { | })", [...wiring, "run", "output", "error", "wrap"]]
]

describe("an editor offers", () => {
  for (const [code, offered] of cases) {
    it(code, () => {
      const found = offeredAt(code)
      for (const name of offered) assert.include(found, name)
      // Nothing else but the sentence that says what is wrong as long as the name is not there.
      const others = found.filter((name) => !offered.includes(name) && !/^stage '| |^$|^pro$/.test(name))
      assert.deepStrictEqual(others, [])
    })
  }
})
