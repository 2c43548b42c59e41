/**
 * Makes a stage of a draft and the guards that judge it: what they reject is drafted again, and told why.
 *
 * All guards judge the same draft, at the same time. When all accept it, it is the data of the stage; otherwise the next
 * draft gets the draft before it, what the guards said of that, and which attempt it is. Readers of the stage start when a
 * draft was accepted, and get that one.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { GuardRetry } from "stageflow/control"
 *
 * interface Draft {
 *   readonly text: string
 * }
 *
 * const answer = GuardRetry.stage("answer", {
 *   draft: ({ question, revision }: {
 *     readonly question: { readonly text: string }
 *     readonly revision: GuardRetry.Revision<Draft, string>
 *   }) => Effect.succeed({ text: revision.attempt === 1 ? `You ask: ${question.text}` : "It does." }),
 *   guards: {
 *     brief: (draft) => Effect.succeed(draft.text.length > 10 ? GuardRetry.reject("Be brief") : GuardRetry.accept)
 *   }
 * })
 *
 * const program = Pipeline.run(
 *   Pipeline.make("p")
 *     .add(Stage.enrich("question", { run: Effect.succeed({ text: "Does it work?" }) }))
 *     .add(answer, { inputs: ["question"] }),
 *   Snapshot.make()
 * )
 * ```
 *
 * Only a verdict accepts: a guard that fails, dies or takes too long fails the stage, one that skips or cancels does that to
 * the stage. The number of attempts is limited, the same draft twice ends them, and a `deadline` limits all of them together.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { attemptIn } from "../attempt/attempt.ts"
import { type AroundBody, aroundBody } from "../attempt/body.ts"
import { Held, holding } from "../attempt/held-codec.ts"
import { fromAround } from "../attempt/interceptor-model.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import type { GuardRetryProblem } from "../checks/guard-retry.ts"
import type { Checked, Learned, NotGiven } from "../checks/wiring.ts"
import { type AroundStage, AroundStageTypeId } from "../internal/around-stage.ts"
import * as options from "../internal/options.ts"
import { changedOk, noItems, plainOk } from "../internal/output-model.ts"
import { isRefusal, type RefusalTypeId } from "../internal/refusal.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Stage from "../Stage.ts"
import type { RetryExhausted, StageTimeout } from "../StageError.ts"
import type * as StageOutput from "../StageOutput.ts"
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
import { accept, acceptedDraft, type Guard, reject, verdictIn } from "./internal/drafting.ts"
import {
  type Accepted,
  type FeedbackIn,
  type Judged,
  NoDraftAccepted,
  noDraftAccepted,
  type Reject,
  type Revision,
  type Verdict
} from "./internal/drafts.ts"
import { entriesOf } from "./internal/named.ts"
import { shownLoop } from "./internal/shown-loop.ts"
import { type Fingerprint, fingerprintOf, timesOf } from "./internal/stagnation.ts"

// ---------------------------------------------------------------------------------------------------------------------
// verdicts
// ---------------------------------------------------------------------------------------------------------------------

export {
  /** The verdict of a guard that has nothing against the draft. */
  accept,
  /** The verdict of a guard that wants another draft: `feedback` is what the next attempt is told. */
  reject
}

/** What a guard found in a draft that it would have let pass with masks. */
export interface Found<out Finding> {
  readonly findings: ReadonlyArray<Finding>
}

/** The errors of a guard that say nothing of the draft. */
type Unjudged = StageTimeout | RetryExhausted | { readonly [RefusalTypeId]: true } | AroundStage

/** What the data of a guard says that lets pass or fails: a verdict, what it would have masked, or nothing. */
type Judgement = Verdict<unknown> | Found<unknown>

/** What the verdict of a guard says that lets pass or fails. */
type SaidBy<D, E> =
  | Exclude<E, Unjudged>
  | (D extends { readonly findings: ReadonlyArray<infer F> } ? Found<F> : never)
  | FeedbackFrom<D>

