import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Ref, Schema } from "effect"
import {
  Extension,
  Interceptor,
  type Pipeline,
  type RunResult,
  Snapshot,
  Stage,
  StageContext,
  StageError,
  StageOutput
} from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest, Simulation } from "stageflow/testing"

class Denied extends Schema.TaggedError<Denied>()("Denied", { reason: Schema.String }) {}
class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const denied = new Denied({ reason: "not today" })

const pass = Interceptor.make({ name: "pass", around: (effect) => effect })
const gate = Interceptor.make({ name: "gate", around: (effect) => Effect.andThen(Effect.fail(denied), effect) })
const runGate = Interceptor.make({
  name: "run gate",
  aroundRun: (effect) => Effect.andThen(Effect.fail(denied), effect)
})

const places = ["pipeline", "stage", "layer"] as const

/** A program without types. */
const untyped = (around: (effect: Effect.Effect<never>) => unknown): Interceptor.Interceptor =>
  Interceptor.make({ name: "untyped", around: around as never })

const problemsOf = <A, R>(check: Effect.Effect<A, InterceptorTest.ContractBroken | Simulation.SimulationTimeout, R>) =>
  Effect.map(Effect.flip(check), (error) => {
    assert(error instanceof InterceptorTest.ContractBroken)
    return error.problems.map(({ code }) => code)
  })

