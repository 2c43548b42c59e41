import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Layer, Redacted } from "effect"
import { Interceptor, Pipeline, RunResult, Snapshot, Stage, StageContext, StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Interceptors from "stageflow/interceptors"
import { Broken, during, recorded, Witness } from "./support/lifecycle.ts"

/** Everybody is who their token says. */
const verifier = Layer.succeed(Auth.TokenVerifier, {
  verify: (token) =>
    Effect.succeed({ sub: Redacted.value(token), roles: Redacted.value(token) === "admin" ? ["admin"] : [] })
})

const everything = Layer.mergeAll(
  verifier,
  Interceptors.Results.layerMemory(),
  Interceptors.IdempotencyStore.layerMemory
)

const answering = {
  cache: Interceptors.cache({ ttl: "1 hour", of: () => "the same" }),
  idempotency: Interceptors.idempotency({ key: () => "the same", parameters: () => "the same" }),
  fallback: Interceptors.fallback({ when: () => true, to: () => Effect.succeed({ secret: "fallback" }) }),
  retry: Interceptors.retry({ attempts: 4 }),
  hedge: Interceptors.hedge({ after: "1 millis" })
}

const secretStage = (witness: Witness) =>
  Stage.transform("secret", { run: witness.watch(Effect.succeed({ secret: "for admins" })) })

describe("R22 nothing around a denial answers for it", () => {
  const asked = {
    "Auth.require": (witness: Witness) =>
      secretStage(witness).pipe(Stage.intercept(Auth.require({ roles: ["admin"] }))),
    "Auth.require inside of other wrappers": (witness: Witness) =>
      secretStage(witness).pipe(
        Stage.intercept(Auth.require({ roles: ["admin"] })),
        Stage.timeout("1 minute"),
        Stage.intercept(Interceptors.cache({ ttl: "1 hour", of: () => "inside" }))
      ),
    "RequiredRoles": (witness: Witness) => secretStage(witness).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"]))
  }
  for (const [how, make] of Object.entries(asked)) {
    for (const [what, around] of Object.entries(answering)) {
      for (const place of ["pipeline", "layer"] as const) {
        it.effect(`${how} below ${what} (${place})`, () =>
          Effect.gen(function*() {
            const witness = new Witness()
            const stage = make(witness) as ReturnType<typeof secretStage>
            const inner = Pipeline.make("p").add(stage)
            const wrapped =
              (place === "pipeline" ? inner.pipe(Pipeline.intercept(around as never)) : inner) as typeof inner
            const pipeline = wrapped.pipe(Pipeline.intercept(Auth.authentication()))
            const run = (caller: string) =>
              during(Pipeline.run(pipeline, Snapshot.make()), "1 minute").pipe(
                Effect.provide([
                  place === "layer" ? Interceptor.layer(around as Interceptor.Interceptor) : Layer.empty,
                  Auth.layerBearer(caller)
                ])
              )
            yield* Effect.gen(function*() {
              const admin = yield* run("admin")
              assert.deepStrictEqual((admin as RunResult.Completed<any>).outputs.secret.data, { secret: "for admins" })
              const failed = yield* Effect.flip(run("anybody"))
              assert(failed instanceof RunResult.StageFailed, String(failed))
              assert(failed.error instanceof Auth.AccessDenied, String(failed.error))
              assert.strictEqual(witness.started, 1)
            }).pipe(Effect.provide(everything)) as Effect.Effect<void>
          }))
      }
    }
  }

  it.effect("a run in which a stage asks for a role does not start when nobody is authenticated", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("p")
        .add(Stage.work("first", { run: witness.watch(Effect.void) }))
        .add(secretStage(witness).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"])), { after: ["first"] })
      const { events, exit } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
      assert(exit._tag === "Failure")
      assert(
        exit.cause.reasons.some((reason) =>
          Cause.isDieReason(reason) && reason.defect instanceof StageError.RunRejected
        )
      )
      assert.strictEqual(witness.started, 0)
      assert.strictEqual(events.at(-1)?._tag, "RunRejected")
    }))

  it.effect("an annotation holds in a child run that has no authentication of its own", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const child = Pipeline.make("child").add(secretStage(witness).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"])))
      const parent = Pipeline.make("parent")
        .add(Stage.work("parent", { run: Effect.asVoid(Pipeline.run(child, Snapshot.make())) }))
        .pipe(Pipeline.intercept(Auth.authentication()))
      const run = (caller: string) =>
        Effect.provide(Pipeline.run(parent, Snapshot.make()), [verifier, Auth.layerBearer(caller)])
      yield* Effect.flip(run("anybody"))
      assert.strictEqual(witness.started, 0)
      yield* run("admin")
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("a gate of one's own is outside of a cache around the pipeline, wherever it stands on the stage", () =>
    Effect.gen(function*() {
      const denied = new Broken({ by: "gate" })
      const Closed = Context.Reference<boolean>("test/Closed", { defaultValue: () => false })
      const gate = Interceptor.make({
        name: "gate",
        gate: true,
        around: (effect) =>
          Effect.gen(function*() {
            return (yield* Closed) ? yield* Effect.fail(denied) : yield* effect
          })
      })
      const witness = new Witness()
      const pipeline = Pipeline.make("p")
        .add(secretStage(witness).pipe(Stage.intercept(gate), Stage.timeout("1 minute")))
        .pipe(Pipeline.intercept(answering.cache))
      yield* Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make())
        const failed = yield* Effect.flip(Effect.provideService(Pipeline.run(pipeline, Snapshot.make()), Closed, true))
        assert(failed instanceof RunResult.StageFailed)
        assert.strictEqual(failed.error, denied)
      }).pipe(Effect.provide(Interceptors.Results.layerMemory()))
    }))
})

