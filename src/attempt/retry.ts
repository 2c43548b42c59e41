/**
 * Runs a stage again as its policy says: what stands behind `Stage.retry` and `Interceptors.retry`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid, identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import { together } from "../internal/causes.ts"
import * as options from "../internal/options.ts"
import { isRefusal } from "../internal/refusal.ts"
import { StageContext } from "../StageContext.ts"
import { RetryExhausted, StageFault } from "../StageError.ts"
import type { Retry } from "../StageOutput.ts"
import { type Attempt, attemptOf } from "./attempt.ts"
import { defaultWaits, exponential } from "./backoff.ts"
import { timeLeft } from "./deadline.ts"
import type { Around, Outcome, StageEffect, StageInfo } from "./interceptor-model.ts"
import { isRefusedBy } from "./refusal.ts"
import { waitAskedBy } from "./retry-after.ts"

/**
 * When to run a stage again: a schedule, or a schedule with conditions.
 *
 * What is left out is 3 attempts, with waits that double from 1 second to at most 30 and full jitter: `{ attempts: 5 }` has
 * these waits, and `{ while }` these waits and attempts. For attempts without waits, give `Schedule.recurs(n)`.
 */
export type RetryPolicy<E = unknown, R = never> =
  | Schedule.Schedule<unknown, unknown, never, R>
  | {
    /** The waits between attempts, and how many there are. Exponential with full jitter when left out. */
    readonly schedule?: Schedule.Schedule<unknown, unknown, never, R> | undefined
    /**
     * How many attempts at most, the first included. One more than the schedule has recurrences, or 3 without a schedule,
     * when left out.
     */
    readonly attempts?: number | undefined
    /**
     * Whether another attempt makes sense after this error. When it throws, or gives anything but true or false, there is
     * none: the stage fails with its own error, and the cause holds what was thrown.
     */
    readonly while?: ((error: E) => boolean) | undefined
    /** Whether defects and invalid outputs are tried again as well. */
    readonly faults?: boolean | undefined
    /**
     * The longest wait that is granted when the stage (`StageOutput.retry` with `after`) or its error asks for one. 30
     * seconds when left out. An error asks with a `retryAfter`: a `Duration`, a number of seconds, a `Date`, or the text
     * of a `Retry-After` header (seconds or an HTTP date).
     */
    readonly cap?: Duration.Input | undefined
  }

interface Policy {
  readonly schedule: Schedule.Schedule<unknown, unknown, never, unknown>
  readonly makesSense: (error: unknown) => boolean
  readonly faults: boolean
  readonly cap: Duration.Duration
}

/**
 * Has a say in whether the attempts of a policy are made: it is told of each first attempt, and gives what is asked before
 * each other one.
 */
export type Budget<E, R> = Effect.Effect<Effect.Effect<boolean>, E, R>

const unlimited: Budget<never, never> = Effect.succeed(Effect.succeed(true))

const longest = Duration.seconds(30)

const always = () => true

// With nothing that bounds it, the default policy does: no loop is endless by omission.
const scheduleOf = (schedule: Policy["schedule"] | undefined, attempts: number | undefined): Policy["schedule"] =>
  attempts === undefined ? schedule ?? exponential() : Schedule.upTo(schedule ?? defaultWaits, { times: attempts - 1 })

const policyOf = <E>(policy: RetryPolicy<E, unknown> = {}): Policy => {
  if (Schedule.isSchedule(policy)) return { schedule: policy, makesSense: always, faults: false, cap: longest }
  const given = options.fields("policy", ["schedule", "attempts", "while", "faults", "cap"], policy)
  const attempts = given.attempts === undefined ? undefined : options.positiveCount("attempts", given.attempts)
  if (given.schedule !== undefined) options.ofKind("schedule", "a Schedule", Schedule.isSchedule, given.schedule)
  return {
    schedule: scheduleOf(given.schedule, attempts),
    // Only typed errors are asked about, and those are E.
    makesSense: options.callable("while", given.while ?? always) as (error: unknown) => boolean,
    faults: options.flag("faults", given.faults ?? false),
    cap: given.cap === undefined ? longest : options.duration("cap", given.cap)
  }
}

/** What `while` says, which without types can be anything. */
const answerOf = (answer: unknown): boolean => {
  if (typeof answer === "boolean") return answer
  // What an async function rejects with is not lost: it says nothing about the stage.
  if (Predicate.isPromiseLike(answer)) answer.then(undefined, constVoid)
  const given = Predicate.isPromiseLike(answer) ? "a Promise" : `a value of type ${typeof answer}`
  throw new TypeError(`\`while\` of a retry policy has to give true or false, not ${given}`)
}

/** Why another attempt is wanted: the typed error, the fault, or the stage's own request. */
const wanted = (policy: Policy, exit: Exit.Exit<Outcome, unknown>, isFinal: IsFinal): Option.Option<unknown> => {
  if (exit._tag === "Success") return exit.value._tag === "Retry" ? Option.some(exit.value) : Option.none()
  if (Cause.hasInterrupts(exit.cause)) return Option.none()
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isNone(error) || error.value instanceof StageFault || Cause.hasDies(exit.cause)) {
    return policy.faults ? Option.some(exit.cause) : Option.none()
  }
  return Option.filter(error, (typed) => !isFinal(typed, exit.cause) && answerOf(policy.makesSense(typed)))
}

const isRequest = (exit: Exit.Exit<Outcome, unknown>): exit is Exit.Success<Retry> =>
  exit._tag === "Success" && exit.value._tag === "Retry"

