/**
 * Makes doubles of ports: a port that is recorded, fails, is slow or never answers.
 *
 * Each function takes the implementation of a service and gives one back, for `Layer.succeed` or another double. What
 * they change are the answers: members that are an Effect or a Stream, and functions that return one. Other members, and
 * the calls that an implementation makes to itself, stay as they are. A port may also be a single function.
 *
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import { Port } from "stageflow/testing"
 *
 * class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
 * class Llm extends Context.Service<Llm, { readonly ask: (prompt: string) => Effect.Effect<string, LlmDown> }>()("Llm") {}
 *
 * const fake = Llm.of({ ask: (prompt) => Effect.succeed(`You said: ${prompt}`) })
 *
 * // slow, down for the first two calls, and recorded
 * const llm = Port.recorded(Port.failing(Port.delayed(fake, "2 seconds"), { times: 2, error: new LlmDown() }))
 * const layer = Layer.succeed(Llm, llm.service)
 * const asked = Effect.map(llm.calls, (calls) => calls.map(({ args: [prompt] }) => prompt))
 * ```
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import {
  type Answer,
  type Asked,
  before,
  changed,
  type ErrorOf,
  type Member,
  type Method,
  mirror,
  type SuccessOf
} from "../internal/port-answers.ts"
import { StageContext } from "../StageContext.ts"

export type { Method } from "../internal/port-answers.ts"

/**
 * The errors that every method of a port can fail with.
 */
export type CommonError<S> = {
  readonly [M in Method<S>]: (_: ErrorOf<Answer<Member<S, M>>>) => void
}[Method<S>] extends (_: infer E) => void ? E : never

/**
 * One call of a method of a port.
 */
export interface CallOf<out M, out Args, out A, out E> {
  readonly method: M
  readonly args: Args
  /** The stage that made it, and in which attempt, when a stage did. */
  readonly stage: string | undefined
  readonly attempt: number | undefined
  /** When it was made, in milliseconds on the clock. */
  readonly at: number
  /** What came of it; `undefined` while it is going on. */
  readonly exit: Exit.Exit<A, E> | undefined
}

/**
 * One call of any method of a port.
 */
export type Call<S, M extends Method<S> = Method<S>> = {
  readonly [K in M]: CallOf<
    K,
    Member<S, K> extends (...args: infer Args) => unknown ? Args : readonly [],
    SuccessOf<Answer<Member<S, K>>>,
    ErrorOf<Answer<Member<S, K>>>
  >
}[M]

/**
 * A port that keeps account of its calls.
 */
export interface Recorded<S> {
  /** The port itself. */
  readonly service: S
  /** The calls so far, in the order in which they were made. */
  readonly calls: Effect.Effect<ReadonlyArray<Call<S>>>
  /** The calls of one method. */
  readonly callsOf: <const M extends Method<S>>(method: M) => Effect.Effect<ReadonlyArray<Call<S, M>>>
  /** Forgets them. */
  readonly clear: Effect.Effect<void>
}

// ---------------------------------------------------------------------------------------------------------------------
// counting calls
// ---------------------------------------------------------------------------------------------------------------------

/** Says of each call of a method whether it is among the first `times`. */
const firstCalls = (times: number): (asked: Asked) => boolean => {
  const counts = new Map<string, number>()
  return ({ method }) => {
    const count = (counts.get(method) ?? 0) + 1
    counts.set(method, count)
    return count <= times
  }
}

const timesOf = (times: number | undefined): number =>
  times === undefined ? Number.POSITIVE_INFINITY : options.count("times", times)

// ---------------------------------------------------------------------------------------------------------------------
// doubles
// ---------------------------------------------------------------------------------------------------------------------

type Fits<S, E> = [E] extends [CommonError<S>] ? S : `not every method of this port can fail with that error`

/**
 * A port whose methods fail: each one the first `times` that it is called, or always when `times` is left out.
 *
 * The error has to be one that every method can fail with; `only` picks methods. A call that fails does not reach the
 * port, and the double goes on counting for as long as it lives.
 */
export const failing: {
  <E>(options: { readonly error: E; readonly times?: number | undefined }): <S>(service: Fits<S, E>) => S
  <S>(service: S, options: { readonly error: CommonError<NoInfer<S>>; readonly times?: number | undefined }): S
} = dual(2, <S>(service: S, { error, times }: { readonly error: unknown; readonly times?: number | undefined }): S => {
  const fails = firstCalls(timesOf(times))
  return changed(service, before((asked, answer) => Effect.suspend(() => fails(asked) ? Effect.fail(error) : answer)))
})

