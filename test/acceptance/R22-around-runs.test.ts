import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, type Exit, Layer, Option, Stream } from "effect"
import { Event, Interceptor, Pipeline, RunResult, Snapshot, Stage, StageContext, StageError } from "stageflow"
import { Broken, recorded, Witness } from "./support/lifecycle.ts"

const tagsOf = (events: ReadonlyArray<Event.Event>) => events.map(({ _tag }) => _tag)

type Around = Interceptor.Interceptor<Interceptor.FailsRun<StageError.RunRejected>>

/** A pipeline of one stage, whatever is around it. */
type OneStage = Pipeline.Pipeline<Pipeline.Node<"stage", {}, never, unknown, never>, unknown>

/** Ways to run a pipeline to its end. */
const ways: Readonly<Record<string, (pipeline: OneStage) => Effect.Effect<unknown, unknown>>> = {
  run: (pipeline) => Pipeline.run(pipeline, Snapshot.make()),
  start: (pipeline) =>
    Effect.scoped(Effect.flatMap(Pipeline.start(pipeline, Snapshot.make()), (handle) => handle.await)),
  stream: (pipeline) => Stream.runDrain(Pipeline.stream(pipeline, Snapshot.make()))
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  exit._tag === "Failure" ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

describe("R22 what is around a run fails closed, with a typed error, and is told", () => {
  const hostile: Record<string, { readonly around: Around; readonly ran: number }> = {
    "dies": {
      around: Interceptor.make({
        name: "hostile",
        aroundRun: (run) => Effect.andThen(Effect.die(new Error("boom")), run)
      }),
      ran: 0
    },
    "dies afterwards": {
      around: Interceptor.make({ name: "hostile", aroundRun: (run) => Effect.tap(run, () => Effect.die("boom")) }),
      ran: 1
    },
    "throws": {
      around: Interceptor.make({
        name: "hostile",
        aroundRun: (run) => {
          if (run !== undefined) throw new Error("boom")
          return run
        }
      }),
      ran: 0
    },
    "gives no Effect": {
      around: Interceptor.make({ name: "hostile", aroundRun: (() => 5) as never }) as never,
      ran: 0
    },
    "ends with something else": {
      around: Interceptor.make({
        name: "hostile",
        aroundRun: (() => Effect.succeed({ _tag: "Completed" })) as never
      }) as never,
      ran: 0
    },
    "runs the run twice": {
      around: Interceptor.make({ name: "hostile", aroundRun: (run) => Effect.andThen(run, run) }),
      ran: 1
    }
  }

  for (const [what, { around, ran }] of Object.entries(hostile)) {
    for (const [way, runs] of Object.entries(ways)) {
      it.effect(`one that ${what} (${way})`, () =>
        Effect.gen(function*() {
          const witness = new Witness()
          const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: witness.watch(Effect.void) })).pipe(
            Pipeline.intercept(around)
          )
          const { events, exit } = yield* recorded(runs(pipeline))
          const error = errorOf(exit)
          assert(error instanceof StageError.RunRejected, String(error))
          assert.strictEqual(error.interceptor, "hostile")
          assert.strictEqual(witness.started, ran)
          assert.strictEqual(events.filter(Event.isRunEnd).length, 1)
          assert.strictEqual(tagsOf(events)[0], "RunStarted")
          const last = events.at(-1)
          assert(last?._tag === "RunRejected")
          assert.strictEqual(last.interceptor, "hostile")
          assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1))
        }))
    }

    it.effect(`one that ${what}, installed by a Layer`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: witness.watch(Effect.void) }))
        const { events, exit } = yield* recorded(
          Effect.provide(Pipeline.run(pipeline, Snapshot.make()), Interceptor.layer(around))
        )
        assert(exit._tag === "Failure")
        assert(exit.cause.reasons.some((reason) =>
          Cause.isDieReason(reason) && reason.defect instanceof StageError.RunRejected
        ))
        assert.strictEqual(witness.started, ran)
        assert.strictEqual(events.at(-1)?._tag, "RunRejected")
      }))
  }

  it.effect("a run that is denied has a start and an end, with the denial's own summary", () =>
    Effect.gen(function*() {
      const denied = new Broken({ by: "gate" })
      const gate = Interceptor.make({ name: "gate", aroundRun: () => Effect.fail(denied) })
      for (const runs of Object.values(ways)) {
        const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.void })).pipe(
          Pipeline.intercept(gate)
        )
        const { events, exit } = yield* recorded(runs(pipeline))
        assert.strictEqual(errorOf(exit), denied)
        assert.deepStrictEqual(tagsOf(events), ["RunStarted", "RunDenied"])
        const { error, interceptor } = events[1] as Event.Of<"RunDenied">
        assert.deepStrictEqual([interceptor, error], ["gate", { tag: "Broken", message: "" }])
      }
    }))
})

