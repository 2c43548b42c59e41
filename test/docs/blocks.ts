/**
 * The TypeScript in the documentation: every block marked `ts` in the README, in docs/ and in the comments of src/.
 *
 * - ` ```ts `: a module. It must type-check; when it runs something (`Effect.runPromise`, `Effect.runSync`) it must run,
 *   and print what the comments that start with `// prints: ` say.
 * - ` ```ts error `: a mistake. The compiler must report what the comments that start with `// error: ` say.
 */
import { globSync, readFileSync } from "node:fs"

export interface Block {
  /** Where it is: `docs/guides/stages.md:12`. */
  readonly at: string
  readonly code: string
  readonly kind: "module" | "program" | "error"
}

const fence = /^[ \t]*(?:\* ?)?```ts(?<error> error)?[ \t]*\n(?<code>[\s\S]*?)^[ \t]*(?:\* ?)?```[ \t]*$/gm

const isProgram = (code: string): boolean => /\bEffect\.run(Promise|Sync|Fork)\b/.test(code)

const blocksOf = (file: string): ReadonlyArray<Block> => {
  const text = readFileSync(file, "utf8")
  const inComments = file.endsWith(".ts")
  return Array.from(text.matchAll(fence), (match): Block => {
    const line = text.slice(0, match.index).split("\n").length
    const raw = match.groups?.["code"] ?? ""
    const code = inComments ? raw.replace(/^[ \t]*\* ?/gm, "") : raw
    const kind = match.groups?.["error"] !== undefined ? "error" : isProgram(code) ? "program" : "module"
    return { at: `${file}:${line}`, code, kind }
  })
}

const files = (): ReadonlyArray<string> =>
  ["README.md", ...globSync("docs/**/*.md"), ...globSync("src/**/*.ts")].toSorted()

/** Every block of the documentation, in a stable order. */
export const blocks = (): ReadonlyArray<Block> => files().flatMap(blocksOf)

/** What the compiler has to say about a block that is a mistake. */
export const expectedErrors = ({ code }: Block): ReadonlyArray<string> =>
  Array.from(code.matchAll(/^\s*\/\/ error: (.*)$/gm), (match) => match[1] ?? "")

/** What a program prints, or a part of it. */
export const expectedOutput = ({ code }: Block): ReadonlyArray<string> =>
  Array.from(code.matchAll(/^\s*\/\/ prints: (.*)$/gm), (match) => match[1] ?? "")
