import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Layer, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import {
  EventSink,
  Interceptor,
  OutputBag,
  Pipeline,
  Snapshot,
  Source,
  Stage,
  StageError,
  StageOutput
} from "stageflow"
import { unheardRejections } from "./support/rejections.ts"
import { Counter } from "./support/stages.ts"

type Route = "support" | "sales" | "general"

const routes: ReadonlyArray<Route> = ["support", "sales", "general"]

const router = (route: Route) => Stage.route("router", { run: Effect.as(Effect.yieldNow, { route, confidence: 0.9 }) })

/** A branch of two stages for each route, and a join of the three. */
const branched = (route: Route, counter: Counter) => {
  const branch = <const Name extends string>(name: Name) =>
    Stage.transform(name, {
      run: Effect.gen(function*() {
        counter.add(name)
        yield* Effect.yieldNow
        return { text: name as string }
      })
    })
  const behind = <const Name extends string>(name: Name) =>
    Stage.transform(name, {
      run: ({ of }: { readonly of: { readonly text: string } }) =>
        Effect.sync(() => {
          counter.add(name)
          return { text: `more ${of.text}` }
        })
    })
  const join = Stage.transform("answer", {
    run: ({ text }: { readonly text: { readonly text: string } }) =>
      Effect.sync(() => {
        counter.add("answer")
        return text
      })
  })
  return Pipeline.make("branched")
    .add(router(route))
    .add(branch("support"), (s) => ({ when: s.router.is("support") }))
    .add(branch("sales"), (s) => ({ when: s.router.is("sales") }))
    .add(branch("general"), (s) => ({ when: s.router.is("general") }))
    .add(behind("more_support"), (s) => ({ inputs: { of: s.support.required } }))
    .add(behind("more_sales"), (s) => ({ inputs: { of: s.sales.required } }))
    .add(join, (s) => ({ inputs: { text: Source.firstOf(s.more_support, s.more_sales, s.general) } }))
}

