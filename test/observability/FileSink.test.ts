import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Logger, PlatformError, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { Pipeline, Snapshot, StageContext } from "stageflow"
import { FileSink } from "stageflow/observability"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { emitted, event, events, logged, numbers } from "./support/events.ts"

const namesIn = (folder: string) => readdirSync(folder).toSorted()

/** Writes events through a sink of its own, and closes it. */
const written = (settings: FileSink.Settings, count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const sink = yield* FileSink.make(settings)
    for (const each of events(count)) sink.offer(each)
    return sink
  }))

const onDisk = Effect.provide(NodeFileSystem.layer)

/** The one file that a sink wrote `count` events to. */
const fileWith = Effect.fnUntraced(function*(count: number) {
  const directory = `${yield* temporaryFolder}/new/events`
  yield* written({ directory }, count)
  return `${directory}/${namesIn(directory)[0]}`
})

/** What is left of a file of 3 events after it was changed. */
const leftOf = Effect.fnUntraced(function*(change: (path: string, text: string) => void) {
  const path = yield* fileWith(3)
  change(path, readFileSync(path, "utf8"))
  const { damage, events } = yield* FileSink.read(path)
  return { path, damage, numbers: events.map(({ sequence }) => sequence) }
}, onDisk)

/** A disk that behaves as it is told when something is written to a file. */
const disk = (
  writeAll: (
    write: Effect.Effect<void, PlatformError.PlatformError>,
    bytes: Uint8Array,
    file: FileSystem.File
  ) => Effect.Effect<void, PlatformError.PlatformError>
) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (system) => ({
      ...system,
      open: (path, options) =>
        Effect.map(system.open(path, options), (file) =>
          new Proxy(file, {
            get: (target, key) =>
              key === "writeAll"
                ? (bytes: Uint8Array) => writeAll(target.writeAll(bytes), bytes, target)
                : Reflect.get(target, key, target) as unknown
          }))
    } satisfies FileSystem.FileSystem))
  ).pipe(Layer.provide(NodeFileSystem.layer))

const full = PlatformError.systemError({
  _tag: "Unknown",
  module: "FileSystem",
  method: "write",
  description: "no space left on device"
})