describe("R17 a guard's rejection is nobody's to fall back from, to retry or to hedge", () => {
  for (
    const [what, around] of Object.entries({
      ...answering,
      providers: Interceptors.providers({ provide: Layer.empty }, { provide: Layer.empty })
    })
  ) {
    it.effect(`${what} around the pipeline`, () =>
      Effect.gen(function*() {
        const protectedStage = new Witness()
        const rejected = new Broken({ by: "guard" })
        let checks = 0
        const pipeline = Pipeline.make("p")
          .add(Stage.guard("guard", {
            run: Effect.suspend(() =>
              Effect.andThen(
                Effect.sleep("10 millis"),
                checks++ === 0 ? Effect.fail(rejected) : Effect.succeed({ secret: "passed" })
              )
            )
          }))
          .add(Stage.work("behind", { run: protectedStage.watch(Effect.void) }), { after: ["guard"] })
          .pipe(Pipeline.intercept(around as Interceptor.Interceptor))
        const failed = yield* Effect.flip(during(Pipeline.run(pipeline, Snapshot.make()), "1 minute"))
        assert.strictEqual(failed.stage, "guard")
        assert.strictEqual(failed.error, rejected)
        assert.strictEqual(protectedStage.started, 0)
      }).pipe(Effect.provide(everything)))
  }
})

