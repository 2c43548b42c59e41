/**
 * Traces runs, stages and attempts as spans, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
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
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import type { ErrorSummary } from "../Event.ts"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { RunRejected } from "../StageError.ts"
import { isSettled, type StageEnd, tellCause, tellEnd } from "./internal/ending.ts"
import { orders } from "./internal/orders.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The spans of one kind: of a run, of a stage or of its attempts. */
interface Spans<Subject, A> {
  /** What a span is about. */
  readonly subjectIn: (fiber: AnyFiber) => Subject
  readonly make: (subject: Subject) => Effect.Effect<Tracer.Span>
  /** Gives a span its attributes. */
  readonly describe: (span: Tracer.Span, subject: Subject) => void
  /** Ends a span, with what may be told of the exit. */
  readonly end: (
    span: Tracer.Span,
    subject: Subject,
    exit: Exit.Exit<A, unknown>,
    fiber: AnyFiber
  ) => Effect.Effect<void> | undefined
}

/**
 * Runs an Effect in a span. `Effect.withSpan` would end it with the exit as it is, and keep where it was made, which says
 * nothing here. The fiber gets its context here as well: an Effect of its own for that would cost as much as all the rest.
 */
const inSpan = <Subject, A, E, R>(spans: Spans<Subject, A>, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const { context } = fiber
    const subject = spans.subjectIn(fiber)
    let span: Tracer.Span | undefined
    // It is ended in any case: the promise to do so comes before there is one.
    return Effect.onExitPrimitive(
      Effect.flatMap(spans.make(subject), (made) => {
        span = made
        spans.describe(made, subject)
        fiber.setContext(Context.add(context, Tracer.ParentSpan, made))
        return effect
      }),
      (exit) => {
        fiber.setContext(context)
        return span === undefined ? undefined : spans.end(span, subject, exit, fiber)
      }
    )
  })

const endWith = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>, fiber: AnyFiber): undefined => {
  if (span.status._tag === "Ended") return
  const isTimed = fiber.getRef(References.TracerTimingEnabled)
  span.end(isTimed ? fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() : 0n, exit)
}

/** What tracers look for in an error, and nothing else of it. */
const failure = ({ tag, ...summary }: ErrorSummary): Exit.Exit<never, unknown> =>
  Exit.fail({ _tag: tag, name: tag, ...summary })

/** The exit to end a span with. */
const exitOf = (end: StageEnd): Exit.Exit<unknown, unknown> => {
  switch (end._tag) {
    case "Ok":
    case "Skip":
    case "Cancel":
      return Exit.succeed(end)
    case "Failed":
      return failure(errorSummaryOf(end.error))
    case "Interrupted":
      return Exit.interrupt()
  }
}

/** What a run failed with. A defect says what it likes, unless it is what a Layer rejects runs with. */
const runFailure = (pipeline: string, cause: Cause.Cause<unknown>): Exit.Exit<never, unknown> => {
  const error = Option.getOrElse(
    Cause.findErrorOption(cause),
    () =>
      cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect).find((defect) =>
        defect instanceof RunRejected
      )
  )
  if (error !== undefined) return failure(errorSummaryOf(error))
  return Cause.hasInterruptsOnly(cause)
    ? Exit.interrupt()
    : failure({ tag: "Defect", message: `A run of pipeline "${pipeline}" died of a defect` })
}

// Around a single stage there are the spans of the stage and of its attempts.
const run = withOptionalRunPart(undeclaringFaults<never>(make({
  name: "tracing (run)",
  order: orders.tracingOfRun,
  aroundRun: (effect, { pipeline }) =>
    inSpan({
      subjectIn: constVoid,
      make: () => Effect.makeSpan(`pipeline ${pipeline}`),
      describe: (span) => span.attribute("stageflow.pipeline", pipeline),
      end: (span, _, exit, fiber) => {
        if (exit._tag === "Failure") {
          return tellCause(exit.cause, (isInterrupted) =>
            endWith(span, isInterrupted ? Exit.interrupt() : runFailure(pipeline, exit.cause), fiber))
        }
        if (Predicate.hasProperty(exit.value, "_tag")) {
          span.attribute("stageflow.outcome", exit.value._tag)
        }
        return endWith(span, exit, fiber)
      }
    }, effect)
})))

const stage = make({
  name: "tracing (stage)",
  order: orders.tracingOfStage,
  around: (effect, { kind, name, pipeline }) => {
    const span = Effect.makeSpan(`stage ${name}`)
    return inSpan({
      subjectIn: attemptIn,
      make: () => span,
      describe: (span, { identity: { orgId }, lineage: { correlationId, runId } }) => {
        span.attribute("stageflow.pipeline", pipeline)
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.kind", kind)
        span.attribute("stageflow.run_id", runId)
        span.attribute("stageflow.correlation_id", correlationId)
        if (orgId !== undefined) span.attribute("stageflow.org_id", orgId)
      },
      end: (span, attempt, exit, fiber) => {
        if (isSettled(exit)) {
          span.attribute("stageflow.outcome", exit.value._tag)
          return endWith(span, exit, fiber)
        }
        return tellEnd(attempt, exit, (end) => endWith(span, exitOf(end), fiber))
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
      subjectIn: attemptIn,
      make: ({ attempt }) => attempt === 1 ? first : Effect.makeSpan(nameOf(attempt)),
      describe: (span, { attempt }) => {
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.attempt", attempt)
      },
      end: (span, attempt, exit, fiber) => tellEnd(attempt, exit, (end) => endWith(span, exitOf(end) ?? exit, fiber))
    }, effect)
  }
})

/**
 * Makes a span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has: its tag, its code and its message. A stage that asks for a retry
 * has failed with `RetryExhausted`, and so has each of its attempts that asked for another.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
