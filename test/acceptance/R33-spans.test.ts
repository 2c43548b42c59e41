import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit, Fiber, Layer, Option, Redacted, Schedule, Schema, Stream, Tracer } from "effect"
import { LanguageModel, Telemetry } from "effect/ai"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, RunResult, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Broken, during } from "./support/lifecycle.ts"
import { exported, type Sent } from "./support/otlp.ts"

class Down extends Schema.TaggedError<Down>()("Down", { token: Schema.Redacted(Schema.String) }) {}

const recording = () => {
  const spans: Array<Tracer.Span> = []
  const layer = Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  )
  return { spans, layer }
}

const parentOf = (span: Tracer.Span): Tracer.AnySpan | undefined => Option.getOrUndefined(span.parent)

const named = (spans: ReadonlyArray<Tracer.Span>, name: string) => {
  const found = spans.filter((span) => span.name === name)
  assert.strictEqual(found.length, 1, name)
  return found[0] as Tracer.Span
}

describe("R33 spans", () => {
  it.effect("nest run > stage > attempt, also for parallel stages", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      let calls = 0
      const work = <const Name extends string>(name: Name) =>
        Stage.work(name, { run: Effect.withSpan(Effect.sleep("1 second"), `inside ${name}`) })
      const again = Stage.work("again", {
        run: Effect.suspend(() => ++calls < 3 ? Effect.succeed(StageOutput.retry("later")) : Effect.succeed({}))
      })
      const pipeline = Pipeline.make("p").add(work("a")).add(work("b")).add(again).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.retry(Schedule.recurs(5)))
      )
      const fiber = yield* Effect.forkChild(
        Effect.provide(Pipeline.run(pipeline, Snapshot.make({ orgId: "org" })), layer),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert(fiber.pollUnsafe() !== undefined)
      const run = named(spans, "pipeline p")
      for (const name of ["a", "b"]) {
        const stage = named(spans, `stage ${name}`)
        const attempt = named(spans, `attempt 1 of ${name}`)
        const inside = named(spans, `inside ${name}`)
        assert.strictEqual(parentOf(stage), run)
        assert.strictEqual(parentOf(attempt), stage)
        assert.strictEqual(parentOf(inside), attempt)
        assert.strictEqual(stage.attributes.get("stageflow.stage"), name)
        assert.strictEqual(stage.attributes.get("stageflow.kind"), "work")
        assert.strictEqual(stage.attributes.get("stageflow.org.id"), "org")
        assert.strictEqual(stage.attributes.get("stageflow.outcome"), "Ok")
        assert.strictEqual(attempt.attributes.get("stageflow.attempt"), 1)
      }
      const stage = named(spans, "stage again")
      for (const attempt of [1, 2, 3]) assert.strictEqual(parentOf(named(spans, `attempt ${attempt} of again`)), stage)
      assert.strictEqual(spans.length, 1 + 3 * 2 + 2 + 2)
    }))

  it.effect("an error in a span has the same name as in the result; redacted values stay redacted", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const down = Stage.work("down", { run: Effect.fail(new Down({ token: Redacted.make("s3cret") })) })
      const pipeline = Pipeline.make("p").add(down).pipe(Pipeline.intercept(Interceptors.tracing()))
      const error = yield* Effect.flip(Effect.provide(Pipeline.run(pipeline, Snapshot.make()), layer))
      assert(error instanceof RunResult.StageFailed)
      for (const name of ["stage down", "attempt 1 of down"]) {
        const { status } = named(spans, name)
        assert(status._tag === "Ended" && status.exit._tag === "Failure")
        const found = Option.getOrUndefined(Cause.findErrorOption(status.exit.cause as Cause.Cause<Down>))
        assert.strictEqual(found?._tag, error.error._tag)
      }
      const run = named(spans, "pipeline p").status
      assert(run._tag === "Ended" && run.exit._tag === "Failure")
      assert.notInclude(error.message, "s3cret")
      assert.notInclude(Cause.pretty(error.cause), "s3cret")
    }))
})