describe("run", () => {
  for (const at of places) {
    it.effect(`runs a body with the interceptor on the ${at}, and tells what became of it`, () =>
      Effect.gen(function*() {
        const { body, elapsed, events, exit, notLeft, outcomes, passages } = yield* InterceptorTest.run(pass, {
          at,
          body: Effect.delay(Effect.succeed({ answer: 42 }), "2 seconds")
        })
        const result = yield* exit
        const answer: number = result.outputs.stage.data.answer
        assert.strictEqual(answer, 42)
        assert.deepStrictEqual(body, { started: 1, ended: 1, interrupted: 0, released: 1 })
        const [passage] = passages
        assert.deepInclude(passage, { run: 1, attempt: 1, waited: 0, startedAt: 0, endedAt: 2000, released: true })
        assert.strictEqual(elapsed.toString(), "2000 millis")
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
          "RunStarted",
          "StageStarted",
          "StageCompleted",
          "RunCompleted"
        ])
        assert.deepStrictEqual(notLeft, [])
        assert(outcomes[0]?._tag === "Success" && outcomes[0].value._tag === "Ok")
      }))

    it.effect(`on the ${at}: a denial is in exit, and the body did not start`, () =>
      Effect.gen(function*() {
        const { body, exit, outcomes } = yield* InterceptorTest.run(gate, { at })
        assert.deepStrictEqual(body, { started: 0, ended: 0, interrupted: 0, released: 0 })
        assert(exit._tag === "Failure" && outcomes[0]?._tag === "Failure")
      }))
  }

  it.effect("its types are those of a pipeline with the interceptor", () =>
    Effect.gen(function*() {
      const { exit } = yield* InterceptorTest.run(gate, { body: Effect.fail(new Down()) })
      const typed: Exit.Exit<
        RunResult.Completed<{ readonly stage: StageOutput.Ok<{}> }>,
        RunResult.StageFailed<Denied | Down, { readonly stage: StageOutput.Ok<{}> }>
      > = exit
      const error = yield* Effect.flip(typed)
      assert.strictEqual(error.error, denied)
      const around = yield* InterceptorTest.run(runGate)
      const outside:
        | Pipeline.Failure<never, Interceptor.FailsRun<Denied | StageError.RunRejected>>
        | RunResult.StageFailed = yield* Effect.flip(
          around.exit
        )
      assert.strictEqual(outside, denied)
      assert.deepStrictEqual(around.outcomes, [undefined])
    }))

  it.effect("takes a stage as it is: its name, its kind, what is around it", () =>
    Effect.gen(function*() {
      const kinds: Array<string> = []
      const looking = Interceptor.make({
        name: "looking",
        around: (effect, { kind, name }) => {
          kinds.push(`${name} ${kind}`)
          return effect
        }
      })
      const slow = Stage.guard("slow", { run: Effect.never }).pipe(Stage.timeout("5 seconds"))
      const { body, elapsed, exit } = yield* InterceptorTest.run(looking, { body: slow })
      const error = yield* Effect.flip(exit)
      assert.strictEqual(error.error._tag, "StageTimeout")
      assert.strictEqual(error.stage, "slow")
      assert.include(kinds, "slow guard")
      assert.strictEqual(elapsed.toString(), "5000 millis")
      assert.deepStrictEqual(body, { started: 1, ended: 1, interrupted: 0, released: 1 })
    }))

  it.effect("the services of the interceptor and of the body come from the environment, extensions from the snapshot", () =>
    Effect.gen(function*() {
      class Limit extends Context.Service<Limit, { readonly take: Effect.Effect<number> }>()("test/Limit") {}
      class Port extends Context.Service<Port, { readonly answer: string }>()("test/Port") {}
      class Given extends Context.Service<Given, { readonly by: string }>()("test/Given") {}
      class Skills extends Extension.make<Skills>()("skills", Schema.Struct({ level: Schema.String })) {}
      const limiting = Interceptor.make({
        name: "limiting",
        provides: [Given],
        around: (effect) =>
          Effect.gen(function*() {
            const left = yield* (yield* Limit).take
            if (left < 0) return yield* denied
            return yield* Effect.provideService(effect, Given, { by: "the interceptor" })
          })
      })
      const body = Effect.gen(function*() {
        return { answer: (yield* Port).answer, by: (yield* Given).by, level: (yield* Skills).level }
      })
      const layer = Layer.effect(
        Limit,
        Effect.map(Ref.make(2), (left) => ({ take: Ref.updateAndGet(left, (count) => count - 1) }))
      )
      for (const at of ["pipeline", "stage"] as const) {
        const test = InterceptorTest.run(limiting, {
          at,
          body,
          snapshot: Snapshot.make().pipe(Snapshot.extend(Skills, { level: "expert" })),
          times: 3
        })
        const needs: Effect.Effect<unknown, Simulation.SimulationTimeout, Limit | Port> = test
        assert.isDefined(needs)
        const { exits } = yield* test.pipe(Effect.provide([layer, Layer.succeed(Port, { answer: "42" })]))
        const [first, second, third] = exits
        assert(first?._tag === "Success" && second?._tag === "Success")
        assert.deepStrictEqual(second.value.outputs.stage.data, {
          answer: "42",
          by: "the interceptor",
          level: "expert"
        })
        assert.strictEqual(third?._tag, "Failure")
      }
    }))

  it.effect("runs one after the other, at a pace, or all at once, each with its own snapshot", () =>
    Effect.gen(function*() {
      const body = Effect.gen(function*() {
        yield* Effect.sleep("10 seconds")
        return { text: (yield* Snapshot.current).inputText }
      })
      const startsOf = (every?: "0 seconds" | "3 seconds") =>
        Effect.map(
          InterceptorTest.run(pass, {
            body,
            times: 3,
            every,
            snapshot: (run) => Snapshot.make({ inputText: `#${run}` })
          }),
          ({ exits, passages }) => {
            const texts = exits.map((exit) => exit._tag === "Success" ? exit.value.outputs.stage.data.text : "failed")
            assert.deepStrictEqual(texts, ["#1", "#2", "#3"])
            return passages.map(({ run, startedAt }) => [run, startedAt])
          }
        )
      assert.deepStrictEqual(yield* startsOf(), [[1, 0], [2, 10_000], [3, 20_000]])
      assert.deepStrictEqual(yield* startsOf("3 seconds"), [[1, 0], [2, 3000], [3, 6000]])
      assert.deepStrictEqual(yield* startsOf("0 seconds"), [[1, 0], [2, 0], [3, 0]])
    }))

  it.effect("interrupts the caller: what the body cleans up is waited for", () =>
    Effect.gen(function*() {
      for (const at of places) {
        const { body, elapsed, exit, notLeft } = yield* InterceptorTest.run(pass, {
          at,
          body: Effect.never,
          interruptAfter: "5 seconds",
          cleanUp: "2 seconds"
        })
        assert.isTrue(Exit.hasInterrupts(exit))
        assert.deepStrictEqual(body, { started: 1, ended: 0, interrupted: 1, released: 1 })
        assert.deepStrictEqual(notLeft, [])
        assert.strictEqual(elapsed.toString(), "7000 millis")
      }
    }))

  it.effect("a body that is left running has not been released", () =>
    Effect.gen(function*() {
      const leaky = untyped((effect) => Effect.andThen(Effect.forkDetach(effect), Effect.never))
      const { body } = yield* InterceptorTest.run(leaky, { body: Effect.never, interruptAfter: "1 second" })
      assert.deepStrictEqual(body, { started: 1, ended: 0, interrupted: 0, released: 0 })
    }))

  it.effect("nor has one that cleans up when its run has ended", () =>
    Effect.gen(function*() {
      const hasty = untyped((effect) =>
        Effect.flatMap(
          Effect.forkDetach(effect),
          (fiber) => Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
        )
      )
      const { body, passages } = yield* InterceptorTest.run(hasty, {
        body: InterceptorTest.inTurn(Effect.never, Effect.sleep("1 minute")),
        times: 2,
        every: "10 seconds",
        interruptAfter: "5 seconds",
        cleanUp: "1 second"
      })
      assert.deepStrictEqual(passages.map(({ endedAt }) => endedAt), [5000, 15_000])
      assert.deepStrictEqual(body, { started: 2, ended: 0, interrupted: 2, released: 0 })
    }))

  it.effect("counts every attempt", () =>
    Effect.gen(function*() {
      const body = Stage.work("flaky", {
        run: InterceptorTest.inTurn(Effect.fail(new Down()), Effect.fail(denied), Effect.succeed({ fine: true }))
      })
      const again = Interceptor.make({ name: "again", around: (effect) => Effect.retry(effect, { times: 5 }) })
      const { exit, passages } = yield* InterceptorTest.run(again, { body })
      const result = yield* exit
      assert.deepStrictEqual(result.outputs.flaky.data, { fine: true })
      assert.deepStrictEqual(passages.map((passage) => passage.exit?._tag), ["Failure", "Failure", "Success"])
    }))

  it.effect("one value can be run again: it starts from nothing", () =>
    Effect.gen(function*() {
      const test = InterceptorTest.run(pass)
      yield* test
      assert.strictEqual((yield* test).body.started, 1)
    }))

  it.effect("a run that never ends is a SimulationTimeout", () =>
    Effect.gen(function*() {
      const hangs = Interceptor.make({ name: "hangs", around: (effect) => Effect.andThen(Effect.never, effect) })
      const error = yield* Effect.flip(InterceptorTest.run(hangs, { limit: "1 minute" }))
      assert.instanceOf(error, Simulation.SimulationTimeout)
    }))

  it("takes no stage with inputs, and does not run without what is needed", () => {
    class Port extends Context.Service<Port, { readonly answer: string }>()("test/Port") {}
    const reader = Stage.work("reader", { run: (_: { readonly text: string }) => Effect.void })
    // @ts-expect-error the stage has inputs, and there is nobody to give them
    assert.isDefined(InterceptorTest.run(pass, { body: reader }))
    const test = InterceptorTest.run(pass, { body: Effect.asVoid(Port) })
    const isNeeded: Port extends Effect.Services<typeof test> ? true : false = true
    assert.isTrue(isNeeded)
  })

  it("rejects options that make no sense", () => {
    assert.throws(() => InterceptorTest.run(pass, { times: 0 }), /times/)
    assert.throws(() => InterceptorTest.run(pass, { interruptAfter: -1 }), /interruptAfter/)
    assert.throws(() => InterceptorTest.run(pass, { every: Number.NaN }), /every/)
    assert.throws(() => InterceptorTest.run(pass, { cleanUp: -1 }), /cleanUp/)
    assert.throws(() => InterceptorTest.run(runGate, { at: "stage" }), StageError.InvalidOption)
  })
})

