/**
 * Checks, in the compiler, a stage that makes drafts: what its guards take and say, and what its draft is told.
 */
import type { First, Mismatch, OneOf } from "./sentence.ts"
import type { NoData } from "./stage.ts"
import type { NotGiven } from "./wiring.ts"

type Place<Name extends string, Part extends string> = `stage '${Name}', ${Part}`

type OptionName = "draft" | "guards" | "maxAttempts" | "stagnation" | "deadline" | "output" | "kind"

type OptionProblem<Name extends string, Given> = [Exclude<keyof Given, OptionName>] extends [never] ? never
  : `stage '${Name}' has no option '${
    & OneOf<Exclude<keyof Given, OptionName>>
    & string}', only draft, guards, maxAttempts, stagnation, deadline, output and kind`

/** What is known of a guard: what it takes, what it gives, and whether the type of its function says so already. */
export interface GuardTypes {
  readonly takes: unknown
  readonly gives: unknown
  readonly isFunction: boolean
}

type IsVerdict<Data> = [Data] extends [never] ? true
  : [Data] extends [{ readonly _tag: "Accept" } | { readonly _tag: "Reject"; readonly feedback: unknown }] ? true
  : false

type GuardProblem<Place extends string, Guard, Draft> = Guard extends GuardTypes
  ? IsVerdict<Guard["gives"]> extends false
    ? `${Place}: it gives no verdict; give GuardRetry.accept or GuardRetry.reject(feedback), or make it a guard of drafts with GuardRetry.fromGuard`
  : Guard["isFunction"] extends true ? never
  : unknown extends Guard["takes"]
    ? `${Place}: it takes nothing, so it does not look at the draft; a guard of stageflow/guards does with from: "input"`
  : Draft extends Guard["takes"] ? never
  : `${Place}: the draft gives ${Mismatch<Guard["takes"], Draft>}`
  : never

/** Guards whose names are not known are those that the type of the option itself does not take. */
type GuardsProblem<Name extends string, Guards, Draft> = string extends keyof Guards ? never
  : [keyof Guards] extends [never] ? `${Place<Name, "guards">}: there are none, so nobody would look at a draft`
  : OneOf<
    {
      [K in keyof Guards & string]: GuardProblem<Place<Name, `guard '${K}'`>, Guards[K], Draft>
    }[keyof Guards & string]
  >

type RevisionProblem<Name extends string, Takes, Revision> = Takes extends { readonly revision: infer Wanted }
  ? Revision extends Wanted ? never
  : Pick<Revision, "previous" & keyof Revision> extends Pick<Wanted, "previous" & keyof Wanted>
    ? `${Place<Name, "draft">}: its guards give other feedback than its revision takes; see GuardRetry.Revision`
  : `${Place<Name, "draft">}: its revision takes another draft than it gives; see GuardRetry.Revision`
  : never

type DataProblem<Name extends string, Draft, A> = [A] extends [NotGiven] ? [NoData<Draft>] extends [never] ? never
  : `${Place<Name, "draft">}: it gives ${OneOf<NoData<Draft>> & string}; data must be an object`
  : [NoData<A>] extends [never] ? never
  : `${Place<Name, "output">}: it gives ${OneOf<NoData<A>> & string}; data must be an object`

/** What is known of a draft: what it takes and gives, or that nothing like it can be run. */
export type DraftTypes = { readonly takes: unknown; readonly gives: unknown } | "no body" | "not known yet"

type PartsProblem<Name extends string, Draft extends DraftTypes, Guards, Revision, A> = Draft extends
  { readonly takes: infer Takes; readonly gives: infer Gives } ? First<
    GuardsProblem<Name, Guards, Gives>,
    First<RevisionProblem<Name, Takes, Revision>, DataProblem<Name, Gives, A>>
  >
  : Draft extends "not known yet" ? never
  : `${Place<Name, "draft">}: give a stage, a pipeline, or a function that gives an Effect`

/**
 * What is wrong with a stage `Name` that makes such a draft, whose guards are `Guards` and tell the next draft `Revision`, and
 * whose `output` gives `A`. `Given` are the options that it was given: while the compiler has not yet looked at them, nothing
 * is wrong.
 */
export type GuardRetryProblem<Name extends string, Draft extends DraftTypes, Guards, Revision, A, Given> =
  [Given] extends [NotGiven] ? never
    : First<OptionProblem<Name, Given>, PartsProblem<Name, Draft, Guards, Revision, A>>