const secret = "s3cret"

/** An error whose cause and whose fields hold what its message does not say. */
class Refused extends Schema.TaggedError<Refused>()("Refused", { password: Schema.String, cause: Schema.Defect() }) {
  readonly code = "REFUSED"
  override get message(): string {
    return "it refused"
  }
}

class Nameless extends Data.Error<{ readonly password: string }> {}

class Endless extends Data.TaggedError("Endless")<{ readonly message: string }> {}

const refused = () => new Refused({ password: secret, cause: new Error(`connect to ${secret}`) })

const dying = Effect.die(new Error(secret))

/** An error with a stack of its own making. */
const withStack = Object.assign(refused(), { stack: `Refused: ${secret}\n    at ${secret}` })

const interruptedFiber = Effect.gen(function*() {
  const fiber = yield* Effect.forkChild(Effect.never)
  yield* Fiber.interrupt(fiber)
  return yield* Fiber.join(fiber)
})

/** Everything that makes a stage fail. */
const failing: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
  "a typed error with a cause": Effect.suspend(() => Effect.fail(refused())),
  "a typed error with a stack of its own": Effect.fail(withStack),
  "an error without a tag": Effect.suspend(() => Effect.fail(new Nameless({ password: secret }))),
  "an object that is no error": Effect.fail({ password: secret }),
  "a returned failure": Effect.sync(() => StageOutput.fail(refused(), { data: { password: secret } })),
  "a defect": dying,
  "a defect that is a text": Effect.die(secret),
  "a typed error, and a finalizer that dies": Effect.ensuring(Effect.suspend(() => Effect.fail(refused())), dying),
  "an interruption of its own": Effect.interrupt,
  "an interruption of its own, and a finalizer that dies": Effect.ensuring(Effect.interrupt, dying),
  "waiting for a fiber that was interrupted": interruptedFiber,
  "a retry that nobody grants": Effect.succeed(StageOutput.retry("not yet")),
  "an invalid output": Effect.succeed(42),
  "a time that is too long": Effect.never
}

/** What a result says of an error. */
const summaryOf = (error: unknown): readonly [tag: string, message: string] => {
  const { _tag, message, name } = error as { readonly _tag?: string; readonly name?: string; readonly message?: string }
  return [_tag ?? name ?? "Error", message ?? ""]
}

type Run = Effect.Effect<unknown, RunResult.StageFailed>

const pipelineOf = (run: Effect.Effect<unknown, unknown>) =>
  // What the stage gives is checked when it runs: some of it is no output at all.
  Pipeline.make("p").add(
    Stage.work("a", { run: run as Effect.Effect<object, unknown> }).pipe(Stage.timeout("1 minute"))
  )

/** The places where tracing can be. */
const places: Readonly<Record<string, (run: Effect.Effect<unknown, unknown>) => Run>> = {
  "around a pipeline": (run) =>
    Pipeline.run(pipelineOf(run).pipe(Pipeline.intercept(Interceptors.tracing())), Snapshot.make()),
  "in a Layer": (run) =>
    Effect.provide(Pipeline.run(pipelineOf(run), Snapshot.make()), Interceptor.layer(Interceptors.tracing())),
  "below a retry that is used up": (run) =>
    Pipeline.run(
      pipelineOf(run).pipe(Pipeline.intercept(
        Interceptors.tracing(),
        Interceptors.retry({ attempts: 2, schedule: Interceptors.constant({ base: "1 second" }) })
      )),
      Snapshot.make()
    )
}

const sentNamed = (spans: ReadonlyArray<Sent>, name: string): Sent => {
  const found = spans.filter((span) => span.name === name)
  assert.strictEqual(found.length, 1, `${name} of ${spans.map((span) => span.name)}`)
  return found[0] as Sent
}

const isError = ({ exceptions, message, status }: Sent, expected: readonly [tag: string, message: string]): void => {
  assert.strictEqual(status, "error")
  assert.strictEqual(message, expected[1])
  assert.deepStrictEqual(exceptions, [expected])
}

