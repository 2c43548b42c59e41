import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Schedule, Schema, Sink, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, PipelineInvalid, ResultCodec, Snapshot, Source, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

type Words<A = number> = Stream.Stream<A, StageError.StreamFailed>

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const listed = {
  initial: (): { readonly all: ReadonlyArray<number> } => ({ all: [] }),
  step: ({ all }: { readonly all: ReadonlyArray<number> }, n: number) => ({ all: [...all, n] })
}

/** What was given and taken, and by how much the giver was ahead at most. */
class Account {
  given = 0
  taken = 0
  ahead = 0
  open = 0
  closed = 0
  readonly give = Effect.sync(() => {
    this.given++
    this.ahead = Math.max(this.ahead, this.given - this.taken)
  })
  readonly take = Effect.sync(() => {
    this.taken++
  })
  /** Numbers from 1 to `count`, each after `every`. */
  numbers(count: number, every: number = 0): Stream.Stream<number> {
    const one = (n: number) => Effect.andThen(every === 0 ? Effect.void : Effect.sleep(every), Effect.as(this.give, n))
    return Stream.range(1, count).pipe(
      Stream.rechunk(1),
      Stream.mapEffect(one),
      Stream.onStart(Effect.sync(() => {
        this.open++
      })),
      Stream.ensuring(Effect.sync(() => {
        this.closed++
      }))
    )
  }
}

const source = <E = never>(
  numbers: Stream.Stream<number, E>,
  options: { buffer?: number; whenUnread?: "go-on" } = {}
) => Stage.stream("source", { run: numbers, collect: listed, ...options })

/** Reads everything, each number in its time. */
const reader = <const Name extends string>(name: Name, account?: Account, each: number = 0) =>
  Stage.work(name, {
    run: (inputs: { readonly numbers: Words }) =>
      inputs.numbers.pipe(
        Stream.tap(() => each === 0 ? Effect.void : Effect.sleep(each)),
        Stream.tap(() => account?.take ?? Effect.void),
        Stream.runCollect,
        Effect.map((read) => ({ read: Array.from(read) }))
      )
  })

/** Passes on what it reads. */
const relay = <const Name extends string>(name: Name, buffer = 2) =>
  Stage.stream(name, {
    run: (inputs: { readonly numbers: Words }) => inputs.numbers.pipe(Stream.map((n) => n + 1)),
    collect: { initial: () => ({ count: 0 }), step: ({ count }) => ({ count: count + 1 }) },
    buffer
  })

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, index) => index + from)

/** Runs an Effect to its end on the test clock, for at most a day; what takes longer hangs. */
const toEnd = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let turn = 0; turn < 200 && fiber.pollUnsafe() === undefined; turn++) yield* TestClock.adjust("10 minutes")
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      yield* Fiber.interrupt(fiber)
      return yield* Effect.die("it hangs")
    }
    return yield* exit
  })

const faultOf = (error: unknown) => error instanceof StageError.StageFault ? error.reason : undefined

