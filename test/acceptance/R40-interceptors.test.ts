import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink, Pipeline, Snapshot, Stage, StageError } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

type Words = Stream.Stream<string, StageError.StreamFailed>

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const text = {
  initial: () => ({ text: "" }),
  step: ({ text }: { readonly text: string }, word: string) => ({ text: text + word })
}

const Text = Schema.Struct({ text: Schema.String })

const letters = (all: string, every = 10) =>
  Stream.fromIterable(all).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sleep(every)))

const reader = <const Name extends string>(name: Name) =>
  Stage.work(name, {
    run: (inputs: { readonly words: Words }) => Effect.map(Stream.mkString(inputs.words), (read) => ({ read }))
  })

/** Says how its stream ended, and does not fail with it. */
const telling = Stage.work("told", {
  run: (inputs: { readonly words: Words }) =>
    Stream.mkString(inputs.words).pipe(
      Effect.map((read) => ({ read })),
      Effect.catch((error) => Effect.succeed({ read: `${error.reason._tag} after ${error.chunks}` }))
    )
})

const toEnd = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let turn = 0; turn < 100 && fiber.pollUnsafe() === undefined; turn++) yield* TestClock.adjust("1 minute")
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return yield* exit
    yield* Fiber.interrupt(fiber)
    return yield* Effect.die("it hangs")
  })

