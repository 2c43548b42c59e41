/**
 * Makes a stage that runs something on a state, then on what that gave, and so on until a condition holds.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Loop } from "stageflow/control"
 *
 * interface Search {
 *   readonly query: string
 *   readonly hits: ReadonlyArray<string>
 * }
 *
 * const search = Loop.until("search", {
 *   state: (inputs: { readonly plan: { readonly query: string } }): Search => ({ query: inputs.plan.query, hits: [] }),
 *   body: ({ hits, query }) => Effect.succeed({ query: `${query}*`, hits: [...hits, `On ${query}`] }),
 *   until: ({ hits }) => hits.length >= 3,
 *   maxIterations: 10
 * })
 *
 * const program = Pipeline.run(
 *   Pipeline.make("p")
 *     .add(Stage.transform("plan", { run: Effect.succeed({ query: "engines" }) }))
 *     .add(search, { inputs: ["plan"] }),
 *   Snapshot.make()
 * )
 * ```
 *
 * A loop has an end in any case: the number of iterations is limited, a state that stays the same ends it, and so do states
 * that come in turns. States are compared as a whole: the same route with another context is another state.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { Held, holding } from "../attempt/held-codec.ts"
import type { LoopProblem } from "../checks/loop.ts"
import type { Checked, Learned, NotGiven } from "../checks/wiring.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Stage from "../Stage.ts"
import {
  type Body,
  type DataOf,
  type ErrorOf,
  type InputOf,
  runsOf,
  type ServicesOf,
  type SignalsOf
} from "./internal/body.ts"
import { deadlineOf } from "./internal/deadline.ts"
import { type Ended, loopOn, LoopUnfinished, type StopReason } from "./internal/looping.ts"
import { type Fingerprint, fingerprintOf, timesOf } from "./internal/stagnation.ts"

/** What a loop runs: a stage, a pipeline, or a function of the state. It gives the next state. */
export type LoopBody<State> = Stage.Any | Pipeline.Any | ((state: State) => Effect.Effect<unknown, unknown, unknown>)

/**
 * What a loop does that stops before its condition holds: the stage fails with `LoopUnfinished`, or gives the last state and
 * says how it ended.
 */
export type Unfinished = "fail" | "return"

/** When states repeat. */
export interface Stagnation<State> {
  /** How often in a row the same turn of states is once too often, from 2; 2 when left out. */
  readonly times?: number | undefined
  /** The longest turn that is looked for: 1 finds A A, 2 finds A B A B, too; 4 when left out. */
  readonly period?: number | undefined
  /** What of a state is compared: some of its fields, or what a function makes of it. Everything when left out. */
  readonly fingerprint?: Fingerprint<State> | undefined
}

/**
 * How a stage runs a loop.
 */
export interface Options<In, State, B, U> {
  /** Makes the first state of what the stage takes. */
  readonly state: (inputs: In) => State
  /** Makes the next state of a state. */
  readonly body: B
  /** Whether the loop is done, asked before every iteration: with the state, and the number of iterations so far. */
  readonly until: (state: State, iterations: number) => boolean
  /** How many iterations there may be; 100 when left out. */
  readonly maxIterations?: number | undefined
  /** When states repeat; `false` lets them. */
  readonly stagnation?: Stagnation<State> | false | undefined
  /** How long all iterations together may take. What is in flight then is interrupted. */
  readonly deadline?: Duration.Input | undefined
  /** How many states are kept in the history, the last ones; 20 when left out. */
  readonly history?: number | undefined
  /** What a loop does that stops before it is done; `"fail"` when left out. */
  readonly unfinished?: U | undefined
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
}

/** What is checked of a body. */
type BodyTypes<B> = unknown extends B ? "not known yet"
  : B extends Body ? { readonly takes: InputOf<B>; readonly gives: DataOf<B> }
  : "no body"

/** How a loop ends that does not fail. */
type How<U> = U extends "return" ? "until" | StopReason : "until"

interface UntypedOptions {
  readonly state: (inputs: never) => unknown
  readonly body: unknown
  readonly until: (state: never, iterations: number) => boolean
  readonly maxIterations?: number | undefined
  readonly stagnation?: Stagnation<never> | false | undefined
  readonly deadline?: Duration.Input | undefined
  readonly history?: number | undefined
  readonly unfinished?: Unfinished | undefined
  readonly kind?: Stage.Kind | undefined
}

const optionNames: ReadonlyArray<keyof UntypedOptions> = [
  "state",
  "body",
  "until",
  "maxIterations",
  "stagnation",
  "deadline",
  "history",
  "unfinished",
  "kind"
]

const stagnationOf = (given: Stagnation<never> | false = {}) => {
  if (given === false) return undefined
  const { fingerprint, period = 4, times } = options.fields("stagnation", ["times", "period", "fingerprint"], given)
  return {
    times: timesOf(times),
    period: options.positiveCount("period", period),
    fingerprintOf: fingerprintOf(fingerprint)
  }
}

/**
 * Makes a stage that runs a loop.
 */
export interface MakeStage {
  <
    const Name extends string,
    State,
    B extends LoopBody<State>,
    In = unknown,
    const U extends Unfinished = "fail",
    Given = NotGiven
  >(
    name: Checked<Name, LoopProblem<Name, In, State, BodyTypes<B>, Given>>,
    options: Options<In, State, B, U> & Learned<Given>
  ): Stage.Stage<
    Name,
    In,
    Ended<State, How<U>>,
    SignalsOf<B>,
    ErrorOf<B> | (U extends "fail" ? LoopUnfinished<State> : never),
    ServicesOf<B>
  >
}

/**
 * Makes a stage that runs `body` on a state until a condition holds: `Loop.until("search", { state, body, until })`.
 *
 * Its data is what the loop came to: the last `state`, the number of `iterations`, how it `ended`, and the `history`. A
 * condition that holds for the first state runs nothing. One that never holds fails the stage with `LoopUnfinished`, unless
 * `unfinished` is `"return"`.
 */
export const until: MakeStage = (name: string, given: UntypedOptions) => {
  const read = options.fields("options", optionNames, given)
  const { history = 20, kind = "transform", maxIterations = 100, unfinished = "fail" } = read
  const body = runsOf("body", read.body as Body) // it is looked at there
  const settings = {
    body,
    // The signatures say what they are functions of.
    state: options.callable("state", read.state as (inputs: unknown) => unknown),
    until: options.callable("until", read.until as (state: unknown, iterations: number) => boolean),
    maxIterations: options.positiveCount("maxIterations", maxIterations),
    stagnation: stagnationOf(read.stagnation),
    withDeadline: deadlineOf(read.deadline),
    history: options.count("history", history),
    unfinished: options.oneOf("unfinished", ["fail", "return"], unfinished)
  }
  const made = Stage.make(kind, name, { run: (inputs: unknown) => loopOn(settings, inputs) }).pipe(
    Stage.annotate(Pipeline.Inside, {
      pipelines: body.pipeline === undefined ? [] : [{ pipeline: body.pipeline }],
      repeats: "loop"
    }),
    Stage.annotate(Held, { errors: [holding(LoopUnfinished)] })
  )
  // The signature computes the types of the stage; the value does not know them.
  return made as never
}

export { type Ended, LoopUnfinished, type Passed, type StopReason } from "./internal/looping.ts"
export type { Fingerprint } from "./internal/stagnation.ts"
