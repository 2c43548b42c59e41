import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Tracer } from "effect"
import { Event, Pipeline, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { errorSummaryOf } from "../../src/attempt/error-summary.ts"
import { recorded } from "./support/lifecycle.ts"

const one = <A extends object | void, E>(run: Effect.Effect<A, E>) =>
  Pipeline.make("p").add(Stage.work("s", { run: run as Effect.Effect<void, E> }))

describe("R33 an error that is a plain text is shown nowhere but in the error itself", () => {
  const secret = "HUNTER2"

  it.effect("in the message, the JSON, the spans and the events of a run", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const pipeline = one(Effect.fail(secret)).pipe(Pipeline.intercept(Interceptors.tracing()))
      const { events, exit } = yield* recorded(
        Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(Effect.withTracer(tracer))
      )
      assert(exit._tag === "Success")
      const failed = exit.value
      assert.strictEqual(failed.error, secret)
      assert.strictEqual(failed.message, `Stage "s" of pipeline "p" failed: a value of type string`)
      assert.isAbove(spans.length, 0)
      const shown = [
        failed.message,
        JSON.stringify(failed),
        ...events.map((event) => `${JSON.stringify(event)} ${Event.format(event)}`),
        ...spans.map(({ attributes, status }) =>
          JSON.stringify([...attributes]) + String("exit" in status && status.exit)
        )
      ]
      for (const text of shown) assert.notInclude(text, secret)
    }))

  it.effect("in the message of a layer that failed", () =>
    Effect.gen(function*() {
      const pipeline = one(Effect.void).pipe(Pipeline.provide(Layer.effectDiscard(Effect.fail(secret))))
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.notInclude(failed.message, secret)
    }))
})

describe("R10 an outcome that is yielded and is not all there is", () => {
  const faultOf = (run: Effect.Effect<unknown, unknown, StageOutput.InStage<"cancel" | "skip" | "retry">>) =>
    Effect.map(
      Effect.flip(Pipeline.run(one(run as Effect.Effect<void, unknown>), Snapshot.make())),
      ({ cause, error }) => {
        assert(error instanceof StageError.StageFault, String(error))
        return { cause, error }
      }
    )
  const outcomes = {
    cancel: StageOutput.cancel("enough"),
    skip: StageOutput.skip("nothing to do"),
    retry: StageOutput.retry("again")
  }

  for (const name of ["cancel", "skip", "retry"] as const) {
    const outcome: Effect.Effect<never, never, StageOutput.InStage<"cancel" | "skip" | "retry">> = outcomes[name]
    it.effect(`a finalizer that dies after a ${name}: the stage died of that`, () =>
      Effect.gen(function*() {
        const { cause, error } = yield* faultOf(
          Effect.acquireUseRelease(Effect.void, () => outcome, () => Effect.die("release"))
        )
        assert.deepInclude(error.reason, { _tag: "Defect", defect: "release" })
        assert.include(error.message, "died of a defect")
        assert.include(cause.reasons.map((reason) => "defect" in reason ? reason.defect : undefined), "release")
      }))
  }

  it.effect("two outcomes at once", () =>
    Effect.gen(function*() {
      const both = Cause.fromReasons([
        Cause.makeDieReason(outcomes.cancel),
        Cause.makeDieReason(outcomes.skip)
      ])
      const { error } = yield* faultOf(Effect.failCause(both))
      assert.include(error.message, "Ended in several ways: Cancel, Skip")
    }))

  it("an event about an error that is no object says what it is, and not what is in it", () => {
    for (
      const [error, said] of [
        ["secret", "a plain string, which is not shown"],
        [5, "a plain number, which is not shown"],
        [undefined, "undefined"],
        [null, "null"]
      ] as const
    ) {
      assert.deepStrictEqual(errorSummaryOf(error), { tag: typeof error, message: said })
    }
  })
})
