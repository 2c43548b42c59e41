/**
 * Traces runs, stages and attempts as spans, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
 * A run inside of a stage is a span below the attempt that started it, in the same trace. A run that belongs to another
 * one that is over, since it repeats it or goes on with it, is a trace of its own with a link: see `linkedTo`.
 *
 * Whatever a span ends with goes to an exporter, and from there to people who may see less than the program: a failed one
 * ends with what a result says of the error (its tag, its code and its message), never with a defect, a cause or a field.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Tracer from "effect/Tracer"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import type { ErrorSummary } from "../Event.ts"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { type RunResult, StageFailed } from "../RunResult.ts"
import { StageContext } from "../StageContext.ts"
import { RunRejected } from "../StageError.ts"
import { isSettled, type StageEnd, tellCause, tellEnd } from "./internal/ending.ts"
import { orders } from "./internal/orders.ts"
import { attributeValue, shortened, tell } from "./internal/span-attributes.ts"
import { spanEvents } from "./internal/span-events.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/**
 * Attributes for the spans of a stage, as an annotation of the stage: what its author knows, and the library does not. Names
 * of models and operations go by the conventions for `gen_ai.*`; what a model itself says of a call is told by `effect/ai`,
 * whose spans are below that of the attempt.
 *
 * A value may be anything: what an exporter could not send is told as text, and `Redacted` values are masked.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Stage } from "stageflow"
 * import * as Interceptors from "stageflow/interceptors"
 *
 * const answer = Stage.transform("answer", { run: Effect.succeed({ text: "Hello" }) }).pipe(
 *   Stage.annotate(Interceptors.SpanAttributes, { "gen_ai.operation.name": "chat", "gen_ai.request.model": "small" })
 * )
 * ```
 */
export const SpanAttributes = Context.Reference<Readonly<Record<string, unknown>>>(
  "stageflow/interceptors/SpanAttributes",
  { defaultValue: () => ({}) }
)

/** The attributes that somebody gave, as an exporter can send them; one that cannot be read says so. */
const attributesOf = (
  given: Readonly<Record<string, unknown>>
): ReadonlyArray<readonly [key: string, value: unknown]> =>
  Result.getOrElse(Result.try(() => Object.keys(given)), (): ReadonlyArray<string> => [])
    .map((key) => [key, Result.getOrElse(Result.try(() => attributeValue(given[key])), () => "<unreadable>")])

const noLinks: ReadonlyArray<Tracer.SpanLink> = []

/** The spans that the next run is linked to. The runs inside of it are below it, and not linked themselves. */
const RunLinks = Context.Reference<ReadonlyArray<Tracer.SpanLink>>("stageflow/interceptors/RunLinks", {
  defaultValue: () => noLinks
})

/**
 * What a span is to a run that is linked to it: the run that this one repeats, the one that it goes on with, or a word of
 * yours.
 */
export type Relation = "replay_of" | "resumed_from" | (string & {})

/** What a link needs to know of a span: any span will do, and so will the ids that were kept of one. */
export interface LinkedSpan {
  readonly traceId: string
  readonly spanId: string
}

/**
 * Links the run inside to a span of another trace: that of a run which it repeats or goes on with. It is told as a link of
 * the run's span with the attribute `stageflow.link`; runs inside of the run have none.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import * as Interceptors from "stageflow/interceptors"
 *
 * const pipeline = Pipeline.make("p").work("stage", { run: Effect.void }).pipe(Pipeline.intercept(Interceptors.tracing()))
 *
 * const before = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }
 *
 * const again = Pipeline.run(pipeline, Snapshot.make()).pipe(Interceptors.linkedTo(before, "replay_of"))
 * ```
 */
