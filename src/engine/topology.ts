/**
 * Holds the stages of a pipeline and how they are wired, as data.
 */
import { internalsOf } from "../internal/source-model.ts"
import type { Any as AnySource } from "../Source.ts"
import type { Any as AnyStage } from "../Stage.ts"

/** How one stage is wired. */
export interface Wiring {
  readonly after: ReadonlyArray<string>
  readonly when: AnySource | undefined
  /** Inputs by stage name (`"profile?"` reads an Option), or from sources, or none. */
  readonly inputs: ReadonlyArray<string> | Readonly<Record<string, AnySource>> | undefined
}

export interface WiredStage {
  readonly stage: AnyStage
  readonly wiring: Wiring
}

/**
 * The entries of a pipeline, as it was composed. Adding is O(1) however many there are; `entriesOf` lays them out.
 */
export type Topology =
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Add"; readonly to: Topology; readonly entry: WiredStage }
  | { readonly _tag: "List"; readonly entries: ReadonlyArray<WiredStage> }
  | { readonly _tag: "Concat"; readonly left: Topology; readonly right: Topology }

export const empty: Topology = { _tag: "Empty" }

export const add = (to: Topology, entry: WiredStage): Topology => ({ _tag: "Add", to, entry })

export const list = (entries: ReadonlyArray<WiredStage>): Topology => ({ _tag: "List", entries })

export const concat = (left: Topology, right: Topology): Topology => ({ _tag: "Concat", left, right })

/** All entries in the order in which they were added, without recursion. */
export const entriesOf = (topology: Topology): ReadonlyArray<WiredStage> => {
  const reversed: Array<WiredStage> = []
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
        for (let index = next.entries.length - 1; index >= 0; index--) reversed.push(next.entries[index] as WiredStage)
        break
      case "Concat":
        rest.push(next.left, next.right)
        break
    }
  }
  return reversed.toReversed()
}

export const unwired: Wiring = { after: [], when: undefined, inputs: undefined }

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
  return [...after, ...names, ...sources.flatMap((source) => Array.from(internalsOf(source).uses.keys()))]
}

/** The stages that nothing waits for. */
export const leavesOf = (topology: Topology): ReadonlyArray<string> => {
  const entries = entriesOf(topology)
  const known = new Set(entries.map(({ stage }) => stage.name))
  const waitedFor = new Set(
    entries.flatMap(({ wiring }) => dependenciesOf(wiring)).map((name) => inputNamed(name, known).from)
  )
  return entries.map(({ stage }) => stage.name).filter((name) => !waitedFor.has(name))
}

/** The topology with its roots behind the named stages. */
export const behind = (topology: Topology, after: ReadonlyArray<string>): Topology =>
  list(
    entriesOf(topology).map(({ stage, wiring }) =>
      dependenciesOf(wiring).length === 0 ? { stage, wiring: { ...wiring, after } } : { stage, wiring }
    )
  )