const isInterrupted = ({ attributes, exceptions, status }: Sent): void => {
  assert.strictEqual(status, "unset")
  assert.strictEqual(attributes["effect.fiber.interrupted"], true)
  assert.deepStrictEqual(exceptions, [])
}

describe("R33 what a tracing back end receives of a failure", () => {
  for (const [place, around] of Object.entries(places)) {
    for (const [name, run] of Object.entries(failing)) {
      it.effect(`is the error of the result and none of its secrets: ${name}, ${place}`, () =>
        Effect.gen(function*() {
          const { exit, spans, text } = yield* exported(during(around(run), "10 minutes"))
          assert(Exit.isFailure(exit))
          const failed = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
          assert(failed instanceof RunResult.StageFailed)
          isError(sentNamed(spans, "stage a"), summaryOf(failed.error))
          isError(sentNamed(spans, `attempt ${failed.attempts} of a`), summaryOf(failed.error))
          isError(sentNamed(spans, "pipeline p"), ["StageFailed", failed.message])
          assert.notInclude(text, secret)
        }))
    }
  }

  it.effect("an attempt that another follows has the error that it failed with, and the stage none", () =>
    Effect.gen(function*() {
      let calls = 0
      const again = Stage.work("again", {
        run: Effect.suspend(() => {
          calls++
          if (calls === 1) return Effect.fail(refused())
          return Effect.succeed(calls === 2 ? StageOutput.retry("not yet") : StageOutput.ok({}))
        })
      })
      const pipeline = Pipeline.make("p").add(again).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.retry({ attempts: 6 }))
      )
      const { exit, spans, text } = yield* exported(during(Pipeline.run(pipeline, Snapshot.make()), "10 minutes"))
      assert(Exit.isSuccess(exit))
      isError(sentNamed(spans, "attempt 1 of again"), ["Refused", "it refused"])
      const [[tag] = []] = sentNamed(spans, "attempt 2 of again").exceptions
      assert.strictEqual(tag, "RetryExhausted")
      for (const name of ["attempt 3 of again", "stage again", "pipeline p"]) {
        assert.strictEqual(sentNamed(spans, name).status, "ok", name)
      }
      assert.strictEqual(sentNamed(spans, "stage again").attributes["stageflow.outcome"], "Ok")
      assert.strictEqual(sentNamed(spans, "pipeline p").attributes["stageflow.outcome"], "Completed")
      assert.notInclude(text, secret)
    }))

  const hanging = Stage.work("hanging", { run: Effect.ensuring(Effect.never, dying) })

  it.effect("a stage that is interrupted from outside has no error, whatever its finalizers do", () =>
    Effect.gen(function*() {
      const soon = Stage.work("soon", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(refused())) })
      const pipeline = Pipeline.make("p").add(hanging).add(soon).pipe(Pipeline.intercept(Interceptors.tracing()))
      const { spans, text } = yield* exported(during(Pipeline.run(pipeline, Snapshot.make()), "1 second"))
      isInterrupted(sentNamed(spans, "stage hanging"))
      isInterrupted(sentNamed(spans, "attempt 1 of hanging"))
      isError(sentNamed(spans, "stage soon"), ["Refused", "it refused"])
      assert.notInclude(text, secret)
    }))

  it.effect("nor has a run whose caller is interrupted", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(hanging).pipe(Pipeline.intercept(Interceptors.tracing()))
      const { spans, text } = yield* exported(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }))
      for (const name of ["pipeline p", "stage hanging", "attempt 1 of hanging"]) isInterrupted(sentNamed(spans, name))
      assert.notInclude(text, secret)
    }))

  it.effect("a run whose time is over says so, and is no interrupted one", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(hanging).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.deadline("1 second"))
      )
      const { exit, spans, text } = yield* exported(during(Pipeline.run(pipeline, Snapshot.make()), "1 minute"))
      assert(Exit.isFailure(exit))
      const failed = Option.getOrThrow(Cause.findErrorOption(exit.cause))
      isError(sentNamed(spans, "pipeline p"), summaryOf(failed))
      assert.strictEqual(sentNamed(spans, "pipeline p").attributes["error.type"], "DeadlineExceeded")
      isInterrupted(sentNamed(spans, "stage hanging"))
      assert.notInclude(text, secret)
    }))

  it.effect("an error that says more than a back end takes is cut", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(
        Stage.work("a", { run: Effect.fail(new Endless({ message: "x".repeat(1_000_000) })) })
      )
        .pipe(
          Pipeline.intercept(Interceptors.tracing())
        )
      const { spans } = yield* exported(Effect.exit(Pipeline.run(pipeline, Snapshot.make())))
      assert.strictEqual(sentNamed(spans, "stage a").message?.length, 4_001)
    }))

  it.effect("an attempt that times out is interrupted, and its stage has the timeout", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(hanging).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.timeout("1 second"))
      )
      const { spans, text } = yield* exported(during(Pipeline.run(pipeline, Snapshot.make()), "1 minute"))
      isInterrupted(sentNamed(spans, "attempt 1 of hanging"))
      assert.strictEqual(sentNamed(spans, "stage hanging").exceptions[0]?.[0], "StageTimeout")
      assert.notInclude(text, secret)
    }))

  it.effect("a child run's failure is its parent's, with the cause left out as well", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(Stage.work("inner", { run: dying }))
      const parent = Pipeline.make("p").add(
        Stage.work("a", { run: Effect.as(Pipeline.run(child, Snapshot.make()), {}) })
      )
      const { exit, spans, text } = yield* exported(
        Effect.provide(Pipeline.run(parent, Snapshot.make()), Interceptor.layer(Interceptors.tracing()))
      )
      assert(Exit.isFailure(exit))
      const failed = Option.getOrThrow(Cause.findErrorOption(exit.cause))
      isError(sentNamed(spans, "stage a"), summaryOf(failed.error))
      isError(sentNamed(spans, "pipeline child"), summaryOf(failed.error))
      assert.notInclude(text, secret)
    }))

  it.effect("a run that an interceptor around it kills says no more than that", () =>
    Effect.gen(function*() {
      const killing = Interceptor.make({ name: "killing", aroundRun: () => dying })
      const pipeline = Pipeline.make("p").add(hanging).pipe(Pipeline.intercept(Interceptors.tracing(), killing))
      const { spans, text } = yield* exported(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(sentNamed(spans, "pipeline p").status, "error")
      assert.notInclude(text, secret)
    }))

  it.effect("a run that a Layer rejects has the rejection", () =>
    Effect.gen(function*() {
      const denying = Interceptor.make({ name: "denying", aroundRun: () => Effect.fail(refused()) })
      const { spans, text } = yield* exported(
        Pipeline.run(Pipeline.make("p").add(hanging), Snapshot.make()).pipe(
          Effect.provide([Interceptor.layer(denying), Interceptor.layer(Interceptors.tracing())])
        )
      )
      assert.strictEqual(sentNamed(spans, "pipeline p").exceptions[0]?.[0], "RunRejected")
      assert.notInclude(text, secret)
    }))
})

