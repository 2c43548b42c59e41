import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, pipe, Schedule, Schema, Stream } from "effect"
import { Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { Port, Simulation } from "stageflow/testing"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {}) {}

class Llm extends Context.Service<Llm, {
  readonly ask: (prompt: string, temperature?: number) => Effect.Effect<string, Down>
  readonly model: Effect.Effect<string, Down>
  readonly tokens: (prompt: string) => Stream.Stream<string, Down>
  readonly name: string
  readonly count: (text: string) => number
}>()("test/Llm") {}

const fake = Llm.of({
  ask: (prompt) => Effect.succeed(`You said: ${prompt}`),
  model: Effect.succeed("small"),
  tokens: (prompt) => Stream.fromIterable(prompt.split(" ")),
  name: "fake",
  count: (text) => text.length
})

/** What an Effect gives and how long it takes in virtual time. */
const timed = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const { elapsed, exit } = yield* Simulation.simulate(effect)
    return [yield* exit, elapsed.toString()] as const
  })

describe("recorded", () => {
  it.effect("says what was called with what, and what came of it", () =>
    Effect.gen(function*() {
      const llm = Port.recorded(fake)
      yield* llm.service.ask("a")
      yield* llm.service.ask("b", 0.5)
      yield* llm.service.model
      assert.deepStrictEqual(yield* llm.callsOf("ask"), [
        { method: "ask", args: ["a"], stage: undefined, attempt: undefined, at: 0, exit: Exit.succeed("You said: a") },
        {
          method: "ask",
          args: ["b", 0.5],
          stage: undefined,
          attempt: undefined,
          at: 0,
          exit: Exit.succeed("You said: b")
        }
      ])
      assert.deepStrictEqual((yield* llm.calls).map(({ method }) => method), ["ask", "ask", "model"])
      const [first] = yield* llm.callsOf("ask")
      const prompt: string | undefined = first?.args[0]
      assert.strictEqual(prompt, "a")
      yield* llm.clear
      assert.deepStrictEqual(yield* llm.calls, [])
    }))

  it.effect("a call is made when the Effect runs, each time it does", () =>
    Effect.gen(function*() {
      const llm = Port.recorded(fake)
      const asking = llm.service.ask("a")
      assert.deepStrictEqual(yield* llm.calls, [])
      yield* Effect.all([asking, asking])
      assert.strictEqual((yield* llm.calls).length, 2)
    }))

  it.effect("knows the stage, the attempt, the time, and that a call was interrupted", () =>
    Effect.gen(function*() {
      const llm = Port.recorded(Port.failing(Port.hanging(fake, { times: 1 }), { times: 1, error: new Down() }))
      const stage = Stage.transform("answer", {
        run: Effect.gen(function*() {
          return { text: yield* (yield* Llm).ask("Hello?") }
        })
      }).pipe(Stage.timeout("10 seconds"), Stage.retry(Schedule.spaced("1 second")))
      const simulated = yield* Simulation.run(Pipeline.make("chat").add(stage), Snapshot.make()).pipe(
        Effect.provide(Layer.succeed(Llm, llm.service))
      )
      assert.isTrue(Exit.isSuccess(simulated.exit))
      const calls = yield* llm.callsOf("ask")
      assert.deepStrictEqual(calls.map(({ at, attempt, stage }) => [stage, attempt, at]), [
        ["answer", 1, 0],
        ["answer", 2, 1000],
        ["answer", 3, 12_000]
      ])
      const [failed, hung, answered] = calls.map(({ exit }) => exit)
      assert.deepStrictEqual(failed, Exit.fail(new Down()))
      assert.isTrue(hung !== undefined && Exit.isFailure(hung) && Cause.hasInterruptsOnly(hung.cause))
      assert.deepStrictEqual(answered, Exit.succeed("You said: Hello?"))
    }))

  it.effect("a call that is going on has no exit", () =>
    Effect.gen(function*() {
      const llm = Port.recorded(Port.hanging(fake))
      yield* Effect.forkChild(llm.service.ask("a"), { startImmediately: true })
      assert.deepStrictEqual((yield* llm.calls).map(({ exit }) => exit), [undefined])
    }))

  it.effect("records streams, with how they ended", () =>
    Effect.gen(function*() {
      const llm = Port.recorded(fake)
      assert.deepStrictEqual(yield* Stream.runCollect(llm.service.tokens("a b")), ["a", "b"])
      assert.deepStrictEqual((yield* llm.callsOf("tokens")).map(({ args, exit }) => [args, exit?._tag]), [
        [["a b"], "Success"]
      ])
    }))

  it.effect("sees what reaches the port when it is inside of other doubles", () =>
    Effect.gen(function*() {
      const inner = Port.recorded(fake)
      const failing = Port.failing(inner.service, { times: 2, error: new Down() })
      yield* Effect.retry(failing.ask("a"), { times: 5 })
      assert.strictEqual((yield* inner.calls).length, 1)
    }))
})

