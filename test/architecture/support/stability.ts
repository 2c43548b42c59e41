/**
 * Reads the `@stability` tags of the installed `effect`.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { ExportReader } from "./exports.ts"

const tag = /@stability\s+(\w+)/

/** The stability of an export of a module of `effect`, "effect/Effect"; of the module itself where the name is "". */
export const stabilityIn = (sources: string) => {
  const reader = new ExportReader(sources)
  const stabilities = (comments: ReadonlyArray<string>) => comments.flatMap((comment) => tag.exec(comment)?.[1] ?? [])
  return (module: string, name: string): string | undefined => {
    const path = `${module.slice("effect/".length)}.ts`
    if (!existsSync(join(sources, path))) return undefined
    if (name === "") return tag.exec(reader.openingOf(path) ?? "")?.[1]
    const found = stabilities(reader.exportsOf(path).get(name)?.comments ?? [])
    return found.find((stability) => stability !== "stable") ?? found[0]
  }
}
