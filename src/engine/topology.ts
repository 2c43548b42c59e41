/**
 * Holds the stages of a pipeline and how they are wired, as data.
 */
import { internalsOf } from "../internal/source-model.ts"
import { inputName } from "./plan.ts"
import type { NoStage, WiredStage, Wiring } from "./wired-stage.ts"

/** One stage as it was given to a pipeline. */
export type PipelineEntry = WiredStage | NoStage

/**
 * The entries of a pipeline, as it was composed. Adding is O(1) however many there are; `entriesOf` lays them out.
 */
export type Topology =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Add"; readonly to: Topology; readonly entry: PipelineEntry }
  | { readonly _tag: "List"; readonly entries: ReadonlyArray<PipelineEntry> }
  | { readonly _tag: "Concat"; readonly left: Topology; readonly right: Topology }

export const empty: Topology = { _tag: "Empty" }

export const add = (to: Topology, entry: PipelineEntry): Topology => ({ _tag: "Add", to, entry })

export const list = (entries: ReadonlyArray<PipelineEntry>): Topology => ({ _tag: "List", entries })

export const concat = (left: Topology, right: Topology): Topology => ({ _tag: "Concat", left, right })

/** All entries in the order in which they were added, without recursion. */
export const entriesOf = (topology: Topology): ReadonlyArray<PipelineEntry> => {
  const reversed: Array<PipelineEntry> = []
  const rest: Array<Topology> = [topology]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    switch (next._tag) {
      case "Empty":
        break
      case "Add":
        reversed.push(next.entry)
        rest.push(next.to)
        break
      case "List":
        for (let index = next.entries.length - 1; index >= 0; index--) {
          reversed.push(next.entries[index] as PipelineEntry)
        }
        break
      case "Concat":
        rest.push(next.left, next.right)
        break
    }
  }
  return reversed.toReversed()
}

const hasStage = (entry: PipelineEntry): entry is WiredStage => entry.stage !== undefined

/** The entries that are stages. */
export const stagesOf = (topology: Topology): ReadonlyArray<WiredStage> => entriesOf(topology).filter(hasStage)

/**
 * The stage that an input by name reads, and whether as an Option: `"profile?"` is `profile` read as one, unless a stage
 * is really called that.
 */
export const inputNamed = (
  name: string,
  known: { readonly has: (name: string) => boolean }
): { readonly from: string; readonly optional: boolean } =>
  known.has(name) || !name.endsWith("?")
    ? { from: name, optional: false }
    : { from: name.slice(0, -1), optional: true }

const dependenciesOf = ({ after, inputs, when }: Wiring): ReadonlyArray<string> => {
  const sources = [...when === undefined ? [] : [when], ...Array.isArray(inputs) ? [] : Object.values(inputs ?? {})]
  const names = Array.isArray(inputs) ? (inputs as ReadonlyArray<string>) : []
  const read = sources.map(internalsOf)
  return [
    ...after,
    ...names,
    ...read.flatMap(({ uses }) => Array.from(uses.keys())),
    ...read.flatMap(({ streams }) => streams.map(({ stage }) => stage))
  ]
}

/** The stages that nothing waits for. */
export const leavesOf = (topology: Topology): ReadonlyArray<string> => {
  const entries = stagesOf(topology)
  const known = new Set(entries.map(({ stage }) => stage.name))
  const waitedFor = new Set(
    entries.flatMap(({ wiring }) => dependenciesOf(wiring)).map((name) => inputNamed(name, known).from)
  )
  return entries.map(({ stage }) => stage.name).filter((name) => !waitedFor.has(name))
}

/** The topology with its roots behind the named stages. */
export const behind = (topology: Topology, after: ReadonlyArray<string>): Topology => {
  const entries = entriesOf(topology)
  // The pipeline's input is read like a stage, and nobody waits for it.
  const isStage = entries.some((entry) => hasStage(entry) && entry.stage.name === inputName)
  const isRoot = ({ wiring }: WiredStage) => dependenciesOf(wiring).every((name) => name === inputName && !isStage)
  return list(
    entries.map((entry) =>
      hasStage(entry) && isRoot(entry)
        ? { ...entry, wiring: { ...entry.wiring, after } }
        : entry
    )
  )
}
