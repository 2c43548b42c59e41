/**
 * Compiles a pipeline into a plan, once for each pipeline, or says everything that is wrong with it.
 */
import * as Context from "effect/Context"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Any as AnyInterceptor } from "../attempt/interceptor-model.ts"
import { StreamedStage } from "../attempt/streamed.ts"
import { wrappedOf } from "../attempt/wrapped.ts"
import { Suggestions } from "../internal/nearest-name.ts"
import { define, shape } from "../internal/record.ts"
import { internalsOf, Missing, some, StageSource, type StreamUse, type Use } from "../internal/source-model.ts"
import { PipelineInvalid, type Problem } from "../PipelineInvalid.ts"
import { Priority } from "../Stage.ts"
import { composedEffects } from "./composed.ts"
import { findCycles, neverFreed } from "./cycles.ts"
import { inverted, packed } from "./packed-lists.ts"
import { type Edge, inputName, type Plan, type PlannedStage, type ReadInputs, type ReturnedValue } from "./plan.ts"
import { type StreamPlan, streamPlanOf, type Waiting, waitingWithinGroups } from "./stream-plan.ts"
import { entriesOf, inputNamed, type PipelineEntry, stagesOf, type Topology } from "./topology.ts"
import type { WiredStage } from "./wired-stage.ts"

/** Inputs that are the data of stages: the common case, which needs no function and cannot throw. */
interface InputsByName {
  readonly from: ReadonlyArray<number>
  readonly optional: ReadonlyArray<boolean>
}

/** A wiring whose names have been looked up. */
interface Resolved {
  readonly edges: Array<Edge>
  when: ReadInputs | undefined
  inputs: ReadInputs | undefined
  inputsByName: InputsByName | undefined
  /** The streams that it reads, in the order of its wiring. */
  readonly streams: Array<StreamUse>
}

class Compilation {
  readonly problems: Array<Problem> = []
  readonly indexOf = new Map<string, number>()
  private readonly suggestions = new Suggestions(this.indexOf)
  private readonly takesInput: boolean
  /** The stages that stream. */
  private readonly streaming = new Set<string>()

  constructor(entries: ReadonlyArray<PipelineEntry>, takesInput: boolean) {
    this.takesInput = takesInput
    let stages = 0
    entries.forEach((entry, place) => {
      this.tellFaults(entry, place)
      if (entry.stage === undefined) return
      this.register(entry.stage.name, stages++, place)
      if (Context.get(entry.stage.annotations, StreamedStage) !== undefined) this.streaming.add(entry.stage.name)
    })
  }

  private tellFaults({ faults, stage }: PipelineEntry, place: number): void {
    for (const { code, fix, isGeneral, says } of faults) {
      const name = stage?.name
      const subject = isGeneral ? "It" : name === undefined ? `Stage number ${place + 1}` : `Stage "${name}"`
      const index = isGeneral ? {} : { index: place }
      this.problem({ code, stage: name ?? "", message: `${subject} ${says}.`, fix, ...index })
    }
  }