describe("order", () => {
  const named = (name: string, order?: number) => Interceptor.make({ name, order, around: (effect) => effect })

  it.effect("tells who is entered and left, by order, and as listed among equals", () =>
    Effect.gen(function*() {
      const list = [named("c"), named("a", 10), named("d"), Interceptor.combine(named("e", 200), named("b", 20))]
      for (const at of places) {
        const { entered, left } = yield* InterceptorTest.order(list, { at })
        const expected = ["a", "b", "c", "d", "e", "stage"]
        assert.deepStrictEqual(entered, expected)
        assert.deepStrictEqual(left, expected.toReversed())
      }
    }))

  it.effect("needs what the interceptors need, and nothing else", () =>
    Effect.gen(function*() {
      class Limit extends Context.Service<Limit, { readonly left: number }>()("test/Limit") {}
      const limiting = Interceptor.make({
        name: "limiting",
        order: 40,
        around: (effect) => Effect.andThen(Limit, effect)
      })
      const test = InterceptorTest.order([Interceptors.timeout(), limiting, Interceptors.retry()])
      const exact: [Effect.Services<typeof test>] extends [Limit] ? true : false = true
      assert.isTrue(exact)
      const { entered } = yield* Effect.provideService(test, Limit, { left: 1 })
      assert.deepStrictEqual(entered, ["limiting", "retry", "timeout", "stage"])
    }))

  it.effect("what wraps the run is outside of what wraps the stage", () =>
    Effect.gen(function*() {
      const both = Interceptor.make({ name: "both", order: 500, around: (effect) => effect, aroundRun: (run) => run })
      const { entered, steps } = yield* InterceptorTest.order([named("inner", 1), both])
      assert.deepStrictEqual(entered, ["both", "inner", "both", "stage"])
      assert.deepStrictEqual(steps.slice(0, 2).map(({ name, wraps }) => [name, wraps]), [["both", "run"], [
        "inner",
        "stage"
      ]])
    }))

  it.effect("one inside of a retry is told of as often as it is entered", () =>
    Effect.gen(function*() {
      const again = Interceptor.make({
        name: "again",
        order: 1,
        around: (effect) => Effect.retry(effect, { times: 1 })
      })
      const body = InterceptorTest.inTurn(Effect.fail(new Down()), Effect.void)
      const { steps } = yield* InterceptorTest.order([named("inside"), again], { body })
      assert.deepStrictEqual(steps.map(({ name, step }) => `${step} ${name}`), [
        "entered again",
        "entered inside",
        "entered stage",
        "left stage",
        "left inside",
        "entered inside",
        "entered stage",
        "left stage",
        "left inside",
        "left again"
      ])
    }))

  it.effect("one that denies lets nobody further in, and everyone who was entered is left", () =>
    Effect.gen(function*() {
      const { entered, left } = yield* InterceptorTest.order([named("outside", 1), gate, named("inside", 200)])
      assert.deepStrictEqual(entered, ["outside", "gate"])
      assert.deepStrictEqual(left, ["gate", "outside"])
    }))

  it.effect("also when it is interrupted", () =>
    Effect.gen(function*() {
      const { left } = yield* InterceptorTest.order([named("outside", 1), named("inside")], {
        body: Effect.never,
        interruptAfter: "1 second"
      })
      assert.deepStrictEqual(left, ["stage", "inside", "outside"])
    }))
})