export const linkedTo: {
  (span: LinkedSpan, relation: Relation): <A, E, R>(run: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(run: Effect.Effect<A, E, R>, span: LinkedSpan, relation: Relation): Effect.Effect<A, E, R>
} = dual(
  3,
  <A, E, R>(run: Effect.Effect<A, E, R>, { spanId, traceId }: LinkedSpan, relation: Relation): Effect.Effect<A, E, R> =>
    Effect.updateService(run, RunLinks, (links) => [
      ...links,
      { span: Tracer.externalSpan({ traceId, spanId }), attributes: { "stageflow.link": relation } }
    ])
)

/** The spans of one kind: of a run, of a stage or of its attempts. */
interface Spans<Subject, A> {
  /** What is in a span of this kind. What is inside of another one about the same gets none of its own. */
  readonly inOne: WeakSet<object>
  readonly about: (subject: Subject) => object
  /** What a span is about. */
  readonly subjectIn: (fiber: AnyFiber) => Subject
  readonly make: (subject: Subject) => Effect.Effect<Tracer.Span>
  /** Gives a span its attributes. What it gives is called before the span ends. */
  readonly describe: (span: Tracer.Span, subject: Subject, fiber: AnyFiber) => (() => void) | void
  /** Ends a span, with what may be told of the exit. */
  readonly end: (
    span: Tracer.Span,
    subject: Subject,
    exit: Exit.Exit<A, unknown>,
    fiber: AnyFiber
  ) => Effect.Effect<void> | undefined
}

/** Does something with a span. A tracer that throws, or attributes that do, change nothing but what is told. */
const told = <A>(tell: () => A): A | undefined => Result.getOrUndefined(Result.try(tell))

/** What cannot be told is not, and ends nothing. */
const toldInTime = (telling: Effect.Effect<void> | undefined): Effect.Effect<void> | undefined =>
  telling === undefined ? undefined : Effect.catchCause(telling, () => Effect.void)

/**
 * Runs an Effect in a span, or without one where the tracer makes none. `Effect.withSpan` would end it with the exit as it is,
 * and keep where it was made, which says nothing here. The fiber gets its context here as well: an Effect of its own for that
 * would cost as much as all the rest.
 */
const inSpan = <Subject, A, E, R>(spans: Spans<Subject, A>, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const { context } = fiber
    const subject = spans.subjectIn(fiber)
    const about = spans.about(subject)
    if (spans.inOne.has(about)) return effect
    spans.inOne.add(about)
    let span: Tracer.Span | undefined
    let leave: (() => void) | void = undefined
    // It is ended in any case: the promise to do so comes before there is one.
    return Effect.onExitPrimitive(
      Effect.flatMap(Effect.catchCause(spans.make(subject), () => noSpan), (made) => {
        if (made === undefined) return effect
        span = made
        leave = told(() => spans.describe(made, subject, fiber))
        fiber.setContext(Context.add(context, Tracer.ParentSpan, made))
        return effect
      }),
      (exit) => {
        fiber.setContext(context)
        spans.inOne.delete(about)
        const made = span
        if (made === undefined) return undefined
        told(() => leave?.())
        return toldInTime(told(() => spans.end(made, subject, exit, fiber)))
      }
    )
  })

const noSpan: Effect.Effect<Tracer.Span | undefined> = Effect.succeed(undefined)

const endWith = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): undefined => {
  if (span.status._tag === "Ended") return
  const isTimed = fiber.getRef(References.TracerTimingEnabled)
  span.end(isTimed ? fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() : 0n, exit)
}

/** How a span ends: what is told of it in one word, and the error if there is one. */
interface SpanEnd {
  readonly outcome: string
  readonly error?: ErrorSummary
}

/** What a tracer takes for the message of a status: an error may say anything, at any length. */
const mostOfMessage = 4_000

/**
 * The exit to end a span with: what tracers look for in an error, and nothing else of it. The SDK of OpenTelemetry takes a
 * code for the name of an error, so that is an attribute.
 */
const exitOf = ({ error, outcome }: SpanEnd): Exit.Exit<unknown, unknown> => {
  if (error === undefined) return outcome === "Interrupted" ? Exit.interrupt() : Exit.void
  const { message, tag } = error
  return Exit.fail({ _tag: tag, name: tag, message: shortened(message, mostOfMessage) })
}

/** Ends a span, with its error as attributes, too: one searches by these. */
const endAs = (span: Tracer.Span, end: SpanEnd, fiber: AnyFiber): undefined => {
  if (end.error !== undefined) {
    tell(span, "error.type", end.error.tag)
    tell(span, "stageflow.error.code", end.error.code)
  }
  return endWith(span, exitOf(end), fiber)
}

const interrupted: SpanEnd = { outcome: "Interrupted" }

const spanEndOf = (end: StageEnd): SpanEnd =>
  end._tag === "Failed" ? { outcome: "Failed", error: errorSummaryOf(end.error) } : { outcome: end._tag }

/** What a run failed with. A defect says what it likes, unless it is what a Layer rejects runs with. */
const runFailure = (pipeline: string, cause: Cause.Cause<unknown>): SpanEnd & { readonly stage?: string } => {
  const error = Option.getOrElse(
    Cause.findErrorOption(cause),
    () =>
      cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect).find((defect) =>
        defect instanceof RunRejected
      )
  )
  if (error !== undefined) {
    const failed = { outcome: "Failed", error: errorSummaryOf(error) }
    return error instanceof StageFailed ? { ...failed, stage: error.stage } : failed
  }
  if (Cause.hasInterruptsOnly(cause)) return interrupted
  return { outcome: "Failed", error: { tag: "Defect", message: `A run of pipeline "${pipeline}" died of a defect` } }
}

/** The context of what a run is started in: the stage that does so, when it is one. */
const startedIn = ({ context }: AnyFiber): StageContext["Service"] | undefined =>
  Option.getOrUndefined(Context.getOption(context, StageContext))

// Runs are known by their snapshot, of which each has its own, and stages by their first attempt.
const runsInSpans = new WeakSet<object>()
const stagesInSpans = new WeakSet<object>()
const attemptsInSpans = new WeakSet<object>()

