/**
 * Stops calling what keeps failing.
 *
 * Closed, a circuit lets stages run and counts failures in a row. At its threshold it opens: stages fail at once with
 * `CircuitOpen`. After a while it is half open and lets one probe through, whose success closes it again.
 *
 * The breaker itself is `effect/persistence`'s; it lives in a Layer and is shared by every run below it. It goes outside
 * of retries and timeouts, so that it sees one outcome for each stage, and counts it once. What says nothing about the
 * dependency does not count: a skip, a cancel, an interruption, and the rejection of a guard.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Persistence from "effect/persistence/CircuitBreaker"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { fromAround } from "../attempt/interceptor-model.ts"
import type { Interceptor, Outcome, StageInfo } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { StageFault } from "../StageError.ts"
import { type Key, type KeyFailed, keyOf, perStage } from "./Key.ts"

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
  override get message(): string {
    return `The circuit for stage "${this.stage}" is ${this.state}: it did not run. `
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
  override get message(): string {
    return `The state of the circuit for stage "${this.stage}" could not be read: it did not run`
  }
}

interface Settings {
  readonly failures: number
  readonly openFor: Duration.Duration
}

/** One circuit, for one stage that runs in it. */
interface Circuit extends Settings {
  readonly key: string
  readonly stage: string
}

/** What an outcome says about the dependency. */
type Verdict = "success" | "failure" | "ignored"

/**
 * The circuits that all runs below its Layer share.
 */
export class CircuitBreakers extends Context.Service<CircuitBreakers, {
  /** Runs the Effect if its circuit lets it. */
  readonly within: <A, E, R>(
    circuit: Circuit,
    effect: Effect.Effect<A, E, R>,
    judge: (exit: Exit.Exit<A, E>) => Verdict
  ) => Effect.Effect<A, E | CircuitOpen | CircuitUnavailable, R>
  /** The state of a circuit, by its key. */
  readonly state: (key: string) => Effect.Effect<"closed" | "open" | "half-open">
}>()("stageflow/interceptors/CircuitBreakers") {
  /**
   * Circuits in memory.
   */
  static readonly layerMemory: Layer.Layer<CircuitBreakers> = Layer.effect(
    CircuitBreakers,
    Effect.gen(function*() {
      const scope = yield* Scope.Scope
      const store = yield* Persistence.CircuitBreakerStore
      const breakers = new Map<string, Persistence.CircuitBreaker>()
      const breakerFor = Effect.fnUntraced(function*({ failures, openFor }: Settings) {
        const policy = `${failures} failures, open for ${Duration.toMillis(openFor)} ms`
        const known = breakers.get(policy)
        if (known !== undefined) return known
        const breaker = yield* Persistence.make({
          tripPolicy: Persistence.consecutive(failures),
          openDuration: openFor,
          onStoreError: "fail"
        }).pipe(
          Effect.provideService(Persistence.CircuitBreakerStore, store),
          Scope.provide(scope)
        )
        breakers.set(policy, breaker)
        yield* Effect.forkIn(Stream.runForEach(breaker.transitions, told), scope)
        return breaker
      })
      return {
        within: <A, E, R>(
          circuit: Circuit,
          effect: Effect.Effect<A, E, R>,
          judge: (exit: Exit.Exit<A, E>) => Verdict
        ) =>
          Effect.flatMap(
            breakerFor(circuit),
            (breaker) => breaker.execute(effect, { key: circuit.key, classify: (exit) => verdicts[judge(exit)] })
          ).pipe(
            Effect.mapError((error): E | CircuitOpen | CircuitUnavailable =>
              error instanceof Persistence.CircuitBreakerError ? rejection(circuit, error) : error
            )
          ),
        state: (key) =>
          store.state(key).pipe(
            Effect.map(({ _tag }) => states[_tag]),
            Effect.orDie
          )
      }
    })
  ).pipe(Layer.provide(Persistence.layerStoreMemory()))
}

const verdicts = {
  success: Persistence.success,
  failure: Persistence.failure(),
  ignored: Persistence.ignored
} as const

const states = { Closed: "closed", Open: "open", HalfOpen: "half-open" } as const

const rejection = (
  { openFor, stage }: { readonly openFor: Duration.Duration; readonly stage: string },
  { reason }: Persistence.CircuitBreakerError
): CircuitOpen | CircuitUnavailable => {
  switch (reason._tag) {
    case "CircuitOpen":
      return new CircuitOpen({ stage, state: "open", retryAfter: reason.retryAfter })
    case "CircuitHalfOpen":
      return new CircuitOpen({ stage, state: "half-open", retryAfter: openFor })
    case "CircuitBreakerStoreError":
      return new CircuitUnavailable({ stage })
  }
}

const gauge = Metric.gauge("stageflow_circuit_state", { description: "0 closed, 1 half open, 2 open" })

const told = ({ key, to }: Persistence.Transition): Effect.Effect<void> =>
  Metric.update(Metric.withAttributes(gauge, { circuit: key }), to === "Closed" ? 0 : to === "HalfOpen" ? 1 : 2).pipe(
    Effect.andThen(Effect.logWarning(`Circuit ${states[to]}`)),
    Effect.annotateLogs({ circuit: key })
  )

const judgeFor =
  ({ kind }: StageInfo, counts: (error: unknown) => boolean) => (exit: Exit.Exit<Outcome, unknown>): Verdict => {
    if (exit._tag === "Success") return outcomes[exit.value._tag]
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    if (error === undefined || error instanceof StageFault) return "failure"
    return kind !== "guard" && counts(error) ? "failure" : "ignored"
  }

// A retry that nobody grants is a failure of the stage.
const outcomes = { Ok: "success", Skip: "ignored", Cancel: "ignored", Retry: "failure" } as const

/**
 * The circuits that a stage runs in already, its own or that of a stage which started its run. Another one around it with
 * the same key is the same circuit: it would count a failure twice, and reject the probe that it let through itself.
 */
const Entered = Context.Reference<
  ReadonlyArray<{ readonly breakers: CircuitBreakers["Service"]; readonly key: string }>
>("stageflow/interceptors/EnteredCircuits", { defaultValue: () => [] })

/**
 * Opens a circuit after so many failures in a row, for a while; 5 failures and 30 seconds when nothing is given.
 *
 * There is a circuit for each tenant and stage unless `key` says otherwise: `Interceptors.named("provider")` is one for
 * all stages that use it. `counts` says which typed errors are the dependency's; all but a guard's, when left out.
 */
export const circuitBreaker = (settings?: {
  readonly failures?: number | undefined
  readonly openFor?: Duration.Input | undefined
  readonly key?: Key | undefined
  readonly counts?: ((error: unknown) => boolean) | undefined
}): Interceptor<CircuitOpen | CircuitUnavailable | KeyFailed, CircuitBreakers> => {
  const failures = options.positiveCount("failures", settings?.failures ?? 5)
  const openFor = options.positiveDuration("openFor", settings?.openFor ?? "30 seconds")
  const key = settings?.key ?? perStage
  return fromAround("circuit breaker", 50, (effect, stage) => {
    const judge = judgeFor(stage, settings?.counts ?? (() => true))
    return Effect.gen(function*() {
      const breakers = yield* CircuitBreakers
      const of = yield* keyOf("circuit breaker", key)
      const entered = yield* Entered
      if (entered.some((circuit) => circuit.breakers === breakers && circuit.key === of)) return yield* effect
      const inside = Effect.provideService(effect, Entered, [...entered, { breakers, key: of }])
      return yield* breakers.within({ failures, openFor, key: of, stage: stage.name }, inside, judge)
    })
  })
}