describe("FileSink", () => {
  it.effect("keeps the events of a run, which are read back as they were", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      const pipeline = Pipeline.make("p").work("stage", {
        run: StageContext.emit("note", { text: "Grüße\n", secret: Redacted.make("hunter2"), large: 1n })
      })
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" })).pipe(
        Effect.provide(FileSink.layer({ directory }))
      )
      const { damages, events } = yield* FileSink.readAll(directory)
      assert.deepStrictEqual(damages, [])
      assert.deepStrictEqual(events.map(({ _tag, runId, sequence }) => [_tag, runId, sequence]), [
        ["RunStarted", "run", 1],
        ["StageStarted", "run", 2],
        ["StageEmitted", "run", 3],
        ["StageCompleted", "run", 4],
        ["RunCompleted", "run", 5]
      ])
      const note = events[2]
      assert(note?._tag === "StageEmitted")
      assert.deepStrictEqual(note.data, { text: "Grüße\n", secret: "<redacted>", large: "1n" })
    }).pipe(onDisk))

  it.effect("writes whatever a stage emits", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      const circular: Record<string, unknown> = { a: 1 }
      circular["self"] = circular
      const hostile = {
        toJSON: () => {
          throw new Error("no")
        }
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* FileSink.make({ directory })
        for (const data of [undefined, () => 1, circular, hostile, Number.NaN, "text"]) sink.offer(emitted(data))
      }))
      const { damages, events } = yield* FileSink.readAll(directory)
      assert.deepStrictEqual(damages, [])
      assert.deepStrictEqual(events.map((event) => event._tag === "StageEmitted" ? event.data : "other"), [
        null,
        null,
        { a: 1 },
        { notKept: "It could not be written as JSON" },
        null,
        "text"
      ])
    }).pipe(onDisk))

  it.effect("begins a new file before one becomes too large, and loses nothing between them", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      yield* written({ directory, maxBytes: 1000, buffer: { batchSize: 1 } }, 20)
      const names = namesIn(directory)
      assert.isAbove(names.length, 2)
      for (const name of names) assert.isAtMost(readFileSync(`${directory}/${name}`).length, 1000)
      const { events } = yield* FileSink.readAll(directory)
      assert.deepStrictEqual(events.map(({ sequence }) => sequence), numbers(1, 20))
    }).pipe(onDisk))

  it.effect("begins a new file when one is too old, and removes the oldest of too many", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      writeFileSync(`${directory}/events-of-mine.txt`, "mine")
      const sink = yield* FileSink.make({ directory, maxAge: "1 hour", maxFiles: 2, buffer: { flushInterval: 0 } })
      const offer = Effect.fnUntraced(function*(number: number, wait: "1 minute" | "1 hour") {
        sink.offer(event(number))
        yield* sink.flush
        yield* TestClock.adjust(wait)
      })
      yield* offer(1, "1 minute")
      yield* offer(2, "1 hour")
      yield* offer(3, "1 hour")
      assert.deepStrictEqual((yield* FileSink.readAll(directory)).events.map(({ sequence }) => sequence), [1, 2, 3])
      yield* offer(4, "1 minute")
      assert.deepStrictEqual((yield* FileSink.readAll(directory)).events.map(({ sequence }) => sequence), [3, 4])
      assert.strictEqual(namesIn(directory).length, 3)
    }).pipe(Effect.scoped, onDisk))

  for (
    const [what, change] of [
      ["removed", (path: string, _folder: string) => rmSync(path)],
      ["removed with its directory", (_path: string, folder: string) => rmSync(folder, { recursive: true })],
      ["cut off", (path: string, _folder: string) => truncateSync(path, 0)]
    ] as const
  ) {
    it.effect(`begins a new file when its own is ${what}: what comes then is on the disk`, () =>
      Effect.gen(function*() {
        const directory = `${yield* temporaryFolder}/events`
        const sink = yield* FileSink.make({ directory })
        sink.offer(event(1))
        yield* sink.flush
        change(`${directory}/${namesIn(directory)[0]}`, directory)
        sink.offer(event(2))
        yield* sink.flush
        assert.deepStrictEqual((yield* FileSink.readAll(directory)).events.map(({ sequence }) => sequence), [2])
      }).pipe(Effect.scoped, onDisk))
  }

  it("refuses a name that leads out of its directory", () => {
    for (const name of ["../out", "a/b", "a\\b", "a\0"]) {
      assert.throws(() => FileSink.layer({ directory: "d", name }), /Invalid option/, name)
    }
  })

  it.effect("two of them at the same time have files of their own", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      yield* Effect.all([written({ directory }, 2), written({ directory }, 3)], { concurrency: "unbounded" })
      assert.strictEqual(namesIn(directory).length, 2)
      assert.strictEqual((yield* FileSink.readAll(directory)).events.length, 5)
    }).pipe(onDisk))

  it.effect("a disk that is full for a while: what was written in part is taken back, and written again", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      let writes = 0
      const filling = disk((write, bytes, file) =>
        // The third is the second batch.
        ++writes === 3 ? Effect.andThen(file.writeAll(bytes.subarray(0, 20)), Effect.fail(full)) : write
      )
      yield* Effect.gen(function*() {
        const sink = yield* FileSink.make({ directory, buffer: { batchSize: 2, flushInterval: 0, timeout: "1 hour" } })
        for (const each of events(4)) sink.offer(each)
        const flush = yield* Effect.forkChild(sink.flush)
        // The disk is a real one: its answers do not come by the test clock.
        while (flush.pollUnsafe() === undefined) {
          yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
          yield* TestClock.adjust("200 millis")
        }
        assert.deepStrictEqual(yield* sink.delivery, { accepted: 4, delivered: 4, failed: 0, dropped: 0 })
      }).pipe(Effect.scoped, Effect.provide(filling))
      const { damages, events: kept } = yield* FileSink.readAll(directory)
      assert.deepStrictEqual(damages, [])
      assert.deepStrictEqual(kept.map(({ sequence }) => sequence), [1, 2, 3, 4])
      assert.strictEqual(namesIn(directory).length, 1)
    }).pipe(onDisk))

  it.effect("a disk that stays full: the events are counted as failed and reported, no half file is left", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      const lines: Array<string> = []
      const closing = yield* Effect.forkChild(
        written({ directory, buffer: { closeTimeout: "1 hour", timeout: "1 hour" } }, 3).pipe(
          Effect.provide(disk(() => Effect.fail(full))),
          logged(lines)
        )
      )
      while (closing.pollUnsafe() === undefined) {
        yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
        yield* TestClock.adjust("200 millis")
      }
      assert.include(lines[0], "3 event(s) not delivered: PlatformError")
      assert.deepStrictEqual(namesIn(directory), [])
    }).pipe(onDisk))

  it.effect("a directory that cannot be made is a typed error", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      writeFileSync(`${directory}/file`, "")
      const error = yield* Effect.flip(Effect.scoped(FileSink.make({ directory: `${directory}/file/in` })))
      assert.strictEqual(error._tag, "PlatformError")
    }).pipe(onDisk))
})