  private register(name: string, index: number, place: number): void {
    if (name.trim() === "") {
      this.problem({
        code: "BLANK_NAME",
        stage: name,
        message: `Stage number ${place + 1} has a blank name.`,
        fix: "Give it a name."
      })
    }
    if (this.isInput(name)) {
      this.problem({
        code: "DUPLICATE_NAME",
        stage: name,
        message: `The stage "${name}" has the name of the pipeline's input.`,
        fix: "Rename it with Stage.as."
      })
    } else if (this.indexOf.has(name)) {
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

  /** Whether a name stands for the input of the pipeline. */
  private isInput(name: string): boolean {
    return this.takesInput && name === inputName
  }

  /** Whether a name stands for the input as an Option. */
  private isInputOption(name: string): boolean {
    return this.takesInput && name === `${inputName}?` && !this.indexOf.has(name)
  }

  problem(problem: Problem): void {
    this.problems.push(problem)
  }

  /** Whether `name` can be depended on by `stage`; says what is wrong when it cannot. */
  knows(stage: string, name: string): boolean {
    if (!this.indexOf.has(name)) {
      const didYouMean = this.suggestions.nearest(name, stage)
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

  resolve({ stage, wiring }: WiredStage): Resolved {
    const resolved: Resolved = { edges: [], when: undefined, inputs: undefined, inputsByName: undefined, streams: [] }
    // What is wrong with a name is said once, however often the wiring repeats it.
    const known = new Map<string, boolean>()
    const edge = (from: string, type: Edge["type"], input: string | undefined, use: Use) => {
      const isKnown = known.get(from) ?? this.knows(stage.name, from)
      known.set(from, isKnown)
      if (isKnown) resolved.edges.push({ from, to: stage.name, type, input, optional: use === "optional" })
    }
    if (wiring.when !== undefined) {
      const { read, streams, uses } = internalsOf(wiring.when)
      for (const { stage: from } of streams) this.readsStreamOutside(stage.name, from, "its condition")
      for (const [from, use] of uses) edge(from, "condition", undefined, use)
      resolved.when = read
    }
    if (
      Array.isArray(wiring.inputs) &&
      wiring.inputs.some((name: string) => this.isInput(name) || this.isInputOption(name))
    ) {
      resolved.inputs = readAll(this.readsByName(wiring.inputs as ReadonlyArray<string>, edge))
    } else if (Array.isArray(wiring.inputs)) {
      const names = (wiring.inputs as ReadonlyArray<string>).map((name) => inputNamed(name, this.indexOf))
      for (const { from, optional } of names) edge(from, "data", from, optional ? "optional" : "required")
      resolved.inputsByName = {
        from: names.map(({ from }) => this.indexOf.get(from) ?? -1),
        optional: names.map(({ optional }) => optional)
      }
    } else if (wiring.inputs !== undefined) {
      const sources = Object.entries(wiring.inputs).map(([key, source]) => [key, internalsOf(source)] as const)
      for (const [key, { streams, uses }] of sources) {
        for (const [from, use] of uses) edge(from, "data", key, use)
        for (const use of streams) {
          edge(use.stage, "stream", key, "required")
          if (known.get(use.stage) === true && this.streams(stage.name, use.stage)) resolved.streams.push(use)
        }
      }
      resolved.inputs = readAll(sources.map(([key, { read }]) => [key, read]))
    }
    for (const from of wiring.after) {
      // The input is there before any stage starts.
      if (!this.isInput(from)) edge(from, "order", undefined, "optional")
    }
    return resolved
  }

  /** Whether a stage streams; says what is wrong when it does not. */
  private streams(reader: string, name: string): boolean {
    if (this.streaming.has(name)) return true
    this.problem({
      code: "NO_STREAM",
      stage: reader,
      message: `Stage "${reader}" reads the stream of "${name}", which does not stream.`,
      fix: `Make "${name}" with Stage.stream, or read its data.`
    })
    return false
  }

  private readsStreamOutside(stage: string, from: string, place: string): void {
    this.problem({
      code: "INVALID_WIRING",
      stage,
      message: `${stage === "" ? "It" : `Stage "${stage}"`} reads the stream of "${from}" in ${place}.`,
      fix: "Read its data: what its chunks were collected to."
    })
  }

  /** Says which stages would wait for each other for ever. */
  checkStreams(waiting: ReadonlyArray<Waiting>, streams: StreamPlan | undefined): void {
    const cycles = streams === undefined ? [] : waitingWithinGroups(waiting, streams.groups)
    for (const path of cycles) {
      const [first = ""] = (path[0] ?? "").split(" ~ ")
      this.problem({
        code: "STREAM_CYCLE",
        stage: first,
        message:
          "Stages that stream into each other run together, so none of them can wait for another of them to have "
          + `ended: ${path.join(" -> ")}.`,
        fix: "Read the data in place of the stream, or let a stage of its own wait for the end.",
        path
      })
    }
  }

  /** Inputs by name among which is the pipeline's own, which is no stage's. */
  private readsByName(
    names: ReadonlyArray<string>,
    edge: (from: string, type: Edge["type"], input: string | undefined, use: Use) => void
  ): ReadonlyArray<readonly [key: string, read: ReadInputs]> {
    return names.map((name) => {
      if (this.isInput(name)) return [name, ({ snapshot }) => snapshot.input]
      if (this.isInputOption(name)) return [inputName, ({ snapshot }) => some(snapshot.input)]
      const { from, optional } = inputNamed(name, this.indexOf)
      edge(from, "data", from, optional ? "optional" : "required")
      const source = new StageSource(from)
      return [from, (optional ? source.option : source).read]
    })
  }

  /** Says what is wrong with what the pipeline returns. */
  checkValue(value: ReturnedValue | undefined): void {
    for (const { stage } of value === undefined ? [] : internalsOf(value.source).streams) {
      this.readsStreamOutside("", stage, "what it returns")
    }
    for (const name of value === undefined ? [] : internalsOf(value.source).uses.keys()) {
      if (this.indexOf.has(name)) continue
      const didYouMean = this.suggestions.nearest(name, "")
      this.problem({
        code: "UNKNOWN_STAGE",
        stage: "",
        message: `It returns something of "${name}", which does not exist.`,
        fix: didYouMean === undefined ? "Add the stage." : `Did you mean "${didYouMean}"?`,
        unknown: name,
        ...(didYouMean === undefined ? {} : { didYouMean })
      })
    }
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
    return Object.freeze(inputs)
  }
}

/**
 * The wirings with an edge from the gate to each stage that is added after it, unless the stage waits for another that is.
 */
const behindGates = (
  entries: ReadonlyArray<WiredStage>,
  wirings: ReadonlyArray<Resolved>
): ReadonlyArray<Resolved> => {
  let gate: string | undefined
  // The gate, and all that are added after it: whoever waits for one of these waits for the gate.
  let behind = new Set<string>()
  wirings.forEach(({ edges }, index) => {
    const { isGate, stage: { name } } = entries[index] as WiredStage
    // The stream of a gate begins before it has let anything pass.
    if (
      gate !== undefined && !edges.some(({ from, type }) => behind.has(from) && (from !== gate || type !== "stream"))
    ) {
      edges.push({ from: gate, to: name, type: "order", input: undefined, optional: true })
    }
    if (isGate === true) {
      gate = name
      behind = new Set()
    }
    behind.add(name)
  })
  return wirings
}

/** The priority of each stage, when one has any. */
const prioritiesOf = (entries: ReadonlyArray<WiredStage>): Float64Array | undefined => {
  const priorities = Float64Array.from(entries, ({ stage }) => Context.get(stage.annotations, Priority))
  return priorities.some((priority) => priority !== 0) ? priorities : undefined
}

/** What of a pipeline is compiled. */
export interface Composed {
  readonly topology: Topology
  readonly interceptors: ReadonlyArray<AnyInterceptor>
  readonly input: Schema.Top | undefined
  readonly value: ReturnedValue | undefined
}

/** Compiles a pipeline, or says everything that is wrong with it. */
export const compile = (
  pipeline: string,
  { input, interceptors, topology, value }: Composed
): Result.Result<Plan, PipelineInvalid> => {
  const given = entriesOf(topology)
  const entries = stagesOf(topology)
  const compilation = new Compilation(given, input !== undefined)
  const { indexOf, problems } = compilation
  if (given.length === 0) {
    compilation.problem({
      code: "NO_STAGES",
      stage: "",
      message: "It has no stages.",
      fix: "Add one with Pipeline.add."
    })
  }
  const edges: Array<Edge> = []
  const awaited = new Set<string>(value === undefined ? [] : internalsOf(value.source).uses.keys())
  const wirings = behindGates(entries, entries.map((entry) => compilation.resolve(entry)))
  const stages = wirings.map((resolved, index): Omit<PlannedStage, "isAwaited"> => {
    const { stage } = entries[index] as WiredStage
    const dependencies = Array.from(new Set(resolved.edges.map(({ from }) => indexOf.get(from) as number)))
    for (const edge of resolved.edges) edges.push(edge)
    for (const { from, type } of resolved.edges) if (type === "data" || type === "condition") awaited.add(from)
    const goesOn = resolved.streams.filter(({ onFailure }) => onFailure === "end").map(({ stage }) =>
      indexOf.get(stage) as number
    )
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
      dependencies,
      goesOnWithout: goesOn.length === 0 ? undefined : new Set(goesOn)
    }
  }).map((stage): PlannedStage => Object.assign(stage, { isAwaited: awaited.has(stage.name) }))
  const waiting = wirings.every(({ streams }) => streams.length === 0) ?
    [] :
    wirings.map(({ edges, streams }, index): Waiting => ({
      name: (stages[index] as PlannedStage).name,
      ends: Array.from(
        new Set(edges.flatMap(({ from, type }) => type === "stream" ? [] : [indexOf.get(from) as number]))
      ),
      streams: streams.map((use) => ({ from: indexOf.get(use.stage) as number, use }))
    }))
  const streams = streamPlanOf(waiting)
  const inDegree = Int32Array.from(stages, ({ dependencies }) => dependencies.length)
  const successors = inverted(stages.map(({ dependencies }) => dependencies))
  const stuck = neverFreed(inDegree, successors)
  for (const path of stuck.size === 0 ? [] : findCycles(stages, stuck)) {
    compilation.problem({
      code: "CYCLE",
      stage: path[0] as string,
      message: `The stages wait for each other: ${path.join(" -> ")}.`,
      fix: "Remove one of these dependencies.",
      path
    })
  }
  if (stuck.size === 0) compilation.checkStreams(waiting, streams)
  compilation.checkValue(value)
  return problems.length > 0
    ? Result.fail(new PipelineInvalid({ pipeline, problems }))
    : Result.succeed({
      pipeline,
      input,
      value,
      stages,
      names: stages.map(({ name }) => name),
      indexOf,
      inDegree,
      successors,
      priorities: prioritiesOf(entries),
      reads: packed(wirings.map(({ inputsByName }) => inputsByName?.from ?? [])),
      edges,
      streams,
      needs: stages.flatMap(({ definition, name }) =>
        wrappedOf(definition).gates.flatMap((gate) => gate.needs === undefined ? [] : [{ stage: name, gate }])
      ),
      effects: composedEffects(stages, interceptors)
    })
}
