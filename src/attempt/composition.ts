/**
 * Composes interceptors: what several of them do around one stage or one run, from the outermost to the innermost.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { together } from "../internal/causes.ts"
import { InvalidOption } from "../internal/options.ts"
import { refusing, refusingWhen } from "../internal/refusal.ts"
import { StageContext } from "../StageContext.ts"
import { RunRejected, StageFault } from "../StageError.ts"
import { attemptIn } from "./attempt.ts"
import { type Gate, gateOrder } from "./gate.ts"
import {
  type Any,
  type Around,
  type AroundRun,
  build,
  combine,
  type Interceptor,
  partsOf,
  type RunInfo,
  type StageEffect,
  type StageInfo,
  type Wrapper
} from "./interceptor-model.ts"

/** What an interceptor is on a single stage: what goes around it, and what asks before it. */
export const onStage = (self: Any): { readonly around: Around | undefined; readonly gates: ReadonlyArray<Gate> } => {
  const parts = outermostFirst([self])
  if (parts.some(({ aroundRun, runPartIsOptional }) => aroundRun !== undefined && runPartIsOptional !== true)) {
    throw new InvalidOption({
      option: "interceptor",
      expected: "one that wraps stages only; give this one to Pipeline.intercept or Interceptor.layer",
      given: `"${self.name}", which wraps runs`
    })
  }
  const arounds = stageArounds(parts.filter(({ isGate }) => isGate !== true))
  return {
    around: arounds.length === 0
      ? undefined
      : (effect, stage) => arounds.reduceRight((inner, around) => around(inner, stage), effect),
    gates: parts.flatMap(({ around, isGate, name }) =>
      isGate === true && around !== undefined
        ? [{ name, around: denying(failingClosed(name, around)), needs: undefined }]
        : []
    )
  }
}

/** What an interceptor does around a stage, all its parts together. */
export const aroundOf = (self: Any): Around => {
  const { around, gates } = onStage(self)
  return (effect, stage) =>
    gates.reduceRight((inner, gate) => gate.around(inner, stage), around === undefined ? effect : around(effect, stage))
}

/** Single interceptors, outermost first: by `order`, and among equals in the order given. */
export const outermostFirst = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Wrapper> =>
  interceptors.flatMap(partsOf).toSorted((a, b) => a.order - b.order)

/** What interceptors do around stages: outside of the gates of a stage, and inside of them; each outermost first. */
export const aroundGates = (interceptors: ReadonlyArray<Any>) => {
  const parts = outermostFirst(interceptors)
  const first = parts.findIndex(({ order }) => order > gateOrder)
  const outside = first === -1 ? parts.length : first
  return { outside: stageArounds(parts.slice(0, outside)), inside: stageArounds(parts.slice(outside)) }
}

/** What interceptors do around stages, outermost first. */
const stageArounds = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Around> =>
  outermostFirst(interceptors).flatMap(({ around, isGate, name }) => {
    if (around === undefined) return []
    const closed = failingClosed(name, around)
    return isGate === true ? denying(closed) : closed
  })

/** Fails closed: an interceptor that throws, or gives no Effect, stops the stages that it was to wrap. */
export const failingClosed = (name: string, around: Around): Around => (effect, stage) => {
  const wrapped = Result.try(() => around(effect, stage))
  if (Result.isFailure(wrapped)) return stoppedBy(name, stage, wrapped.failure)
  if (Effect.isEffect(wrapped.success)) return wrapped.success
  return stoppedBy(name, stage, new TypeError(`Interceptor "${name}" gave no Effect for stage "${stage.name}"`))
}

const stoppedBy = (interceptor: string, { name }: StageInfo, defect: unknown): StageEffect =>
  Effect.suspend(() => {
    const reason = { _tag: "InterceptorFailed", interceptor, error: defect } as const
    return Effect.failCause(together(Cause.fail(new StageFault({ stage: name, reason })), Cause.die(defect)))
  })

/** Remembers what a gate fails with before it lets the stage run: it has denied the stage, whatever its error is. */
const denying = (around: Around): Around => {
  const letIn = new WeakSet<object>()
  return (effect, stage) => {
    const inside = Effect.withFiber((fiber) => {
      letIn.add(attemptIn(fiber))
      return effect
    })
    const asked = around(inside, stage)
    // It asks nothing of this stage.
    if (asked === inside) return effect
    return Effect.withFiber((fiber) => {
      const attempt = attemptIn(fiber)
      letIn.delete(attempt)
      return refusingWhen(asked, () => !letIn.has(attempt))
    })
  }
}