describe("failing", () => {
  it.effect("fails the first calls of each method with the error", () =>
    Effect.gen(function*() {
      const llm = Port.failing(fake, { times: 2, error: new Down() })
      const answers = yield* Effect.all([llm.ask("a"), llm.ask("b"), llm.ask("c")], { mode: "result" })
      assert.deepStrictEqual(answers.map(({ _tag }) => _tag), ["Failure", "Failure", "Success"])
      assert.deepStrictEqual(yield* Effect.flip(llm.model), new Down())
      assert.deepStrictEqual(yield* Effect.flip(Stream.runCollect(llm.tokens("a"))), new Down())
      yield* Effect.ignore(llm.model)
      assert.strictEqual(yield* llm.model, "small")
    }))

  it.effect("always fails without times, in a pipe as well", () =>
    Effect.gen(function*() {
      const llm = pipe(fake, Port.failing({ error: new Down() }))
      for (let call = 0; call < 10; call++) yield* Effect.flip(llm.ask("a"))
      assert.throws(() => Port.failing(fake, { error: new Down(), times: -1 }), StageError.InvalidOption)
    }))

  it("takes no error that the methods cannot fail with", () => {
    // @ts-expect-error Type 'Rejected' is not assignable
    // @effect-diagnostics-next-line missingEffectError:off
    Port.failing(fake, { error: new Rejected() })
    // @ts-expect-error not every method of this port can fail with that error
    pipe(fake, Port.failing({ error: new Rejected() }))
    const calm = { ask: Effect.succeed(1) }
    // @ts-expect-error Type 'Down' is not assignable to type 'never'
    Port.failing(calm, { error: new Down() })
  })
})

describe("delayed", () => {
  it.effect("makes every call wait", () =>
    Effect.gen(function*() {
      const llm = Port.delayed(fake, "2 seconds")
      assert.deepStrictEqual(yield* timed(llm.ask("a")), ["You said: a", "2000 millis"])
      assert.deepStrictEqual(yield* timed(Stream.runCollect(llm.tokens("a b"))), [["a", "b"], "2000 millis"])
      const piped = pipe(fake, Port.delayed("1 second"))
      assert.deepStrictEqual(yield* timed(piped.model), ["small", "1000 millis"])
      assert.throws(() => Port.delayed(fake, -1), StageError.InvalidOption)
    }))

  it.effect("by a schedule: each call by its next delay, and no more when it is over", () =>
    Effect.gen(function*() {
      const llm = Port.delayed(fake, Schedule.upTo(Schedule.exponential("1 second"), { times: 3 }))
      const calls = Effect.gen(function*() {
        const times: Array<string> = []
        for (let call = 0; call < 5; call++) times.push((yield* timed(llm.ask("a")))[1])
        return times
      })
      assert.deepStrictEqual(yield* calls, ["1000 millis", "2000 millis", "4000 millis", "0 millis", "0 millis"])
    }))
})

describe("hanging", () => {
  it.effect("never answers, or only after some calls", () =>
    Effect.gen(function*() {
      const asked = yield* Effect.flip(Simulation.simulate(Port.hanging(fake).ask("a")))
      assert.strictEqual(asked.reason, "NothingScheduled")
      const llm = Port.hanging(fake, { times: 1 })
      const limited = Effect.timeoutOption(llm.ask("a"), "1 minute")
      assert.deepStrictEqual((yield* timed(Effect.all([limited, limited])))[1], "60000 millis")
    }))
})

describe("any double", () => {
  it.effect("leaves members that answer with no Effect alone", () =>
    Effect.sync(() => {
      const llm = Port.recorded(Port.failing(Port.hanging(fake), { error: new Down() })).service
      assert.strictEqual(llm.name, "fake")
      assert.strictEqual(llm.count("four"), 4)
      assert.deepStrictEqual(Object.keys(llm), Object.keys(fake))
    }))

  it.effect("works for a port that is a function", () =>
    Effect.gen(function*() {
      const send = (to: string): Effect.Effect<number, Down> => Effect.succeed(to.length)
      const recorded = Port.recorded(Port.failing(send, { times: 1, error: new Down() }))
      yield* Effect.ignore(recorded.service("ada"))
      assert.strictEqual(yield* recorded.service("bob"), 3)
      assert.deepStrictEqual((yield* recorded.callsOf("call")).map(({ args }) => args), [["ada"], ["bob"]])
    }))

  it.effect("works for instances of classes, with private fields, getters and inheritance, and frozen objects", () =>
    Effect.gen(function*() {
      class Base {
        readonly #secret = "s"
        secret(): Effect.Effect<string, Down> {
          return Effect.succeed(this.#secret)
        }
      }
      class Counter extends Base {
        #count = 0
        get next(): Effect.Effect<number, Down> {
          return Effect.sync(() => ++this.#count)
        }
      }
      const port = Port.recorded(new Counter())
      assert.deepStrictEqual([yield* port.service.next, yield* port.service.next], [1, 2])
      assert.strictEqual(yield* port.service.secret(), "s")
      assert.instanceOf(port.service, Counter)
      assert.deepStrictEqual((yield* port.calls).map(({ method }) => method), ["next", "next", "secret"])
      const frozen = Port.failing(Object.freeze({ ...fake }), { times: 1, error: new Down() })
      yield* Effect.flip(frozen.ask("a"))
      assert.strictEqual(yield* frozen.ask("a"), "You said: a")
    }))

  it.effect("only: doubles some methods", () =>
    Effect.gen(function*() {
      class Two extends Context.Service<Two, {
        readonly read: () => Effect.Effect<string, Down>
        readonly write: (text: string) => Effect.Effect<void, Rejected>
      }>()("test/Two") {}
      const port = Two.of({ read: () => Effect.succeed("text"), write: () => Effect.void })
      // The two have no error in common.
      // @ts-expect-error Type 'Rejected' is not assignable to type 'never'
      Port.failing(port, { error: new Rejected() })
      const double = Port.only(port, ["write"], Port.failing({ error: new Rejected() }))
      assert.strictEqual(yield* double.read(), "text")
      assert.deepStrictEqual(yield* Effect.flip(double.write("a")), new Rejected())
    }))
})
