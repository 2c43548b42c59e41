/**
 * Carries traces from one process to the next, in the headers of the W3C: `traceparent`, `tracestate` and `baggage`.
 *
 * `continueFrom` makes what it wraps part of the trace that a request belongs to, and `headers` gives what the next process
 * needs to go on with it. An HTTP server and client of `effect/http` do that for `traceparent` by themselves; these functions
 * are for everything else (queues, sockets, other servers), and for `tracestate` and `baggage`, which those leave out.
 *
 * Headers come from outside, so they are read strictly and never trusted: what is malformed is left out, and told as a
 * problem. A malformed `traceparent`, or B3 where there is none, starts a new trace; a log at Debug says so. Baggage is what
 * anybody wrote into a header: use it to search by, and not to decide by.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import * as Interceptors from "stageflow/interceptors"
 * import { TraceContext } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("p").work("stage", { run: Effect.void }).pipe(Pipeline.intercept(Interceptors.tracing()))
 *
 * const onMessage = (message: { readonly headers: Record<string, string> }) =>
 *   Pipeline.run(pipeline, Snapshot.make()).pipe(TraceContext.continueFrom(message.headers))
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"

/**
 * What is wrong with a header, in a sentence. It says nothing of what the header holds.
 */
export interface Problem {
  readonly header: "traceparent" | "b3" | "tracestate" | "baggage"
  readonly problem: string
}

/**
 * What headers say of a trace.
 */
export interface Incoming {
  /** The span that the sender was in; absent where it sent none, or a malformed one. */
  readonly parent: Option.Option<Tracer.ExternalSpan>
  /** What the systems on the way have to say to each other, as they wrote it; `""` where nothing is. */
  readonly traceState: string
  /** What the sender wants to be known along the whole way, decoded. */
  readonly baggage: ReadonlyMap<string, string>
  /** What of the headers was left out, and why. */
  readonly problems: ReadonlyArray<Problem>
}

/**
 * The `tracestate` that goes along with the current trace.
 */
export const TraceState = Context.Reference<string>("stageflow/observability/TraceContext/TraceState", {
  defaultValue: () => ""
})

/** The trace that the `tracestate` came with: a trace that begins inside has nothing of it. */
const TraceOfState = Context.Reference<string | undefined>("stageflow/observability/TraceContext/TraceOfState", {
  defaultValue: () => undefined
})

const noBaggage: ReadonlyMap<string, string> = new Map()

/**
 * The baggage that goes along with the current trace. Provide another one to add to it: it goes out with `headers` and
 * `propagate`, to whoever is called. Put no secrets into it.
 */
export const Baggage = Context.Reference<ReadonlyMap<string, string>>("stageflow/observability/TraceContext/Baggage", {
  defaultValue: () => noBaggage
})

// ---------------------------------------------------------------------------------------------------------------------
// traceparent
// ---------------------------------------------------------------------------------------------------------------------

