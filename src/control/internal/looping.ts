/**
 * Runs a body on a state, and on what it gives, until a condition holds or there is a reason to stop.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { announce } from "../../attempt/attempt.ts"
import { asRepetition } from "../../attempt/repetition.ts"
import { immutable } from "../../internal/immutable.ts"
import { StageContext } from "../../StageContext.ts"
import type { InStage } from "../../StageOutput.ts"
import { leaveUnlessOk, type Runs } from "./body.ts"
import type { WithDeadline } from "./deadline.ts"
import { type FingerprintOf, Turns } from "./stagnation.ts"

/**
 * Why a loop stopped before its condition held:
 *
 * - `"iterations"`: there were as many as there may be;
 * - `"stagnation"`: the state stayed the same;
 * - `"oscillation"`: the same few states came in turns, again and again: A B A B;
 * - `"deadline"`: the time for all iterations together was over.
 */
export type StopReason = "iterations" | "stagnation" | "oscillation" | "deadline"

/**
 * A state, and after how many iterations it was there: the first one after none.
 */
export interface Passed<out State> {
  readonly iteration: number
  readonly state: State
}

/**
 * What a loop came to: the last state, after how many iterations, how it ended, and the states before it, the last ones only
 * when there were many.
 */
export interface Ended<out State, out How = "until" | StopReason> {
  readonly state: State
  readonly iterations: number
  readonly ended: How
  readonly history: ReadonlyArray<Passed<State>>
  /** There when what was in flight at the deadline ignored its interruption, and may still go on. */
  readonly abandoned?: true
}

/**
 * A loop stopped before its condition held. The message says nothing of the state.
 */