describe("FileSink.read, of a file that", () => {
  it.effect("is whole", () =>
    Effect.gen(function*() {
      const { damage, numbers } = yield* leftOf(() => {})
      assert.deepStrictEqual([damage, numbers], [undefined, [1, 2, 3]])
    }))

  it.effect("is cut off in the middle of a line", () =>
    Effect.gen(function*() {
      let size = 0
      const { damage, numbers, path } = yield* leftOf((file, text) => {
        size = text.length - 10
        truncateSync(file, size)
      })
      assert.deepStrictEqual(numbers, [1, 2])
      assert.strictEqual(damage?.reason, "Its last line is cut off")
      assert.deepInclude(damage, { path, line: 4, bytes: size - (damage?.offset ?? 0) })
      assert.isAbove(damage?.offset ?? 0, 0)
    }))

  it.effect("lacks nothing but its last newline", () =>
    Effect.gen(function*() {
      const { damage, numbers } = yield* leftOf((file, text) => truncateSync(file, text.length - 1))
      assert.deepStrictEqual([damage, numbers], [undefined, [1, 2, 3]])
    }))

  const inLine = (line: number, change: (text: string) => string | Uint8Array) => (path: string, text: string) => {
    const lines = text.split("\n")
    const [before, after] = [lines.slice(0, line - 1), lines.slice(line)]
    writeFileSync(path, before.map((each) => `${each}\n`).join(""))
    appendFileSync(path, change(lines[line - 1] ?? ""))
    appendFileSync(path, `\n${after.join("\n")}`)
  }
  const corruptions: ReadonlyArray<readonly [string, (text: string) => string | Uint8Array]> = [
    ["that is no JSON", (text) => text.slice(5)],
    ["of another kind", () => `{"hello":"world"}`],
    ["with a tag that nobody knows", (text) => text.replace("StageStarted", "StageExploded")],
    ["that is empty", () => ""],
    ["that is no UTF-8", (text) => Buffer.concat([Buffer.from(text.slice(0, 20)), Buffer.from([0xff, 0xfe])])]
  ]
  for (const [what, change] of corruptions) {
    it.effect(`has a line ${what}`, () =>
      Effect.gen(function*() {
        const { damage, numbers } = yield* leftOf(inLine(3, change))
        assert.deepStrictEqual(numbers, [1])
        assert.deepStrictEqual([damage?.line, damage?.reason], [3, "The line is no event"])
        assert.isAbove(damage?.bytes ?? 0, 100)
      }))
  }

  it.effect("is empty, or something else", () =>
    Effect.gen(function*() {
      const empty = yield* leftOf((path) => truncateSync(path, 0))
      assert.deepStrictEqual([empty.numbers, empty.damage?.reason], [[], "It is empty"])
      const other = yield* leftOf((path) => writeFileSync(path, "Dear diary\n"))
      assert.deepStrictEqual([other.numbers, other.damage?.line], [[], 1])
    }))

  it.effect("has a newer version: a typed error", () =>
    Effect.gen(function*() {
      const path = yield* fileWith(1)
      writeFileSync(path, readFileSync(path, "utf8").replace(`"version":1`, `"version":2`))
      const error = yield* Effect.flip(FileSink.read(path))
      assert(error._tag === "EventFileTooNew")
      assert.deepStrictEqual([error.version, error.known, error.code], [2, 1, "EVENT_FILE_TOO_NEW"])
    }).pipe(onDisk))

  it.effect("is not there: a typed error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(FileSink.read(`${yield* temporaryFolder}/none`))
      assert(error._tag === "PlatformError")
      assert.strictEqual(error.reason._tag, "NotFound")
    }).pipe(onDisk))

  it.effect("is no file at all: the others are read, and it is reported", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      yield* written({ directory }, 2)
      mkdirSync(`${directory}/${namesIn(directory)[0]?.replace("0001", "0002")}`)
      const { damages, events } = yield* FileSink.readAll(directory)
      assert.strictEqual(events.length, 2)
      assert.match(damages[0]?.reason ?? "", /cannot be read/)
    }).pipe(onDisk))

  it.effect("stands beside others: damage in one hides nothing of the next", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryFolder
      yield* written({ directory, maxBytes: 500, buffer: { batchSize: 1 } }, 6)
      const names = namesIn(directory)
      const first = `${directory}/${names[0]}`
      truncateSync(first, readFileSync(first).length - 5)
      const { damages, events } = yield* FileSink.readAll(directory)
      assert.deepStrictEqual(damages.map(({ path }) => path), [first])
      assert.strictEqual(events.length, 5)
      assert.strictEqual(events.at(-1)?.sequence, 6)
    }).pipe(onDisk, Effect.provide(Logger.layer([]))))
})