// Around a single stage there are the spans of the stage and of its attempts.
const run = withOptionalRunPart(undeclaringFaults<never>(make({
  name: "tracing (run)",
  order: orders.tracingOfRun,
  aroundRun: (effect, { pipeline, snapshot }) =>
    inSpan({
      inOne: runsInSpans,
      about: () => snapshot,
      subjectIn: startedIn,
      make: () =>
        Effect.flatMap(
          RunLinks,
          (links) => Effect.makeSpan(`pipeline ${pipeline}`, links.length === 0 ? {} : { links })
        ),
      describe: (span, parent) => {
        tell(span, "stageflow.pipeline", pipeline)
        tell(span, "stageflow.run.id", snapshot.pipelineRunId)
        tell(span, "stageflow.run.parent_id", parent?.lineage.runId)
        tell(span, "stageflow.run.parent_stage", parent?.stage)
        tell(span, "stageflow.correlation.id", parent?.lineage.correlationId ?? snapshot.pipelineRunId)
      },
      end: (span, _, exit, fiber) => {
        if (exit._tag === "Failure") {
          return tellCause(exit.cause, (isInterrupted) => {
            const { stage, ...end } = isInterrupted
              ? { ...interrupted, stage: undefined }
              : runFailure(pipeline, exit.cause)
            tell(span, "stageflow.outcome", end.outcome)
            tell(span, "stageflow.failed_stage", stage)
            return endAs(span, end, fiber)
          })
        }
        // What stands for the end of a run in the types of interceptors is a `RunResult`.
        tell(span, "stageflow.outcome", (exit.value as Partial<RunResult>)._tag)
        return endWith(span, exit, fiber)
      }
    }, Effect.provideService(effect, RunLinks, noLinks))
})))

const stage = make({
  name: "tracing (stage)",
  order: orders.tracingOfStage,
  around: (effect, { annotations, kind, name, pipeline }) => {
    const span = Effect.makeSpan(`stage ${name}`)
    const added = attributesOf(Context.get(annotations, SpanAttributes))
    return inSpan({
      inOne: stagesInSpans,
      about: ({ first }) => first,
      subjectIn: attemptIn,
      make: () => span,
      describe: (span, attempt, fiber) => {
        const { identity: { orgId, sessionId, userId }, lineage } = attempt
        for (const [key, value] of added) span.attribute(key, value)
        tell(span, "stageflow.pipeline", pipeline)
        tell(span, "stageflow.stage", name)
        tell(span, "stageflow.kind", kind)
        tell(span, "stageflow.run.id", lineage.runId)
        tell(span, "stageflow.run.parent_id", lineage.parentRunId)
        tell(span, "stageflow.run.parent_stage", lineage.parentStage)
        tell(span, "stageflow.correlation.id", lineage.correlationId)
        tell(span, "stageflow.org.id", orgId)
        tell(span, "user.id", userId)
        tell(span, "session.id", sessionId)
        return spanEvents(span, attempt, fiber)
      },
      end: (span, attempt, exit, fiber) => {
        tell(span, "stageflow.attempts", attempt.attempts)
        if (isSettled(exit)) {
          tell(span, "stageflow.outcome", exit.value._tag)
          return endWith(span, exit, fiber)
        }
        return tellEnd(attempt, exit, (stageEnd) => {
          const end = spanEndOf(stageEnd)
          tell(span, "stageflow.outcome", end.outcome)
          return endAs(span, end, fiber)
        })
      }
    }, effect)
  }
})

const attempt = make({
  name: "tracing (attempt)",
  order: orders.tracingOfAttempt,
  around: (effect, { name }) => {
    const nameOf = (attempt: number): string => `attempt ${attempt} of ${name}`
    const first = Effect.makeSpan(nameOf(1))
    return inSpan({
      inOne: attemptsInSpans,
      about: (attempt) => attempt,
      subjectIn: attemptIn,
      make: ({ attempt }) => attempt === 1 ? first : Effect.makeSpan(nameOf(attempt)),
      describe: (span, { attempt }) => {
        tell(span, "stageflow.stage", name)
        tell(span, "stageflow.attempt", attempt)
      },
      end: (span, attempt, exit, fiber) => tellEnd(attempt, exit, (end) => endAs(span, spanEndOf(end), fiber))
    }, effect)
  }
})

/**
 * Makes a span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has: its tag, its code and its message. A stage that asks for a retry
 * has failed with `RetryExhausted`, and so has each of its attempts that asked for another.
 *
 * What is announced of a stage (retries, waits in queues, changes of a breaker) is an event of its span, called as in the
 * events of the run, without what may hold content.
 *
 * A run, a stage and an attempt have one span each, however often the interceptor is around them: the outermost makes it. A
 * tracer that throws changes nothing but what is told.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
