/**
 * Stops calling what keeps failing.
 *
 * Closed, a circuit lets stages run and counts failures in a row. At its threshold it opens: stages fail at once with
 * `CircuitOpen`. After a while it is half open and lets one probe through, whose success closes it again.
 *
 * The circuits live in a Layer and are shared by every run below it. A breaker goes outside of retries and timeouts, so
 * that it sees one outcome for each stage, and counts it once. What says nothing about the dependency does not count: a
 * skip, a cancel, an interruption from outside, and the rejection of a guard, also of one in a run that the stage started.
 *
 * `effect/persistence/CircuitBreaker` would do, but it goes by the clock on the wall, which can be set back, keeps a healthy
 * circuit for an hour, and tells of transitions through a stream, which misses the first ones.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { announce, attemptIn } from "../attempt/attempt.ts"
import { fromAround } from "../attempt/interceptor-model.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import type { Interceptor, Outcome, StageInfo } from "../Interceptor.ts"
import { AroundStageTypeId } from "../internal/around-stage.ts"
import { together } from "../internal/causes.ts"
import { elapsedMillisIn } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import { RefusalTypeId } from "../internal/refusal.ts"
import { StageContext } from "../StageContext.ts"
import { StageFault } from "../StageError.ts"
import {
  type Admission,
  checkSame,
  Circuits,
  type CircuitSettings,
  type Rejection,
  type Transition
} from "./internal/circuits.ts"
import { isBeingInterrupted } from "./internal/ending.ts"
import { keyReader } from "./internal/keys.ts"
import { orders } from "./internal/orders.ts"
import { type Key, KeyFailed, perStage } from "./Key.ts"

/**
 * The circuit is open, or its probe is on the way, so the stage did not run.
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>()("CircuitOpen", {
  stage: Schema.String,
  state: Schema.Literals(["open", "half-open"]),
  /** When it is worth trying again. */
  retryAfter: Schema.Duration
}) {
  readonly code = "CIRCUIT_OPEN"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: its circuit is ${this.state}. `
      + `Try again after ${Duration.format(this.retryAfter)}.`
  }
}

/**
 * The state of the circuits could not be read, so the stage did not run.
 */
export class CircuitUnavailable extends Schema.TaggedError<CircuitUnavailable>()("CircuitUnavailable", {
  stage: Schema.String
}) {
  readonly code = "CIRCUIT_UNAVAILABLE"
  readonly [AroundStageTypeId] = true
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: the state of its circuit could not be read`
  }
}

/** One circuit, for one stage that runs in it. */
interface Circuit extends CircuitSettings {
  readonly stage: string
}

/** What an outcome says about the dependency. */
type Verdict = "success" | "failure" | "ignored"

/**
 * The circuits that all runs below its Layer share.
 */
export class CircuitBreakers extends Context.Service<CircuitBreakers, {
  /** Runs the Effect if its circuit lets it. `judge` is asked how it ended, unless it was interrupted from outside. */
  readonly within: <A, E, R>(
    circuit: Circuit,
    effect: Effect.Effect<A, E, R>,
    judge: (exit: Exit.Exit<A, E>) => Verdict
  ) => Effect.Effect<A, E | CircuitOpen | CircuitUnavailable, R>
  /** The state of a circuit, by its key. */
  readonly state: (key: string) => Effect.Effect<"closed" | "open" | "half-open">
}>()("stageflow/interceptors/CircuitBreakers") {
  /**
   * Circuits in memory. A healthy one is forgotten a minute after it was used, any other after an hour.
   */
  static readonly layerMemory: Layer.Layer<CircuitBreakers> = Layer.sync(CircuitBreakers, () => {
    const circuits = new Circuits()
    return {
      within: <A, E, R>(
        circuit: Circuit,
        effect: Effect.Effect<A, E, R>,
        judge: (exit: Exit.Exit<A, E>) => Verdict
      ) =>
        // Nobody is interrupted between being let in and telling how it ended.
        Effect.uninterruptibleMask((restore) =>
          Effect.withFiber((fiber): Effect.Effect<A, E | CircuitOpen, R> => {
            const admission = circuits.admit(circuit, elapsedMillisIn(fiber))
            if (!("circuit" in admission)) return Effect.fail(rejection(circuit, admission))
            const told = (exit: Exit.Exit<A, E>) => ended(circuits, admission, exit, judge)
            const run = Effect.matchCauseEffect(restore(effect), {
              onSuccess: (value) => told(Exit.succeed(value)),
              onFailure: (cause) => told(Exit.failCause(cause))
            })
            return admission.transition === undefined ? run : Effect.andThen(tell(admission.transition), run)
          })
        ),
      state: (key) => Effect.sync(() => circuits.state(key))
    }
  })
}