describe("failsClosed", () => {
  for (const at of places) {
    it.effect(`holds for one that denies, and gives its error (on the ${at})`, () =>
      Effect.gen(function*() {
        const { error } = yield* InterceptorTest.failsClosed(gate, { at })
        const typed: Denied = error
        assert.strictEqual(typed, denied)
      }))
  }

  it.effect("holds for one that denies runs", () =>
    Effect.gen(function*() {
      for (const at of ["pipeline", "layer"] as const) {
        const { error } = yield* InterceptorTest.failsClosed(runGate, { at })
        const typed: Denied = error
        assert.strictEqual(typed, denied)
      }
    }))

  it.effect("looks at the runs that come after those that are let through", () =>
    Effect.gen(function*() {
      let left = 2
      const limited = Interceptor.make({
        name: "limited",
        around: (effect) => Effect.andThen(Effect.suspend(() => left-- > 0 ? Effect.void : Effect.fail(denied)), effect)
      })
      const { body, exits } = yield* InterceptorTest.failsClosed(limited, { after: 2, times: 3 })
      assert.strictEqual(body.started, 2)
      assert.strictEqual(exits.length, 5)
      left = 2
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.failsClosed(limited, { after: 1 })), [
        "BODY_RAN",
        "NOT_DENIED"
      ])
    }))

  const open: ReadonlyArray<readonly [string, Interceptor.Interceptor, ReadonlyArray<string>]> = [
    ["lets the stage through", pass, ["BODY_RAN", "NOT_DENIED"]],
    ["swallows its own failure", untyped((effect) => Effect.andThen(Effect.ignore(denied), effect)), [
      "BODY_RAN",
      "NOT_DENIED"
    ]],
    ["denies with an Ok", untyped(() => Effect.succeed(StageOutput.ok({}))), ["NOT_DENIED"]],
    ["denies with a cancel", untyped(() => Effect.succeed(StageOutput.cancel("no"))), ["NOT_DENIED"]],
    ["dies", untyped((effect) => Effect.andThen(Effect.die("boom"), effect)), ["NO_TYPED_ERROR"]],
    [
      "throws",
      untyped(() => {
        throw new Error("boom")
      }),
      ["NO_TYPED_ERROR"]
    ],
    ["gives no Effect", untyped(() => undefined), ["NO_TYPED_ERROR"]],
    ["interrupts itself", untyped((effect) => Effect.andThen(Effect.interrupt, effect)), ["NO_TYPED_ERROR"]],
    ["denies when the body has run", untyped((effect) => Effect.andThen(effect, Effect.fail(denied))), ["BODY_RAN"]]
  ]
  for (const [way, interceptor, problems] of open) {
    it.effect(`says so when one ${way}`, () =>
      Effect.gen(function*() {
        for (const at of places) {
          assert.deepStrictEqual(yield* problemsOf(InterceptorTest.failsClosed(interceptor, { at })), problems)
        }
      }))
  }

  it.effect("the error says which interceptor, what is wrong, and shows the trace", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(InterceptorTest.failsClosed(pass))
      assert(error instanceof InterceptorTest.ContractBroken)
      assert.strictEqual(error.code, "CONTRACT_BROKEN")
      assert.strictEqual(
        error.message,
        "Interceptor \"pass\" does not fail closed:\n- the body started in run 1 (BODY_RAN)\n"
          + "- run 1 ended as Completed (NOT_DENIED)"
      )
      assert.deepStrictEqual(error.trace, [
        "#1 +0ms RunStarted",
        "#2 +0ms StageStarted stage",
        "#3 +0ms StageCompleted stage",
        "#4 +0ms RunCompleted"
      ])
    }))
})