/** How long the stage, or the error it failed with, asks to be left alone. */
const requestedWait = (exit: Exit.Exit<Outcome, unknown>, reason: unknown, now: number): Duration.Duration => {
  if (isRequest(exit)) return exit.value.after ?? Duration.zero
  return Predicate.hasProperty(reason, "retryAfter") ? waitAskedBy(reason.retryAfter, now) : Duration.zero
}

/** Whether nobody may try again after an error. */
type IsFinal = (error: unknown, cause: Cause.Cause<unknown>) => boolean

type Step = (now: number, input: unknown) => Effect.Effect<[unknown, Duration.Duration], unknown, unknown>

/** How long to wait before another attempt, or `None` when there is none. */
const delayAfter = Effect.fnUntraced(function*(
  policy: Policy,
  exit: Exit.Exit<Outcome, unknown>,
  step: Step,
  granted: Effect.Effect<boolean>,
  isFinal: IsFinal
): Effect.fn.Return<Option.Option<Duration.Duration>, never, unknown> {
  const reason = wanted(policy, exit, isFinal)
  if (Option.isNone(reason)) return Option.none()
  const now = yield* Clock.currentTimeMillis
  const next = yield* Effect.option(step(now, reason.value))
  if (Option.isNone(next)) return Option.none()
  const delay = Duration.max(next.value[1], Duration.min(requestedWait(exit, reason.value, now), policy.cap))
  // An attempt that its run will not live to see is not waited for.
  if (Duration.toMillis(delay) >= (yield* timeLeft)) return Option.none()
  return (yield* granted) ? Option.some(delay) : Option.none()
})

/** The same failure, with what went wrong besides. */
const withBesides = <A>(exit: Exit.Exit<A, unknown>, besides: Cause.Cause<never>): Exit.Exit<A, unknown> =>
  exit._tag === "Success" ? exit : Exit.failCause(together(exit.cause, besides))

const isOver = (exit: Exit.Exit<Outcome, unknown>): boolean => exit._tag === "Success" && exit.value._tag !== "Retry"

/** Who makes the attempts, and is told of each. */
type Attempts = Pick<Attempt, "attempts" | "firstAttempt" | "nextAttempt">

/**
 * Runs an Effect again as a policy says. Who makes the attempts is an attempt of a stage or, where a stage does several
 * things at the same time, whoever counts those of one of them.
 */
const retrying = <E, R>(given: RetryPolicy<E, R> | undefined) => {
  const policy = policyOf(given as RetryPolicy<E, unknown> | undefined)
  return (effect: StageEffect, stage: string, attempts: Attempts, budget: Budget<unknown, unknown>, isFinal: IsFinal) =>
    Effect.gen(function*(): Effect.fn.Return<Outcome, unknown, unknown> {
      const step = yield* Schedule.toStep(policy.schedule)
      const granted = yield* budget
      const last = (exit: Exit.Exit<Outcome, unknown>) =>
        isRequest(exit)
          ? Exit.fail(new RetryExhausted({ stage, attempts: attempts.attempts, reason: exit.value.reason }))
          : exit
      let exit = yield* Effect.exit(attempts.firstAttempt(effect))
      while (!isOver(exit)) {
        const decided = yield* Effect.exit(delayAfter(policy, exit, step, granted, isFinal))
        // Whatever kept it from being decided, it failed with what it failed with.
        if (decided._tag === "Failure") return yield* withBesides(last(exit), decided.cause)
        if (Option.isNone(decided.value)) break
        const delay = decided.value.value
        const next = attempts.nextAttempt(exit, delay)
        yield* Effect.sleep(delay)
        exit = yield* Effect.exit(next(effect))
      }
      return yield* last(exit)
    })
}

/** Runs every attempt with a StageContext of its own, which knows the number of the attempt. */
export const retryAround = <E, R, E2 = never, R2 = never>(
  given: RetryPolicy<E, R> | undefined,
  budget: Budget<E2, R2> | Budget<never, never> = unlimited,
  refused: (stage: StageInfo, error: unknown, cause: Cause.Cause<unknown>) => boolean = isRefusedBy
): Around => {
  const retried = retrying(given)
  return (effect, stage) =>
    Effect.flatMap(
      StageContext,
      (context) =>
        retried(effect, stage.name, attemptOf(context), budget, (error, cause) => refused(stage, error, cause))
    )
}

/** Whether a policy says by itself which errors are tried again. */
const decidesItself = <E, R>(given: RetryPolicy<E, R> | undefined): boolean =>
  Predicate.hasProperty(given, "while") && given.while !== undefined

/**
 * The retry that a stage itself carries: a guard may check again. A refusal is final unless the policy's own `while` says
 * otherwise.
 */
export const retryOwn = <E, R>(given: RetryPolicy<E, R> | undefined): Around => {
  const decides = decidesItself(given)
  return retryAround(given, unlimited, (_, error, cause) => !decides && isRefusal(error, cause))
}

/** Runs an Effect again by a policy of its own, inside of an attempt of the stage, which counts as that one attempt. */
export const retryInside = <E, R>(given: RetryPolicy<E, R> | undefined) => {
  const decides = decidesItself(given)
  const retried = retrying(given)
  return (effect: StageEffect, stage: string, count: { readonly attempts: number }): StageEffect =>
    retried(effect, stage, attemptsOf(count), unlimited, (error, cause) => !decides && isRefusal(error, cause))
}

const attemptsOf = (count: { readonly attempts: number }): Attempts => ({
  get attempts() {
    return count.attempts
  },
  firstAttempt: identity,
  nextAttempt: () => identity
})
