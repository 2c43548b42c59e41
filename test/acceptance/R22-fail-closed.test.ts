import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Fiber, Layer, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, RunResult, Snapshot, Stage, StageError } from "stageflow"
import { Broken, during, Witness } from "./support/lifecycle.ts"

class Denied extends Data.TaggedError("Denied")<{ readonly reason: string }> {}

const denied = new Denied({ reason: "not today" })
const boom = new Error("boom")

/** Takes anything, as a program without types would. */
type Around = (effect: Effect.Effect<never>) => Effect.Effect<never, unknown>

const interceptor = (around: Around): Interceptor.Interceptor<unknown> =>
  Interceptor.make({ name: "gate", around: around as never }) as Interceptor.Interceptor<unknown>

/** What an interceptor can do instead of letting a stage pass, and what the run then fails with. */
const ways: ReadonlyArray<{
  readonly way: string
  readonly around: Around
  readonly isExpected: (error: unknown) => boolean
}> = [
  { way: "denies", around: () => Effect.fail(denied) as never, isExpected: (error) => error === denied },
  {
    way: "denies after a check that takes time",
    around: (effect) => Effect.andThen(Effect.andThen(Effect.sleep("1 second"), Effect.fail(denied)), effect),
    isExpected: (error) => error === denied
  },
  {
    way: "dies",
    around: (effect) => Effect.andThen(Effect.die(boom), effect),
    isExpected: (error) => error instanceof StageError.StageFault && error.reason._tag === "Defect"
  },
  {
    way: "throws instead of giving an Effect",
    around: () => {
      throw boom
    },
    isExpected: (error) => error === boom
  },
  {
    way: "gives nothing instead of an Effect",
    around: () => undefined as never,
    isExpected: (error) => error instanceof TypeError
  },
  {
    way: "times out",
    around: (effect) => Effect.andThen(Effect.timeout(Effect.never, "1 second"), effect),
    isExpected: Cause.isTimeoutError
  },
  {
    way: "interrupts itself",
    around: (effect) => Effect.andThen(Effect.interrupt, effect),
    isExpected: (error) => error instanceof StageError.StageFault && error.reason._tag === "SelfInterrupted"
  }
]

const guarded = (body: Witness, later: Witness, wrap: <S extends Stage.Any>(stage: S) => S = (stage) => stage) =>
  Pipeline.make("pipeline")
    .add(wrap(Stage.work("guarded", { run: body.watch(Effect.void) })))
    .add(Stage.work("later", { run: later.watch(Effect.void) }), { after: ["guarded"] })

type Run = Effect.Effect<RunResult.Completed<unknown>, { readonly _tag: string }>

/** Where an interceptor can be applied, and whether its own typed error arrives inside a fault there. */
const places: ReadonlyArray<{
  readonly place: string
  readonly run: (gate: Interceptor.Interceptor<unknown>, body: Witness, later: Witness) => Run
  readonly enclosed: boolean
}> = [
  {
    place: "on the stage",
    run: (gate, body, later) =>
      Pipeline.run(guarded(body, later, (stage) => Stage.intercept(stage as never, gate) as never), Snapshot.make()),
    enclosed: false
  },
  {
    place: "on the pipeline",
    run: (gate, body, later) =>
      Pipeline.run(guarded(body, later).pipe(Pipeline.intercept(gate)), Snapshot.make()) as Run,
    enclosed: false
  },
  {
    place: "on the pipeline, combined with others",
    run: (gate, body, later) => {
      const pass = Interceptor.make({ name: "pass", around: (effect) => effect })
      const combined = Interceptor.combine(pass, gate, pass)
      return Pipeline.run(guarded(body, later).pipe(Pipeline.intercept(combined)), Snapshot.make()) as Run
    },
    enclosed: false
  },
  {
    place: "on a Layer",
    run: (gate, body, later) =>
      Effect.provide(Pipeline.run(guarded(body, later), Snapshot.make()), Interceptor.layer(gate)),
    enclosed: true
  },
  {
    place: "on the first of two Layers side by side",
    run: (gate, body, later) => {
      const pass = Interceptor.make({ name: "pass", around: (effect) => effect })
      const layers = Layer.mergeAll(Interceptor.layer(gate), Interceptor.layer(pass))
      return Effect.provide(Pipeline.run(guarded(body, later), Snapshot.make()), layers)
    },
    enclosed: true
  },
  {
    place: "on the first Layer of a list",
    run: (gate, body, later) => {
      const pass = Interceptor.make({ name: "pass", around: (effect) => effect })
      const run = Pipeline.run(guarded(body, later), Snapshot.make())
      return Effect.provide(run, [Interceptor.layer(gate), Interceptor.layer(pass)])
    },
    enclosed: true
  }
]