/** A sentence instead of a guard whose data could say anything. */
type Judges<D> = [D] extends [Judgement] ? unknown
  : [keyof D] extends [never] ? unknown
  : "its data could say yes or no; give a verdict with Stage.mapOutput, or findings, or nothing"

/** Reads what a guard lets pass. What could say no all the same accepts nothing. */
const verdictOf = (guard: string, data: object): Verdict<unknown> => {
  const verdict = verdictIn(data)
  if (verdict !== undefined) return verdict
  if ("findings" in data && Array.isArray(data.findings)) {
    return data.findings.length === 0 ? accept : reject({ findings: data.findings })
  }
  if (isEmpty(data)) return accept
  throw new TypeError(
    `Guard "${guard}" of a draft gave neither a verdict nor a list of findings, but data that could say yes or no: see `
      + `GuardRetry.fromGuard`
  )
}

const isEmpty = (data: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(data)
  return (prototype === Object.prototype || prototype === null) && Reflect.ownKeys(data).length === 0
}

const saysWhy = (error: unknown, cause: Cause.Cause<unknown>): boolean =>
  isRefusedBy({ kind: "guard" }, error, cause) && !isRefusal(error, cause) &&
  !Predicate.hasProperty(error, AroundStageTypeId)

/** Makes rejections of what the stage itself fails with: what is around it says nothing of the draft. */
const rejecting = fromAround<never, never, never>("fromGuard", 0, (effect) =>
  Effect.withFiber((fiber) => {
    let hasFailed = false
    const noted: AroundBody = (body) =>
      Effect.suspend(() => {
        hasFailed = false
        return Effect.tapError(body, () =>
          Effect.sync(() => {
            hasFailed = true
          }))
      })
    return Effect.catchCause(aroundBody(effect, attemptIn(fiber), noted), (cause) => {
      const failed = Cause.findErrorOption(cause)
      return hasFailed && Option.isSome(failed) && saysWhy(failed.value, cause)
        ? Effect.succeed(plainOk(reject(failed.value)))
        : Effect.failCause(cause)
    })
  }))

/**
 * Makes a guard of drafts of a guard stage that lets pass or fails, as those of `stageflow/guards` do with `from: "input"`.
 *
 * Its typed errors are rejections, with the error as the feedback, and so are findings that it would mask: a draft passes as
 * it is or not at all. It gives findings, nothing, or a verdict, which stays what it is; other data could say yes or no, and
 * `Stage.mapOutput` makes a verdict of it. A timeout, a denial, an error of an interceptor and whatever is no typed error of
 * its own stay what they are; a guard that cancels cancels the run.
 */
export const fromGuard = <Name extends string, In, D extends object, S, E, R>(
  guard: Stage.Stage<Name, In, D, S, E, R> & Judges<D>
): Stage.Stage<Name, In, Verdict<SaidBy<D, E>>, S, Extract<E, Unjudged>, R> => {
  const isGuard = (given: unknown): given is Stage.Stage<Name, In, D, S, E, R> => Stage.isStage(given)
  const stage = options.ofKind("guard", "a guard stage", isGuard, guard)
  const judging = Stage.mapOutput(stage, (data) => verdictOf(stage.name, data))
  // What is said is its errors, its findings and its feedback.
  return Stage.intercept(judging, rejecting) as Stage.Any as Stage.Stage<
    Name,
    In,
    Verdict<SaidBy<D, E>>,
    S,
    Extract<E, Unjudged>,
    R
  >
}

/**
 * The schema of what a draft is told, for the `input` of a pipeline that drafts.
 */
export const revision = <D extends Schema.Top, F extends Schema.Top>(draft: D, feedback: F) =>
  Schema.Struct({
    attempt: Schema.Int,
    previous: Schema.Option(draft),
    feedback: Schema.Array(Schema.Struct({ guard: Schema.String, feedback }))
  })

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a guard that is a function is given besides the draft.
 */
