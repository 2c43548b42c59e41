/**
 * What type-checking a large pipeline costs: 300 stages with three inputs each, checked by the installed compiler
 * against the package as its users have it: the declarations that `npm run build` has written.
 */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const mulberry32 = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const pick = (random: () => number, below: number, count: number): ReadonlyArray<number> => {
  const picked = new Set<number>()
  while (picked.size < count) picked.add(Math.floor(random() * below))
  return Array.from(picked)
}

/** Stages that are made first and then added, or written where they are added. */
export type Form = "added" | "inline"

/**
 * The source of a pipeline of `size` stages. The first three are roots, every other one reads three earlier stages,
 * by turns by name and by source; every tenth may skip and is read as an `Option`, every seventh has an error of its
 * own and every fifth a port.
 */
export const generate = (size: number, form: Form = "added"): string => {
  const random = mulberry32(42)
  const skips = (index: number) => index % 10 === 4
  const stages: Array<string> = []
  const adds: Array<string> = []
  const inline: Array<string> = []
  for (let index = 0; index < size; index++) {
    const name = `stage${index}`
    const reads = index < 3 ? [] : pick(random, index, 3)
    const key = (place: number, read: number) => index % 2 === 0 ? `stage${read}` : `input${place}`
    const inputs = reads.map((read, place) => {
      const data = `{ readonly value${read}: number }`
      return `readonly ${key(place, read)}: ${skips(read) ? `Option.Option<${data}>` : data}`
    })
    const values = reads.map((read, place) =>
      skips(read)
        ? `Option.match(inputs.${key(place, read)}, { onNone: () => 0, onSome: (data) => data.value${read} })`
        : `inputs.${key(place, read)}.value${read}`
    )
    const names = reads.map((read) => `"stage${read}${skips(read) ? "?" : ""}"`)
    const sources = reads.map((read, place) => `input${place}: s.stage${read}${skips(read) ? ".option" : ""}`)
    const body = [
      ...(index % 5 === 1 ? [`    const port = yield* Port`] : []),
      ...(skips(index) ? [`    if (size > 1000) return yield* StageOutput.skip("too large")`] : []),
      ...(index % 7 === 2 ? [`    if (size > 2000) return yield* new TooLarge({ size })`] : [])
    ]
    const data = `{ value${index}: ${[...values, index % 5 === 1 ? "port.value" : "size"].join(" + ")} }`
    inline.push(
      `  .transform("${name}", {`,
      ...(reads.length === 0
        ? []
        : [index % 2 === 0 ? `    inputs: [${names.join(", ")}],` : `    inputs: (s) => ({ ${sources.join(", ")} }),`]),
      `    run: function*(${reads.length === 0 ? "" : "inputs"}) {`,
      ...body,
      `      return ${data}`,
      `    }`,
      `  })`
    )
    stages.push(
      `const ${name} = Stage.transform("${name}", {`,
      `  run: Effect.fnUntraced(function*(${reads.length === 0 ? "" : `inputs: { ${inputs.join("; ")} }`}) {`,
      ...body,
      `    return ${data}`,
      `  })`,
      `})`
    )
    if (reads.length === 0) adds.push(`  .add(${name})`)
    else if (index % 2 === 0) {
      adds.push(`  .add(${name}, { inputs: [${names.join(", ")}] })`)
    } else {
      adds.push(`  .add(${name}, (s) => ({ inputs: { ${sources.join(", ")} } }))`)
    }
  }
  return [
    `import { Context, Effect, Option, Schema } from "effect"`,
    `import { Pipeline, Snapshot, Stage, StageOutput } from "stageflow"`,
    `declare const size: number`,
    `class Port extends Context.Service<Port, { readonly value: number }>()("Port") {}`,
    `class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", { size: Schema.Number }) {}`,
    ...(form === "added" ? stages : []),
    `export const pipeline = Pipeline.make("generated")`,
    ...(form === "added" ? adds : inline),
    `export const program = Pipeline.run(pipeline, Snapshot.make({}))`,
    `export const last = Effect.map(program, (result) => result.outputs.stage${size - 1}.data.value${size - 1})`,
    ``
  ].join("\n")
}

const configuration = {
  compilerOptions: {
    target: "ES2022",
    lib: ["ES2023"],
    module: "NodeNext",
    moduleDetection: "force",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    types: ["node"]
  },
  files: ["generated.ts"]
}

const compile = (folder: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc")
    execFile(
      process.execPath,
      [compiler, "--project", folder, "--extendedDiagnostics", "--pretty", "false"],
      { maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) =>
        error === null
          ? resolve(stdout)
          : reject(new Error(`tsc failed on the generated pipeline:\n${stdout}${stderr}`))
    )
  })

const figure = (report: string, label: string): number => {
  const found = new RegExp(`^${label}:\\s+([\\d.]+)`, "m").exec(report)
  if (found === null) throw new Error(`tsc reported no "${label}":\n${report}`)
  return Number(found[1])
}

/**
 * Type-checks the generated pipeline in a temporary folder that has the package and its peer as dependencies.
 */
export const typecheck = async (size: number, form: Form): Promise<{ seconds: number; instantiations: number }> => {
  const folder = await mkdtemp(join(tmpdir(), "stageflow-typecheck-"))
  try {
    const modules = join(folder, "node_modules")
    await mkdir(modules)
    await Promise.all([
      symlink(root, join(modules, "stageflow"), "junction"),
      symlink(join(root, "node_modules", "effect"), join(modules, "effect"), "junction"),
      symlink(join(root, "node_modules", "@types"), join(modules, "@types"), "junction"),
      writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" })),
      writeFile(join(folder, "tsconfig.json"), JSON.stringify(configuration)),
      writeFile(join(folder, "generated.ts"), generate(size, form))
    ])
    const report = await compile(folder)
    return { seconds: figure(report, "Total time"), instantiations: figure(report, "Instantiations") }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * The number that must stay low: 300 stages, in either form.
 */
export const typecheck300 = async () => ({
  added: await typecheck(300, "added"),
  inline: await typecheck(300, "inline")
})