export class LoopUnfinished<out State = unknown>
  extends Schema.TaggedError<LoopUnfinished<unknown>>()("LoopUnfinished", {
    stage: Schema.String,
    reason: Schema.Literals(["iterations", "stagnation", "oscillation", "deadline"]),
    /** How many iterations were complete. */
    iterations: Schema.Int,
    /** After how many iterations the states repeat: 1 when the state stays the same. */
    period: Schema.UndefinedOr(Schema.Int),
    state: Schema.Unknown,
    history: Schema.Array(Schema.Unknown),
    /** Whether what was in flight at the deadline ignored its interruption, and may still go on. */
    abandoned: Schema.Boolean
  })
{
  readonly code = "LOOP_UNFINISHED"
  /** The last state. */
  declare readonly state: State
  /** The last states, in their order. */
  declare readonly history: ReadonlyArray<Passed<State>>

  override get message(): string {
    return `The loop of stage "${this.stage}" stopped before it was done: ${this.why()}`
  }

  private why(): string {
    const { iterations } = this
    switch (this.reason) {
      case "iterations":
        return `all ${iterations} iterations are used up`
      case "stagnation":
        return `its state is still the same after iteration ${iterations}`
      case "oscillation":
        return `its states repeat every ${this.period} iterations, as of iteration ${iterations}`
      case "deadline":
        return `the deadline passed after ${iterations} iterations${
          this.abandoned ? "; what was in flight ignored its interruption and was abandoned" : ""
        }`
    }
  }

  /** What a log shows of it, and none of the states. */
  override toJSON() {
    const { _tag, abandoned, code, iterations, message, period, reason, stage } = this
    return { _tag, code, message, stage, reason, iterations, period, abandoned }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** What a loop was made of. */
export interface Settings {
  readonly state: (inputs: unknown) => unknown
  readonly body: Runs
  readonly until: (state: unknown, iterations: number) => boolean
  readonly maxIterations: number
  /** How many states are kept. */
  readonly history: number
  readonly withDeadline: WithDeadline
  /** When states repeat; never, when nobody asks. */
  readonly stagnation:
    | { readonly fingerprintOf: FingerprintOf; readonly times: number; readonly period: number }
    | undefined
  readonly unfinished: "fail" | "return"
}

type Leaves = InStage<"skip" | "cancel">

interface Stop {
  readonly reason: StopReason
  readonly period?: number | undefined
  readonly abandoned?: boolean
}

/** What is known of a loop while it runs. */
class Looping {
  private iterations = 0
  private state: unknown
  private period: number | undefined
  private readonly history: Array<Passed<unknown>> = []
  private readonly turns: Turns | undefined
  private readonly settings: Settings
  private readonly context: StageContext["Service"]

  constructor(settings: Settings, context: StageContext["Service"], first: unknown) {
    this.settings = settings
    this.context = context
    const { stagnation } = settings
    this.turns = stagnation === undefined ? undefined : new Turns(stagnation.times, stagnation.period)
    this.pass(first)
  }

  readonly run: Effect.Effect<Ended<unknown>, unknown, StageContext | Leaves> = Effect.gen({ self: this }, function*() {
    while (!this.isDone()) {
      const stop = this.reasonToStop()
      if (stop !== undefined) return yield* this.stopped(stop)
      yield* this.iterate()
    }
    return yield* this.end("until")
  })

  private isDone(): boolean {
    const isDone: unknown = this.settings.until(this.state, this.iterations)
    if (typeof isDone === "boolean") return isDone
    throw new TypeError("`until` of a loop gives true or false")
  }

  private reasonToStop(): Stop | undefined {
    const { period } = this
    if (period !== undefined) return { reason: period === 1 ? "stagnation" : "oscillation", period }
    return this.iterations === this.settings.maxIterations ? { reason: "iterations" } : undefined
  }

  private iterate(): Effect.Effect<void, unknown, StageContext | Leaves> {
    const { context, settings: { body, maxIterations } } = this
    const { state } = this
    const place = [context.stage, "body", this.iterations + 1] as const
    return asRepetition(Effect.suspend(() => body.run(state)), place, state).pipe(
      Effect.flatMap(leaveUnlessOk),
      Effect.map(({ data }) => {
        this.iterations++
        this.pass(data)
        announce(context, { _tag: "LoopIterated", iteration: this.iterations, of: maxIterations })
      })
    )
  }

  /** Takes over a state. */
  private pass(state: unknown): void {
    this.state = immutable(state)
    this.history.push(Object.freeze({ iteration: this.iterations, state: this.state }))
    if (this.history.length > this.settings.history) this.history.shift()
    this.period = this.turns?.add(this.settings.stagnation?.fingerprintOf(this.state))
  }

  /** Ends the loop without its condition. */
  stopped({ abandoned = false, period, reason }: Stop): Effect.Effect<Ended<unknown>, LoopUnfinished> {
    if (this.settings.unfinished === "return") return this.end(reason, abandoned)
    const { context: { stage }, iterations, state } = this
    const history = this.history.slice()
    const error = new LoopUnfinished({ stage, reason, iterations, period, state, history, abandoned })
    return Effect.andThen(this.tellEnd(reason), Effect.fail(error as LoopUnfinished))
  }

  private end(ended: "until" | StopReason, abandoned = false): Effect.Effect<Ended<unknown>> {
    const { iterations, state } = this
    const history = this.history.slice()
    return Effect.as(
      this.tellEnd(ended),
      abandoned ? { state, iterations, ended, history, abandoned } : { state, iterations, ended, history }
    )
  }

  private tellEnd(ended: "until" | StopReason): Effect.Effect<void> {
    return Effect.sync(() => announce(this.context, { _tag: "LoopEnded", iterations: this.iterations, ended }))
  }
}

/** Runs a loop on the inputs of a stage. */
export const loopOn = (
  settings: Settings,
  inputs: unknown
): Effect.Effect<Ended<unknown>, unknown, StageContext | Leaves> =>
  Effect.flatMap(StageContext, (context) => {
    const looping = new Looping(settings, context, settings.state(inputs))
    return settings.withDeadline(looping.run, (abandoned) => looping.stopped({ reason: "deadline", abandoned }))
  })