describe("R31 what an attempt says is heard", () => {
  const emits = (type: string) => StageContext.emit(type, {})

  it.effect("an interceptor outside of a retry is heard after the first attempt has ended", () =>
    Effect.gen(function*() {
      const outside = Interceptor.make({
        name: "outside",
        order: 1,
        around: (effect) =>
          Effect.tap(
            Effect.andThen(StageContext.StageContext.use((context) => context.emit("before", {})), effect),
            () => StageContext.StageContext.use((context) => context.emit("after", {}))
          )
      })
      let attempts = 0
      const pipeline = Pipeline.make("p").add(
        Stage.work("stage", {
          run: Effect.suspend(() =>
            Effect.andThen(emits("inside"), attempts++ < 2 ? Effect.fail(new Broken({ by: "x" })) : Effect.void)
          )
        }).pipe(Stage.retry({ attempts: 4 }), Stage.intercept(outside))
      )
      const { events } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make()), "1 minute"))
      const emitted = events.flatMap((event) => event._tag === "StageEmitted" ? [[event.type, event.attempt]] : [])
      assert.deepStrictEqual(emitted, [["before", 1], ["inside", 1], ["inside", 2], ["inside", 3], ["after", 3]])
    }))

  it.effect("what the attempt says that wins a hedge is heard, and it does not wait for a deaf loser beyond the grace", () =>
    Effect.gen(function*() {
      let attempts = 0
      const pipeline = Pipeline.make("p").add(
        Stage.work("stage", {
          run: Effect.suspend(() =>
            ++attempts === 1
              ? Effect.uninterruptible(Effect.never)
              : Effect.andThen(emits("winner"), StageContext.addArtifact({ type: "won", payload: {} }))
          )
        }).pipe(Stage.intercept(Interceptors.hedge({ after: "1 second" })))
      )
      const { events, exit } = yield* recorded(
        during(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "2 seconds" }), "3 seconds")
      )
      const result = yield* exit
      assert.deepStrictEqual(result.outputs.stage.artifacts, [{ type: "won", payload: {} }])
      const told = events.flatMap((event) =>
        event._tag === "StageEmitted"
          ? [[event.type, event.attempt]]
          : event._tag === "HedgeStarted" || event._tag === "HedgeWon"
          ? [[event._tag, event.attempt, event.hedge]]
          : []
      )
      assert.deepStrictEqual(told, [["HedgeStarted", 1, 2], ["winner", 2], ["HedgeWon", 2, 2]])
    }))

  it.effect("each try with a provider is an attempt, and what a failed one added is dropped", () =>
    Effect.gen(function*() {
      class Port extends Context.Service<Port, { readonly n: number }>()("test/ProviderPort") {}
      const provider = (n: number) => ({ provide: Layer.succeed(Port, { n }), attempts: 2 })
      const pipeline = Pipeline.make("p").add(
        Stage.work("stage", {
          run: Effect.gen(function*() {
            const { n } = yield* Port
            yield* StageContext.addArtifact({ type: "made", payload: n })
            if (n < 3) return yield* new Broken({ by: String(n) })
          })
        }).pipe(Stage.intercept(Interceptors.providers(provider(1), provider(2), provider(3))))
      )
      const { events, exit } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
      const { outputs } = yield* exit
      assert.deepStrictEqual(outputs.stage.artifacts, [{ type: "made", payload: 3 }])
      const retrying = events.flatMap((event) =>
        event._tag === "StageRetrying" ? [[event.attempt, event.error?.tag]] : []
      )
      assert.deepStrictEqual(retrying, [[1, "Broken"], [2, "Broken"], [3, "Broken"], [4, "Broken"]])
    }))

  it.effect("`while` of a provider decides on the errors that came with it", () =>
    Effect.gen(function*() {
      const tried: Array<number> = []
      class Port extends Context.Service<Port, { readonly n: number }>()("test/WhilePort") {}
      const stage = Stage.work("stage", {
        run: Effect.gen(function*() {
          const { n } = yield* Port
          tried.push(n)
          return yield* new Broken({ by: String(n) })
        })
      })
      const run = (first: boolean, second: boolean) => {
        tried.length = 0
        const providers = Interceptors.providers(
          { provide: Layer.succeed(Port, { n: 1 }), while: () => first },
          { provide: Layer.succeed(Port, { n: 2 }), while: () => second },
          { provide: Layer.succeed(Port, { n: 3 }) }
        )
        const pipeline = Pipeline.make("p").add(stage.pipe(Stage.intercept(providers)))
        return Effect.map(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), () => tried.slice())
      }
      assert.deepStrictEqual(yield* run(false, true), [1])
      assert.deepStrictEqual(yield* run(true, false), [1, 2])
      assert.deepStrictEqual(yield* run(true, true), [1, 2, 3])
    }))

  it.effect("what a stage added before its fallback is not in the output", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(
        Stage.transform("stage", {
          run: Effect.andThen(
            StageContext.addArtifact({ type: "failed", payload: 1 }),
            Effect.fail(new Broken({ by: "x" }))
          )
        }).pipe(Interceptors.fallbackTo(() => Effect.succeed({ n: 1 })))
      )
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs.stage.artifacts, [])
    }))
})