type RunEffect = Effect.Effect<unknown, unknown, unknown>

/**
 * What interceptors do around a run, all together. It fails closed: one that throws, dies, gives no Effect or ends with
 * something else than the run fails the run with `RunRejected`, or makes it die of that where a Layer installed it and the
 * types of the run say nothing of it. The run happens once, however often an interceptor asks for it. `onDenied` hears which
 * of them denied the run, as it does before it lets the run begin.
 */
export const runAround = (
  interceptors: ReadonlyArray<Any>,
  run: RunInfo,
  onDenied: (interceptor: string) => void = constVoid
) =>
(effect: RunEffect): RunEffect =>
  outermostFirst(interceptors).reduceRight<RunEffect>(
    (inner, part) => part.aroundRun === undefined ? inner : guardedRun(part, part.aroundRun, inner, run, onDenied),
    effect
  )

const guardedRun = (
  part: Wrapper,
  aroundRun: AroundRun,
  effect: RunEffect,
  run: RunInfo,
  onDenied: (interceptor: string) => void
): RunEffect =>
  Effect.withFiber((fiber) => {
    const reject = (error: unknown): RunEffect => {
      const rejected = new RunRejected({ pipeline: run.pipeline, interceptor: part.name, error })
      return part.faultsAreUndeclared === true ? Effect.die(rejected) : Effect.fail(rejected)
    }
    let hasRun = false
    let end: unknown
    /** What the run itself died of: the interceptor has no part in that. */
    let ownDefects: ReadonlyArray<unknown> = []
    const once = Effect.suspend(() => {
      if (hasRun) return reject(new TypeError("It ran the run a second time; a run happens once"))
      hasRun = true
      return Effect.onExitPrimitive(effect, (exit) => {
        if (exit._tag === "Success") end = exit.value
        else ownDefects = exit.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
        return undefined
      })
    })
    const wrapped = Result.try(() => aroundRun(once, run))
    if (Result.isFailure(wrapped)) return reject(wrapped.failure)
    if (!Effect.isEffect(wrapped.success)) return reject(new TypeError("It gave no Effect"))
    return Effect.matchCauseEffect(wrapped.success, {
      onSuccess: (value) =>
        end !== undefined && value === end
          ? Effect.succeed(value)
          : reject(new TypeError("It ended with something else than what the run ended with")),
      onFailure: (ended) => {
        // Who fails before the run begins has denied it. Its cause says so to the stage that the run is in.
        const refused = hasRun ? ended : refusing(ended)
        const cause = Option.isSome(Context.getOption(fiber.context, StageContext)) ? refused : ended
        if (!hasRun && denies(cause)) onDenied(part.name)
        const defect = cause.reasons.find(Cause.isDieReason)
        const isNamed = defect === undefined || defect.defect instanceof RunRejected
          || ownDefects.includes(defect.defect)
        return isNamed || cause.reasons.some(Cause.isFailReason) ? Effect.failCause(cause) : reject(defect.defect)
      }
    })
  })

/** Whether somebody failed with this on purpose; what a Layer's interceptor denied has no place in the type of the run. */
const denies = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons.some((reason) =>
    Cause.isFailReason(reason) || (Cause.isDieReason(reason) && reason.defect instanceof RunRejected)
  )

/** The same interceptor, with something around what each of its parts makes of a stage or a run. */
export const surround = <E, R, P>(
  self: Interceptor<E, R, P>,
  outside: <A>(effect: Effect.Effect<A, unknown, unknown>, part: string, wraps: "stage" | "run") => typeof effect
): Interceptor<E, R, P> => {
  const parts = outermostFirst([self]).map((part) => {
    const { around, aroundRun, name, order } = part
    const surrounded = build<unknown, unknown, unknown>(name, order, {
      around: around && ((effect, stage) => outside(failingClosed(name, around)(effect, stage), name, "stage")),
      aroundRun: aroundRun && ((effect, run) => outside(aroundRun(effect, run), name, "run"))
    })
    const { faultsAreUndeclared = false, isGate = false, runPartIsOptional = false } = part
    return Object.assign(surrounded, { faultsAreUndeclared, isGate, runPartIsOptional })
  })
  // What is around it changes neither its errors nor its services.
  return combine(...parts) as unknown as Interceptor<E, R, P>
}
