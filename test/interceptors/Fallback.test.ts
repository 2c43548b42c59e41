import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { type Interceptor, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest } from "stageflow/testing"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class NoStandIn extends Schema.TaggedError<NoStandIn>()("NoStandIn", {}) {}

const when = () => true

describe("what a fallback of many stages gives", () => {
  it("is data: no reader of the stages knows that they could end otherwise", () => {
    // @ts-expect-error it may skip
    assert.isDefined(Interceptors.fallback({ when, to: () => Effect.succeed(StageOutput.skip("nothing")) }))
    // @ts-expect-error it may cancel, which ends a run whose type says that it cannot be cancelled
    assert.isDefined(Interceptors.fallback({ when, to: () => StageOutput.cancel("enough") }))
    assert.isDefined(Interceptors.fallback({ when, to: () => Effect.void }))
    assert.isDefined(Interceptors.fallback({ when, to: () => Effect.succeed(StageOutput.ok({ colour: "blue" })) }))
  })

  it.effect("or an error, yielded or returned, which is in the types", () =>
    Effect.gen(function*() {
      const yielded = Interceptors.fallback({ when, to: () => Effect.fail(new NoStandIn()) })
      const returned = Interceptors.fallback({ when, to: () => Effect.succeed(StageOutput.fail(new NoStandIn())) })
      for (const interceptor of [yielded, returned]) {
        const typed: Interceptor.Interceptor<NoStandIn> = interceptor
        const isExact: [Interceptor.ErrorOf<typeof interceptor>] extends [NoStandIn]
          ? [NoStandIn] extends [Interceptor.ErrorOf<typeof interceptor>] ? true : false
          : false = true
        assert.isTrue(isExact)
        const { exit } = yield* InterceptorTest.run(typed, { body: Effect.fail(new Down()) })
        assert.instanceOf((yield* Effect.flip(exit)).error, NoStandIn)
      }
    }))
})
