/**
 * Runs a stage again as its policy says: what stands behind `Stage.retry` and `Interceptors.retry`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { RetryExhausted, StageFault } from "../StageError.ts"
import type { Retry } from "../StageOutput.ts"
import { attemptOf } from "./attempt.ts"
import type { Around, Outcome } from "./interceptor-model.ts"

/**
 * When to run a stage again: a schedule, or a schedule with conditions.
 */
export type RetryPolicy<E = unknown, R = never> =
  | Schedule.Schedule<unknown, unknown, never, R>
  | {
    /** The waits between attempts. With `times` alone there are no waits; with neither, the default policy decides. */
    readonly schedule?: Schedule.Schedule<unknown, unknown, never, R> | undefined
    /** How many attempts at most after the first. */
    readonly times?: number | undefined
    /** Whether another attempt makes sense after this error. */
    readonly while?: ((error: E) => boolean) | undefined
    /** Whether defects and invalid outputs are tried again as well. */
    readonly faults?: boolean | undefined
    /**
     * The longest wait that is granted when the stage (`StageOutput.retry` with `after`) or its error (a `retryAfter`
     * that is a `Duration`) asks for one. 30 seconds when left out.
     */
    readonly cap?: Duration.Input | undefined
  }

interface Policy {
  readonly schedule: Schedule.Schedule<unknown, unknown, never, unknown>
  readonly makesSense: (error: unknown) => boolean
  readonly faults: boolean
  readonly cap: Duration.Duration
}

/** Who has a say in whether a policy's attempts are made: told of each first attempt, asked before each other one. */
export interface Budget<R> {
  readonly started: Effect.Effect<void, never, R>
  readonly granted: Effect.Effect<boolean, never, R>
}

const unlimited: Budget<never> = { started: Effect.void, granted: Effect.succeed(true) }

const longest = Duration.seconds(30)

/** 1 second, doubled each time, at most 30. */
const backoff = Schedule.exponential("1 second").pipe(
  Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, longest)))
)

const always = () => true

// With nothing that bounds it, the default policy does: no loop is endless by omission.
const scheduleOf = (schedule: Policy["schedule"] | undefined, times: number | undefined): Policy["schedule"] => {
  if (times === undefined) return schedule ?? defaultSchedule
  return Schedule.upTo(schedule ?? Schedule.forever, { times })
}

const defaultSchedule = Schedule.upTo(backoff, { times: 2 })

const policyOf = <E>(given: RetryPolicy<E, unknown> = {}): Policy => {
  if (Schedule.isSchedule(given)) return { schedule: given, makesSense: always, faults: false, cap: longest }
  const times = given.times === undefined ? undefined : options.count("times", given.times)
  return {
    schedule: scheduleOf(given.schedule, times),
    // Only typed errors are asked about, and those are E.
    makesSense: (given.while ?? always) as (error: unknown) => boolean,
    faults: given.faults ?? false,
    cap: given.cap === undefined ? longest : options.duration("cap", given.cap)
  }
}

/** Why another attempt is wanted: the typed error, the fault, or the stage's own request. */
const wanted = (policy: Policy, exit: Exit.Exit<Outcome, unknown>): Option.Option<unknown> => {
  if (exit._tag === "Success") return exit.value._tag === "Retry" ? Option.some(exit.value) : Option.none()
  if (Cause.hasInterrupts(exit.cause)) return Option.none()
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isNone(error) || error.value instanceof StageFault || Cause.hasDies(exit.cause)) {
    return policy.faults ? Option.some(exit.cause) : Option.none()
  }
  return Option.filter(error, policy.makesSense)
}

const isRequest = (exit: Exit.Exit<Outcome, unknown>): exit is Exit.Success<Retry> =>
  exit._tag === "Success" && exit.value._tag === "Retry"

/** How long the stage, or the error it failed with, asks to be left alone. */
const requestedWait = (exit: Exit.Exit<Outcome, unknown>, reason: unknown): Duration.Duration => {
  if (isRequest(exit)) return exit.value.after ?? Duration.zero
  const asked = Predicate.hasProperty(reason, "retryAfter") ? reason.retryAfter : undefined
  return Duration.isDuration(asked) ? asked : Duration.zero
}

/** Runs every attempt with a StageContext of its own, which knows the number of the attempt. */
export const retryAround = <E, R, R2 = never>(
  given: RetryPolicy<E, R> | undefined,
  budget: Budget<R2> | Budget<never> = unlimited
): Around => {
  const policy = policyOf(given as RetryPolicy<E, unknown> | undefined)
  return (effect, stage) =>
    Effect.gen(function*(): Effect.fn.Return<Outcome, unknown, unknown> {
      const attempt = attemptOf(yield* StageContext)
      const step = yield* Schedule.toStep(policy.schedule)
      yield* budget.started
      let exit = yield* Effect.exit(attempt.firstAttempt(effect))
      while (true) {
        const reason = wanted(policy, exit)
        if (Option.isNone(reason)) return yield* exit
        const granted = yield* Effect.option(step(yield* Clock.currentTimeMillis, reason.value))
        if (Option.isNone(granted) || !(yield* budget.granted)) break
        const [, wait] = granted.value
        const delay = Duration.max(wait, Duration.min(requestedWait(exit, reason.value), policy.cap))
        const next = attempt.nextAttempt(exit, delay)
        yield* Effect.sleep(delay)
        exit = yield* Effect.exit(next(effect))
      }
      if (!isRequest(exit)) return yield* exit
      return yield* new RetryExhausted({
        stage: stage.name,
        attempts: attempt.attempts,
        reason: exit.value.reason
      })
    })
}