export interface Judging<out Inputs> {
  /** Which attempt the draft is, from 1. */
  readonly attempt: number
  /** The inputs of the stage. */
  readonly inputs: Inputs
}

/** A guard: a stage, a pipeline, or a function of the draft. It gives a verdict. */
export type GuardBody<Draft, Inputs> =
  | Stage.Any
  | Pipeline.Any
  | ((draft: Draft, judging: Judging<Inputs>) => Effect.Effect<unknown, unknown, unknown>)

/** What the stage takes of what its draft takes. */
export type Inputs<D> = unknown extends InputOf<D> ? unknown
  : [keyof Omit<InputOf<D>, "revision">] extends [never] ? unknown
  : { readonly [K in keyof InputOf<D> as K extends "revision" ? never : K]: InputOf<D>[K] }

/** What the guards say: for each its name with its verdict. */
export type JudgedBy<G> = {
  readonly [K in keyof G & string]: Judged<K, FeedbackFrom<DataOf<G[K]>>>
}[keyof G & string]

type FeedbackFrom<Data> = Data extends Reject<infer Feedback> ? Feedback : never

/** What a draft is told when these guards judge it. */
type RevisionFor<Draft, G> = Omit<Revision<Draft>, "feedback"> & {
  readonly feedback: ReadonlyArray<FeedbackIn<JudgedBy<G>>>
}

/** What the compiler checks of the guards. */
type GuardsTypes<G> = {
  readonly [K in keyof G]: {
    readonly takes: InputOf<G[K]>
    readonly gives: DataOf<G[K]>
    readonly isFunction: G[K] extends (...given: never) => unknown ? true : false
  }
}

/** When drafts are too often the same. */
export interface Stagnation<A> {
  /** How often the same draft is once too often, from 2; 2 when left out. */
  readonly times?: number | undefined
  /** What of a draft is compared: some of its fields, or what a function makes of it. Everything when left out. */
  readonly fingerprint?: Fingerprint<A> | undefined
}

/**
 * How a stage makes drafts.
 */
export interface Options<D, G, A> {
  /**
   * Makes a draft: a stage, a pipeline, or a function. It is given the inputs of the stage and, under `revision`, what is
   * known of the attempt before.
   */
  readonly draft: D
  /** The guards, by name. */
  readonly guards: G
  /** How many drafts there may be, the first included; 3 when left out. */
  readonly maxAttempts?: number | undefined
  /** When drafts are too often the same: the same draft twice when left out, and `false` for never. */
  readonly stagnation?: Stagnation<DataOf<D>> | false | undefined
  /** How long all attempts together may take. What is in flight then is interrupted. */
  readonly deadline?: Duration.Input | undefined
  /** Makes what the stage gives: data, or a `StageOutput`. When left out it is the accepted draft. */
  readonly output?: ((accepted: Accepted<DataOf<D>, JudgedBy<G>>) => A) | undefined
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
}

/** What the stage gives: `A` is what its `output` gives. */
type Gives<D, A> = [A] extends [NotGiven] ? DataOf<D> : A

/** What goes into the check of a stage. */
type Problem<Name extends string, D, G, A, Given> = GuardRetryProblem<
  Name,
  unknown extends D ? "not known yet"
    : D extends Body ? { readonly takes: InputOf<D>; readonly gives: DataOf<D> }
    : "no body",
  GuardsTypes<G>,
  RevisionFor<DataOf<D>, G>,
  [A] extends [NotGiven] ? NotGiven : StageOutput.Data<A>,
  Given
>

interface UntypedOptions {
  readonly draft: unknown
  readonly guards: Readonly<Record<string, unknown>>
  readonly maxAttempts?: number | undefined
  readonly stagnation?: Stagnation<never> | false | undefined
  readonly deadline?: Duration.Input | undefined
  readonly output?: ((accepted: never) => unknown) | undefined
  readonly kind?: Stage.Kind | undefined
}

