/**
 * Checks, in the compiler, a stage that runs something again and again: what it runs takes a state and gives the next one.
 */
import type { First, Mismatch, OneOf } from "./sentence.ts"
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
 * What is wrong with a stage `Name` that runs such a body on a `State`. `Given` are the options that it was given: while the
 * compiler has not yet looked at them, nothing is wrong.
 */
export type LoopProblem<Name extends string, State, Body extends BodyTypes, Given> = [Given] extends [NotGiven] ? never
  : First<OptionProblem<Name, Given>, BodyProblem<Name, State, Body>>