/** Records how it ended, and ends like that. */
const ended = <A, E>(
  circuits: Circuits,
  admission: Admission,
  exit: Exit.Exit<A, E>,
  judge: (exit: Exit.Exit<A, E>) => Verdict
): Effect.Effect<A, E> => {
  const settle = (verdict: Verdict, end: Exit.Exit<A, E>) =>
    Effect.withFiber((fiber) => {
      const transition = circuits.record(admission, verdict, elapsedMillisIn(fiber))
      return transition === undefined ? end : Effect.andThen(tell(transition), end)
    })
  const judged = (): Effect.Effect<A, E> => {
    const verdict = Result.try(() => judge(exit))
    if (Result.isSuccess(verdict)) return settle(verdict.success, exit)
    // Whatever kept it from being judged, it failed with what it failed with, and a probe gives its place back.
    const defect = Cause.die(verdict.failure)
    return settle("ignored", Exit.failCause(exit._tag === "Success" ? defect : together(exit.cause, defect)))
  }
  if (exit._tag === "Success" || !Cause.hasInterrupts(exit.cause)) return judged()
  return Effect.flatMap(isBeingInterrupted, (isInterrupted) => isInterrupted ? settle("ignored", exit) : judged())
}

const rejection = ({ stage }: Circuit, { retryAfter, state }: Rejection): CircuitOpen =>
  new CircuitOpen({ stage, state, retryAfter: Duration.millis(retryAfter) })

const gauge = Metric.gauge("stageflow_circuit_state", { description: "0 closed, 1 half open, 2 open" })

const gauged = { "closed": 0, "half-open": 1, "open": 2 } as const

const tags = { "closed": "BreakerClosed", "half-open": "BreakerHalfOpened", "open": "BreakerOpened" } as const

/** Announces a transition as one of the stage that it came with. Circuits may be used without a stage. */
const announced = ({ key, to }: Transition): Effect.Effect<void> =>
  Effect.map(
    Effect.serviceOption(StageContext),
    (context) => Option.map(context, (stage) => announce(stage, { _tag: tags[to], circuit: key }))
  )

/** Tells of a transition. A logger or a metric that throws changes nothing. */
const tell = (transition: Transition): Effect.Effect<void> => {
  const { key, to } = transition
  return Metric.update(Metric.withAttributes(gauge, { circuit: key }), gauged[to]).pipe(
    Effect.andThen(Effect.logWarning(`Circuit ${to}`)),
    Effect.annotateLogs({ circuit: key }),
    Effect.catchCause(() => Effect.void),
    Effect.andThen(announced(transition))
  )
}

const judgeFor =
  ({ kind }: StageInfo, counts: (error: unknown) => boolean) => (exit: Exit.Exit<Outcome, unknown>): Verdict => {
    if (exit._tag === "Success") return verdicts[exit.value._tag]
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    if (error === undefined || error instanceof StageFault) return "failure"
    if (isRefusedBy({ kind }, error, exit.cause)) return "ignored"
    return isYes(counts(error)) ? "failure" : "ignored"
  }

