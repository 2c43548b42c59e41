/**
 * After a guard has rejected a draft, nothing stands in for the stage, whatever it ends with.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, GuardRetry, Loop, Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

interface Draft {
  readonly text: string
}
type Revision = GuardRetry.Revision<Draft, string>
type Any = Stage.Stage<string, unknown, object, never, unknown>

const no = () => Effect.succeed(GuardRetry.reject("no"))
const instead = { instead: true }

/** The first draft is a draft, and the second ends like this. */
const thenEnds = (second: Effect.Effect<Draft, unknown>) => ({ revision }: { readonly revision: Revision }) =>
  revision.attempt === 1 ? Effect.succeed({ text: "first" }) : second

const rejectedThen = (second: Effect.Effect<Draft, unknown>) =>
  GuardRetry.stage("answer", { draft: thenEnds(second), guards: { no } }) as unknown as Any

const twoGuards = (other: Effect.Effect<GuardRetry.Verdict, unknown>) =>
  GuardRetry.stage("answer", {
    draft: () => Effect.succeed({ text: "first" }),
    guards: { no, other: () => Effect.andThen(Effect.sleep("1 second"), other) }
  }) as unknown as Any

const inside = (stage: Any) => Subpipeline.stage("child", Pipeline.make("child").add(stage)) as unknown as Any

const wrapped = (stage: Any) => stage.pipe(Stage.timeout("1 minute")) as Any

/** How a stage ends without an accepted draft although it was not the last attempt. */
const ends: Record<string, Any> = {
  "the next draft fails": rejectedThen(Effect.fail(new Down())),
  "the next draft is a stage that fails": GuardRetry.stage("answer", {
    draft: Stage.transform("draft", { run: thenEnds(Effect.fail(new Down())) }),
    guards: { no }
  }) as unknown as Any,
  "another guard fails": twoGuards(Effect.fail(new Down())),
  "a timeout around it": wrapped(rejectedThen(Effect.never)),
  "a timeout around it while another guard judges": wrapped(twoGuards(Effect.never)),
  "an interceptor's timeout around it": rejectedThen(Effect.never).pipe(
    Stage.intercept(Interceptors.timeout("1 minute"))
  ) as Any,
  "a timeout around the run that it is in": wrapped(inside(rejectedThen(Effect.never))),
  "a deadline of the run that it is in": Subpipeline.stage(
    "child",
    Pipeline.make("child").add(rejectedThen(Effect.never)).pipe(Pipeline.intercept(Interceptors.deadline("1 minute")))
  ) as unknown as Any,
  "the next draft dies, in a run of its own": inside(rejectedThen(Effect.die(new Error("boom")))),
  "the next draft fails, in a run of its own": inside(rejectedThen(Effect.fail(new Down()))),
  "the next draft fails, as an item": ForEach.stage("each", {
    items: () => [{}],
    each: rejectedThen(Effect.fail(new Down())) as never
  }) as unknown as Any,
  "a deadline of the loop that it is in": Loop.until("loop", {
    state: () => ({}),
    body: rejectedThen(Effect.never) as never,
    until: () => false,
    deadline: "1 minute"
  }) as unknown as Any
}

const around: Record<string, (stage: Any) => Pipeline.Any> = {
  "fallbackTo": (stage) => Pipeline.make("p").add(stage.pipe(Interceptors.fallbackTo(() => Effect.succeed(instead)))),
  "fallback on the pipeline": (stage) =>
    Pipeline.make("p").add(stage).pipe(
      Pipeline.intercept(Interceptors.fallback({ when: () => true, to: () => Effect.succeed(instead) }))
    ),
  "retry": (stage) => Pipeline.make("p").add(stage.pipe(Stage.retry(Schedule.recurs(2))))
}

const ended = (pipeline: Pipeline.Any) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(
      Effect.exit(Pipeline.run(pipeline as never, Snapshot.make()) as Effect.Effect<unknown, unknown>),
      { startImmediately: true }
    )
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

describe("R22 nothing stands in for a stage whose guards have rejected a draft", () => {
  for (const [what, stage] of Object.entries(ends)) {
    for (const how of ["fallbackTo", "fallback on the pipeline"]) {
      it.effect(`${what}: ${how}`, () =>
        Effect.gen(function*() {
          const exit = yield* ended((around[how] as (stage: Any) => Pipeline.Any)(stage))
          assert.isTrue(Exit.isFailure(exit), JSON.stringify(exit))
        }))
    }
  }

  for (const cutOff of [false, true]) {
    it.effect(`no retry makes more drafts, ${cutOff ? "after a timeout" : "after another error"}`, () =>
      Effect.gen(function*() {
        let drafts = 0
        const stage = rejectedThen(cutOff ? Effect.never : Effect.fail(new Down())).pipe(
          Stage.timeout("1 minute"),
          Stage.intercept(Interceptor.make({
            name: "counting",
            around: (effect) =>
              Effect.suspend(() => {
                drafts++
                return effect
              })
          }))
        ) as Any
        yield* ended((around["retry"] as (stage: Any) => Pipeline.Any)(stage))
        assert.strictEqual(drafts, 1)
      }))
  }

  it.effect("an error before any rejection is an error as any other", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.fail(new Down()),
        guards: { no }
      }) as unknown as Any
      for (const how of ["fallbackTo", "fallback on the pipeline"]) {
        const exit = yield* ended((around[how] as (stage: Any) => Pipeline.Any)(stage))
        assert.isTrue(Exit.isSuccess(exit), JSON.stringify(exit))
      }
    }))

  it.effect("nor is a timeout after an accepted draft a refusal", () =>
    Effect.gen(function*() {
      const answer = GuardRetry.stage("answer", {
        draft: ({ revision }: { readonly revision: Revision }) => Effect.succeed({ text: `${revision.attempt}` }),
        guards: { second: ({ text }) => Effect.succeed(text === "2" ? GuardRetry.accept : GuardRetry.reject("no")) }
      })
      const child = Pipeline.make("child").add(answer).add(Stage.work("slow", { run: Effect.never }), {
        after: ["answer"]
      })
      const stage = wrapped(Subpipeline.stage("child", child) as unknown as Any)
      const exit = yield* ended((around["fallbackTo"] as (stage: Any) => Pipeline.Any)(stage))
      assert.isTrue(Exit.isSuccess(exit), JSON.stringify(exit))
    }))
})