const optionNames: ReadonlyArray<keyof UntypedOptions> = [
  "draft",
  "guards",
  "maxAttempts",
  "stagnation",
  "deadline",
  "output",
  "kind"
]

const guardsOf = (given: UntypedOptions["guards"]): ReadonlyArray<Guard & { readonly body: Body }> =>
  entriesOf("guards", "an object with at least one guard", given).map(([name, guard]) => {
    const body = guard as Body // whatever it is, it is looked at when its runs are read
    return { name: options.name("guards", name), body, runs: runsOf(`guards.${name}`, body) }
  })

const stagnationOf = (given: Stagnation<never> | false = {}) => {
  if (given === false) return undefined
  const { fingerprint, times } = options.fields("stagnation", ["times", "fingerprint"], given)
  return { times: timesOf(times), fingerprintOf: fingerprintOf(fingerprint) }
}

// ---------------------------------------------------------------------------------------------------------------------
// the stage
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes a stage of a draft and its guards.
 */
export interface MakeStage {
  <
    const Name extends string,
    D,
    G extends Readonly<Record<string, GuardBody<DataOf<D>, Inputs<D>>>>,
    A = NotGiven,
    Given = NotGiven
  >(
    name: Checked<Name, Problem<Name, D, G, A, Given>>,
    options: Options<D, G, A> & Learned<Given>
  ): Stage.Stage<
    Name,
    Inputs<D>,
    StageOutput.Data<Gives<D, A>>,
    SignalsOf<D> | SignalsOf<G[keyof G]> | StageOutput.Signal<A>,
    | NoDraftAccepted<DataOf<D>, JudgedBy<G>>
    | ErrorOf<D>
    | ErrorOf<G[keyof G]>
    | StageOutput.Errors<A, never>,
    ServicesOf<D> | ServicesOf<G[keyof G]>
  >
}

/**
 * Makes a stage of a draft and its guards: `GuardRetry.stage("answer", { draft, guards: { tone, facts } })`.
 *
 * A draft is made and judged up to `maxAttempts` times. The data of the stage is the draft that all guards accepted, so what
 * reads a draft reads this stage, unless `output` says otherwise: `output: (accepted) => accepted` gives the history with
 * it. When no draft is accepted the stage fails with `NoDraftAccepted`.
 */
export const stage: MakeStage = (name: string, given: UntypedOptions) => {
  const read = options.fields("options", optionNames, given)
  const { kind = "transform", maxAttempts = 3 } = read
  const draft = runsOf("draft", read.draft as Body)
  const guards = guardsOf(read.guards as UntypedOptions["guards"])
  const output = read.output === undefined ? undefined : options.callable("output", read.output)
  const settings = {
    draft,
    guards,
    maxAttempts: options.positiveCount("maxAttempts", maxAttempts),
    stagnation: stagnationOf(read.stagnation),
    withDeadline: deadlineOf(read.deadline),
    givesDraft: output === undefined
  }
  const run = (inputs: unknown) =>
    Effect.map(acceptedDraft(settings, inputs), ({ accepted, end }) => {
      // The signature says what `output` takes; what is data is found out where the stage ends.
      const data = accepted.draft as object
      if (output !== undefined) return output(accepted as never) as object
      // A run of its own has told its events.
      return changedOk(end, { data, events: noItems })
    })
  const made = Stage.make(kind, name, { run }).pipe(
    Stage.annotate(Pipeline.Inside, shownLoop(read.draft as Body, guards)),
    Stage.annotate(Held, { errors: [holding(NoDraftAccepted, noDraftAccepted)] })
  )
  // The signature computes the types of the stage; the value does not know them.
  return made as never
}

export {
  type Accept,
  type Accepted,
  type Attempt,
  type EndReason,
  type FeedbackOf,
  type Judged,
  NoDraftAccepted,
  type Reject,
  type Revision,
  type Verdict
} from "./internal/drafts.ts"
export type { Fingerprint } from "./internal/stagnation.ts"