describe("R16 what was not selected has no effect, the join runs with what was, a broken condition fails the run", () => {
  for (const route of routes) {
    it.effect(`route "${route}": its branch runs, nothing of the others does, and the join reads it`, () =>
      Effect.gen(function*() {
        const counter = new Counter()
        const { _tag, bag, outputs } = yield* Pipeline.run(branched(route, counter), Snapshot.make())
        assert.strictEqual(_tag, "Completed")
        const ran = route === "general" ? ["general"] : [route, `more_${route}`]
        assert.deepStrictEqual(counter.names, ["answer", ...ran].toSorted())
        assert.strictEqual(counter.total, ran.length + 1)
        const text = route === "general" ? "general" : `more ${route}`
        assert.deepStrictEqual(outputs.answer._tag === "Ok" ? outputs.answer.data : undefined, { text })
        assert.sameMembers(bag.entries.map(({ stage }) => stage), ["router", "answer", ...ran])
        for (const [name, output] of Object.entries(outputs)) {
          const isRun = ["router", "answer", ...ran].includes(name)
          assert.strictEqual(output._tag, isRun ? "Ok" : "Skip", name)
        }
      }))
  }

  it.effect("what was not selected has no start, no interceptor, no layer, no attempt: one event says so", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const seen = Interceptor.make({
        name: "seen",
        around: (effect, { name }) => {
          const told = Effect.sync(() => counter.add(`interceptor ${name}`))
          return Effect.andThen(told, effect)
        }
      })
      const port = Layer.effectDiscard(Effect.sync(() => counter.add("layer")))
      const branch = Stage.work("sales", { run: Effect.sync(() => counter.add("sales")) }).pipe(
        Stage.provide(port),
        Stage.timeout("1 minute"),
        Stage.retry(Schedule.recurs(3)),
        Stage.intercept(seen)
      )
      const pipeline = Pipeline.make("seen")
        .add(router("support"))
        .add(branch, (s) => ({ when: s.router.is("sales") }))
        .pipe(Pipeline.intercept(seen))
      const { bag } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(counter.names, ["interceptor router"])
      assert.isFalse(OutputBag.has(bag, "sales"))
      const memory = yield* EventSink.Memory
      const told = (yield* memory.events).filter((event) => "stage" in event && event.stage === "sales")
      assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["StageSkipped"])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("the inputs of what was not selected are not read", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const reader = Stage.transform("reader", { run: (_: { readonly it: unknown }) => Effect.void })
      const pipeline = Pipeline.make("unread")
        .add(router("support"))
        .add(reader, (s) => ({
          when: s.router.is("sales"),
          inputs: {
            it: s.router.map(() => {
              counter.add("read")
              throw new Error("must not be read")
            })
          }
        }))
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(outputs.reader._tag, "Skip")
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("a condition is asked once, when everything it reads has ended, and not before", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const slow = Stage.transform("slow", {
        run: Effect.as(Effect.andThen(Effect.sleep(100), Effect.sync(() => log.push("slow"))), { vip: true })
      })
      const quick = Stage.transform("quick", { run: Effect.sync(() => ({ n: log.push("quick") })) })
      const chosen = Stage.work("chosen", { run: Effect.sync(() => void log.push("chosen")) }).pipe(
        Stage.retry(Schedule.recurs(1))
      )
      const pipeline = Pipeline.make("asked")
        .add(slow)
        .add(quick)
        .add(chosen, (s) => ({
          when: Source.all({ slow: s.slow, quick: s.quick }).map(({ slow }) => {
            log.push("asked")
            return slow.vip
          })
        }))
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["quick", "slow", "asked", "chosen"])
    }))

  it.effect("conditions may read the snapshot, an Option, and a stage that was skipped", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const profile = Stage.enrich("profile", {
        run: Effect.map(Snapshot.current, ({ userId }) => userId === undefined ? StageOutput.skip("no") : { userId })
      })
      const pipeline = Pipeline.make("reads")
        .add(profile)
        .add(Stage.route("router", { run: Effect.succeed(StageOutput.skip("nothing to route")) }))
        .add(counter.stage("guest"), (s) => ({ when: s.profile.option.map(Option.isNone) }))
        .add(counter.stage("member"), (s) => ({ when: s.profile.required.map(() => true) }))
        .add(counter.stage("loud"), () => ({ when: Source.snapshot(({ inputText }) => inputText === "HELLO") }))
        .add(counter.stage("never"), () => ({ when: Source.stage("router").is("anything") }))
      const guest = yield* Pipeline.run(pipeline, Snapshot.make({ inputText: "HELLO" }))
      assert.deepStrictEqual(counter.names, ["guest", "loud"])
      const { member, never } = guest.outputs
      assert.deepStrictEqual(
        [member, never].map((output) => output._tag === "Skip" ? output.reason : ""),
        ["stage \"profile\" was skipped: no", "its condition did not hold"]
      )
      yield* Pipeline.run(pipeline, Snapshot.make({ userId: "Ada" }))
      assert.deepStrictEqual([counter.count("guest"), counter.count("member"), counter.count("never")], [1, 1, 0])
    }))

  it.effect("a join whose branches are all skipped is skipped if it requires one, and the first is the reason", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const join = Stage.transform("join", {
        run: (_: { readonly it: unknown }) => Effect.sync(() => counter.add("join"))
      })
      const pipeline = Pipeline.make("none")
        .add(router("general"))
        .add(counter.stage("support"), (s) => ({ when: s.router.is("support") }))
        .add(counter.stage("sales"), (s) => ({ when: s.router.is("sales") }))
        .add(join, (s) => ({ inputs: { it: Source.firstOf(s.support, s.sales) } }))
        .add(Stage.as(join, "reversed"), (s) => ({ inputs: { it: Source.firstOf(s.sales, s.support) } }))
        .add(Stage.as(join, "both"), (s) => ({
          inputs: { it: Source.all({ a: s.support.required, b: s.sales.required }) }
        }))
      const { _tag, outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(_tag, "Completed")
      const origins = [outputs.join, outputs.reversed, outputs.both].map((output) =>
        output._tag === "Skip" ? output.origin : "ran"
      )
      assert.deepStrictEqual(origins, ["support", "sales", "support"])
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("a join whose branches are all skipped runs if it can go without them", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const join = Stage.transform("join", {
        run: (inputs: { readonly a: Option.Option<unknown>; readonly b: unknown }) =>
          Effect.succeed({ a: Option.isSome(inputs.a), b: inputs.b })
      })
      const pipeline = Pipeline.make("without")
        .add(router("general"))
        .add(counter.stage("support"), (s) => ({ when: s.router.is("support") }))
        .add(counter.stage("sales"), (s) => ({ when: s.router.is("sales") }))
        .add(join, (s) => ({ inputs: { a: s.support.option, b: s.sales.orElse(() => "nobody") } }))
        .add(counter.stage("order_only"), { after: ["support", "sales"] })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs.join.data, { a: false, b: "nobody" })
      assert.deepStrictEqual(counter.names, ["order_only"])
    }))

  it.effect("firstOf takes the first that ran, in the order in which it names them, whichever ended first", () =>
    Effect.gen(function*() {
      const give = <const Name extends string>(name: Name, duration: number) =>
        Stage.transform(name, { run: Effect.as(Effect.sleep(duration), { from: name as string }) })
      const join = Stage.transform("join", {
        run: ({ it }: { readonly it: { readonly from: string } }) => Effect.succeed(it)
      })
      const pipeline = Pipeline.make("first")
        .add(router("general"))
        .add(give("none", 1), (s) => ({ when: s.router.is("sales") }))
        .add(give("slow", 100), (s) => ({ when: s.router.is("general") }))
        .add(give("quick", 1), (s) => ({ when: s.router.is("general") }))
        .add(join, (s) => ({ inputs: { it: Source.firstOf(s.none, s.slow, s.quick) } }))
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      const { outputs } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outputs.join._tag === "Ok" ? outputs.join.data : undefined, { from: "slow" })
    }))

  const broken: Readonly<Record<string, () => boolean>> = {
    throws: () => {
      throw new Error("broken condition")
    },
    "reads what is not there": () => (undefined as unknown as { readonly vip: { readonly yes: boolean } }).vip.yes
  }
  for (const [title, condition] of Object.entries(broken)) {
    it.effect(`a condition that ${title} fails the run by name: neither this branch nor what is behind it runs`, () =>
      Effect.gen(function*() {
        const counter = new Counter()
        let interrupted = 0
        const sibling = Stage.work("sibling", {
          run: Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        })
        const pipeline = Pipeline.make("broken")
          .add(sibling)
          .add(router("support"))
          .add(counter.stage("chosen"), (s) => ({ when: s.router.map(condition) }))
          .add(counter.stage("behind"), { after: ["chosen"] })
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(failed.stage, "chosen")
        assert.instanceOf(failed.error, StageError.StageFault)
        if (failed.error instanceof StageError.StageFault) {
          assert.strictEqual(failed.error.reason._tag, "WiringFailed")
          if (failed.error.reason._tag === "WiringFailed") assert.strictEqual(failed.error.reason.part, "when")
        }
        assert.include(failed.message, "condition")
        assert.isTrue(Cause.hasDies(failed.cause))
        assert.deepStrictEqual([failed.interrupted, failed.neverStarted], [["sibling"], ["behind"]])
        assert.deepStrictEqual([interrupted, counter.total], [1, 0])

        const continued = yield* Pipeline.run(
          Pipeline.make("broken")
            .add(router("support"))
            .add(counter.stage("chosen"), (s) => ({ when: s.router.map(condition) }))
            .add(counter.stage("behind"), { after: ["chosen"] })
            .add(counter.stage("other")),
          Snapshot.make(),
          { failure: "continue" }
        )
        assert.strictEqual(continued._tag, "Incomplete")
        if (continued._tag === "Incomplete") {
          assert.deepStrictEqual([continued.failed, continued.blocked], [["chosen"], ["behind"]])
        }
        assert.deepStrictEqual(counter.names, ["other"])
      }))
  }

  it.effect("inputs whose function throws, and a fallback that throws, fail the run by name", () =>
    Effect.gen(function*() {
      const thrower = (): never => {
        throw new Error("broken input")
      }
      const counter = new Counter()
      const read = Stage.transform("read", {
        run: (_: { readonly it: unknown }) => Effect.sync(() => counter.add("read"))
      })
      const base = Pipeline.make("broken")
        .add(router("support"))
        .add(counter.stage("skipped"), (s) => ({ when: s.router.is("sales") }))
      const ways = [
        base.add(read, (s) => ({ inputs: { it: s.router.map(thrower) } })),
        base.add(read, (s) => ({ inputs: { it: s.skipped.orElse(thrower) } })),
        base.add(read, () => ({ inputs: { it: Source.snapshot(thrower) } })),
        base.add(read, (s) => ({ inputs: { it: Source.all({ a: s.router, b: s.router.map(thrower) }) } }))
      ]
      for (const pipeline of ways) {
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(failed.stage, "read")
        const { error } = failed
        assert.instanceOf(error, StageError.StageFault)
        if (error instanceof StageError.StageFault && error.reason._tag === "WiringFailed") {
          assert.strictEqual(error.reason.part, "inputs")
        }
      }
      assert.strictEqual(counter.total, 0)
    }))

  const noBooleans: ReadonlyArray<readonly [given: unknown, told: string]> = [
    [1, "a number"],
    [0, "a number"],
    [Number.NaN, "NaN"],
    [1n, "a bigint"],
    ["true", "a string"],
    ["", "a string"],
    [Symbol("yes"), "a symbol"],
    [undefined, "undefined"],
    [null, "null"],
    [{}, "an object"],
    [[], "an object"],
    [new Boolean(true), "an object"],
    [Option.some(true), "an object"],
    [Promise.resolve(true), "a Promise"],
    [Effect.succeed(true), "an Effect"],
    [() => true, "a function"]
  ]
  it.effect("a condition that gives neither true nor false fails the run by name: it is never read as no, nor as yes", () =>
    Effect.gen(function*() {
      for (const [value, told] of noBooleans) {
        const counter = new Counter()
        const pipeline = Pipeline.make("no boolean")
          .add(router("support"))
          .add(counter.stage("chosen"), (s) => ({ when: s.router.map(() => value as boolean) }))
          .add(counter.stage("behind"), { after: ["chosen"] })
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(failed.stage, "chosen", told)
        assert.instanceOf(failed.error, StageError.StageFault)
        if (failed.error instanceof StageError.StageFault && failed.error.reason._tag === "WiringFailed") {
          assert.deepStrictEqual([failed.error.reason.part, failed.error.reason.gave], ["when", told])
        }
        assert.include(failed.message, `its condition gave ${told}, and neither true nor false`)
        assert.isTrue(Cause.hasDies(failed.cause))
        assert.deepStrictEqual(failed.neverStarted, ["behind"])
        const continued = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
        assert.deepStrictEqual(continued._tag === "Incomplete" ? continued.failed : [], ["chosen"])
        assert.strictEqual(counter.total, 0)
      }
    }))

  it.effect("a condition and an input that cannot even be looked at fail the run by name", () =>
    Effect.gen(function*() {
      const revoked = (): object => {
        const { proxy, revoke } = Proxy.revocable(new Counter(), {})
        revoke()
        return proxy
      }
      const counter = new Counter()
      const read = Stage.work("read", { run: (_: { readonly it: unknown }) => Effect.sync(() => counter.add("read")) })
      const base = Pipeline.make("revoked").add(router("support"))
      const chosen = base.add(counter.stage("read"), (s) => ({ when: s.router.map(() => revoked() as never) }))
      const reading = base.add(read, (s) => ({ inputs: { it: s.router.map(revoked) } }))
      const failures = [
        yield* Effect.flip(Pipeline.run(chosen, Snapshot.make())),
        yield* Effect.flip(Pipeline.run(reading, Snapshot.make()))
      ]
      for (const { error, stage } of failures) {
        assert.strictEqual(stage, "read")
        assert.instanceOf(error, StageError.StageFault)
        if (error instanceof StageError.StageFault) assert.strictEqual(error.reason._tag, "WiringFailed")
      }
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("a condition that is an async function fails the run, and what it rejects with is nobody's", () =>
    Effect.gen(function*() {
      const rejecting = () => Promise.reject(new Error("unheard")) as unknown as boolean
      const pipeline = Pipeline.make("async")
        .add(router("support"))
        .add(new Counter().stage("chosen"), (s) => ({ when: s.router.map(rejecting) }))
      const unheard = yield* unheardRejections(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      assert.deepStrictEqual(unheard, [])
    }))

  it.effect("what a condition gave is not in the message: it may be a secret", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("secret")
        .add(router("support"))
        .add(new Counter().stage("chosen"), (s) => ({ when: s.router.map(() => "hunter2" as unknown as boolean) }))
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const memory = yield* EventSink.Memory
      assert.notInclude(JSON.stringify([failed.message, failed.error, yield* memory.events]), "hunter2")
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("a router that fails or cancels selects nothing", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const withRouter = (end: Effect.Effect<{ readonly route: Route } | StageOutput.Cancel, string>) =>
        Pipeline.make("router")
          .add(Stage.route("router", { run: end }))
          .add(counter.stage("support"), (s) => ({ when: s.router.is("support") }))
          .add(counter.stage("sales"), (s) => ({ when: s.router.is("sales") }))
      const failing = withRouter(Effect.fail("no route"))
      yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      const continued = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      assert.deepStrictEqual(continued._tag === "Incomplete" ? continued.blocked : [], ["support", "sales"])
      const cancelled = yield* Pipeline.run(withRouter(Effect.succeed(StageOutput.cancel("no"))), Snapshot.make())
      assert.strictEqual(cancelled._tag, "Cancelled")
      assert.strictEqual(counter.total, 0)
    }))
})
