/**
 * What a run of a graph must come to, said as plainly as possible: one pass over the stages in an order in which every
 * stage comes after those it depends on, with the times they would have if nothing held them up.
 */
import type { Edge, Graph, StageSpec } from "./graph.ts"

/** What a stage sees of an input. */
export type Seen = number | string

/** What a stage makes of its name and its inputs. */
export const digest = (name: string, inputs: ReadonlyArray<readonly [string, Seen]>): number => {
  const text = [name, ...inputs.map(([key, seen]) => `${key}=${seen}`).toSorted()].join(";")
  let hash = 7
  for (const letter of text) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003
  return hash
}

/** What becomes of a stage if the run goes on long enough. */
export type Fate =
  | { readonly _tag: "Ok"; readonly data: { readonly route: "a" | "b"; readonly value: number } | undefined }
  | { readonly _tag: "Skip"; readonly reason: string; readonly origin: string | undefined }
  /** It runs, and ends the whole run. */
  | { readonly _tag: "Cancel"; readonly reason: string }
  | { readonly _tag: "Failed"; readonly error: string }
  /** It depends on a stage that failed. */
  | { readonly _tag: "Blocked"; readonly by: string }
  /** It depends on a stage that ended the run. */
  | { readonly _tag: "Never" }

export interface Modelled {
  readonly spec: StageSpec
  readonly fate: Fate
  /** Whether its body runs. */
  readonly runs: boolean
  /** When it starts and ends if everything starts as soon as it can; Infinity when it never does. */
  readonly startsAt: number
  readonly endsAt: number
  readonly dependencies: ReadonlyArray<number>
}

const isCondition = ({ kind }: Edge): boolean => kind === "is a" || kind === "chose" || kind === "throws"

/** The dependencies in the order in which the wiring names them: conditions, inputs, order. */
const inOrderOfWiring = ({ edges }: StageSpec): ReadonlyArray<Edge> => [
  ...edges.filter(isCondition),
  ...edges.filter((edge) => !isCondition(edge) && edge.kind !== "order" && edge.kind !== "first"),
  ...edges.filter(({ kind }) => kind === "first"),
  ...edges.filter(({ kind }) => kind === "order")
]

type Wired = { readonly _tag: "Runs"; readonly inputs: ReadonlyArray<readonly [string, Seen]> } | Fate

/** Why there is nothing to read: the stage that was skipped first. */
const missing = (name: string, fate: Fate & { readonly _tag: "Skip" }): Fate => ({
  _tag: "Skip",
  origin: fate.origin ?? name,
  reason: fate.origin === undefined ? `stage "${name}" was skipped: ${fate.reason}` : fate.reason
})

const seenOf = (fate: Fate & { readonly _tag: "Ok" }): Seen => fate.data === undefined ? "empty" : fate.data.value

/** Dependencies that ended well have one of these two fates. */
type Settled = Fate & { readonly _tag: "Ok" | "Skip" }

const settledAt = (modelled: ReadonlyArray<Modelled>, index: number): Settled =>
  (modelled[index] as Modelled).fate as Settled

const nameAt = (modelled: ReadonlyArray<Modelled>, index: number): string => (modelled[index] as Modelled).spec.name

const conditionOf = (modelled: ReadonlyArray<Modelled>, spec: StageSpec): Fate | undefined => {
  let holds = true
  for (const { from, kind } of spec.edges) {
    const fate = settledAt(modelled, from)
    const choseA = fate._tag === "Ok" && fate.data?.route === "a"
    if (kind === "throws") return { _tag: "Failed", error: "WiringFailed" }
    if (kind === "chose" && fate._tag === "Skip") return missing(nameAt(modelled, from), fate)
    if (kind === "is a" || kind === "chose") holds &&= choseA
  }
  return holds ? undefined : { _tag: "Skip", origin: undefined, reason: "its condition did not hold" }
}