/** A version, two ids and flags. A version to come may say more, behind another dash. */
const traceparentPattern = /^(?<version>[0-9a-f]{2})-(?<fields>[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?<more>-.*)?$/

/** What `traceparent` says, with the fields of a later version read as those of the first, as the W3C has it. */
const parentIn = (traceparent: string): Option.Option<Tracer.ExternalSpan> => {
  const { fields, more, version } = traceparentPattern.exec(traceparent)?.groups ?? {}
  if (version === undefined || version === "ff" || (version === "00" && more !== undefined)) return Option.none()
  return HttpTraceContext.w3c(Headers.fromInput({ traceparent: `00-${fields}` }))
}

/** B3 has trace ids of half the length, too, and those who read them elsewhere know one length alone. */
const widened = (traceId: string): string => traceId.padStart(32, "0")

const onlyZeros = /^0*$/

/** B3 that says nothing but whether the trace is sampled. */
const isDecision = (b3: string): boolean => b3 === "0" || b3 === "1" || b3 === "d"

/** What B3 says, in one header or in several; `isWrong` where it says something that is no parent. */
const b3In = (
  headers: Headers.Headers
): { readonly parent: Option.Option<Tracer.ExternalSpan>; readonly isWrong: boolean } => {
  const { b3, "x-b3-spanid": spanId, "x-b3-traceid": traceId } = headers
  const parent = Option.orElse(HttpTraceContext.b3(headers), () => HttpTraceContext.xb3(headers)).pipe(
    Option.filter((span) => !onlyZeros.test(span.traceId) && !onlyZeros.test(span.spanId)),
    Option.map((span) => ({ ...span, traceId: widened(span.traceId) }))
  )
  const isGiven = (b3 !== undefined && !isDecision(b3)) || spanId !== undefined || traceId !== undefined
  return { parent, isWrong: isGiven && Option.isNone(parent) }
}

/** The parent that headers name, and what is wrong with how they do. */
const readParent = (
  headers: Headers.Headers
): { readonly parent: Option.Option<Tracer.ExternalSpan>; readonly problems: ReadonlyArray<Problem> } => {
  const { traceparent } = headers
  if (traceparent === undefined) {
    const { isWrong, parent } = b3In(headers)
    return { parent, problems: isWrong ? [{ header: "b3", problem: "It is no trace id and span id" }] : [] }
  }
  const parent = parentIn(traceparent)
  const problem: Problem = { header: "traceparent", problem: "It is no version, trace id, span id and flags" }
  return { parent, problems: Option.isNone(parent) ? [problem] : [] }
}

// ---------------------------------------------------------------------------------------------------------------------
// tracestate
// ---------------------------------------------------------------------------------------------------------------------

const mostStates = 32
const mostCharactersOfState = 512

const stateKey = /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})$/
/** Printable, without `,` and `=`, and not a space at the end. */
const stateValue = /^[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

const trimmed = (text: string): string => text.replaceAll(/^[ \t]+|[ \t]+$/g, "")

const partsOf = (list: string): ReadonlyArray<string> => list.split(",").map(trimmed).filter((part) => part !== "")

/** Why a `tracestate` cannot be handed on; one bad member spoils all, as the W3C has it. */
const problemOfState = (text: string): string | undefined => {
  const members = partsOf(text)
  if (text.length > mostCharactersOfState) return `It is longer than ${mostCharactersOfState} characters`
  if (members.length > mostStates) return `It has more than ${mostStates} members`
  const keys = members.map((member) => member.slice(0, Math.max(0, member.indexOf("="))))
  const isMalformed = members.some((member, index) => {
    const key = keys[index] ?? ""
    return !stateKey.test(key) || !stateValue.test(member.slice(key.length + 1))
  })
  if (isMalformed) return "A member is not a key and a value"
  return new Set(keys).size < keys.length ? "It has a key twice" : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// baggage
// ---------------------------------------------------------------------------------------------------------------------

const mostBaggage = 64
const mostCharactersOfBaggage = 8_192

const baggageKey = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const baggageValue = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/

const entryIn = (member: string): readonly [key: string, value: string] | undefined => {
  // Behind a semicolon there are properties, of which none is defined.
  const [pair = ""] = member.split(";")
  const at = pair.indexOf("=")
  const [key, value] = [trimmed(pair.slice(0, Math.max(0, at))), trimmed(pair.slice(at + 1))]
  if (!baggageKey.test(key) || !baggageValue.test(value)) return undefined
  // A percent sign that begins no code throws.
  return Result.getOrUndefined(Result.try(() => [key, decodeURIComponent(value)] as const))
}

const readBaggage = (text: string): { readonly baggage: ReadonlyMap<string, string>; readonly problem?: string } => {
  if (text.length > mostCharactersOfBaggage) {
    return { baggage: noBaggage, problem: `It is longer than ${mostCharactersOfBaggage} characters` }
  }
  const members = partsOf(text)
  if (members.length > mostBaggage) return { baggage: noBaggage, problem: `It has more than ${mostBaggage} members` }
  const entries = members.map(entryIn)
  const baggage = new Map(entries.filter((entry) => entry !== undefined))
  const malformed = entries.filter((entry) => entry === undefined).length
  return malformed === 0 ? { baggage } : { baggage, problem: `${malformed} member(s) are not a key and a value` }
}

const writeBaggage = (baggage: ReadonlyMap<string, string>): string => {
  const members: Array<string> = []
  let length = 0
  for (const [key, value] of baggage) {
    // Half of a character cannot be encoded.
    const member = `${key}=${encodeURIComponent(value.toWellFormed())}`
    length += member.length + 1
    if (!baggageKey.test(key)) continue
    if (members.length === mostBaggage || length > mostCharactersOfBaggage) break
    members.push(member)
  }
  return members.join(",")
}

// ---------------------------------------------------------------------------------------------------------------------
// in and out
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Reads what headers say of a trace: `traceparent`, `tracestate` and `baggage`, and B3 where there is no `traceparent`. The
 * names of the headers may be written in any case.
 *
 * Without a parent there is no trace to go on with, so there is no `tracestate` either. Baggage stands for itself.
 */
export const fromHeaders = (headers: Headers.Input): Incoming => {
  const all = Headers.fromInput(headers)
  const { parent, problems: problemsOfParent } = readParent(all)
  const problems = [...problemsOfParent]
  const given = Option.isNone(parent) ? "" : all["tracestate"] ?? ""
  const wrongState = problemOfState(given)
  if (wrongState !== undefined) problems.push({ header: "tracestate", problem: wrongState })
  const { baggage, problem } = readBaggage(all["baggage"] ?? "")
  if (problem !== undefined) problems.push({ header: "baggage", problem })
  return { parent, traceState: wrongState === undefined ? partsOf(given).join(",") : "", baggage, problems }
}

const tellOf = ({ parent, problems }: Incoming): Effect.Effect<void> =>
  Effect.forEach(
    problems,
    ({ header, problem }) =>
      Effect.logDebug(
        `Malformed header "${header}": ${problem}.${
          (header === "traceparent" || header === "b3") && Option.isNone(parent) ? " A new trace is started" : ""
        }`
      ),
    { discard: true }
  )

/**
 * Makes an Effect part of the trace that these headers belong to, with its `tracestate` and its baggage.
 *
 * Within a span of that trace, such as a server's for the request, it stays: only what the headers say besides is added.
 * Headers without a parent, or with a malformed one, change nothing: what is not in a span then starts a new trace. What is
 * malformed is logged at Debug.
 */
export const continueFrom: {
  (
    headers: Headers.Input
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>
  <A, E, R>(self: Effect.Effect<A, E, R>, headers: Headers.Input): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>
} = dual(
  2,
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    headers: Headers.Input
  ): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> =>
    Effect.gen(function*() {
      const incoming = fromHeaders(headers)
      const { baggage, parent, traceState } = incoming
      yield* tellOf(incoming)
      const current = yield* Effect.option(Effect.currentParentSpan)
      const isInside = Option.isSome(current) && Option.isSome(parent)
        && widened(current.value.traceId) === parent.value.traceId
      const known = yield* Baggage
      const carried = self.pipe(
        Effect.provideService(Baggage, new Map([...known, ...baggage])),
        traceState === "" || Option.isNone(parent) ? (effect) => effect : (effect) =>
          effect.pipe(
            Effect.provideService(TraceState, traceState),
            Effect.provideService(TraceOfState, parent.value.traceId)
          )
      )
      return yield* Option.isNone(parent) || isInside ? carried : Effect.withParentSpan(carried, parent.value)
      // Where there is no parent to provide, the Effect runs in the one that it is in anyway.
    }) as Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>>
)

/** What goes along with the trace. */
const carriedHeaders: Effect.Effect<Headers.Headers> = Effect.gen(function*() {
  const span = yield* Effect.option(Effect.currentParentSpan)
  const of = yield* TraceOfState
  const isOfAnother = of !== undefined && Option.isSome(span) && widened(span.value.traceId) !== of
  const traceState = isOfAnother ? "" : yield* TraceState
  const baggage = writeBaggage(yield* Baggage)
  return Headers.fromInput({
    ...(traceState === "" ? {} : { tracestate: traceState }),
    ...(baggage === "" ? {} : { baggage })
  })
})

/**
 * The headers with which the next process goes on with the current trace: `traceparent` where there is a span, `tracestate`
 * and `baggage` where there is something to say.
 */
export const headers: Effect.Effect<Headers.Headers> = Effect.gen(function*() {
  const carried = yield* carriedHeaders
  const span = yield* Effect.option(Effect.currentParentSpan)
  if (Option.isNone(span)) return Headers.remove(carried, "tracestate")
  const { sampled, spanId, traceId } = span.value
  const flags = sampled ? "01" : "00"
  return Headers.set(carried, "traceparent", `00-${widened(traceId)}-${spanId}-${flags}`)
})

/**
 * A client that sends `tracestate` and `baggage` along. It sends `traceparent` by itself, with the span of the request.
 */
export const propagate = <E, R>(client: HttpClient.HttpClient.With<E, R>): HttpClient.HttpClient.With<E, R> =>
  HttpClient.mapRequestEffect(
    client,
    (request) => Effect.map(carriedHeaders, (carried) => HttpClientRequest.setHeaders(request, carried))
  )