// A retry that nobody grants is a failure of the stage.
const verdicts = { Ok: "success", Skip: "ignored", Cancel: "ignored", Retry: "failure" } as const

/** What `counts` says, which without types can be anything. */
const isYes = (answer: unknown): boolean => {
  if (typeof answer === "boolean") return answer
  // What an async function rejects with is nobody's to handle.
  if (Predicate.isPromiseLike(answer)) answer.then(undefined, constVoid)
  throw new TypeError(`\`counts\` of a circuit breaker gives true or false, not a value of type ${typeof answer}`)
}

/** A circuit that a stage runs in. */
interface Entered {
  readonly breakers: CircuitBreakers["Service"]
  readonly circuit: Circuit
  /** The circuit around it. */
  readonly outer: Entered | undefined
  /** What the stage leaves running when it ends is not in the circuit any more. */
  isOver: boolean
}

/**
 * The circuits that a stage runs in already, its own or those of stages which started its run, the innermost first. Another
 * one around it with the same key is the same circuit: it would count a failure twice, and reject the probe that it let
 * through itself.
 */
const Innermost = Context.Reference<Entered | undefined>("stageflow/interceptors/EnteredCircuits", {
  defaultValue: () => undefined
})

const isEntered = (
  innermost: Entered | undefined,
  breakers: CircuitBreakers["Service"],
  circuit: Circuit
): boolean => {
  for (let entered = innermost; entered !== undefined; entered = entered.outer) {
    if (entered.isOver || entered.breakers !== breakers || entered.circuit.key !== circuit.key) continue
    checkSame(circuit, entered.circuit)
    return true
  }
  return false
}

/**
 * Opens a circuit after so many failures in a row, for a while; 5 failures and 30 seconds when nothing is given.
 *
 * There is a circuit for each tenant and stage unless `key` says otherwise: `Interceptors.named("provider")` is one for
 * all stages that use it, which then all give the same `failures` and `openFor`. `counts` says which typed errors are the
 * dependency's; all but a guard's rejection, when left out.
 */
export const circuitBreaker = (settings?: {
  readonly failures?: number | undefined
  readonly openFor?: Duration.Input | undefined
  readonly key?: Key | undefined
  readonly counts?: ((error: unknown) => boolean) | undefined
}): Interceptor<CircuitOpen | CircuitUnavailable | KeyFailed, CircuitBreakers> => {
  const failures = options.positiveCount("failures", settings?.failures ?? 5)
  const openFor = options.positiveDuration("openFor", settings?.openFor ?? "30 seconds")
  options.onlyIfGiven(["failures", "openFor", "key", "counts"], settings)
  const key = options.callable("key", settings?.key ?? perStage)
  const counts = options.callable("counts", settings?.counts ?? (() => true))
  return fromAround("circuit breaker", orders.circuitBreaker, (effect, stage) => {
    const judge = judgeFor(stage, counts)
    const read = keyReader("circuit breaker", key)
    let last: Circuit | undefined
    const circuitOf = (key: string): Circuit => {
      if (last?.key !== key) last = { key, stage: stage.name, failures, openFor }
      return last
    }
    return Effect.withFiber((fiber) => {
      const key = read(attemptIn(fiber))
      if (key instanceof KeyFailed) return Effect.fail(key)
      const breakers = Context.getUnsafe(fiber.context, CircuitBreakers)
      const innermost = fiber.getRef(Innermost)
      const circuit = circuitOf(key)
      if (isEntered(innermost, breakers, circuit)) return effect
      const entered: Entered = { breakers, circuit, outer: innermost, isOver: false }
      const inside = Effect.onExitPrimitive(
        Effect.updateContext(effect, (context: Context.Context<unknown>) => Context.add(context, Innermost, entered)),
        () => {
          entered.isOver = true
          return undefined
        }
      )
      return breakers.within(circuit, inside, judge)
    })
  })
}
