/**
 * Writes events to files, one JSON document a line (NDJSON), and reads them back.
 *
 * The first line of a file says which format it has. A new file is begun for each Layer, when the one before would become
 * larger than `maxBytes`, and when it is older than `maxAge`; none is written to again later. Its name says when it was
 * begun, so that names in their order are files in theirs, and several processes can share a directory.
 *
 * A batch whose writing fails, because the disk is full for one, is taken back out of the file as far as it came, and is
 * written again later. What a crash leaves is a file whose last line may be cut off.
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
 * import { Effect, Layer } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { FileSink } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 *
 * const program = Pipeline.run(pipeline, Snapshot.make()).pipe(
 *   Effect.provide(FileSink.layer({ directory: "logs", maxFiles: 30 })),
 *   Effect.provide(NodeFileSystem.layer)
 * )
 *
 * const kept = FileSink.readAll("logs").pipe(Effect.provide(NodeFileSystem.layer))
 * ```
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Event } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { EventFiles, isFileOf, version } from "./internal/event-files.ts"
import { fromJson } from "./internal/event-json.ts"

/**
 * Where the files are, and when a new one is begun.
 */
export interface Settings {
  /** The directory, which is made when it is not there. */
  readonly directory: string
  /** What the names of the files begin with. `"events"` when left out. */
  readonly name?: string | undefined
  /** How large a file may become, unless one batch is larger. 10,000,000 when left out. */
  readonly maxBytes?: number | undefined
  /** How old a file may become that is still written to. A day when left out. */
  readonly maxAge?: Duration.Input | undefined
  /** How many files are kept: of more, the oldest are removed when a new one is begun. All when left out. */
  readonly maxFiles?: number | undefined
  /** How events are batched and what happens when they are too many; see `BufferedSink`. */
  readonly buffer?: BufferedSink.Settings | undefined
}

const keys = [
  "directory",
  "name",
  "maxBytes",
  "maxAge",
  "maxFiles",
  "buffer"
] as const satisfies ReadonlyArray<keyof Settings>

/** Whatever comes before the names of files stays in their directory. */
const isFileName = (given: unknown): given is string =>
  typeof given === "string" && given.trim() !== "" && !/[/\\\0]/.test(given)

const checked = (given: Settings) => {
  const settings = options.fields<Settings>("settings", keys, given)
  return {
    directory: options.name("directory", settings.directory ?? ""),
    name: options.ofKind("name", "a name without / and \\", isFileName, settings.name ?? defaultName),
    maxBytes: options.positiveCount("maxBytes", settings.maxBytes ?? 10_000_000),
    maxAgeMs: Duration.toMillis(options.positiveDuration("maxAge", settings.maxAge ?? "1 day")),
    maxFiles: settings.maxFiles === undefined ? undefined : options.positiveCount("maxFiles", settings.maxFiles)
  }
}

const defaultName = "events"

/**
 * Makes a sink that writes to files. It fails when the directory cannot be made; later, what cannot be written is a batch
 * that failed.
 */
export const make = (
  settings: Settings
): Effect.Effect<BufferedSink.Buffered, PlatformError, FileSystem.FileSystem | Scope.Scope> => {
  const where = checked(settings)
  const buffer = BufferedSink.check(settings.buffer)
  return Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    yield* system.makeDirectory(where.directory, { recursive: true })
    const files = new EventFiles(system, where)
    // Before the buffer, so that it is closed after it.
    yield* Effect.addFinalizer(() => files.close)
    return yield* BufferedSink.make((events) => files.write(events), buffer)
  })
}

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = (
  settings: Settings
): Layer.Layer<EventSink, PlatformError, FileSystem.FileSystem> => Layer.effect(EventSink, make(settings))

// ---------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A file was written in a format that this version does not know.
 */
export class EventFileTooNew extends Schema.TaggedError<EventFileTooNew>()("EventFileTooNew", {
  path: Schema.String,
  version: Schema.Number,
  /** The newest version that can be read. */
  known: Schema.Number
}) {
  readonly code = "EVENT_FILE_TOO_NEW"
  override get message(): string {
    return `"${this.path}" has version ${this.version} of the format; version ${this.known} is the newest that is known here`
  }
}