/**
 * A port that is slow: every call waits before it reaches the port.
 *
 * With a schedule the first call waits for its first delay, the second for the second, and so on for all methods
 * together; when the schedule is over, calls wait no longer.
 */
export const delayed: {
  (by: Duration.Input | Schedule.Schedule<unknown, unknown>): <S>(service: S) => S
  <S>(service: S, by: Duration.Input | Schedule.Schedule<unknown, unknown>): S
} = dual(2, <S>(service: S, by: Duration.Input | Schedule.Schedule<unknown, unknown>): S => {
  const next = Schedule.isSchedule(by) ? delaysOf(by) : Effect.succeed(options.duration("by", by))
  return changed(service, before((_asked, answer) => Effect.andThen(Effect.flatMap(next, Effect.sleep), answer)))
})

/** The next delay of a schedule, each time it is run. The first call starts the schedule. */
const delaysOf = (schedule: Schedule.Schedule<unknown, unknown>): Effect.Effect<Duration.Duration> => {
  const start = Schedule.toStep(schedule)
  let started: Effect.Success<typeof start> | undefined
  return Effect.gen(function*() {
    const step = started ??= yield* start
    const now = yield* Clock.currentTimeMillis
    return yield* step(now, undefined).pipe(
      Effect.map(([, delay]) => delay),
      Pull.catchDone(() => Effect.succeed(Duration.zero))
    )
  })
}

/**
 * A port that does not answer: each method the first `times` that it is called, or always when `times` is left out. Who
 * asks waits until it is interrupted.
 */
export const hanging = <S>(service: S, given?: { readonly times?: number | undefined }): S => {
  const hangs = firstCalls(timesOf(given?.times))
  return changed(service, before((asked, answer) => Effect.suspend(() => hangs(asked) ? Effect.never : answer)))
}

/**
 * Doubles some methods of a port and leaves the others as they are.
 */
export const only = <S extends object, const M extends Method<S> & keyof S>(
  service: S,
  methods: ReadonlyArray<M>,
  double: (some: Pick<S, M>) => Pick<S, M>
): S => {
  const doubled = double(service)
  const chosen: ReadonlySet<PropertyKey> = new Set(methods)
  return mirror(service, (key) => {
    const owner = chosen.has(key) ? doubled : service
    const member: unknown = Reflect.get(owner, key)
    return typeof member === "function" ? member.bind(owner) : member
  })
}

interface Answered extends Asked {
  readonly stage: string | undefined
  readonly attempt: number | undefined
  readonly at: number
  exit: Exit.Exit<unknown, unknown> | undefined
}

/**
 * Records the calls of a port: what was called with what, when, by which stage, and what came of it.
 *
 * A call is made when its Effect runs, so an Effect that runs twice is two calls. Put it outside of other doubles to see
 * the calls as the stages made them, and inside to see those that came through.
 */
export const recorded = <S>(service: S): Recorded<S> => {
  let entries: Array<Answered> = []
  const begin = (asked: Asked): Effect.Effect<Answered> =>
    Effect.gen(function*() {
      const stage = Option.getOrUndefined(yield* Effect.serviceOption(StageContext))
      const at = yield* Clock.currentTimeMillis
      const entry: Answered = { ...asked, stage: stage?.stage, attempt: stage?.attempt, at, exit: undefined }
      entries.push(entry)
      return entry
    })
  const end = (entry: Answered) => (exit: Exit.Exit<unknown, unknown>) =>
    Effect.sync(() => {
      entry.exit = exit
    })
  const double = changed(service, {
    effect: (asked, answer) => Effect.flatMap(begin(asked), (entry) => Effect.onExit(answer, end(entry))),
    stream: (asked, answer) => Stream.unwrap(Effect.map(begin(asked), (entry) => Stream.onExit(answer, end(entry))))
  })
  // An entry holds the arguments that its method was called with and what the method's Effect ended with.
  const calls = <M extends Method<S>>(method: M | undefined) =>
    Effect.sync(() =>
      entries.filter((entry) => method === undefined || entry.method === method)
        .map((entry) => ({ ...entry })) as unknown as ReadonlyArray<Call<S, M>>
    )
  return {
    service: double,
    calls: calls<Method<S>>(undefined),
    callsOf: calls,
    clear: Effect.sync(() => {
      entries = []
    })
  }
}
