/**
 * The first half: from a pipeline to what the engine runs. Pure, and done once for each pipeline.
 *
 * A plan is arrays: for each stage what it waits for, what waits for it and how its inputs are read. Everything that can
 * be wrong with a pipeline is found here, all of it at once.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { effectOf, normalize } from "../attempt/outcome.ts"
import {
  type Any as AnyInterceptor,
  type Around,
  stageArounds,
  type StageEffect,
  type StageInfo
} from "../Interceptor.ts"
import { define, shape } from "../internal/record.ts"
import { PipelineInvalid, type Problem } from "../PipelineInvalid.ts"
import { internalsOf, Missing, type Reader, type Use } from "../Source.ts"
import { type Any as AnyStage, aroundsOf } from "../Stage.ts"
import { nearest } from "./nearest-name.ts"
import { inverted, packed, type PackedLists } from "./packed-lists.ts"
import { executionIn } from "./stage-execution.ts"
import { entriesOf, type Entry, type Topology } from "./topology.ts"

/** An edge as people see it: what a stage wants of another. */
export interface Edge {
  readonly from: string
  readonly to: string
  readonly type: "data" | "order" | "condition"
  /** The input that the data is for. */
  readonly input: string | undefined
  /** Whether the reader goes without it when `from` was skipped. */
  readonly optional: boolean
}

type ReadInputs = (reader: Reader) => unknown

/** Inputs that are the data of stages: the common case, which needs no function and cannot throw. */
interface InputsByName {
  readonly from: ReadonlyArray<number>
  readonly optional: ReadonlyArray<boolean>
}

/** One stage of a plan. */
export interface PlannedStage {
  readonly index: number
  readonly name: string
  readonly definition: AnyStage
  /** What the definition runs; `effectOf` makes sure that it is an Effect. */
  readonly run: (input: unknown) => unknown
  readonly info: StageInfo
  /** Whether it is to run; `undefined` when nothing decides it. */
  readonly when: ReadInputs | undefined
  /** Its inputs from sources, or `Missing`; `undefined` when it has none of these. */
  readonly inputs: ReadInputs | undefined
  /** Makes the object for its inputs by name, which `Plan.reads` lists; `undefined` when it has none of these. */
  readonly InputsByName: (new() => object) | undefined
  /** Which of these are read as an Option; `undefined` when none is. */
  readonly optional: ReadonlyArray<boolean> | undefined
  /** The indices of the stages it depends on, in the order of its wiring. */
  readonly dependencies: ReadonlyArray<number>
}

export interface Plan {
  readonly pipeline: string
  readonly stages: ReadonlyArray<PlannedStage>
  readonly names: ReadonlyArray<string>
  readonly indexOf: ReadonlyMap<string, number>
  readonly inDegree: Int32Array
  /** The stages that depend on each stage. */
  readonly successors: PackedLists
  /** The stages whose data each stage reads by name. Each of these inputs has the name of its stage. */
  readonly reads: PackedLists
  readonly edges: ReadonlyArray<Edge>
  /** The Effect of each stage with everything around it; see `effectsOf`. */
  readonly effects: (installed: ReadonlyArray<AnyInterceptor>) => ReadonlyArray<StageEffect | undefined>
}

/** A wiring whose names have been looked up. */
interface Resolved {
  readonly edges: Array<Edge>
  when: ReadInputs | undefined
  inputs: ReadInputs | undefined
  inputsByName: InputsByName | undefined
}

/** How many unknown names get a suggestion: looking for one costs a pass over all names. */
const suggestions = 20

class Compilation {
  readonly problems: Array<Problem> = []
  readonly indexOf = new Map<string, number>()
  private suggested = 0

  constructor(entries: ReadonlyArray<Entry>) {
    entries.forEach(({ stage }, index) => this.register(stage.name, index))
  }

  private register(name: string, index: number): void {
    if (name.trim() === "") {
      this.problem({
        code: "BLANK_NAME",
        stage: name,
        message: `Stage number ${index + 1} has a blank name.`,
        fix: "Give it a name."
      })
    }
    if (this.indexOf.has(name)) {
      this.problem({
        code: "DUPLICATE_NAME",
        stage: name,
        message: `There are two stages called "${name}".`,
        fix: "Rename one of them with Stage.as."
      })
    } else {
      this.indexOf.set(name, index)
    }
  }

  problem(problem: Problem): void {
    this.problems.push(problem)
  }