describe("passesOutcomes", () => {
  it.effect("holds for one that does nothing, wherever it is", () =>
    Effect.gen(function*() {
      for (const at of places) yield* InterceptorTest.passesOutcomes(pass, { at })
    }))

  const instead = (f: (outcome: Interceptor.Outcome) => Interceptor.Outcome) =>
    Interceptor.make({ name: "instead", around: (effect) => Effect.map(effect, f) })

  const broken: ReadonlyArray<readonly [string, Interceptor.Interceptor, InterceptorTest.Ending]> = [
    [
      "a skip",
      instead((outcome) => outcome._tag === "Skip" ? StageOutput.ok({}) as Interceptor.Outcome : outcome),
      "skip"
    ],
    [
      "the reason of a skip",
      instead((outcome) => outcome._tag === "Skip" ? StageOutput.skip("other") : outcome),
      "skip"
    ],
    ["a cancel", instead((outcome) => outcome._tag === "Cancel" ? StageOutput.skip("no") : outcome), "cancel"],
    [
      "a retry",
      instead((outcome) => outcome._tag === "Retry" ? StageOutput.ok({}) as Interceptor.Outcome : outcome),
      "retry"
    ],
    [
      "a failure",
      untyped((effect) =>
        Effect.catchCause(effect, (cause) =>
          cause.reasons.some(({ _tag }) => _tag === "Fail")
            ? Effect.succeed(StageOutput.ok({}))
            : Effect.failCause(cause))
      ),
      "fail"
    ],
    [
      "which failure",
      Interceptor.make({ name: "other", around: (effect) => Effect.mapError(effect, () => 1 as never) }),
      "fail"
    ],
    ["a defect", untyped((effect) => Effect.catchDefect(effect, () => Effect.succeed(StageOutput.ok({})))), "defect"],
    [
      "the data of an Ok",
      instead((outcome) => outcome._tag === "Ok" ? StageOutput.ok({ other: true }) as Interceptor.Outcome : outcome),
      "ok"
    ],
    [
      "the artifacts of an Ok",
      instead((outcome) =>
        outcome._tag === "Ok"
          ? StageOutput.ok(outcome.data as object, { version: outcome.version }) as Interceptor.Outcome
          : outcome
      ),
      "ok"
    ]
  ]
  for (const [what, interceptor, ending] of broken) {
    it.effect(`says so when one changes ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(InterceptorTest.passesOutcomes(interceptor))
        assert(error instanceof InterceptorTest.ContractBroken)
        assert.deepStrictEqual(error.problems.map(({ code }) => code), ["OUTCOME_CHANGED"])
        assert.include(error.message, ending === "ok" ? "an Ok" : `"${ending}"`)
        yield* InterceptorTest.passesOutcomes(interceptor, { except: [ending] })
      }))
  }

  it.effect("says so when one does not run the body, or runs it without handing on", () =>
    Effect.gen(function*() {
      assert.include(yield* problemsOf(InterceptorTest.passesOutcomes(gate)), "BODY_DID_NOT_RUN")
      assert.include(yield* problemsOf(InterceptorTest.passesOutcomes(runGate)), "BODY_DID_NOT_RUN")
    }))
})

describe("leavesOnInterruption", () => {
  it.effect("holds for one that does nothing, wherever it is", () =>
    Effect.gen(function*() {
      for (const at of places) yield* InterceptorTest.leavesOnInterruption(pass, { at })
    }))

  it.effect("says so when the body is left running", () =>
    Effect.gen(function*() {
      const detached = untyped((effect) => Effect.flatMap(Effect.forkDetach(effect), Fiber.join))
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.leavesOnInterruption(detached)), ["NOT_RELEASED"])
    }))

  it.effect("says so when the body is interrupted, and not waited for", () =>
    Effect.gen(function*() {
      const hasty = untyped((effect) =>
        Effect.flatMap(
          Effect.forkDetach(effect),
          (fiber) => Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
        )
      )
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.leavesOnInterruption(hasty)), ["NOT_RELEASED"])
    }))

  it.effect("says so when somebody stays inside beyond the grace", () =>
    Effect.gen(function*() {
      const stubborn = untyped((effect) => Effect.onInterrupt(effect, () => Effect.sleep("1 minute")))
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.leavesOnInterruption(stubborn)), ["NOT_LEFT"])
    }))

  it.effect("says so when the interruption is swallowed", () =>
    Effect.gen(function*() {
      const deaf = untyped((effect) => Effect.uninterruptible(Effect.andThen(Effect.sleep("5 seconds"), effect)))
      assert.include(yield* problemsOf(InterceptorTest.leavesOnInterruption(deaf)), "NOT_RELEASED")
    }))

  it.effect("says so when the run ends by itself", () =>
    Effect.gen(function*() {
      const short = untyped((effect) => Effect.timeout(effect, "100 millis"))
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.leavesOnInterruption(short)), ["NOT_INTERRUPTED"])
      yield* InterceptorTest.leavesOnInterruption(short, { after: "50 millis" })
    }))

  it.effect("says so when what the run occupied stays occupied", () =>
    Effect.gen(function*() {
      let isTaken = false
      const lock = Interceptor.make({
        name: "lock",
        around: (effect) =>
          Effect.gen(function*() {
            if (isTaken) return yield* denied
            isTaken = true
            const outcome = yield* effect
            isTaken = false
            return outcome
          })
      })
      const error = yield* Effect.flip(InterceptorTest.leavesOnInterruption(lock))
      assert(error instanceof InterceptorTest.ContractBroken)
      assert.deepStrictEqual(error.problems.map(({ code }) => code), ["NEXT_RUN_STOPPED"])
      assert.include(error.message, "StageFailed")
    }))

  it.effect("says so when the next run has to wait until it is over", () =>
    Effect.gen(function*() {
      let freeAt = 0
      const lease = Interceptor.make({
        name: "lease",
        around: (effect) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            yield* Effect.sleep(Math.max(0, freeAt - now))
            freeAt = now + 30_000
            const outcome = yield* effect
            freeAt = 0
            return outcome
          })
      })
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.leavesOnInterruption(lease)), ["NEXT_RUN_DELAYED"])
    }))
})

describe("coversEveryAttempt", () => {
  const counting = (order: number) =>
    Interceptor.make({
      name: "counting",
      order,
      around: (effect) => Effect.tap(effect, () => StageContext.emit("seen", {}))
    })

  it.effect("holds inside of the retry, not outside", () =>
    Effect.gen(function*() {
      yield* InterceptorTest.coversEveryAttempt(counting(61))
      yield* InterceptorTest.coversEveryAttempt(counting(1), { at: "stage" })
      for (const at of ["pipeline", "layer"] as const) {
        const error = yield* Effect.flip(InterceptorTest.coversEveryAttempt(counting(40), { at }))
        assert(error instanceof InterceptorTest.ContractBroken)
        assert.deepStrictEqual(error.problems.map(({ code }) => code), ["ATTEMPT_NOT_COVERED"])
        assert.include(error.message, "entered 1 time(s) for 3 attempts")
      }
    }))

  it.effect("what wraps runs covers no attempt", () =>
    Effect.gen(function*() {
      const around = Interceptor.make({ name: "around", aroundRun: (run) => run })
      assert.deepStrictEqual(yield* problemsOf(InterceptorTest.coversEveryAttempt(around)), ["ATTEMPT_NOT_COVERED"])
    }))
})
