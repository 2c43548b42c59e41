/**
 * What holds for every sink (R32): whatever what is behind it does, it changes no outcome and slows no run, and its scope can
 * be closed. And what is behind it gets every event by then, when all is well.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Console,
  Data,
  Effect,
  Exit,
  FileSystem,
  Layer,
  Logger,
  Option,
  PlatformError,
  References,
  Scope,
  Stream
} from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { OtlpSerialization } from "effect/observability"
import { SqlClient, type SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { type Event, EventSink, Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { BufferedSink, FileSink, LiveSink, LoggerSink, OtlpSink, Sinks, SqlSink } from "stageflow/observability"
import { Sqlite } from "stageflow/sqlite"
import { settled } from "./support/events.ts"

class Broken extends Data.TaggedError("Broken") {}

/** What is behind a sink, and how it behaves whenever it is given something. */
type Behaviour = Effect.Effect<void>

const behaviours: Readonly<Record<string, Behaviour>> = {
  "does well": Effect.void,
  "throws": Effect.sync(() => {
    throw new Error("behind")
  }),
  "hangs for ever": Effect.never,
  "hangs and cannot be interrupted": Effect.uninterruptible(Effect.never),
  "takes 100 ms": Effect.sleep("100 millis"),
  "interrupts itself": Effect.interrupt
}

/** How often what is behind was given something, and that it did. */
class Behind {
  given = 0
  private readonly behaviour: Behaviour

  constructor(behaviour: Behaviour) {
    this.behaviour = behaviour
  }

  get take(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.given++
      return this.behaviour
    })
  }

  /** For what is called, and cannot wait. */
  readonly call = (): void => {
    Effect.runSync(this.take)
  }
}

const file = (behind: Behind) =>
  FileSystem.makeNoop({
    makeDirectory: () => Effect.void,
    readDirectory: () => Effect.succeed([]),
    remove: () => Effect.void,
    open: () =>
      Effect.succeed(
        new Proxy({} as FileSystem.File, {
          get: (_, key) =>
            key === "writeAll" || key === "truncate"
              ? () => behind.take
              : key === "stat"
              ? Effect.succeed({ nlink: Option.none(), size: Number.MAX_SAFE_INTEGER })
              : Effect.void
        })
      )
  })

const fullDisk = FileSystem.makeNoop({
  makeDirectory: () => Effect.void,
  open: () => Effect.fail(PlatformError.systemError({ _tag: "Unknown", module: "FileSystem", method: "open" }))
})

/** A database whose transactions are as what is behind. */
const database = (behind: Behind) =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.map(SqlClient.SqlClient, (client) => {
      const changed: SqlClient.SqlClient = new Proxy(client, {
        get: (target, key) =>
          key === "withoutTransforms"
            ? () => changed
            : key === "withTransaction"
            ? <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
              Effect.andThen(behind.take, target.withTransaction(effect))
            : Reflect.get(target, key, target) as unknown
      })
      return changed
    })
  ).pipe(Layer.provide(Sqlite.layer({ filename: ":memory:" })))

const client = (behind: Behind) =>
  HttpClient.make((request) => Effect.as(behind.take, HttpClientResponse.fromWeb(request, new Response("{}"))))

const buffer: BufferedSink.Settings = { flushInterval: 0, batchSize: 1 }

/** Every sink, over what is behind it. */
const sinks: Readonly<Record<string, (behind: Behind) => Layer.Layer<EventSink.EventSink, unknown>>> = {
  "console": (behind) =>
    Layer.provide(EventSink.layerConsole, Layer.succeed(Console.Console, { ...globalThis.console, log: behind.call })),
  "logger": (behind) =>
    Layer.provide(LoggerSink.layer({ buffer }), [
      Logger.layer([Logger.make(behind.call)]),
      Layer.succeed(References.MinimumLogLevel, "All")
    ]),
  // Whoever subscribes is not the sink's to wait for.
  "live": (behind) =>
    Layer.provideMerge(
      Layer.effectDiscard(Effect.flatMap(LiveSink.LiveEvents, ({ events }) =>
        Effect.forkDetach(Stream.runForEach(events, () =>
          behind.take)))),
      LiveSink.layer()
    ),
  "file": (behind) =>
    Layer.provide(FileSink.layer({ directory: "d", buffer }), Layer.succeed(FileSystem.FileSystem, file(behind))),
  "SQL": (behind) => Layer.provide(SqlSink.layer({ buffer }), database(behind)),
  "OTLP": (behind) =>
    Layer.provide(OtlpSink.layer({ url: "http://collector", resource: { serviceName: "s" }, buffer }), [
      Layer.succeed(HttpClient.HttpClient, client(behind)),
      OtlpSerialization.layerJson
    ]),
  "a function": (behind) => BufferedSink.layer(() => behind.take, buffer),
  "a function, the oldest dropped": (behind) =>
    BufferedSink.layer(() => behind.take, { ...buffer, capacity: 1, overflow: "drop-oldest" }),
  "one event after the other": (behind) => EventSink.layer(() => behind.take),
  "buffered": (behind) => Sinks.buffer(Layer.succeed(EventSink.EventSink, { offer: behind.call }), buffer),
  "combined, filtered, redacted": (behind) =>
    Sinks.combine(
      EventSink.layerMemory,
      Layer.succeed(EventSink.EventSink, { offer: behind.call }),
      BufferedSink.layer(() => behind.take, buffer).pipe(Sinks.filter(() => true), Sinks.redact(["n"]))
    )
}