  /** Whether `name` can be depended on by `stage`; says what is wrong when it cannot. */
  knows(stage: string, name: string): boolean {
    if (!this.indexOf.has(name)) {
      const others = () => Array.from(this.indexOf.keys()).filter((known) => known !== stage)
      const didYouMean = this.suggested++ < suggestions ? nearest(name, others()) : undefined
      this.problem({
        code: "UNKNOWN_STAGE",
        stage,
        message: `Stage "${stage}" depends on "${name}", which does not exist.`,
        fix: didYouMean === undefined ? "Add the stage, or remove the dependency." : `Did you mean "${didYouMean}"?`,
        unknown: name,
        ...(didYouMean === undefined ? {} : { didYouMean })
      })
      return false
    }
    if (stage === name) {
      this.problem({
        code: "SELF_DEPENDENCY",
        stage,
        message: `Stage "${stage}" depends on itself.`,
        fix: "Remove the dependency."
      })
      return false
    }
    return true
  }

  resolve({ stage, wiring }: Entry): Resolved {
    const resolved: Resolved = { edges: [], when: undefined, inputs: undefined, inputsByName: undefined }
    // What is wrong with a name is said once, however often the wiring repeats it.
    const known = new Map<string, boolean>()
    const edge = (from: string, type: Edge["type"], input: string | undefined, use: Use) => {
      const isKnown = known.get(from) ?? this.knows(stage.name, from)
      known.set(from, isKnown)
      if (isKnown) resolved.edges.push({ from, to: stage.name, type, input, optional: use === "optional" })
    }
    if (wiring.when !== undefined) {
      const { read, uses } = internalsOf(wiring.when)
      for (const [from, use] of uses) edge(from, "condition", undefined, use)
      resolved.when = read
    }
    if (Array.isArray(wiring.inputs)) {
      const names = (wiring.inputs as ReadonlyArray<string>).map((name) => this.inputByName(name))
      for (const { from, optional } of names) edge(from, "data", from, optional ? "optional" : "required")
      resolved.inputsByName = {
        from: names.map(({ from }) => this.indexOf.get(from) ?? -1),
        optional: names.map(({ optional }) => optional)
      }
    } else if (wiring.inputs !== undefined) {
      const sources = Object.entries(wiring.inputs).map(([key, source]) => [key, internalsOf(source)] as const)
      for (const [key, { uses }] of sources) {
        for (const [from, use] of uses) edge(from, "data", key, use)
      }
      resolved.inputs = readAll(sources.map(([key, { read }]) => [key, read]))
    }
    for (const from of wiring.after) edge(from, "order", undefined, "optional")
    return resolved
  }

  /** `"profile"` is the stage of that name; `"profile?"` is the same read as an Option. */
  private inputByName(name: string): { readonly from: string; readonly optional: boolean } {
    if (this.indexOf.has(name) || !name.endsWith("?")) return { from: name, optional: false }
    return { from: name.slice(0, -1), optional: true }
  }
}

/** Reads inputs one after the other; what one of them misses, the stage misses. */
const readAll = (reads: ReadonlyArray<readonly [key: string, read: ReadInputs]>): ReadInputs => {
  const Shape = shape()
  return (reader) => {
    const inputs = new Shape()
    for (const [key, read] of reads) {
      const value = read(reader)
      if (value instanceof Missing) return value
      define(inputs, key, value)
    }
    return inputs
  }
}

/**
 * Cycles among the stages that are never freed: at least one in each group of stages that wait for each other, and no
 * two with a stage in common. A depth-first search with a list instead of recursion; every edge is followed once.
 */
const findCycles = (
  stages: ReadonlyArray<{ readonly name: string; readonly dependencies: ReadonlyArray<number> }>,
  stuck: ReadonlySet<number>
): ReadonlyArray<ReadonlyArray<string>> => {
  const cycles: Array<ReadonlyArray<string>> = []
  const rest = new Map(Array.from(stuck, (index) => [index, stages[index]?.dependencies.values()]))
  const seen = new Set<number>()
  const done = new Set<number>()
  for (const start of stuck) {
    const walk = done.has(start) ? [] : [start]
    for (let current = walk.at(-1); current !== undefined; current = walk.at(-1)) {
      seen.add(current)
      const next = rest.get(current)?.next().value
      if (next === undefined) {
        done.add(current)
        walk.pop()
      } else if (!seen.has(next)) {
        if (stuck.has(next)) walk.push(next)
      } else if (!done.has(next)) {
        const cycle = walk.splice(walk.lastIndexOf(next))
        for (const index of cycle) done.add(index)
        // The walk went against the arrows; turned round it reads as the data flows.
        const names = cycle.toReversed().map((index) => (stages[index] as { readonly name: string }).name)
        cycles.push([...names, names[0] as string])
      }
    }
  }
  return cycles
}

