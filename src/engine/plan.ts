/**
 * Defines the plan of a pipeline: what the engine runs, laid out in arrays.
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { Gate } from "../attempt/gate.ts"
import type { Any as AnyInterceptor, StageEffect, StageInfo } from "../attempt/interceptor-model.ts"
import type { Reader } from "../internal/source-model.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Any as AnySource } from "../Source.ts"
import type { Any as AnyStage } from "../Stage.ts"
import type { PackedLists } from "./packed-lists.ts"
import type { StreamPlan } from "./stream-plan.ts"

/** An edge as people see it: what a stage wants of another. */
export interface Edge {
  readonly from: string
  readonly to: string
  /** `stream`: its chunks, while it runs. */
  readonly type: "data" | "order" | "condition" | "stream"
  /** The input that the data is for. */
  readonly input: string | undefined
  /** Whether the reader goes without it when `from` was skipped. */
  readonly optional: boolean
}

/** Reads a condition or the inputs of a stage, or says with `Missing` why there are none. */
export type ReadInputs = (reader: Reader) => unknown

/** One stage of a plan. */
export interface PlannedStage {
  readonly index: number
  readonly name: string
  readonly definition: AnyStage
  /** What the definition runs; `asEffect` makes sure that it is an Effect. */
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
  /** Those of them that it goes on without when they fail; `undefined` when there are none. */
  readonly goesOnWithout: ReadonlySet<number> | undefined
  /** Whether others wait for the data that it ends with. */
  readonly isAwaited: boolean
}

/** What the input of a pipeline is read as. */
export const inputName = "input"

/** What the runs of a pipeline give. */
export interface ReturnedValue {
  readonly source: AnySource
  readonly output: Schema.Top | undefined
}

export interface Plan {
  readonly pipeline: string
  /** The schema of what its runs take. */
  readonly input: Schema.Top | undefined
  readonly value: ReturnedValue | undefined
  readonly stages: ReadonlyArray<PlannedStage>
  readonly names: ReadonlyArray<string>
  readonly indexOf: ReadonlyMap<string, number>
  readonly inDegree: Int32Array
  /** The stages that depend on each stage. */
  readonly successors: PackedLists
  /** The priority of each stage; `undefined` when none has one. */
  readonly priorities: Float64Array | undefined
  /** The stages whose data each stage reads by name. Each of these inputs has the name of its stage. */
  readonly reads: PackedLists
  readonly edges: ReadonlyArray<Edge>
  /** Which stages read the streams of which; `undefined` when none does. */
  readonly streams: StreamPlan | undefined
  /** The gates that need something in the environment of the run, or no stage starts; each with its stage. */
  readonly needs: ReadonlyArray<{ readonly stage: string; readonly gate: Gate }>
  /** The Effect of each stage with everything around it, by what Layers installed; see `composedEffects`. */
  readonly effects: (installed: ReadonlyArray<AnyInterceptor>) => ReadonlyArray<StageEffect | undefined>
}

/** A pipeline whose plan is compiled when it is first asked for. */
export interface Planned {
  readonly plan: Result.Result<Plan, PipelineInvalid>
}

/** The plan of a pipeline, or everything that is wrong with it. */
export const planOf = (pipeline: object): Effect.Effect<Plan, PipelineInvalid> =>
  // Every pipeline is made in `Pipeline`, as one of these.
  Effect.suspend(() => Effect.fromResult((pipeline as Planned).plan))
