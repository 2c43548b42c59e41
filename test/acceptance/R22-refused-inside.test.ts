import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schedule, Schema } from "effect"
import { Interceptor, Pipeline, RunResult, Snapshot, Stage, StageOutput } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { Witness } from "./support/lifecycle.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

const data = Effect.succeed({ secret: "for admins" })
const denying = Interceptor.make({ name: "door", gate: true, around: () => Effect.fail(new Denied()) })
const denyingRuns = Interceptor.make({ name: "gate", aroundRun: () => Effect.fail(new Denied()) })
/** What a Layer denies has no place in the type of a run. */
const denyingItems = Interceptor.layer(Interceptor.make({
  name: "layer",
  aroundRun: (run, { pipeline }) => Effect.andThen(pipeline === "item" ? Effect.fail(new Denied()) : Effect.void, run)
}))

const item = Pipeline.make("item").add(Stage.work("read", { run: data }))
const open = Stage.work("open", { run: Effect.void })
const guard = Stage.guard("guard", { run: Effect.fail(new Denied()) })
const refused = Stage.work("read", { run: data }).pipe(Stage.intercept(denying))

/** What says no with a text, which nobody can remember as they do an error. */
const textDoor = Interceptor.make({ name: "door", gate: true, around: () => Effect.fail("no" as const) })
const refusedByText = Stage.work("read", { run: data }).pipe(Stage.intercept(textDoor))
const textGuard = Stage.guard("guard", { run: Effect.fail("no" as const) })
const denyingRunsByText = Interceptor.make({ name: "gate", aroundRun: () => Effect.fail("no" as const) })

/** What can be refused for each item. */
const bodies = {
  "a stage that is denied with a text": refusedByText,
  "a guard that fails with a text": textGuard,
  "a pipeline of a stage that is denied with a text": Pipeline.make("p").add(refusedByText),
  "a pipeline whose run is denied with a text": item.pipe(Pipeline.intercept(denyingRunsByText)),
  "a stage inside of another construct that is denied with a text": Route.match(
    "match",
    () => ({ route: "only" } as const),
    {
      only: refusedByText
    }
  ),
  "a loop whose body is denied with a text": Loop.until("loop", {
    state: () => ({}),
    body: refusedByText,
    until: () => false
  }),
  "a function that runs what is denied with a text": () => Subpipeline.run(Pipeline.make("p").add(refusedByText)),
  "a race in which somebody is denied with a text": Shapes.race("race", { refusedByText, open: () => Effect.never }),
  "a stage that is denied": refused,
  "a guard": guard,
  "a pipeline whose run is denied": item.pipe(Pipeline.intercept(denyingRuns)),
  "a pipeline whose run a Layer denies": item,
  "a function that runs what is denied": () => Subpipeline.run(Pipeline.make("p").add(refused)),
  "a race in which somebody is denied": Shapes.race("race", { refused, open: () => Effect.never })
} satisfies Record<string, ForEach.Each<number>>

/** What a run ends with that asks for what the stage gives, with a fallback around the stage or not. */
const endOf = (given: unknown, later: Witness) =>
  Effect.gen(function*() {
    const stage = given as Stage.Stage<"stage", unknown, object> // whatever it is
    const fallback = Interceptors.fallback({ when: () => true, to: () => Effect.succeed({ secret: "fallback" }) })
    const ends = [stage, stage.pipe(Stage.retry(Schedule.recurs(3))), stage.pipe(Stage.intercept(fallback as never))]
      .map(
        (stage) =>
          Pipeline.run(
            Pipeline.make("pipeline").add(stage as never).add(Stage.work("later", { run: later.watch(Effect.void) }), {
              after: ["stage"] as never
            }),
            Snapshot.make()
          )
      )
    return yield* Effect.forEach(ends, Effect.exit)
  }).pipe(Effect.provide(denyingItems))

const assertRefused = (given: unknown) =>
  Effect.gen(function*() {
    const later = new Witness()
    for (const exit of yield* endOf(given, later)) {
      assert(exit._tag === "Failure")
      const error = Cause.squash(exit.cause)
      assert(error instanceof RunResult.StageFailed)
      assert.deepStrictEqual([error.stage, error.attempts], ["stage", 1])
    }
    assert.strictEqual(later.started, 0)
  })