const unreachable = (inDegree: Int32Array, { items, starts }: PackedLists): ReadonlySet<number> => {
  const left = Int32Array.from(inDegree)
  const ready: Array<number> = []
  left.forEach((degree, index) => {
    if (degree === 0) ready.push(index)
  })
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    const end = starts[index + 1] as number
    for (let at = starts[index] as number; at < end; at++) {
      const successor = items[at] as number
      left[successor] = (left[successor] as number) - 1
      if (left[successor] === 0) ready.push(successor)
    }
  }
  const stuck = new Set<number>()
  left.forEach((degree, index) => {
    if (degree > 0) stuck.add(index)
  })
  return stuck
}

/** Compiles a pipeline, or says everything that is wrong with it. */
export const compile = (
  pipeline: string,
  topology: Topology,
  interceptors: ReadonlyArray<AnyInterceptor>
): Result.Result<Plan, PipelineInvalid> => {
  const entries = entriesOf(topology)
  const compilation = new Compilation(entries)
  const { indexOf, problems } = compilation
  if (entries.length === 0) {
    compilation.problem({
      code: "NO_STAGES",
      stage: "",
      message: "It has no stages.",
      fix: "Add one with Pipeline.add."
    })
  }
  const edges: Array<Edge> = []
  const wirings = entries.map((entry) => compilation.resolve(entry))
  const stages = wirings.map((resolved, index): PlannedStage => {
    const { stage } = entries[index] as Entry
    const dependencies = Array.from(new Set(resolved.edges.map(({ from }) => indexOf.get(from) as number)))
    for (const edge of resolved.edges) edges.push(edge)
    const { annotations, kind, name } = stage
    const { inputsByName } = resolved
    return {
      index,
      name,
      definition: stage,
      run: stage.run as PlannedStage["run"], // the wiring gives it the input that it takes
      info: { name, kind, pipeline, annotations },
      when: resolved.when,
      inputs: resolved.inputs,
      InputsByName: inputsByName === undefined ? undefined : shape(),
      optional: inputsByName?.optional.includes(true) === true ? inputsByName.optional : undefined,
      dependencies
    }
  })
  const inDegree = Int32Array.from(stages, ({ dependencies }) => dependencies.length)
  const successors = inverted(stages.map(({ dependencies }) => dependencies))
  const stuck = unreachable(inDegree, successors)
  for (const path of stuck.size === 0 ? [] : findCycles(stages, stuck)) {
    compilation.problem({
      code: "CYCLE",
      stage: path[0] as string,
      message: `The stages wait for each other: ${path.join(" -> ")}.`,
      fix: "Remove one of these dependencies.",
      path
    })
  }
  return problems.length > 0
    ? Result.fail(new PipelineInvalid({ pipeline, problems }))
    : Result.succeed({
      pipeline,
      stages,
      names: stages.map(({ name }) => name),
      indexOf,
      inDegree,
      successors,
      reads: packed(wirings.map(({ inputsByName }) => inputsByName?.from ?? [])),
      edges,
      effects: effectsOf(stages, interceptors)
    })
}

/**
 * What a stage runs, in the form that interceptors wrap. One Effect for all stages, which asks its fiber which stage it
 * is: one for each would be most of what a plan keeps in memory.
 */
const body: StageEffect = Effect.withFiber((fiber) => {
  const { input, planned: { name, run } } = executionIn(fiber)
  // Frozen, because what is around the stage may run it again: an attempt leaves no marks for the next one.
  return normalize(name, effectOf(name, run(Object.freeze(input))))
})

const composed = (stage: PlannedStage, outer: ReadonlyArray<Around>): StageEffect | undefined => {
  const inner = aroundsOf(stage.definition)
  if (inner.length === 0 && outer.length === 0) return undefined
  const withInner = inner.reduce<StageEffect>((effect, around) => around(effect, stage.info), body)
  return outer.reduceRight((effect, around) => around(effect, stage.info), withInner)
}

/**
 * The Effect of each stage with everything around it, composed once for each list of installed interceptors. A stage
 * with nothing around it has none: the engine runs it as it is.
 */
const effectsOf = (
  stages: ReadonlyArray<PlannedStage>,
  interceptors: ReadonlyArray<AnyInterceptor>
): Plan["effects"] => {
  // By the innermost interceptor, which goes with the Layer that installed it.
  const cache = new WeakMap<object, {
    readonly installed: ReadonlyArray<AnyInterceptor>
    readonly effects: ReadonlyArray<StageEffect | undefined>
  }>()
  return (installed) => {
    const key = installed.at(-1) ?? cache
    const known = cache.get(key)
    if (known !== undefined && isSame(known.installed, installed)) return known.effects
    const outer = stageArounds([...installed, ...interceptors])
    const effects = stages.map((stage) => composed(stage, outer))
    cache.set(key, { installed, effects })
    return effects
  }
}

const isSame = (one: ReadonlyArray<unknown>, other: ReadonlyArray<unknown>): boolean =>
  one.length === other.length && one.every((value, index) => value === other[index])