/**
 * Where a file cannot be read any further.
 */
export interface Damage {
  readonly path: string
  /** The line that cannot be read, from 1. */
  readonly line: number
  /** Where that line begins, and how many bytes there are from there on. */
  readonly offset: number
  readonly bytes: number
  readonly reason: string
}

/**
 * What a file holds: all events up to its end, or up to where it is damaged.
 */
export interface EventFile {
  readonly events: ReadonlyArray<Event>
  readonly damage?: Damage
}

const newline = 0x0a

const Header = Schema.fromJsonString(Schema.Struct({ stageflow: Schema.Literal("events"), version: Schema.Int }))
const decodeHeader = Schema.decodeUnknownResult(Header)

/** The lines of a file, as bytes with the place where each begins. What follows the last newline is one, too. */
function* linesOf(bytes: Uint8Array): Generator<{ readonly offset: number; readonly bytes: Uint8Array }> {
  for (let offset = 0; offset < bytes.length;) {
    const found = bytes.indexOf(newline, offset)
    const end = found === -1 ? bytes.length : found
    yield { offset, bytes: bytes.subarray(offset, end) }
    offset = end + 1
  }
}

const textOf = (bytes: Uint8Array): string | undefined =>
  Result.getOrUndefined(Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)))

const parse = (path: string, bytes: Uint8Array): Result.Result<EventFile, EventFileTooNew> => {
  const events: Array<Event> = []
  const damaged = (line: number, offset: number, reason: string) =>
    Result.succeed({ events, damage: { path, line, offset, bytes: bytes.length - offset, reason } })
  let line = 0
  for (const { bytes: written, offset } of linesOf(bytes)) {
    line++
    const text = textOf(written)
    if (line === 1) {
      const header = text === undefined ? Result.fail(undefined) : decodeHeader(text)
      if (Result.isFailure(header)) return damaged(line, offset, "It does not begin as a file of events does")
      if (header.success.version > version) {
        return Result.fail(new EventFileTooNew({ path, version: header.success.version, known: version }))
      }
      continue
    }
    const event = text === undefined ? undefined : fromJson(text)
    if (event !== undefined) events.push(event)
    else if (offset + written.length === bytes.length) return damaged(line, offset, "Its last line is cut off")
    else return damaged(line, offset, "The line is no event")
  }
  return line === 0 ? damaged(1, 0, "It is empty") : Result.succeed({ events })
}

/**
 * Reads a file of events. Of one that is corrupt or cut off it gives everything before the damage, and reports the rest.
 */
export const read = (
  path: string
): Effect.Effect<EventFile, EventFileTooNew | PlatformError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    return yield* Effect.fromResult(parse(path, yield* system.readFile(path)))
  })

/**
 * What all files of a directory hold, in their order.
 */
export interface EventDirectory {
  readonly events: ReadonlyArray<Event>
  /** One for each file that is damaged. */
  readonly damages: ReadonlyArray<Damage>
}

/**
 * Reads all files of events in a directory whose names begin with `name`, the oldest first. What is damaged in one file
 * hides nothing of the others.
 */
export const readAll = (
  directory: string,
  name: string = defaultName
): Effect.Effect<EventDirectory, EventFileTooNew | PlatformError, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const system = yield* FileSystem.FileSystem
    const names = (yield* system.readDirectory(directory)).filter((file) => isFileOf(name, file)).toSorted()
    const files = yield* Effect.forEach(names, (file) => {
      const path = `${directory}/${file}`
      return Effect.catchTag(read(path), "PlatformError", ({ message, reason }): Effect.Effect<EventFile> =>
        // One that has been removed meanwhile is none.
        Effect.succeed(
          reason._tag === "NotFound"
            ? { events: [] }
            : { events: [], damage: { path, line: 1, offset: 0, bytes: 0, reason: `It cannot be read: ${message}` } }
        ))
    })
    return {
      events: files.flatMap(({ events }) => events),
      damages: files.flatMap(({ damage }) => damage === undefined ? [] : [damage])
    }
  })