describe("R22 a refusal inside of a stage is not data", () => {
  for (const [what, each] of Object.entries(bodies)) {
    for (const failure of ["continue", { tolerate: 3 }] as const) {
      it.effect(`${what}, of an item that may fail (${typeof failure === "string" ? failure : "tolerate"})`, () =>
        assertRefused(
          ForEach.stage("stage", { items: () => [0, 1, 2], each: each as unknown as () => typeof data, failure })
        ))
    }
  }

  const constructs = {
    "a route": Route.match("stage", () => ({ route: "only" } as const), { only: refusedByText }),
    "a loop": Loop.until("stage", { state: () => ({}), body: refusedByText, until: () => false }),
    "a race": Shapes.race("stage", { refusedByText, open: () => Effect.never }),
    "a draft": GuardRetry.stage("stage", {
      draft: refusedByText,
      guards: { ok: () => Effect.succeed(GuardRetry.accept) }
    }),
    "a for-each": ForEach.stage("stage", { items: () => [0], each: refusedByText }),
    "a guard inside of a route": Route.match("stage", () => ({ route: "only" } as const), { only: textGuard }),
    "a pipeline in a stage": Subpipeline.stage("stage", Pipeline.make("p").add(refusedByText)),
    "a pipeline in a stage whose run is denied": Subpipeline.stage(
      "stage",
      item.pipe(Pipeline.intercept(denyingRunsByText))
    )
  }
  for (const [what, stage] of Object.entries(constructs)) {
    it.effect(`${what}, by a text`, () => assertRefused(stage))
  }

  const layered = {
    fallback: Interceptors.fallback({ when: () => true, to: () => Effect.succeed({ secret: "fallback" }) }),
    retry: Interceptors.retry({ attempts: 4 }),
    hedge: Interceptors.hedge({ after: "1 millis" })
  }
  for (const [what, around] of Object.entries(layered)) {
    it.effect(`${what} around a stage whose branch is denied by a text`, () =>
      Effect.gen(function*() {
        let asked = 0
        const counting = Interceptor.make({
          name: "door",
          gate: true,
          around: () => Effect.suspend(() => Effect.fail(`no ${++asked}`))
        })
        const branch = Stage.work("read", { run: data }).pipe(Stage.intercept(counting))
        const stage = Route.match("stage", () => ({ route: "only" } as const), { only: branch })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(around as typeof layered.retry))
        const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert(error instanceof RunResult.StageFailed)
        assert.deepStrictEqual([error.error, error.attempts, asked], ["no 1", 1, 1])
      }))
  }

  it.effect("interrupts the other items", () =>
    Effect.gen(function*() {
      const other = new Witness()
      const stage = ForEach.stage("stage", {
        items: () => [0, 1],
        each: (n) => n === 0 ? other.watch(Effect.never) : Subpipeline.run(Pipeline.make("p").add(refused)),
        failure: "continue"
      })
      const { error } = yield* Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
      assert(error instanceof ForEach.ItemFailed)
      assert.strictEqual(error.index, 1)
      assert.deepStrictEqual(other.counts, [1, 0, 0, 1])
    }))

  const continuing = { run: { failure: "continue" }, output: () => ({ secret: "nothing" }) } as const
  const cancelling = Stage.transform("cancelling", { run: Effect.succeed(StageOutput.cancel("enough")) })
  const children = {
    "a child in which a denied stage lets others go on": Subpipeline.stage(
      "stage",
      Pipeline.make("child").add(open).add(refused),
      continuing
    ),
    "a child in which a guard lets others go on": Subpipeline.stage(
      "stage",
      Pipeline.make("child").add(guard).add(open),
      continuing
    ),
    "a child that is cancelled after a stage was denied, and skips": Subpipeline.stage(
      "stage",
      Pipeline.make("child").add(refused).add(cancelling),
      { ...continuing, onCancel: "skip" }
    ),
    "a stage that runs such a child": Stage.transform("stage", {
      run: Effect.as(Subpipeline.run(Pipeline.make("child").add(refused), { run: { failure: "continue" } }), {})
    })
  }
  for (const [what, stage] of Object.entries(children)) it.effect(what, () => assertRefused(stage))

  it.effect("the failure says which stage of the child was refused, and what the others gave", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(open).add(refused).add(
        Stage.work("after", { run: Effect.void }),
        { after: ["read"] }
      )
      const failed = yield* Effect.flip(
        Pipeline.run(Pipeline.make("pipeline").add(Subpipeline.stage("stage", child, continuing)), Snapshot.make())
      )
      assert(failed.error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(failed.error.path, ["stage", "read"])
      const within: unknown = failed.error.error
      assert(within instanceof RunResult.StageFailed)
      assert.instanceOf(within.error, Denied)
      assert.deepStrictEqual(Object.keys(within.outputs as object), ["open"])
      assert.deepStrictEqual(within.neverStarted, ["after"])
    }))

  it.effect("what only failed still lets others go on", () =>
    Effect.gen(function*() {
      const broken = Stage.work("broken", { run: Effect.fail(new Denied()) })
      const stage = Subpipeline.stage("stage", Pipeline.make("child").add(broken), continuing)
      const { outputs } = yield* Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.stage.data, { secret: "nothing" })
    }))
})