describe("R22 an interceptor fails closed", () => {
  for (const { enclosed, place, run } of places) {
    for (const { around, isExpected, way } of ways) {
      it.effect(`${place} it ${way}: the body does not run and the run fails`, () =>
        Effect.gen(function*() {
          const body = new Witness()
          const later = new Witness()
          const error = yield* during(Effect.flip(run(interceptor(around), body, later)), "1 second")

          assert(error instanceof RunResult.StageFailed)
          assert.strictEqual(error.stage, "guarded")
          const own = error.error instanceof StageError.StageFault && error.error.reason._tag === "InterceptorFailed"
            ? error.error.reason
            : undefined
          const isTyped = way.startsWith("denies") || way === "times out"
          // What gave no Effect is named wherever it is.
          const isBroken = way.includes("instead of")
          assert.strictEqual(own !== undefined, (enclosed && isTyped) || isBroken)
          if (own !== undefined) {
            assert.strictEqual(own.interceptor, "gate")
            assert.include(error.message, `was stopped by the interceptor "gate"`)
          }
          const failedWith = own === undefined ? error.error : own.error
          assert.isTrue(isExpected(failedWith), `unexpected error: ${String(failedWith)}`)
          assert.deepStrictEqual(error.outputs, {})
          assert.deepStrictEqual(error.neverStarted, ["later"])

          yield* TestClock.adjust("1 hour")
          assert.deepStrictEqual(body.counts, [0, 0, 0, 0])
          assert.strictEqual(later.started, 0)
        }))
    }
  }

  it.effect("one that fails after the body ran fails the run as well", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const later = new Witness()
      const after = Interceptor.make({ name: "after", around: (effect) => Effect.andThen(effect, Effect.fail(denied)) })
      const error = yield* Effect.flip(
        Pipeline.run(guarded(body, later).pipe(Pipeline.intercept(after)), Snapshot.make())
      )
      assert.strictEqual(error.error, denied)
      assert.deepStrictEqual(error.outputs, {})
      assert.deepStrictEqual(body.counts, [1, 1, 0, 0])
      assert.strictEqual(later.started, 0)
    }))

  it.effect("one that hangs is stopped with the run, and the body does not run", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const hangs = Interceptor.make({ name: "hangs", around: (effect) => Effect.andThen(Effect.never, effect) })
      const pipeline = guarded(body, new Witness()).pipe(Pipeline.intercept(hangs))
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.interrupt(run)
      assert.strictEqual(body.started, 0)
    }))

  it.effect("one that hangs inside the stage's timeout times out, and the body does not run", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const hangs = Interceptor.make({ name: "hangs", around: (effect) => Effect.andThen(Effect.never, effect) })
      const stage = Stage.work("guarded", { run: body.watch(Effect.void) })
        .pipe(Stage.intercept(hangs), Stage.timeout("1 second"))
      const error = yield* during(
        Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())),
        "1 second"
      )
      assert.instanceOf(error.error, StageError.StageTimeout)
      assert.strictEqual(body.started, 0)
    }))

  it.effect("with failure: \"continue\" a denied stage is failed, never ok", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const gate = Interceptor.make({
        name: "gate",
        around: (effect, stage) => Effect.andThen(stage.name === "guarded" ? Effect.fail(denied) : Effect.void, effect)
      })
      const pipeline = guarded(body, body)
        .add(Stage.work("other", { run: Effect.void }))
        .pipe(Pipeline.intercept(gate))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.ok, result.failed, result.blocked], [["other"], ["guarded"], ["later"]])
      assert.strictEqual(body.started, 0)
    }))

  it.effect("a denial outside of a retry is final, inside it is an error like any other; the body never runs", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const asked = new Witness()
      const gate = Interceptor.make({ name: "gate", around: () => asked.watch(Effect.fail(denied)) })
      const stage = Stage.work("guarded", { run: body.watch(Effect.void) })
      const outside = Pipeline.make("pipeline").add(stage.pipe(Stage.retry(Schedule.recurs(2)))).pipe(
        Pipeline.intercept(gate)
      )
      yield* Effect.flip(Pipeline.run(outside, Snapshot.make()))
      assert.strictEqual(asked.started, 1)
      const inside = Pipeline.make("pipeline").add(stage.pipe(Stage.intercept(gate), Stage.retry(Schedule.recurs(2))))
      yield* Effect.flip(Pipeline.run(inside, Snapshot.make()))
      assert.strictEqual(asked.started, 4)
      assert.strictEqual(body.started, 0)
    }))

  it.effect("the stages of a sub-pipeline are under the Layer's interceptors, too", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const gate = Interceptor.make({
        name: "gate",
        around: (effect, stage) =>
          Effect.andThen(stage.pipeline === "pipeline" ? Effect.fail(denied) : Effect.void, effect)
      })
      const child = guarded(body, body)
      const parent = Pipeline.make("parent")
        .add(Stage.work("child", { run: Effect.asVoid(Pipeline.run(child, Snapshot.make())) }))
      const error = yield* Effect.flip(Pipeline.run(parent, Snapshot.make())).pipe(
        Effect.provide(Interceptor.layer(gate))
      )
      assert.instanceOf(error.error, RunResult.StageFailed)
      assert.strictEqual(body.started, 0)
    }))
})

