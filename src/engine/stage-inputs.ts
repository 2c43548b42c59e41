/**
 * Reads what a stage's wiring wants before the stage starts: its condition and its inputs.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type FailedEnding, noBoolean, wiringFailed } from "../attempt/outcome.ts"
import { type Settled, type Skip, skipBecause } from "../internal/output-model.ts"
import { define } from "../internal/record.ts"
import type { Current } from "../internal/snapshot-model.ts"
import { Missing, missing, type Reader, some, type StreamUse } from "../internal/source-model.ts"
import type { Plan, PlannedStage, ReadInputs } from "./plan.ts"
import type { RunStreams } from "./run-streams.ts"

/** Instead of inputs: the stage does not start, because it is skipped or because its wiring failed. */
export class NoStart {
  readonly ending: Skip | FailedEnding
  constructor(ending: Skip | FailedEnding) {
    this.ending = ending
  }
}

const skipped = ({ origin, reason }: Missing): NoStart => new NoStart(skipBecause(origin, reason))

// One for all runs, and nobody can write on it.
const notSelected = new NoStart(skipBecause(undefined, "its condition did not hold"))

/** A run, which has streams once they are asked for. */
interface RunWithStreams {
  readonly streamsNow: () => RunStreams
}

/** What the stages of one run gave, within reach of the stages that read it. */
export class StageInputs implements Reader {
  readonly snapshot: Current
  private readonly plan: Plan
  private readonly outputs: ReadonlyArray<Settled | undefined>
  /** The data of the outputs that have data, by the index of their stage. */
  private readonly data: ReadonlyArray<object | undefined>
  private readonly run: RunWithStreams
  /** The stage whose inputs are being read. */
  private reader = -1

  constructor(
    plan: Plan,
    snapshot: Current,
    outputs: ReadonlyArray<Settled | undefined>,
    data: ReadonlyArray<object | undefined>,
    run: RunWithStreams
  ) {
    this.plan = plan
    this.snapshot = snapshot
    this.outputs = outputs
    this.data = data
    this.run = run
  }

  /** A source asks for the output of a stage that has ended: everything it uses is among its dependencies. */
  outputOf(name: string): Settled {
    return this.outputs[this.plan.indexOf.get(name) as number] as Settled
  }

  streamOf(use: StreamUse): unknown {
    return this.run.streamsNow().streamFor(this.reader, use)
  }

  /** The inputs of a stage whose dependencies have ended, `undefined` when it takes none. */
  of(planned: PlannedStage): unknown {
    const held = planned.when === undefined || this.condition(planned, planned.when)
    if (held !== true) return held
    if (planned.InputsByName !== undefined) return this.readByName(planned, new planned.InputsByName())
    return planned.inputs === undefined ? undefined : this.fromSources(planned, planned.inputs)
  }

  /** Whether the condition of a stage holds, or why the stage does not start. */
  private condition({ name }: PlannedStage, when: ReadInputs): true | NoStart {
    // Everything that is done with what a function of somebody gave can throw.
    const result = Result.try((): true | NoStart => {
      const value = when(this)
      if (value === true) return true
      if (value === false) return notSelected
      return value instanceof Missing ? skipped(value) : new NoStart(noBoolean(name, value))
    })
    return Result.isFailure(result) ? new NoStart(wiringFailed(name, "when", result.failure)) : result.success
  }

  private fromSources({ index, name }: PlannedStage, read: ReadInputs): unknown {
    this.reader = index
    const result = Result.try(() => {
      const inputs = read(this)
      return inputs instanceof Missing ? skipped(inputs) : inputs
    })
    return Result.isFailure(result) ? new NoStart(wiringFailed(name, "inputs", result.failure)) : result.success
  }

  private readByName(planned: PlannedStage, inputs: object): unknown {
    const { optional } = planned
    const { names, reads: { items, starts } } = this.plan
    const start = starts[planned.index] as number
    const end = starts[planned.index + 1] as number
    for (let at = start; at < end; at++) {
      const index = items[at] as number
      // No data is ever undefined: see `endingOfExit`.
      const data = this.data[index]
      const key = names[index] as string
      if (optional?.[at - start] === true) {
        define(inputs, key, data === undefined ? Option.none() : some(data))
      } else if (data === undefined) {
        return skipped(missing(key, this.outputs[index] as Skip))
      } else {
        define(inputs, key, data)
      }
    }
    // What the stages gave is deeply immutable already.
    return Object.freeze(inputs)
  }
}