describe("R33 what is told of a stage while it runs", () => {
  /** The events of a span, without what was logged in it. */
  const eventsOf = (span: Tracer.Span) =>
    (span as Tracer.NativeSpan).events.filter(([name]) => name.startsWith("stageflow."))
      .map(([name, , attributes]) => [name, attributes])

  it.effect("is on its span, as in the events of the run, whether anybody listens to these or not", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      let calls = 0
      const flaky = Stage.work("flaky", {
        run: Effect.suspend(() => ++calls < 2 ? Effect.fail(refused()) : Effect.void)
      })
      const other = Stage.work("other", { run: Effect.sleep("1 second") })
      const pipeline = Pipeline.make("p").add(other).add(flaky).pipe(Pipeline.intercept(
        Interceptors.tracing(),
        Interceptors.bulkhead({ name: "db", permits: 1 }),
        Interceptors.circuitBreaker({ failures: 1, openFor: "1 second" }),
        Interceptors.retry(Schedule.spaced("2 seconds"))
      ))
      const exit = yield* during(Effect.exit(Pipeline.run(pipeline, Snapshot.make())), "10 minutes").pipe(
        Effect.provide([layer, Interceptors.Bulkheads.layerMemory, Interceptors.CircuitBreakers.layerMemory])
      )
      assert(Exit.isSuccess(exit))
      assert.deepStrictEqual(eventsOf(named(spans, "stage other")), [])
      const told = eventsOf(named(spans, "stage flaky"))
      assert.deepStrictEqual(told, [
        ["stageflow.StageQueued", { "stageflow.attempt": 1, "stageflow.queue": "bulkhead db" }],
        ["stageflow.StageDequeued", {
          "stageflow.attempt": 1,
          "stageflow.queue": "bulkhead db",
          "stageflow.waitedMs": 1000,
          "stageflow.admitted": true
        }],
        ["stageflow.StageRetrying", {
          "stageflow.attempt": 1,
          "stageflow.delayMs": 2000,
          "error.type": "Refused",
          "stageflow.error.code": "REFUSED"
        }]
      ])
      const [, [, startTime] = []] = (named(spans, "stage flaky") as Tracer.NativeSpan).events
      assert.strictEqual(startTime, 1_000_000_000n)
    }))

  it.effect("breakers included; content stays out of it, and a span takes so much and no more", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const down = Stage.work("down", { run: Effect.succeed(StageOutput.retry(secret)) })
      const pipeline = Pipeline.make("p").add(down).pipe(Pipeline.intercept(
        Interceptors.tracing(),
        Interceptors.circuitBreaker({ failures: 1, openFor: "1 second" }),
        Interceptors.retry(Schedule.recurs(199))
      ))
      yield* during(Effect.exit(Pipeline.run(pipeline, Snapshot.make())), "10 minutes").pipe(
        Effect.provide([layer, Interceptors.CircuitBreakers.layerMemory])
      )
      const stage = named(spans, "stage down")
      assert.strictEqual(eventsOf(stage).length, 128)
      // 199 retries and a breaker that opened.
      assert.strictEqual(stage.attributes.get("stageflow.untold_events"), 200 - 128)
      assert.notInclude(JSON.stringify(eventsOf(stage)), secret)
      const { layer: again, spans: few } = recording()
      const once = Pipeline.make("p").add(Stage.work("down", { run: Effect.fail("no") })).pipe(Pipeline.intercept(
        Interceptors.tracing(),
        Interceptors.circuitBreaker({ failures: 1, openFor: "1 second" })
      ))
      yield* Effect.exit(Pipeline.run(once, Snapshot.make())).pipe(
        Effect.provide([again, Interceptors.CircuitBreakers.layerMemory])
      )
      assert.deepStrictEqual(eventsOf(named(few, "stage down")).map(([name]) => name), ["stageflow.BreakerOpened"])
    }))
})