describe("R40 interceptors around streams", () => {
  it.effect("a cache: a hit gives its readers the chunks that `replay` makes, or says that there are none", () =>
    Effect.gen(function*() {
      let runs = 0
      const answer = (replay?: (data: { readonly text: string }) => Iterable<string>) =>
        Stage.stream("answer", {
          run: Stream.suspend(() => {
            runs++
            return letters("hello")
          }),
          collect: text,
          output: Text,
          buffer: 2,
          ...(replay === undefined ? {} : { replay })
        }).pipe(
          Stage.intercept(Interceptors.cache({ ttl: "1 hour", of: () => "same" }))
        )
      const pipeline = (stage: ReturnType<typeof answer>) =>
        Pipeline.make("p").add(stage).add(telling, (s) => ({ inputs: { words: s.answer.stream } }))
      const twice = (stage: ReturnType<typeof answer>) =>
        Effect.gen(function*() {
          const first = yield* toEnd(Pipeline.run(pipeline(stage), Snapshot.make()))
          const second = yield* toEnd(Pipeline.run(pipeline(stage), Snapshot.make()))
          assert.deepStrictEqual(second.outputs.answer.data, { text: "hello" })
          return [first.outputs.told.data.read, second.outputs.told.data.read, second.streams?.["answer"]?.end]
        }).pipe(Effect.provide(Interceptors.Results.layerMemory()))
      assert.deepStrictEqual(yield* twice(answer()), ["hello", "NotStreamed after 0", "not-streamed"])
      assert.deepStrictEqual(yield* twice(answer(({ text }) => text)), ["hello", "hello", "not-streamed"])
      assert.strictEqual(runs, 2)
    }))

  it.effect("a cache keeps nothing of a stream whose readers left, and gives it to nobody who asks at the same time", () =>
    Effect.gen(function*() {
      let runs = 0
      const answer = Stage.stream("answer", {
        run: Stream.suspend(() => {
          runs++
          return letters("hello")
        }),
        collect: text,
        output: Text,
        buffer: 2
      }).pipe(Stage.intercept(Interceptors.cache({ ttl: "1 hour", of: () => "same" })))
      const first = Stage.work("first", {
        run: (inputs: { readonly words: Words }) => Stream.runDrain(Stream.take(inputs.words, 1))
      })
      const early = Pipeline.make("p").add(answer).add(first, (s) => ({ inputs: { words: s.answer.stream } }))
      const whole = Pipeline.make("p").add(answer).work("whole", {
        inputs: ["answer"],
        run: (inputs) => Effect.succeed(inputs.answer)
      })
      yield* Effect.gen(function*() {
        const [cut, beside] = yield* toEnd(Effect.all(
          [Pipeline.run(early, Snapshot.make()), Pipeline.run(whole, Snapshot.make())],
          { concurrency: "unbounded" }
        ))
        assert.deepStrictEqual(cut.streams?.["answer"]?.end, "stopped")
        assert.deepStrictEqual(beside.outputs.whole.data, { text: "hello" })
        const after = yield* toEnd(Pipeline.run(whole, Snapshot.make()))
        assert.deepStrictEqual(after.outputs.whole.data, { text: "hello" })
        // What was whole is kept as ever.
        assert.strictEqual(runs, 2)
      }).pipe(Effect.provide(Interceptors.Results.layerMemory()))
      runs = 0
      yield* Effect.gen(function*() {
        yield* toEnd(Pipeline.run(early, Snapshot.make()))
        const after = yield* toEnd(Pipeline.run(whole, Snapshot.make()))
        assert.deepStrictEqual([after.outputs.whole.data, runs], [{ text: "hello" }, 2])
      }).pipe(Effect.provide(Interceptors.Results.layerMemory()))
    }))

  it.effect("a fallback: its readers are told that what they had is not the answer", () =>
    Effect.gen(function*() {
      const answer = (after: string) =>
        Stage.stream("answer", {
          run: Stream.concat(letters(after), Stream.fail(new Broken())),
          collect: text
        }).pipe(Stage.catch(() => Effect.succeed({ text: "sorry" })))
      const run = (after: string) =>
        toEnd(Pipeline.run(
          Pipeline.make("p").add(answer(after)).add(telling, (s) => ({ inputs: { words: s.answer.stream } })),
          Snapshot.make()
        ))
      const later = yield* run("abc")
      assert.deepStrictEqual(later.outputs.answer.data, { text: "sorry" })
      assert.deepStrictEqual(later.outputs.told.data, { read: "NotStreamed after 3" })
      assert.deepStrictEqual((yield* run("")).outputs.told.data, { read: "NotStreamed after 0" })
    }))

  it.effect("a timeout: what comes too late fails the producer, and its readers with it", () =>
    Effect.gen(function*() {
      const answer = Stage.stream("answer", { run: letters("abcdefghij", 1000), collect: text }).pipe(
        Stage.timeout("5500 millis")
      )
      const pipeline = Pipeline.make("p").add(answer).add(telling, (s) => ({ inputs: { words: s.answer.stream } }))
      const result = yield* toEnd(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }))
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.failed, ["answer"])
      assert.instanceOf(result.failures[0]?.error, StageError.StageTimeout)
      assert.deepStrictEqual(result.outputs.told?.data, { read: "ProducerFailed after 5" })
      assert.deepStrictEqual(result.streams?.["answer"], { chunks: 5, end: "failed", collected: { text: "abcde" } })
    }))

  for (const permits of [1, 2]) {
    it.effect(`a bulkhead of ${permits} that producers and readers share: they do not wait for each other`, () =>
      Effect.gen(function*() {
        const relay = <const Name extends string>(name: Name) =>
          Stage.stream(name, {
            run: (inputs: { readonly words: Words }) => inputs.words,
            collect: text,
            buffer: 1
          })
        const pipeline = Pipeline.make("p")
          .add(Stage.stream("answer", { run: letters("hello world"), collect: text, buffer: 1 }))
          .add(relay("one"), (s) => ({ inputs: { words: s.answer.stream } }))
          .add(relay("two"), (s) => ({ inputs: { words: s.one.stream } }))
          .add(reader("a"), (s) => ({ inputs: { words: s.two.stream } }))
          .add(reader("b"), (s) => ({ inputs: { words: s.answer.stream } }))
          .pipe(Pipeline.intercept(Interceptors.bulkhead({ name: "all", permits, queue: 100 })))
        yield* Effect.gen(function*() {
          const runs = yield* toEnd(Effect.all(
            Array.from({ length: 4 }, () => Pipeline.run(pipeline, Snapshot.make())),
            { concurrency: "unbounded" }
          ))
          for (const { outputs } of runs) {
            assert.deepStrictEqual([outputs.a.data.read, outputs.b.data.read], ["hello world", "hello world"])
          }
          // Every place was given back.
          let inside = 0
          let most = 0
          const busy = Stage.work("busy", {
            run: Effect.gen(function*() {
              most = Math.max(most, ++inside)
              yield* Effect.sleep(100)
              inside--
            })
          })
          const others = Pipeline.make("others").add(busy).add(busy.pipe(Stage.as("again"))).add(
            busy.pipe(Stage.as("more"))
          ).pipe(Pipeline.intercept(Interceptors.bulkhead({ name: "all", permits, queue: 100 })))
          yield* toEnd(Pipeline.run(others, Snapshot.make()))
          assert.strictEqual(most, permits)
        }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory))
      }))
  }

  it.effect("a hedge: the attempt that gives the first chunk is the stream", () =>
    Effect.gen(function*() {
      let attempts = 0
      const answer = Stage.stream("answer", {
        run: Stream.suspend(() => {
          const attempt = ++attempts
          const first = Effect.sleep(attempt === 1 ? "1 hour" : "1 second")
          return Stream.concat(Stream.drain(Stream.fromEffect(first)), letters(attempt === 1 ? "late" : "soon"))
        }),
        collect: text
      }).pipe(Stage.intercept(Interceptors.hedge({ after: "5 seconds" })))
      const { outputs } = yield* toEnd(Pipeline.run(
        Pipeline.make("p").add(answer).add(reader("all"), (s) => ({ inputs: { words: s.answer.stream } })),
        Snapshot.make()
      ))
      assert.deepStrictEqual([outputs.answer.data.text, outputs.all.data.read, attempts], ["soon", "soon", 2])
    }))

  it.effect("a retry around the reader and the pipeline leaves what succeeds as it is", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(Stage.stream("answer", { run: letters("abc"), collect: text }))
        .add(reader("all"), (s) => ({ inputs: { words: s.answer.stream } }))
        .pipe(Pipeline.intercept(
          Interceptors.retry({ schedule: Schedule.recurs(2) }),
          Interceptors.timeout("1 minute"),
          Interceptors.logging()
        ))
      const { outputs } = yield* toEnd(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(outputs.all.data, { read: "abc" })
    }))

  it.effect("chunks are events when it is asked for, thinned and counted exactly", () =>
    Effect.gen(function*() {
      const told = (events: Stage.EventsOption | undefined, count: number) =>
        Effect.gen(function*() {
          const all: Array<Event.Event> = []
          const stage = Stage.stream("source", {
            run: Stream.range(1, count),
            collect: { initial: () => ({}), step: (data) => data },
            ...(events === undefined ? {} : { events })
          })
          yield* toEnd(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())).pipe(
            Effect.provide(Layer.succeed(EventSink.EventSink, {
              offer: (event) => {
                all.push(event)
              }
            }))
          )
          return all.flatMap((event) =>
            event._tag === "StageEmitted" && event.type === "stream.chunk"
              ? [(event.data as { number: number }).number]
              : []
          )
        })
      assert.deepStrictEqual(yield* told(undefined, 500), [])
      assert.deepStrictEqual(yield* told("all", 5), [1, 2, 3, 4, 5])
      const thinned = yield* told("thinned", 1234)
      assert.deepStrictEqual([thinned.length, thinned.at(-1)], [193, 1234])
      assert.deepStrictEqual(yield* told({ first: 2, every: 100, last: true }, 250), [1, 2, 100, 200, 250])
      assert.throws(() =>
        Stage.stream("s", {
          run: Stream.make(1),
          collect: { initial: () => ({}), step: (d) => d },
          events: "some" as never
        })
      )
    }))
})
