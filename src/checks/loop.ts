/**
 * Checks, in the compiler, a stage that runs something again and again: what it runs takes a state and gives the next one.
 */
import type * as Effect from "effect/Effect"
import type { AnnotationProblem, First, Mismatch, OneOf } from "./sentence.ts"
import type { NotGiven } from "./wiring.ts"

type OptionName =
  | "state"
  | "body"
  | "until"
  | "maxIterations"
  | "stagnation"
  | "deadline"
  | "history"
  | "unfinished"
  | "kind"

type OptionProblem<Name extends string, Given> = [Exclude<keyof Given, OptionName>] extends [never] ? never
  : `stage '${Name}' has no option '${
    & OneOf<Exclude<keyof Given, OptionName>>
    & string}', only state, body, until, maxIterations, stagnation, deadline, history, unfinished and kind`

type StateProblem<Name extends string, State> = 0 extends 1 & State ? never
  : State extends Effect.Effect<unknown, unknown, unknown>
    ? `stage '${Name}', state: it gives an Effect; let a stage before give what the state is made of`
  : State extends PromiseLike<unknown>
    ? `stage '${Name}', state: it gives a Promise; let a stage before give what the state is made of`
  : never

/** What is known of a body: what it takes and gives, or that nothing like it can be run. */
export type BodyTypes = { readonly takes: unknown; readonly gives: unknown } | "no body" | "not known yet"

type TakesProblem<Name extends string, State, Takes> = State extends Takes ? never
  : `stage '${Name}', body: the state has ${Mismatch<Takes, State>}`

type GivesProblem<Name extends string, State, Gives> = [Gives] extends [State] ? never
  : `stage '${Name}', body: it gives ${Mismatch<State, Gives>}; what it gives is the next state`

type BodyProblem<Name extends string, State, Body extends BodyTypes> = Body extends
  { readonly takes: infer Takes; readonly gives: infer Gives } ? First<
    TakesProblem<Name, State, Takes>,
    GivesProblem<Name, State, Gives>
  >
  : Body extends "not known yet" ? never
  : `stage '${Name}', body: give a stage, a pipeline, or a function that gives an Effect`

/**
 * What is wrong with a stage `Name` that makes a `State` of `In` and runs such a body on it. `Given` are the options that it was given: while the
 * compiler has not yet looked at them, nothing is wrong.
 */
export type LoopProblem<Name extends string, In, State, Body extends BodyTypes, Given> = [Given] extends [NotGiven]
  ? never
  : First<
    First<OptionProblem<Name, Given>, AnnotationProblem<`stage '${Name}', state`, In>>,
    First<StateProblem<Name, State>, BodyProblem<Name, State, Body>>
  >