describe("R33 what is known of a model call", () => {
  it.effect("is told by effect/ai below the attempt, by the conventions; what the author knows is on the stage's span", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const model = yield* LanguageModel.make({
        generateText: ({ span }) =>
          Effect.sync(() => {
            Telemetry.addGenAIAnnotations(span, {
              provider: { name: "openai" },
              request: { model: "small" },
              usage: { inputTokens: 7 }
            })
            return [{ type: "text", text: "Hello" }]
          }),
        streamText: () => Stream.empty
      })
      const ask = Stage.transform("ask", {
        run: Effect.map(LanguageModel.generateText({ prompt: "Hi" }), ({ text }) => ({ text }))
      }).pipe(Stage.annotate(Interceptors.SpanAttributes, { "gen_ai.operation.name": "chat" }))
      const pipeline = Pipeline.make("p").add(ask).pipe(Pipeline.intercept(Interceptors.tracing()))
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(
        Effect.provideService(LanguageModel.LanguageModel, model),
        Effect.provide(layer)
      )
      assert.strictEqual(outputs.ask.data.text, "Hello")
      const call = named(spans, "LanguageModel.generateText")
      assert.strictEqual(parentOf(call), named(spans, "attempt 1 of ask"))
      assert.deepInclude(Object.fromEntries(call.attributes), {
        "gen_ai.request.model": "small",
        "gen_ai.usage.input_tokens": 7
      })
      assert.strictEqual(named(spans, "stage ask").attributes.get("gen_ai.operation.name"), "chat")
    }))
})