describe("R40 streams between stages", () => {
  describe("what readers get", () => {
    it.effect("a reader gets every chunk in order while the stage runs; others wait for what was collected", () =>
      Effect.gen(function*() {
        const account = new Account()
        let startedAt = -1
        const first = Stage.work("first", {
          run: (inputs: { readonly numbers: Words }) =>
            Effect.gen(function*() {
              yield* Stream.runHead(inputs.numbers)
              startedAt = account.given
            })
        })
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(40, 10)))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(first, (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(
            Stage.work("whole", {
              run: (inputs: { readonly source: { readonly all: ReadonlyArray<number> } }) =>
                Effect.sync(() => ({ sum: inputs.source.all.length, given: account.given }))
            }),
            { inputs: ["source"] }
          )
        const { outputs, streams } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.all.data, { read: upTo(40) })
        assert.deepStrictEqual(outputs.source.data, { all: upTo(40) })
        assert.deepStrictEqual(outputs.whole.data, { sum: 40, given: 40 })
        assert.strictEqual(startedAt, 1)
        assert.deepStrictEqual(streams, { source: { chunks: 40, end: "all" } })
      }))

    it.effect("a Sink collects as a fold does, and one that has enough lets the readers go on", () =>
      Effect.gen(function*() {
        const first = Stage.stream("source", {
          run: Stream.range(1, 30),
          collect: Sink.map(Sink.take<number>(3), (all) => ({ all }))
        })
        const pipeline = Pipeline.make("p").add(first).add(reader("all"), (s) => ({
          inputs: { numbers: s.source.stream }
        }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.source.data, { all: [1, 2, 3] })
        assert.deepStrictEqual(outputs.all.data, { read: upTo(30) })
        const alone = yield* Pipeline.run(Pipeline.make("p").add(first), Snapshot.make())
        assert.deepStrictEqual(alone.outputs.source.data, { all: [1, 2, 3] })
      }))

    it.effect("chunks are immutable, and the same to all", () =>
      Effect.gen(function*() {
        const own = { words: ["a"] }
        const mutate = Stage.work("mutate", {
          run: (inputs: { readonly chunks: Stream.Stream<{ words: Array<string> }, StageError.StreamFailed> }) =>
            Stream.runForEach(inputs.chunks, (chunk) => Effect.sync(() => chunk.words.push("b")))
        })
        const pipeline = Pipeline.make("p").add(Stage.stream("source", {
          run: Stream.make(own),
          collect: { initial: () => ({}), step: (data) => data }
        })).add(mutate, (s) => ({ inputs: { chunks: s.source.stream } }))
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(failed.stage, "mutate")
        assert.deepStrictEqual(own, { words: ["a"] })
      }))

    it.effect("readers that share get each chunk once among them", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p")
          .add(source(Stream.range(1, 50).pipe(Stream.rechunk(7))))
          .add(
            reader("one", undefined, 10),
            (s) => ({ inputs: { numbers: s.source.streamWith({ chunks: "shared" }) } })
          )
          .add(
            reader("two", undefined, 20),
            (s) => ({ inputs: { numbers: s.source.streamWith({ chunks: "shared" }) } })
          )
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs: { all, one, two } } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(all.data.read, upTo(50))
        assert.deepStrictEqual([...one.data.read, ...two.data.read].toSorted((a, b) => a - b), upTo(50))
        assert.isTrue(one.data.read.length > two.data.read.length && two.data.read.length > 0)
      }))

    it.effect("a slow reader that says so is dropped, and told", () =>
      Effect.gen(function*() {
        const account = new Account()
        const slow = Stage.work("slow", {
          run: (inputs: { readonly numbers: Words }) =>
            Effect.gen(function*() {
              const read: Array<number> = []
              const error = yield* Effect.flip(
                Stream.runForEach(
                  inputs.numbers,
                  (n) => Effect.andThen(Effect.sync(() => read.push(n)), Effect.sleep("1 hour"))
                )
              )
              return { read, reason: error.reason._tag, chunks: error.chunks }
            })
        })
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(20, 10), { buffer: 4 }))
          .add(slow, (s) => ({ inputs: { numbers: s.source.streamWith({ whenSlow: "drop" }) } }))
          .add(reader("fast"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.fast.data.read, upTo(20))
        const { chunks, read, reason } = outputs.slow.data
        assert.strictEqual(reason, "TooSlow")
        assert.deepStrictEqual(read, upTo(read.length))
        assert.strictEqual(chunks, read.length)
        assert.isTrue(read.length < 20)
      }))
  })

  describe("a reader that is dropped", () => {
    /** Reads until its stream fails, each number in its time. */
    const dropped = <const Name extends string>(name: Name, each: number) =>
      Stage.work(name, {
        run: (inputs: { readonly numbers: Words }) =>
          Effect.gen(function*() {
            const read: Array<number> = []
            const all = Stream.runForEach(
              inputs.numbers,
              (n) => Effect.andThen(Effect.sync(() => read.push(n)), Effect.sleep(each))
            )
            const failure = yield* Effect.match(all, {
              onFailure: ({ reason }) => reason._tag,
              onSuccess: () => "none"
            })
            return { read, failure }
          })
      })

    it.effect("gets no chunk after the gap, and its stream fails while the stage goes on", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(400, 1), { buffer: 4 }))
          .add(dropped("slow", 30), (s) => ({ inputs: { numbers: s.source.streamWith({ whenSlow: "drop" }) } }))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        const { failure, read } = outputs.slow.data
        assert.strictEqual(failure, "TooSlow")
        assert.deepStrictEqual(read, upTo(read.length))
        assert.isTrue(read.length > 0 && read.length <= 4)
        assert.deepStrictEqual(outputs.all.data.read, upTo(400))
      }))

    it.effect("hears of it though the stage never ends, which stops when nobody else reads it", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(Number.POSITIVE_INFINITY, 1), { buffer: 4 }))
          .add(dropped("slow", 30), (s) => ({ inputs: { numbers: s.source.streamWith({ whenSlow: "drop" }) } }))
        const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
        yield* TestClock.adjust("1 second")
        const exit = fiber.pollUnsafe()
        assert.isDefined(exit)
        const { outputs, streams } = yield* exit
        assert.strictEqual(outputs.slow.data.failure, "TooSlow")
        assert.strictEqual(streams?.source?.end, "stopped")
        assert.isTrue(account.given < 100)
      }))

    it.effect("has no gap either when it was dropped while it had yet to start over", () =>
      Effect.gen(function*() {
        let attempt = 0
        const numbers = Stream.unwrap(Effect.sync(() => {
          attempt++
          return attempt === 1
            ? Stream.concat(Stream.make(1), Stream.fromEffect(Effect.andThen(Effect.sleep(10), new Broken())))
            : new Account().numbers(500, 1)
        }))
        const reads: Array<Array<number>> = []
        const again = Stage.work("again", {
          run: (
            inputs: { readonly numbers: Stream.Stream<number, StageError.StreamFailed | StageError.StreamStartedOver> }
          ) =>
            Effect.gen(function*() {
              const read: Array<number> = []
              reads.push(read)
              yield* Stream.runForEach(
                inputs.numbers,
                (n) => Effect.andThen(Effect.sync(() => read.push(n)), Effect.sleep(100))
              )
            }).pipe(
              Effect.retry({ while: ({ _tag }) => _tag === "StreamStartedOver" }),
              Effect.match({ onFailure: (error) => ({ failure: error._tag }), onSuccess: () => ({ failure: "none" }) })
            )
        })
        const pipeline = Pipeline.make("p")
          .add(source(numbers, { buffer: 4 }).pipe(Stage.retry({ schedule: Schedule.recurs(1) })))
          .add(
            again,
            (s) => ({ inputs: { numbers: s.source.streamWith({ whenSlow: "drop", startsOver: true }) } })
          )
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(attempt, 2)
        assert.deepStrictEqual(outputs.again.data, { failure: "StreamFailed" })
        for (const read of reads) assert.deepStrictEqual(read, upTo(read.length))
      }))

    it.effect("gets the whole of the next attempt when it has taken nothing of the one that it was too slow for", () =>
      Effect.gen(function*() {
        let attempt = 0
        const numbers = Stream.unwrap(Effect.sync(() => {
          attempt++
          const all = new Account().numbers(20, 1)
          return attempt === 1
            ? Stream.concat(all, Stream.fromEffect(new Broken()))
            : Stream.concat(Stream.fromEffectDrain(Effect.sleep("1 second")), new Account().numbers(20, 100))
        }))
        const late = Stage.work("late", {
          run: (inputs: { readonly numbers: Words }) =>
            Effect.andThen(Effect.sleep(500), Effect.map(Stream.runCollect(inputs.numbers), (read) => ({ read })))
        })
        const pipeline = Pipeline.make("p")
          .add(source(numbers, { buffer: 4 }).pipe(Stage.retry({ schedule: Schedule.recurs(1) })))
          .add(late, (s) => ({ inputs: { numbers: s.source.streamWith({ whenSlow: "drop" }) } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(Array.from(outputs.late.data.read), upTo(20))
      }))

    it.effect("does not have those dropped who share with it and are waited for, in whatever order they are added", () =>
      Effect.gen(function*() {
        for (const isFirst of [true, false]) {
          const lossy = (options: { chunks: "shared" }) => ({ whenSlow: "drop" as const, ...options })
          const waited = (options: { chunks: "shared" }) => options
          const of = (drops: boolean) => (drops ? lossy : waited)({ chunks: "shared" })
          const pipeline = Pipeline.make("p")
            .add(source(new Account().numbers(50, 1), { buffer: 2 }))
            .add(dropped("one", 100), (s) => ({ inputs: { numbers: s.source.streamWith(of(isFirst)) } }))
            .add(dropped("two", 100), (s) => ({ inputs: { numbers: s.source.streamWith(of(!isFirst)) } }))
          const { outputs: { one, two } } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
          assert.deepStrictEqual([one.data.failure, two.data.failure], ["none", "none"])
          assert.deepStrictEqual([...one.data.read, ...two.data.read].toSorted((a, b) => a - b), upTo(50))
        }
      }))
  })

  describe("the buffer", () => {
    for (const buffer of [1, 2, 3, 16]) {
      it.effect(`a producer ten times faster is never more than ${buffer} ahead`, () =>
        Effect.gen(function*() {
          const account = new Account()
          const pipeline = Pipeline.make("p")
            .add(source(account.numbers(100, 10), { buffer }))
            .add(reader("all", account, 100), (s) => ({ inputs: { numbers: s.source.stream } }))
          yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
          assert.strictEqual(account.taken, 100)
          assert.strictEqual(account.ahead, buffer)
        }))
    }

    it.effect("is 16 when nothing is said, and the slowest reader sets the pace", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(100, 1)))
          .add(reader("slow", account, 100), (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(reader("fast"), (s) => ({ inputs: { numbers: s.source.stream } }))
        yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(account.ahead, 16)
      }))

    it("is a positive whole number", () => {
      for (const buffer of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "100" as never]) {
        assert.throws(() => source(Stream.empty, { buffer }), /buffer/)
      }
    })

    it.effect("the caller sets the pace like any reader", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p").add(source(account.numbers(60, 10), { buffer: 4 }))
        const read = yield* toEnd(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(pipeline, Snapshot.make(), { chunks: ["source"] })
          yield* Effect.sleep("1 hour")
          assert.strictEqual(account.given, 4)
          const chunks = yield* run.chunks("source").pipe(
            Stream.tap(() => Effect.andThen(Effect.sleep(100), account.take)),
            Stream.runCollect
          )
          const { outputs } = yield* run.await
          return [Array.from(chunks), outputs.source?.data.all]
        })))
        assert.deepStrictEqual(read, [upTo(60), upTo(60)])
        assert.strictEqual(account.ahead, 4)
      }))
  })

  describe("who leaves", () => {
    it.effect("a stream that was stopped and cleans up for longer than the grace is left behind", () =>
      Effect.gen(function*() {
        let went = 0
        const hanging = Stream.ensuring(
          new Account().numbers(1000, 10),
          Effect.andThen(Effect.sleep("1 hour"), Effect.sync(() => went++))
        )
        const few = Stage.work("few", {
          run: (inputs: { readonly numbers: Words }) => Stream.runDrain(Stream.take(inputs.numbers, 1))
        })
        const collects = [listed, Sink.map(Sink.collect<number>(), (all) => ({ all: Array.from(all) }))]
        for (const collect of collects) {
          const pipeline = Pipeline.make("p")
            .add(Stage.stream("source", { run: hanging, collect }))
            .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
          const fiber = yield* Effect.forkChild(
            Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "200 millis" })
          )
          yield* TestClock.adjust("1 second")
          const exit = fiber.pollUnsafe()
          assert.isDefined(exit)
          const { outputs, streams } = yield* exit
          assert.deepStrictEqual(outputs.source.data, { all: [1] })
          assert.deepStrictEqual(streams, { source: { chunks: 1, end: "stopped" } })
        }
        assert.strictEqual(went, 0)
        yield* TestClock.adjust("2 hours")
        assert.strictEqual(went, 2)
      }))

    it.effect("a stream that was stopped is waited for while it cleans up, up to the grace", () =>
      Effect.gen(function*() {
        let closed = false
        const slow = Stream.ensuring(
          new Account().numbers(1000, 10),
          Effect.andThen(Effect.sleep("5 seconds"), Effect.sync(() => (closed = true)))
        )
        const few = Stage.work("few", {
          run: (inputs: { readonly numbers: Words }) => Stream.runDrain(Stream.take(inputs.numbers, 1))
        })
        const pipeline = Pipeline.make("p").add(source(slow))
          .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
        yield* toEnd(Effect.andThen(
          Pipeline.run(pipeline, Snapshot.make()),
          Effect.sync(() => assert.isTrue(closed))
        ))
      }))

    it.effect("a reader that leaves between two attempts does not make a success of a stage that fails", () =>
      Effect.gen(function*() {
        const few = Stage.work("few", {
          run: (_inputs: { readonly numbers: Words }) => Effect.sleep("1 second")
        })
        let attempts = 0
        const flaky = (failures: number) =>
          Stream.unwrap(
            Effect.sync(() => ++attempts <= failures ? Stream.fail(new Broken()) : new Account().numbers(1000, 10))
          )
        const retried = (failures: number) =>
          Pipeline.make("p")
            .add(
              source(flaky(failures)).pipe(
                Stage.retry({ schedule: Schedule.upTo(Schedule.spaced("2 seconds"), { times: 2 }) })
              )
            )
            .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(retried(3), Snapshot.make())))
        assert.deepStrictEqual([failed.stage, attempts], ["source", 3])
        attempts = 0
        const { outputs, streams } = yield* toEnd(Pipeline.run(retried(2), Snapshot.make()))
        // Nobody reads it, so it is stopped as soon as it is known to stream.
        assert.deepStrictEqual([outputs.source.data, attempts], [{ all: [1] }, 3])
        assert.deepStrictEqual(streams, { source: { chunks: 1, end: "stopped" } })
      }))

    it.effect("a reader that ends early stops a producer that nobody else reads; its output says so", () =>
      Effect.gen(function*() {
        const account = new Account()
        const few = Stage.work("few", {
          run: (inputs: { readonly numbers: Words }) =>
            inputs.numbers.pipe(Stream.take(3), Stream.runCollect, Effect.map((read) => ({ read: Array.from(read) })))
        })
        const pipeline = Pipeline.make("p")
          .add(source(account.numbers(1000, 10), { buffer: 2 }))
          .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs, streams } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.few.data.read, [1, 2, 3])
        assert.isTrue(account.given <= 5)
        assert.deepStrictEqual([account.open, account.closed], [1, 1])
        assert.deepStrictEqual(outputs.source.data.all, upTo(outputs.source.data.all.length))
        assert.deepStrictEqual(streams, { source: { chunks: outputs.source.data.all.length, end: "stopped" } })
      }))

    it.effect("not one whose data another stage waits for, nor one that goes on by itself", () =>
      Effect.gen(function*() {
        const few = Stage.work("few", {
          run: (inputs: { readonly numbers: Words }) => inputs.numbers.pipe(Stream.take(3), Stream.runDrain)
        })
        const whole = Stage.work("whole", {
          run: (inputs: { readonly source: { readonly all: ReadonlyArray<number> } }) =>
            Effect.succeed({ count: inputs.source.all.length })
        })
        const read = yield* toEnd(Pipeline.run(
          Pipeline.make("p").add(source(new Account().numbers(50, 10), { buffer: 2 }))
            .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(whole, { inputs: ["source"] }),
          Snapshot.make()
        ))
        assert.deepStrictEqual(read.outputs.whole.data, { count: 50 })
        const returned = yield* toEnd(Pipeline.run(
          Pipeline.make("p").add(source(new Account().numbers(50, 10), { buffer: 2 }))
            .add(few, (s) => ({ inputs: { numbers: s.source.stream } }))
            .returns((s) => s.source.map(({ all }) => all.length)),
          Snapshot.make()
        ))
        assert.strictEqual(returned.value, 50)
        const goingOn = yield* toEnd(Pipeline.run(
          Pipeline.make("p").add(source(new Account().numbers(50, 10), { buffer: 2, whenUnread: "go-on" }))
            .add(few, (s) => ({ inputs: { numbers: s.source.stream } })),
          Snapshot.make()
        ))
        assert.strictEqual(goingOn.outputs.source.data.all.length, 50)
      }))

    it.effect("one that never reads, skips or is skipped does not hold it up when it has ended", () =>
      Effect.gen(function*() {
        const never = Stage.work("never", {
          run: (_inputs: { readonly numbers: Words }) => Effect.sleep("1 hour")
        })
        const skips = Stage.work("skips", {
          run: (_inputs: { readonly numbers: Words }) =>
            Effect.as(Effect.sleep("1 second"), StageOutput.skip("nothing to do"))
        })
        const pipeline = Pipeline.make("p")
          .add(Stage.route("router", { run: Effect.succeed({ route: "quiet" as "quiet" | "loud" }) }))
          .add(source(new Account().numbers(50, 10), { buffer: 2 }), { after: ["router"] })
          .add(never, (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(skips, (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(reader("unselected"), (s) => ({ when: s.router.is("loud"), inputs: { numbers: s.source.stream } }))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.all.data, { read: upTo(50) } as never)
        assert.strictEqual(outputs.skips._tag, "Skip")
        assert.strictEqual(outputs.unselected._tag, "Skip")
      }))

    it.effect("a producer all of whose readers are skipped before it starts streams to its end", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p")
          .add(Stage.route("router", { run: Effect.succeed({ route: "quiet" as "quiet" | "loud" }) }))
          .add(source(new Account().numbers(50, 10), { buffer: 2 }))
          .add(reader("unselected"), (s) => ({ when: s.router.is("loud"), inputs: { numbers: s.source.stream } }))
        const { outputs, streams } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(outputs.source.data.all.length, 50)
        assert.strictEqual(streams?.["source"]?.end, "all")
      }))

    it.effect("a caller that hangs up stops a producer that nobody else reads", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p").add(source(account.numbers(1000, 10), { buffer: 2 }))
        const { result, taken } = yield* toEnd(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(pipeline, Snapshot.make(), { chunks: ["source"] })
          const taken = yield* run.chunks("source").pipe(Stream.take(5), Stream.runCollect)
          return { taken: Array.from(taken), result: yield* run.await }
        })))
        assert.deepStrictEqual(taken, upTo(5))
        assert.isTrue(account.given < 10 && account.closed === 1)
        assert.strictEqual(result._tag === "Completed" ? result.streams?.["source"]?.end : "", "stopped")
      }))
  })

  describe("failures", () => {
    const failing = (after: number) => Stream.concat(new Account().numbers(after, 10), Stream.fail(new Broken()))

    it.effect("what was seen before a failure is in the result, and told as such", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p").add(Stage.stream("source", {
          run: failing(5),
          collect: listed,
          output: Schema.Struct({ all: Schema.Array(Schema.Number) }),
          error: Broken
        })).add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        assert.strictEqual(failed.stage, "source")
        assert.instanceOf(failed.error, Broken)
        assert.deepStrictEqual(failed.streams, { source: { chunks: 5, end: "failed", collected: { all: upTo(5) } } })
        assert.deepStrictEqual(failed.interrupted, ["all"])
        const json = yield* ResultCodec.encode(pipeline.pipe((p) => p), failed as never)
        const decoded = yield* ResultCodec.decode(pipeline, JSON.parse(JSON.stringify(json)))
        assert.deepStrictEqual(decoded.streams, failed.streams)
      }))

    it.effect("so it is with a Sink", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p").add(Stage.stream("source", {
          run: failing(5),
          collect: Sink.map(Sink.collect<number>(), (all) => ({ all }))
        }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        assert.deepStrictEqual(failed.streams, { source: { chunks: 5, end: "failed", collected: { all: upTo(5) } } })
      }))

    it.effect("when the run goes on, a reader fails or ends, as it says", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p").add(source(failing(5)))
          .add(reader("fails"), (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(reader("ends"), (s) => ({ inputs: { numbers: s.source.streamWith({ onFailure: "end" }) } }))
          .add(Stage.work("after", { run: Effect.void }), { after: ["ends"] })
        const result = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }))
        assert(result._tag === "Incomplete")
        assert.deepStrictEqual(result.failed, ["source", "fails"])
        assert.deepStrictEqual(result.ok, ["ends", "after"])
        assert.deepStrictEqual(result.outputs.ends?.data, { read: upTo(5) })
        const error = result.failures[1]?.error
        assert.instanceOf(error, StageError.StreamFailed)
        assert.deepStrictEqual([error.stage, error.chunks, error.reason._tag], ["source", 5, "ProducerFailed"])
      }))

    it.effect("a collector that fails fails the stage, and stops the stream", () =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = Pipeline.make("p").add(Stage.stream("source", {
          run: account.numbers(1000, 10),
          collect: Sink.forEach((n: number) => n > 3 ? Effect.fail(new Broken()) : Effect.void).pipe(Sink.as({}))
        })).add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        assert.strictEqual(failed.stage, "source")
        assert.instanceOf(failed.error, Broken)
        assert.isTrue(account.given < 30 && account.closed === 1)
      }))

    it.effect("a chunk that does not fit its schema fails the stage, and names the chunk", () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const pipeline = Pipeline.make("p").add(Stage.stream("source", {
          run: Stream.make({ n: 1 }, { n: 2 }, { n: "3" as never }, { n: 4 }),
          chunk: Schema.Struct({ n: Schema.Number }),
          collect: { initial: () => ({}), step: (data) => data }
        })).add(
          Stage.work("all", {
            run: (inputs: { readonly chunks: Words<{ readonly n: number }> }) =>
              Stream.runForEach(inputs.chunks, (chunk) => Effect.sync(() => seen.push(chunk)))
          }),
          (s) => ({ inputs: { chunks: s.source.stream } })
        )
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        const reason = faultOf(failed.error)
        assert(reason?._tag === "InvalidChunk")
        assert.strictEqual(reason.chunk, 3)
        assert.deepStrictEqual(reason.problems[0]?.path, ["n"])
        assert.match(failed.message, /"source" streamed an invalid chunk \(number 3\)/)
        assert.isTrue(seen.length <= 2)
      }))

    it.effect("a reader that dies fails the run, and the producer is closed", () =>
      Effect.gen(function*() {
        const account = new Account()
        const dies = Stage.work("dies", {
          run: (inputs: { readonly numbers: Words }) =>
            Stream.runForEach(inputs.numbers, (n) => n === 3 ? Effect.die("no") : Effect.void)
        })
        const pipeline = Pipeline.make("p").add(source(account.numbers(100, 10)))
          .add(dies, (s) => ({ inputs: { numbers: s.source.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        assert.strictEqual(failed.stage, "dies")
        assert.deepStrictEqual([account.open, account.closed], [1, 1])
        assert.strictEqual(failed.streams?.["source"]?.end, "source" in failed.outputs ? "stopped" : "interrupted")
        const goesOn = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }))
        assert(goesOn._tag === "Incomplete")
        assert.strictEqual(goesOn.streams?.["source"]?.end, "stopped")
      }))
  })

  describe("skipping and cancelling", () => {
    const skipping = Stage.stream("source", {
      run: Stream.unwrap(Effect.gen(function*() {
        yield* Effect.sleep("1 second")
        if ((yield* Snapshot.current).inputText === "skip") return yield* StageOutput.skip("nothing to say")
        if ((yield* Snapshot.current).inputText === "cancel") return yield* StageOutput.cancel("enough")
        return Stream.make(1, 2)
      })),
      collect: listed
    })
    const pipeline = Pipeline.make("p").add(skipping)
      .add(reader("with"), (s) => ({ inputs: { numbers: s.source.stream } }))
      .add(reader("without"), (s) => ({ inputs: { numbers: s.source.streamWith({ onSkip: "end" }) } }))

    it.effect("a producer that is skipped skips its readers, unless they go without it", () =>
      Effect.gen(function*() {
        const result = yield* toEnd(Pipeline.run(pipeline, Snapshot.make({ inputText: "skip" })))
        assert(result._tag === "Completed")
        assert(result.outputs.with._tag === "Skip")
        assert.strictEqual(result.outputs.with.origin, "source")
        assert.deepStrictEqual(result.outputs.without.data, { read: [] } as never)
      }))

    it.effect("one that cancels ends the run", () =>
      Effect.gen(function*() {
        const result = yield* toEnd(Pipeline.run(pipeline, Snapshot.make({ inputText: "cancel" })))
        assert(result._tag === "Cancelled")
        assert.strictEqual(result.by, "source")
      }))

    it.effect("one that its wiring skips skips its readers before they start", () =>
      Effect.gen(function*() {
        const wired = Pipeline.make("p")
          .add(Stage.route("router", { run: Effect.succeed({ route: "a" as "a" | "b" }) }))
          .add(source(Stream.make(1)), (s) => ({ when: s.router.is("b") }))
          .add(reader("with"), (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(reader("without"), (s) => ({ inputs: { numbers: s.source.streamWith({ onSkip: "end" }) } }))
        const { outputs } = yield* toEnd(Pipeline.run(wired, Snapshot.make()))
        assert(outputs.with._tag === "Skip")
        assert.strictEqual(outputs.with.origin, "source")
        assert(outputs.without._tag === "Ok")
        assert.deepStrictEqual(outputs.without.data, { read: [] })
      }))
  })

  describe("interruption", () => {
    const chain = (account: Account) =>
      Pipeline.make("p")
        .add(source(account.numbers(100_000, 10)))
        .add(relay("one"), (s) => ({ inputs: { numbers: s.source.stream } }))
        .add(reader("all"), (s) => ({ inputs: { numbers: s.one.stream } }))

    it.effect("of the caller, by cancel, by a time limit and by a sibling closes everything and waits", () =>
      Effect.gen(function*() {
        const interrupted = new Account()
        const fiber = yield* Effect.forkChild(Pipeline.run(chain(interrupted), Snapshot.make()))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual([interrupted.open, interrupted.closed], [1, 1])

        const cancelled = new Account()
        const result = yield* toEnd(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(chain(cancelled), Snapshot.make(), { chunks: ["source"] })
          const read = yield* Effect.forkChild(Effect.exit(Stream.runDrain(run.chunks("source"))))
          yield* Effect.sleep("1 second")
          yield* run.cancel("enough")
          const exit = yield* Fiber.join(read)
          return { result: yield* run.await, exit }
        })))
        assert.strictEqual(result.result._tag, "Cancelled")
        assert(Exit.isFailure(result.exit))
        const error = Option.getOrThrow(Cause.findErrorOption(result.exit.cause))
        assert.strictEqual(error.reason._tag, "Interrupted")
        assert.deepStrictEqual([cancelled.open, cancelled.closed], [1, 1])
        assert.strictEqual(result.result.streams?.["source"]?.end, "interrupted")

        const late = new Account()
        const failed = yield* toEnd(Effect.flip(Pipeline.run(
          chain(late).pipe(Pipeline.intercept(Interceptors.deadline("1 second"))),
          Snapshot.make()
        )))
        assert.deepStrictEqual([late.open, late.closed], [1, 1])
        assert.isDefined(failed)

        const sibling = new Account()
        yield* toEnd(Effect.flip(Pipeline.run(
          chain(sibling).add(
            Stage.work("sibling", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Broken())) })
          ),
          Snapshot.make()
        )))
        assert.deepStrictEqual([sibling.open, sibling.closed], [1, 1])
      }))

    it.effect("of a part of the run: the producer fails its readers, a reader leaves the producer", () =>
      Effect.gen(function*() {
        const account = new Account()
        const result = yield* toEnd(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(chain(account), Snapshot.make(), { failure: "continue" })
          yield* Effect.sleep("1 second")
          yield* run.interrupt("all", "no longer wanted")
          return yield* run.await
        })))
        assert(result._tag === "Incomplete")
        assert.deepStrictEqual(result.failed, ["all"])
        assert.deepStrictEqual(result.ok, ["source", "one"])
        assert.strictEqual(result.streams?.["source"]?.end, "stopped")
        const ended = yield* toEnd(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(chain(new Account()), Snapshot.make(), { failure: "continue" })
          yield* Effect.sleep("1 second")
          yield* run.interrupt("source", "no longer wanted")
          return yield* run.await
        })))
        assert(ended._tag === "Incomplete")
        assert.deepStrictEqual(ended.failed, ["source", "one", "all"])
      }))
  })

  describe("nothing waits for ever", () => {
    for (const concurrency of ["unbounded", 1, 2] as const) {
      it.effect(`a chain of five streams, ${concurrency} at once`, () =>
        Effect.gen(function*() {
          const pipeline = Pipeline.make("p")
            .add(source(Stream.range(1, 200), { buffer: 2 }))
            .add(relay("a"), (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(relay("b", 1), (s) => ({ inputs: { numbers: s.a.stream } }))
            .add(relay("c"), (s) => ({ inputs: { numbers: s.b.stream } }))
            .add(relay("d", 3), (s) => ({ inputs: { numbers: s.c.stream } }))
            .add(reader("all"), (s) => ({ inputs: { numbers: s.d.stream } }))
          const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency }))
          assert.deepStrictEqual(outputs.all.data.read, upTo(200, 5))
        }))

      it.effect(`a diamond whose sides are read together, ${concurrency} at once`, () =>
        Effect.gen(function*() {
          const both = Stage.work("both", {
            run: (inputs: { readonly left: Words; readonly right: Words }) =>
              Stream.zip(inputs.left, inputs.right).pipe(
                Stream.runCollect,
                Effect.map((all) => ({ count: all.length }))
              )
          })
          const pipeline = Pipeline.make("p")
            .add(source(Stream.range(1, 200), { buffer: 2 }))
            .add(relay("left"), (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(relay("right", 1), (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(both, (s) => ({ inputs: { left: s.left.stream, right: s.right.stream } }))
          const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency }))
          assert.deepStrictEqual(outputs.both.data, { count: 200 })
        }))
    }

    it.effect("a reader that waits for something else, with a place for one", () =>
      Effect.gen(function*() {
        let running = 0
        let most = 0
        const slow = Stage.work("slow", {
          run: Effect.gen(function*() {
            most = Math.max(most, ++running)
            yield* Effect.sleep("1 second")
            running--
            return { greeting: "hi" }
          })
        })
        const greets = Stage.work("greets", {
          run: (inputs: { readonly numbers: Words; readonly slow: { readonly greeting: string } }) =>
            Stream.runCollect(inputs.numbers).pipe(Effect.map((all) => ({ count: all.length })))
        })
        const pipeline = Pipeline.make("p")
          .add(source(new Account().numbers(100, 1), { buffer: 2 }))
          .add(slow)
          .add(slow.pipe(Stage.as("slower")))
          .add(greets, (s) => ({ inputs: { numbers: s.source.stream, slow: s.slow } }))
        for (const concurrency of ["unbounded", 1, 2] as const) {
          most = 0
          const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency }))
          assert.deepStrictEqual(outputs.greets.data, { count: 100 })
          if (concurrency === 1) assert.strictEqual(most, 1)
        }
      }))

    it.effect("stages that stream into each other take one place together", () =>
      Effect.gen(function*() {
        let busy = 0
        let most = 0
        const other = (name: string) =>
          Stage.work(name, {
            run: Effect.gen(function*() {
              most = Math.max(most, ++busy)
              yield* Effect.sleep("1 second")
              busy--
            })
          })
        const pipeline = Pipeline.make("p")
          .add(source(new Account().numbers(100, 100), { buffer: 2 }))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
          .add(other("a"))
          .add(other("b"))
        yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 2 }))
        assert.strictEqual(most, 1)
        yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 3 }))
        assert.strictEqual(most, 2)
      }))

    it.effect("a diamond whose sides are read one after the other fails, and says who waits for whom", () =>
      Effect.gen(function*() {
        const after = Stage.work("after", {
          run: (inputs: { readonly left: Words; readonly right: Words }) =>
            Stream.concat(inputs.left, inputs.right).pipe(
              Stream.runCollect,
              Effect.map((all) => ({ count: all.length }))
            )
        })
        const pipeline = (buffer: number) =>
          Pipeline.make("p")
            .add(source(Stream.range(1, 200), { buffer }))
            .add(relay("left", buffer), (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(relay("right", buffer), (s) => ({ inputs: { numbers: s.source.stream } }))
            .add(after, (s) => ({ inputs: { left: s.left.stream, right: s.right.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline(4), Snapshot.make())))
        const reason = faultOf(failed.error)
        assert(reason?._tag === "StreamStalled")
        assert.deepStrictEqual(reason.stages.toSorted(), ["after", "left", "right", "source"])
        const { outputs } = yield* toEnd(Pipeline.run(pipeline(500), Snapshot.make()))
        assert.deepStrictEqual(outputs.after.data, { count: 400 })
      }))

    it.effect("a stage cannot wait for another to end that it streams with", () =>
      Effect.gen(function*() {
        const numbers = source(Stream.make(1))
        const invalid = yield* Effect.flip(Pipeline.fromSpecs("p", [
          { stage: numbers },
          { stage: reader("plain") as Stage.Any, inputs: { numbers: Source.stage("source") } },
          { stage: reader("both") as Stage.Any, after: ["plain"], inputs: { numbers: Source.stage("source").stream } }
        ]))
        assert.instanceOf(invalid, PipelineInvalid.PipelineInvalid)
        assert.deepStrictEqual(invalid.problems.map(({ code }) => code), ["STREAM_CYCLE"])
        assert.deepStrictEqual(invalid.problems[0]?.path, ["plain", "source ~ both", "plain"])
        const none = yield* Effect.flip(Pipeline.fromSpecs("p", [
          { stage: Stage.work("source", { run: Effect.void }) },
          { stage: reader("all") as Stage.Any, inputs: { numbers: Source.stage("source").stream } }
        ]))
        assert.deepStrictEqual(none.problems.map(({ code }) => code), ["NO_STREAM"])
      }))

    it.effect("a reader inside a child run", () =>
      Effect.gen(function*() {
        const child = Stage.work("child", {
          run: (inputs: { readonly numbers: Words }) =>
            Effect.gen(function*() {
              const inner = Pipeline.make("inner")
                .add(source(inputs.numbers.pipe(Stream.orDie)))
                .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
              const { outputs } = yield* Pipeline.run(inner, Snapshot.make(), { concurrency: 1 })
              return outputs.all.data
            })
        })
        const pipeline = Pipeline.make("p").add(source(Stream.range(1, 100), { buffer: 2 }))
          .add(child, (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }))
        assert.deepStrictEqual(outputs.child.data, { read: upTo(100) })
      }))
  })

  describe("another attempt", () => {
    const flaky = (failsAfter: number, times = 1) => {
      let attempts = 0
      return Stream.suspend(() =>
        ++attempts > times ?
          new Account().numbers(6, 10)
          : Stream.concat(
            new Account().numbers(failsAfter, 10),
            Stream.fromEffect(Effect.delay(Effect.fail(new Broken()), 10))
          )
      )
    }
    const retrying = (stream: Stream.Stream<number, Broken>) => source(stream).pipe(Stage.retry(Schedule.recurs(3)))

    it.effect("streams anew when nobody has taken a chunk", () =>
      Effect.gen(function*() {
        const late = Stage.work("late", {
          run: (inputs: { readonly numbers: Words }) =>
            Effect.andThen(
              Effect.sleep("1 second"),
              Effect.map(Stream.runCollect(inputs.numbers), (read) => ({ read: Array.from(read) }))
            )
        })
        const pipeline = Pipeline.make("p").add(retrying(flaky(3)))
          .add(late, (s) => ({ inputs: { numbers: s.source.stream } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.late.data, { read: upTo(6) })
        assert.deepStrictEqual(outputs.source.data, { all: upTo(6) })
        const none = Pipeline.make("p").add(retrying(flaky(0)))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        assert.deepStrictEqual((yield* toEnd(Pipeline.run(none, Snapshot.make()))).outputs.all.data, { read: upTo(6) })
      }))

    it.effect("fails with a typed error when a reader has that cannot start over", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p").add(retrying(flaky(3)))
          .add(reader("all"), (s) => ({ inputs: { numbers: s.source.stream } }))
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        assert.strictEqual(failed.stage, "source")
        const reason = faultOf(failed.error)
        assert(reason?._tag === "StreamTaken")
        assert.deepStrictEqual([reason.taken, failed.attempts], [3, 2])
        assert.strictEqual(failed.streams?.["source"]?.chunks, 3)
      }))

    it.effect("is read from its start by a reader that can start over", () =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const again = Stage.work("again", {
          run: (inputs: {
            readonly numbers: Stream.Stream<number, StageError.StreamFailed | StageError.StreamStartedOver>
          }) =>
            Stream.runCollect(Stream.tap(inputs.numbers, (n) => Effect.sync(() => seen.push(n)))).pipe(
              Effect.retry({ while: (error) => error._tag === "StreamStartedOver" }),
              Effect.map((read) => ({ read: Array.from(read) }))
            )
        })
        const pipeline = Pipeline.make("p").add(retrying(flaky(3)))
          .add(again, (s) => ({ inputs: { numbers: s.source.streamWith({ startsOver: true }) } }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(outputs.again.data, { read: upTo(6) })
        assert.deepStrictEqual(seen, [...upTo(3), ...upTo(6)])
      }))

    it.effect("a reader that is tried again reads when it has taken nothing, and is told when it has", () =>
      Effect.gen(function*() {
        const tries = (takes: boolean) => {
          let attempts = 0
          return Stage.work("tries", {
            run: (inputs: { readonly numbers: Words }) =>
              Effect.gen(function*() {
                if (++attempts === 1) {
                  if (takes) yield* Stream.runHead(inputs.numbers)
                  return yield* Effect.fail(new Broken())
                }
                return { read: Array.from(yield* Stream.runCollect(inputs.numbers)) }
              })
          }).pipe(Stage.retry(Schedule.recurs(1)))
        }
        const pipeline = (takes: boolean) =>
          Pipeline.make("p").add(source(Stream.range(1, 6))).add(tries(takes), (s) => ({
            inputs: { numbers: s.source.stream }
          }))
        const { outputs } = yield* toEnd(Pipeline.run(pipeline(false), Snapshot.make()))
        assert.deepStrictEqual(outputs.tries.data, { read: upTo(6) })
        const failed = yield* toEnd(Effect.flip(Pipeline.run(pipeline(true), Snapshot.make())))
        assert.instanceOf(failed.error, StageError.StreamFailed)
        assert.strictEqual(failed.error.reason._tag, "AlreadyRead")
      }))
  })
})