describe("R22 an interceptor around the run fails closed", () => {
  const runs: ReadonlyArray<{ readonly way: string; readonly aroundRun: Around }> = [
    { way: "denies", aroundRun: () => Effect.fail(denied) as never },
    { way: "dies", aroundRun: (run) => Effect.andThen(Effect.die(boom), run) },
    {
      way: "throws instead of giving an Effect",
      aroundRun: () => {
        throw boom
      }
    },
    { way: "times out", aroundRun: (run) => Effect.andThen(Effect.timeout(Effect.never, "1 second"), run) },
    { way: "interrupts itself", aroundRun: (run) => Effect.andThen(Effect.interrupt, run) }
  ]
  for (const { aroundRun, way } of runs) {
    it.effect(`it ${way}: no stage starts and the run fails`, () =>
      Effect.gen(function*() {
        const gate = Interceptor.make({ name: "gate", aroundRun: aroundRun as never })
        const body = new Witness()
        const pipeline = guarded(body, body)
        const intercepted = pipeline.pipe(Pipeline.intercept(gate))
        const exits = yield* during(
          Effect.all([
            Effect.exit(Pipeline.run(intercepted, Snapshot.make())),
            Effect.exit(Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(Interceptor.layer(gate)))),
            Effect.exit(Effect.scoped(Effect.flatMap(Pipeline.start(intercepted, Snapshot.make()), (run) => run.await)))
          ], { concurrency: "unbounded" }),
          "1 second"
        )
        assert.deepStrictEqual(exits.map(({ _tag }) => _tag), ["Failure", "Failure", "Failure"])
        if (way === "denies") {
          const errors = exits.map((exit) => exit._tag === "Failure" ? Cause.squash(exit.cause) : undefined)
          assert.strictEqual(errors[0], denied)
          assert(errors[1] instanceof StageError.RunRejected)
          assert.strictEqual(errors[1].error, denied)
          assert.strictEqual(errors[2], denied)
        }
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(body.started, 0)
      }))
  }

  it("on a stage it would have nothing to wrap: it is rejected when built, never ignored", () => {
    const gate = Interceptor.make({ name: "gate", aroundRun: () => Effect.fail(denied) })
    const stage = Stage.work("guarded", { run: Effect.void })
    assert.throws(() => Stage.intercept(stage, gate), StageError.InvalidOption)
    assert.throws(
      () => Stage.intercept(stage, Interceptor.combine(Interceptor.make({ name: "pass" }), gate)),
      StageError.InvalidOption
    )
  })
})

describe("R22 a Layer's interceptor changes nothing but what it is for", () => {
  it.effect("the stage's failure passes untouched, with its whole cause", () =>
    Effect.gen(function*() {
      const broken = new Broken({ by: "stage" })
      const pass = Interceptor.make({ name: "pass", around: (effect) => effect })
      const stage = Stage.work("stage", { run: Effect.ensuring(Effect.never, Effect.die(boom)) })
        .pipe(Stage.timeout("1 second"))
      const failing = Stage.work("stage", { run: Effect.fail(broken) })
      const run = (stage: Stage.Stage<"stage", unknown, object, never, unknown>) =>
        Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
          .pipe(Effect.provide(Interceptor.layer(pass)))
      assert.strictEqual((yield* run(failing)).error, broken)
      const error = yield* during(run(stage), "1 second")
      assert.instanceOf(error.error, StageError.StageTimeout)
      assert.deepStrictEqual(error.cause.reasons.map(({ _tag }) => _tag), ["Fail", "Die"])
    }))
})