describe("R33 tracing is only told", () => {
  it.effect("a run, a stage and an attempt have one span each, however often tracing is around them", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      let calls = 0
      const stage = Stage.work("a", {
        run: Effect.suspend(() => ++calls < 2 ? Effect.fail("again" as const) : Effect.void)
      }).pipe(Stage.intercept(Interceptors.tracing()))
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.retry(Schedule.recurs(5)), Interceptors.tracing())
      )
      const run = Pipeline.run(pipeline, Snapshot.make()).pipe(
        Effect.provide([layer, Interceptor.layer(Interceptors.tracing())])
      )
      yield* run
      calls = 0
      // Also the next time.
      yield* run
      const once = ["pipeline p", "stage a", "attempt 1 of a", "attempt 2 of a"]
      assert.deepStrictEqual(spans.map(({ name }) => name), [...once, ...once])
      assert.deepStrictEqual(spans.slice(0, 4).map((span) => (parentOf(span) as Tracer.Span | undefined)?.name), [
        undefined,
        "pipeline p",
        "stage a",
        "stage a"
      ])
    }))

  const throwing = (): never => {
    throw new Error("a tracer that is broken")
  }
  const spanThat = (broken: Partial<Tracer.Span>) =>
    Tracer.make({ span: (options) => Object.assign(new Tracer.NativeSpan(options), broken) })
  const tracers = {
    "makes no span": Tracer.make({ span: throwing }),
    "cannot end one": spanThat({ end: throwing }),
    "takes no attribute": spanThat({ attribute: throwing }),
    "takes no event": spanThat({ event: throwing })
  }
  const ends = {
    "a completed run": [Effect.void, "Completed"],
    "a failed run": [Effect.fail(new Broken({ by: "a" })), "StageFailed"],
    "a stage that interrupts itself": [Effect.interrupt, "StageFailed"]
  } as const
  for (const [what, tracer] of Object.entries(tracers)) {
    for (const [which, [work, tag]] of Object.entries(ends)) {
      it.effect(`a tracer that ${what} changes nothing of ${which}`, () =>
        Effect.gen(function*() {
          const run = Effect.andThen(StageContext.emit("told", {}), work as Effect.Effect<void, Broken>)
          const pipeline = Pipeline.make("p").work("a", { run }).pipe(Pipeline.intercept(Interceptors.tracing()))
          const ended = yield* Effect.result(Pipeline.run(pipeline, Snapshot.make())).pipe(
            Effect.provideService(Tracer.Tracer, tracer)
          )
          assert.strictEqual(ended._tag === "Success" ? ended.success._tag : ended.failure._tag, tag)
        }))
    }
  }

  it.effect("an attribute that cannot be read says so, and the others are told", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const attributes = {
        good: 1,
        get bad() {
          return throwing()
        }
      }
      const stage = Stage.work("a", { run: Effect.void }).pipe(Stage.annotate(Interceptors.SpanAttributes, attributes))
      const unreadable = new Proxy({}, { ownKeys: throwing })
      const other = Stage.work("b", { run: Effect.void }).pipe(Stage.annotate(Interceptors.SpanAttributes, unreadable))
      const pipeline = Pipeline.make("p").add(stage).add(other).pipe(Pipeline.intercept(Interceptors.tracing()))
      yield* Effect.provide(Pipeline.run(pipeline, Snapshot.make()), layer)
      const { attributes: told } = named(spans, "stage a")
      assert.deepStrictEqual([told.get("good"), told.get("bad")], [1, "<unreadable>"])
      named(spans, "stage b")
    }))
})