const inputsOf = (modelled: ReadonlyArray<Modelled>, spec: StageSpec): Wired => {
  const inputs: Array<readonly [string, Seen]> = []
  const firsts: Array<number> = []
  for (const { from, kind } of spec.edges) {
    const fate = settledAt(modelled, from)
    const name = nameAt(modelled, from)
    if (kind === "first") firsts.push(from)
    if (kind === "data" && fate._tag === "Skip") return missing(name, fate)
    if (kind === "data" && fate._tag === "Ok") inputs.push([name, seenOf(fate)])
    if (kind === "optional") inputs.push([name, fate._tag === "Ok" ? seenOf(fate) : "none"])
    if (kind === "output") inputs.push([name, fate._tag === "Ok" ? seenOf(fate) : `skip ${fate.reason}`])
    if (kind === "orElse") inputs.push([name, fate._tag === "Ok" ? seenOf(fate) : "instead"])
  }
  for (const from of firsts) {
    const fate = settledAt(modelled, from)
    if (fate._tag === "Ok") return { _tag: "Runs", inputs: [...inputs, ["first of", seenOf(fate)]] }
  }
  const [first] = firsts
  if (first === undefined) return { _tag: "Runs", inputs }
  return missing(nameAt(modelled, first), settledAt(modelled, first) as Fate & { readonly _tag: "Skip" })
}

const endOf = (spec: StageSpec, inputs: ReadonlyArray<readonly [string, Seen]>): Fate => {
  switch (spec.end) {
    case "ok":
      return { _tag: "Ok", data: { route: spec.route, value: digest(spec.name, inputs) } }
    case "nothing":
      return { _tag: "Ok", data: undefined }
    case "skip":
    case "yielded skip":
      return { _tag: "Skip", origin: undefined, reason: `nothing for ${spec.name}` }
    case "cancel":
      return { _tag: "Cancel", reason: `enough for ${spec.name}` }
    case "fail":
    case "returned fail":
      return { _tag: "Failed", error: "Down" }
    case "die":
      return { _tag: "Failed", error: "Defect" }
    case "retry":
      return { _tag: "Failed", error: "RetryExhausted" }
    case "interrupt itself":
      return { _tag: "Failed", error: "SelfInterrupted" }
    case "invalid":
      return { _tag: "Failed", error: "InvalidOutput" }
  }
}

const wiredOf = (modelled: ReadonlyArray<Modelled>, spec: StageSpec, continues: boolean): Wired => {
  const dependencies = inOrderOfWiring(spec).map(({ from }) => modelled[from] as Modelled)
  if (dependencies.some(({ fate }) => fate._tag === "Cancel" || fate._tag === "Never")) return { _tag: "Never" }
  for (const { fate, spec: { name } } of dependencies) {
    if (fate._tag === "Failed") return continues ? { _tag: "Blocked", by: name } : { _tag: "Never" }
    if (fate._tag === "Blocked") return fate
  }
  return conditionOf(modelled, spec) ?? inputsOf(modelled, spec)
}

/** What becomes of every stage if nothing interrupts it. */
export const model = ({ stages }: Graph, failure: "fail-fast" | "continue"): ReadonlyArray<Modelled> => {
  const modelled: Array<Modelled> = []
  for (const spec of stages) {
    const dependencies = Array.from(new Set(spec.edges.map(({ from }) => from)))
    const wired = wiredOf(modelled, spec, failure === "continue")
    const runs = wired._tag === "Runs"
    const fate = runs ? endOf(spec, wired.inputs) : wired
    const readyAt = fate._tag === "Never"
      ? Number.POSITIVE_INFINITY
      : Math.max(0, ...dependencies.map((from) => (modelled[from] as Modelled).endsAt))
    modelled.push({ spec, fate, runs, startsAt: readyAt, endsAt: runs ? readyAt + spec.ms : readyAt, dependencies })
  }
  return modelled
}

/** Whether a stage with this fate ends the run. */
export const stops = (fate: Fate, failure: "fail-fast" | "continue"): boolean =>
  fate._tag === "Cancel" || (fate._tag === "Failed" && failure === "fail-fast")
