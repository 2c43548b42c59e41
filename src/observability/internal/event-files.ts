/**
 * Writes batches of events to files, and begins a new file when one is too large or too old.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { File, FileSystem } from "effect/FileSystem"
import * as Option from "effect/Option"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import type { Event } from "../../Event.ts"
import { toJson } from "./event-json.ts"
import { isoDate } from "./iso-date.ts"

/** The version of the format that is written, and the newest that can be read. */
export const version = 1

const extension = ".ndjson"

const encoder = new TextEncoder()

/** The first line of a file: which format it has. */
const headerOf = (format: string): Uint8Array => encoder.encode(`${JSON.stringify({ stageflow: format, version })}\n`)

/** Whether a file of this name is one of those whose names begin so. */
export const isFileOf = (name: string, file: string): boolean =>
  file.startsWith(`${name}-`) && /^\d{4}-\d\d-\d\dT[\d.-]+Z-\d{4,}\.ndjson$/.test(file.slice(name.length + 1))

export interface FileSettings {
  readonly directory: string
  readonly name: string
  readonly maxBytes: number
  readonly maxAgeMs: number
  readonly maxFiles: number | undefined
  /** What the files hold. Events when left out. */
  readonly format?: "events" | "runs"
}

/** The file that is written to. */
interface Current {
  readonly file: File
  readonly scope: Scope.Closeable
  readonly begunAt: number
  /** How large it is, as far as all went well. */
  bytes: number
}

/**
 * Whether the file still is where it was, and as long. One that somebody has removed or cut off takes what is written to it,
 * and nobody can read that. What does not say whether it has a name has one.
 */
const isWhole = ({ bytes, file }: Current): Effect.Effect<boolean> =>
  Effect.match(file.stat, {
    onSuccess: ({ nlink, size }) => Number(size) >= bytes && Option.getOrElse(nlink, () => 1n) > 0n,
    onFailure: () => false
  })

export class EventFiles {
  private readonly system: FileSystem
  private readonly settings: FileSettings
  private readonly header: Uint8Array
  private current: Current | undefined

  constructor(system: FileSystem, settings: FileSettings) {
    this.system = system
    this.settings = settings
    this.header = headerOf(settings.format ?? "events")
  }

  /** Appends a batch: all of it, or nothing that can be taken back. */
  write(events: ReadonlyArray<Event>): Effect.Effect<void, PlatformError> {
    return Effect.suspend(() => this.writeLines(events.map(toJson)))
  }

  /** Appends lines: all of them, or nothing that can be taken back. */
  writeLines(lines: ReadonlyArray<string>): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      const bytes = encoder.encode(lines.map((line) => `${line}\n`).join(""))
      const current = yield* this.fileFor(bytes.length)
      yield* Effect.onExit(current.file.writeAll(bytes), (exit) => this.written(current, bytes.length, exit))
    })
  }

  private written(current: Current, length: number, exit: Exit.Exit<void, PlatformError>): Effect.Effect<void> {
    if (Exit.isSuccess(exit)) {
      current.bytes += length
      return Effect.void
    }
    // Whoever was interrupted may still be writing. Nothing comes after what cannot be taken back.
    if (Exit.hasInterrupts(exit)) return this.close
    return Effect.catch(current.file.truncate(current.bytes), () => this.close)
  }

  private fileFor(length: number): Effect.Effect<Current, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      const { maxAgeMs, maxBytes } = this.settings
      const now = yield* Clock.currentTimeMillis
      const { current } = this
      if (current !== undefined) {
        if (!(yield* isWhole(current))) {
          yield* this.close
          return yield* this.begin(now)
        }
        const isTooLarge = current.bytes > this.header.length && current.bytes + length > maxBytes
        if (!isTooLarge && now - current.begunAt < maxAgeMs) return current
        yield* this.close
      }
      return yield* this.begin(now)
    })
  }

  private begin(now: number): Effect.Effect<Current, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      const scope = yield* Scope.make()
      const begun = yield* Effect.gen({ self: this }, function*() {
        const { file, path } = yield* Scope.provide(
          Effect.catchIf(this.openNew(now, 1), ({ reason }) => reason._tag === "NotFound", () =>
            // The directory has been removed since it was made.
            Effect.andThen(
              this.system.makeDirectory(this.settings.directory, { recursive: true }),
              this.openNew(now, 1)
            )),
          scope
        )
        yield* Effect.onError(
          file.writeAll(this.header),
          () => Effect.ignore(this.system.remove(path, { force: true }))
        )
        return file
      }).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))))
      this.current = { file: begun, scope, begunAt: now, bytes: this.header.length }
      yield* this.removeOld
      return this.current
    })
  }

  /** Opens a file that was not there before. */
  private openNew(
    now: number,
    number: number
  ): Effect.Effect<{ readonly file: File; readonly path: string }, PlatformError, Scope.Scope> {
    const { directory, name } = this.settings
    const time = isoDate(now).replaceAll(":", "-")
    const path = `${directory}/${name}-${time}-${String(number).padStart(4, "0")}${extension}`
    return this.system.open(path, { flag: "ax" }).pipe(
      Effect.map((file) => ({ file, path })),
      Effect.catchIf(({ reason }) => reason._tag === "AlreadyExists", () => this.openNew(now, number + 1))
    )
  }

  /** What cannot be removed stays. */
  private get removeOld(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { directory, maxFiles, name } = this.settings
      if (maxFiles === undefined) return
      const files = (yield* this.system.readDirectory(directory)).filter((file) => isFileOf(name, file)).toSorted()
      for (const file of files.slice(0, -maxFiles)) {
        yield* Effect.ignore(this.system.remove(`${directory}/${file}`, { force: true }))
      }
    }).pipe(Effect.ignore)
  }

  /** Closes the file that is written to, if there is one. The next batch begins another. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { current } = this
      this.current = undefined
      if (current === undefined) return Effect.void
      return Effect.ensuring(Effect.ignore(current.file.sync), Scope.close(current.scope, Exit.void))
    })
  }
}