const pipeline = Pipeline.make("pipeline")
  .add(Stage.transform("first", { run: Effect.as(StageContext.emit("note", { n: 1 }), { n: 1 }) }))
  .add(Stage.work("slow", { run: Effect.sleep("1 second") }), { after: ["first"] })
const failing = pipeline.add(Stage.work("broken", { run: Effect.fail(new Broken()) }), { after: ["slow"] })
const cancelling = pipeline.add(Stage.guard("guard", { run: Effect.succeed(StageOutput.cancel("enough")) }))

/** How the three runs end, each in the one second that they take. */
const outcomes = Effect.gen(function*() {
  const named = (pipelineRunId: string) =>
    Snapshot.make({ pipelineRunId, requestId: pipelineRunId, interactionId: pipelineRunId })
  const fiber = yield* Effect.forkChild(Effect.all([
    Effect.exit(Pipeline.run(pipeline, named("1"))),
    Effect.exit(Pipeline.run(failing, named("2"))),
    Effect.exit(Pipeline.run(cancelling, named("3")))
  ], { concurrency: "unbounded" }))
  yield* TestClock.adjust("1 second")
  const exit = fiber.pollUnsafe()
  assert(exit !== undefined && Exit.isSuccess(exit), "the runs take longer with the sink than without")
  return exit.value.map((exit) => JSON.stringify(exit))
})

const quiet = Effect.provide(Logger.layer([]))

describe("R32", () => {
  for (const [sink, layerOf] of Object.entries(sinks)) {
    for (const [how, behaviour] of Object.entries(behaviours)) {
      it.effect(`${sink}: what is behind it ${how}, and no outcome changes`, () =>
        Effect.gen(function*() {
          const alone = yield* outcomes
          const behind = new Behind(behaviour)
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithScope(Layer.fresh(layerOf(behind)), scope)
          const heard = yield* outcomes.pipe(Effect.provideContext(context))
          assert.deepStrictEqual(heard, alone)
          yield* settled
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
          yield* settled
          yield* TestClock.adjust("1 minute")
          assert.isDefined(closing.pollUnsafe())
          assert.isAbove(behind.given, 0)
        }).pipe(quiet))
    }

    it.effect(`${sink}: gets every event by the time it is closed`, () =>
      Effect.gen(function*() {
        const counted: Array<Event.Event> = []
        yield* outcomes.pipe(Effect.provideService(EventSink.EventSink, {
          offer: (event) => {
            counted.push(event)
          }
        }))
        const behind = new Behind(Effect.void)
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Layer.fresh(layerOf(behind)), scope)
        yield* outcomes.pipe(Effect.provideContext(context))
        yield* settled
        yield* Scope.close(scope, Exit.void)
        assert.isAbove(counted.length, 15)
        // The header of a file is written, too; and a buffer for one event drops.
        if (!sink.includes("dropped")) assert.isAtLeast(behind.given, counted.length)
      }).pipe(quiet))
  }

  it.effect("file: a full disk changes no outcome", () =>
    Effect.gen(function*() {
      const alone = yield* outcomes
      const scope = yield* Scope.make()
      const layer = Layer.provide(
        FileSink.layer({ directory: "d", buffer }),
        Layer.succeed(FileSystem.FileSystem, fullDisk)
      )
      const context = yield* Layer.buildWithScope(layer, scope)
      assert.deepStrictEqual(yield* outcomes.pipe(Effect.provideContext(context)), alone)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settled
      yield* TestClock.adjust("1 minute")
      assert.isDefined(closing.pollUnsafe())
    }).pipe(quiet))
})