describe("R10 a release that dies hides nothing", () => {
  class Port extends Context.Service<Port, {}>()("test/ReleasedPort") {}
  const releaseDies = Layer.effect(
    Port,
    Effect.as(Effect.addFinalizer(() => Effect.die("release")), Port.of({}))
  )

  for (const [way, runs] of Object.entries(ways)) {
    it.effect(`the failed stage stays the error (${way})`, () =>
      Effect.gen(function*() {
        const broken = new Broken({ by: "stage" })
        const pipeline = Pipeline.make("p")
          .add(Stage.work("stage", { run: Effect.andThen(Port, Effect.fail(broken)) }))
          .pipe(Pipeline.provide(releaseDies))
        const { events, exit } = yield* recorded(runs(pipeline))
        const error = errorOf(exit)
        assert(error instanceof RunResult.StageFailed)
        assert.strictEqual(error.error, broken)
        assert.deepStrictEqual(error.cause.reasons.map(({ _tag }) => _tag), ["Fail", "Die"])
        assert.strictEqual(events.at(-1)?._tag, "RunFailed")
      }))

    it.effect(`a success is not told as completed (${way})`, () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p")
          .add(Stage.work("stage", { run: Effect.asVoid(Port) }))
          .pipe(Pipeline.provide(releaseDies))
        const { events, exit } = yield* recorded(runs(pipeline))
        assert(exit._tag === "Failure")
        assert.deepStrictEqual(events.filter(Event.isRunEnd).map(({ _tag }) => _tag), ["RunRejected"])
      }))
  }
})

describe("R30 a child inherits identity and cannot override it", () => {
  const seen = Stage.transform("seen", {
    run: Effect.map(StageContext.StageContext, ({ identity: { orgId, userId } }) => ({ userId, orgId }))
  })
  const child = Pipeline.make("child").add(seen)
  const parent = (snapshot: Snapshot.With<never>) =>
    Pipeline.make("parent").add(Stage.transform("parent", {
      run: Effect.map(Pipeline.run(child, snapshot), ({ outputs }) => outputs.seen.data)
    }))

  const own = { userId: "mallory", orgId: "evil" }
  for (const [what, snapshot] of [["none", Snapshot.make()], ["another one", Snapshot.make(own)]] as const) {
    it.effect(`whose snapshot has ${what}`, () =>
      Effect.gen(function*() {
        const known = yield* Pipeline.run(parent(snapshot), Snapshot.make({ userId: "ada", orgId: "acme" }))
        assert.deepStrictEqual(known.outputs.parent.data, { userId: "ada", orgId: "acme" })
        const anonymous = yield* Pipeline.run(parent(snapshot), Snapshot.make())
        assert.deepStrictEqual(anonymous.outputs.parent.data, { userId: undefined, orgId: undefined })
      }))
  }

  it.effect("what was proven around the parent holds in the child", () =>
    Effect.gen(function*() {
      const proving = Interceptor.make({
        name: "proving",
        aroundRun: (run) => Effect.provideService(run, Snapshot.ProvenIdentity, { userId: "proven" })
      })
      const pipeline = parent(Snapshot.make(own)).pipe(Pipeline.intercept(proving))
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ userId: "ada", orgId: "acme" }))
      assert.deepStrictEqual(outputs.parent.data, { userId: "proven", orgId: undefined })
    }))
})
