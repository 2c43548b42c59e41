/**
 * Keeps runs in files of a directory: a line for each chunk. What is in the files is read as far as it is new whenever
 * somebody asks, so that the runs of other processes are seen, too.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { EventFiles, isFileOf, version } from "./event-files.ts"
import { type Chunk, type Entry, RunSummary, type StoredRun } from "./run-changes.ts"
import { type Damage, RunIndex, type Store } from "./run-store.ts"

const name = "runs"

const Header = Schema.fromJsonString(Schema.Struct({ stageflow: Schema.Literal("runs"), version: Schema.Int }))
const decodeHeader = Schema.decodeUnknownResult(Header)

/** What is said of a chunk before its changes. */
const Line = Schema.fromJsonString(Schema.Struct({
  writer: Schema.String,
  at: Schema.Number,
  /** The last line of a writer. */
  end: Schema.optionalKey(Schema.Boolean),
  chunk: Schema.optionalKey(Schema.Struct({
    id: Schema.String,
    key: Schema.String,
    parentKey: Schema.optionalKey(Schema.String),
    rootKey: Schema.String,
    summary: RunSummary,
    changes: Schema.Array(Schema.Unknown)
  }))
}))
const decodeLine = Schema.decodeUnknownResult(Line)

const lineOf = ({ changes, entry: { key, parentKey, rootKey, summary, writer }, id }: Chunk, at: number): string => {
  const chunk = JSON.stringify({ id, key, ...(parentKey === undefined ? {} : { parentKey }), rootKey, summary })
  // The changes are JSON already.
  return `{"writer":${JSON.stringify(writer)},"at":${at},"chunk":${chunk.slice(0, -1)},"changes":${changes}}}`
}

/** Where a chunk is. */
interface Part {
  readonly file: string
  readonly offset: number
  readonly bytes: number
}

/** How far a file has been read. */
interface Read {
  offset: number
  line: number
  writer: string | undefined
  damage: Damage | undefined
  /** Bytes at its end that are no whole line yet. */
  rest: number
}

const newline = 0x0a

const textOf = (bytes: Uint8Array): string | undefined =>
  Result.getOrUndefined(Result.try(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)))

class RunFiles {
  readonly index = new RunIndex<Part>()
  private readonly system: FileSystem.FileSystem
  private readonly directory: string
  private readonly own: string
  private readonly read = new Map<string, Read>()
  /** Why files could not be read the last time: they may be the next time. */
  private readonly unreadable = new Map<string, string>()
  private readonly writers = new Map<string, { at: number; hasEnded: boolean }>()
  /** The last chunk of each run: one that comes again is known. */
  private readonly lastChunk = new Map<string, string>()
  private readonly one = Semaphore.makeUnsafe(1)

  constructor(system: FileSystem.FileSystem, directory: string, own: string) {
    this.system = system
    this.directory = directory
    this.own = own
  }

  /** Whether the process of a run has died. */
  isLost(alive: number): (entry: Entry) => boolean {
    return ({ writer }) => {
      const seen = this.writers.get(writer)
      return writer !== this.own && (seen === undefined || seen.hasEnded || seen.at < alive)
    }
  }

  /** Reads what is new. */
  get refresh(): Effect.Effect<void, PlatformError> {
    return this.one.withPermits(1)(Effect.gen({ self: this }, function*() {
      this.unreadable.clear()
      for (const file of yield* this.files) {
        yield* Effect.catch(this.readNew(file), ({ message, reason }) =>
          Effect.sync(() => {
            // A file that another process has removed meanwhile is none.
            if (reason._tag !== "NotFound") this.unreadable.set(file, `It cannot be read: ${message}`)
          }))
      }
    }))
  }

  private get files(): Effect.Effect<ReadonlyArray<string>, PlatformError> {
    return Effect.map(
      this.system.readDirectory(this.directory),
      (files) => files.filter((file) => isFileOf(name, file)).toSorted()
    )
  }

  private readNew(file: string): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      const known = this.read.get(file) ?? { offset: 0, line: 0, writer: undefined, damage: undefined, rest: 0 }
      this.read.set(file, known)
      if (known.damage !== undefined) return
      const { size } = yield* this.system.stat(`${this.directory}/${file}`)
      if (Number(size) < known.offset) this.unreadable.set(file, "It is shorter than it was")
      if (known.line === 0 && Number(size) === 0) this.unreadable.set(file, "It is empty")
      if (Number(size) <= known.offset) return
      const bytes = yield* this.bytesOf({ file, offset: known.offset, bytes: Number(size) - known.offset })
      const begun = known.offset
      for (let from = 0; from < bytes.length && known.damage === undefined;) {
        const to = bytes.indexOf(newline, from)
        if (to === -1) break
        this.take(file, known, bytes.subarray(from, to), begun + from)
        if (known.damage !== undefined) break
        from = to + 1
        known.offset = begun + from
      }
      known.rest = begun + bytes.length - known.offset
    })
  }

  private take(file: string, read: Read, bytes: Uint8Array, offset: number): void {
    read.line++
    const damaged = (reason: string) => {
      read.damage = { where: `${this.directory}/${file}`, line: read.line, reason }
    }
    const text = textOf(bytes)
    if (read.line === 1) {
      const header = text === undefined ? Result.fail(undefined) : decodeHeader(text)
      if (Result.isFailure(header)) damaged("It does not begin as a file of runs does")
      else if (header.success.version > version) {
        damaged(`It was written by a newer version (${header.success.version}); version ${version} is known here`)
      }
      return
    }
    const decoded = text === undefined ? Result.fail(undefined) : decodeLine(text)
    if (Result.isFailure(decoded)) return damaged("The line is no part of a run")
    const { at, chunk, end, writer } = decoded.success
    read.writer = writer
    this.writers.set(writer, { at, hasEnded: end === true })
    if (chunk === undefined) return
    const { id, key, parentKey, rootKey, summary } = chunk
    if (id <= (this.lastChunk.get(key) ?? "")) return
    this.lastChunk.set(key, id)
    this.index.add({ key, parentKey, rootKey, writer, summary }, { file, offset, bytes: bytes.length })
  }

  private bytesOf({ bytes, file, offset }: Part): Effect.Effect<Uint8Array, PlatformError> {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const open = yield* this.system.open(`${this.directory}/${file}`, { flag: "r" })
      yield* open.seek(BigInt(offset), "start")
      const read = new Uint8Array(bytes)
      let length = 0
      while (length < bytes) {
        const more = Number(yield* open.read(read.subarray(length)))
        if (more === 0) break
        length += more
      }
      return read.subarray(0, length)
    }))
  }

  /** What is kept of a run. */
  stored(entry: Entry, parts: ReadonlyArray<Part>): Effect.Effect<StoredRun, PlatformError> {
    return Effect.map(
      Effect.forEach(parts, (part) =>
        // What was in a file that is gone is missing, and no more than that.
        this.bytesOf(part).pipe(
          Effect.map(changesIn),
          Effect.catchIf(({ reason }) => reason._tag === "NotFound", () => Effect.succeed("[]"))
        )),
      (chunks) => {
        const end = chunks.indexOf(undefined)
        const whole = (end === -1 ? chunks : chunks.slice(0, end)) as ReadonlyArray<string> // up to the first that is none
        const damage = end === -1 ? this.damageOf(parts) : "What follows could not be read"
        return { entry, chunks: whole, damage: entry.summary.status === "running" ? undefined : damage }
      }
    )
  }

  /** Why there may have been more of a run than was read. */
  private damageOf(parts: ReadonlyArray<Part>): string | undefined {
    for (const file of new Set(parts.map(({ file }) => file))) {
      const { damage } = this.read.get(file) ?? {}
      if (damage !== undefined) return `Its file is damaged from line ${damage.line} on: ${damage.reason}`
    }
    return undefined
  }

  private unreadableIn(file: string): Damage | undefined {
    const reason = this.unreadable.get(file)
    return reason === undefined ? undefined : { where: `${this.directory}/${file}`, reason }
  }

  get damages(): ReadonlyArray<Damage> {
    return Array.from(
      this.read,
      ([file, { damage, line, rest, writer }]) =>
        damage ?? this.unreadableIn(file) ?? (rest > 0 && writer !== this.own
          ? { where: `${this.directory}/${file}`, line: line + 1, reason: "Its last line is cut off" }
          : undefined)
    ).filter((damage) => damage !== undefined)
  }

  /** Removes the files in which no run is kept any more, but for those that may still be written to. */
  removeOld(alive: number): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      const used = new Set(Array.from(this.index.all).flatMap(({ parts }) => parts.map(({ file }) => file)))
      const newest = new Map(
        Array.from(this.read).toSorted(([a], [b]) => a < b ? -1 : 1).map(([file, { writer }]) => [writer, file])
      )
      for (const [file, { damage, writer }] of this.read) {
        if (writer === undefined || used.has(file) || damage !== undefined) continue
        const seen = this.writers.get(writer)
        const isAlive = writer === this.own || (seen !== undefined && !seen.hasEnded && seen.at >= alive)
        if (isAlive && newest.get(writer) === file) continue
        yield* this.system.remove(`${this.directory}/${file}`, { force: true })
        this.read.delete(file)
      }
    })
  }
}

const changesIn = (bytes: Uint8Array): string | undefined => {
  const line = decodeLine(textOf(bytes) ?? "")
  return Result.isSuccess(line) && line.success.chunk !== undefined
    ? JSON.stringify(line.success.chunk.changes)
    : undefined
}

/** Keeps runs in files. */
export const fileStore = Effect.fnUntraced(function*(
  directory: string,
  writer: string
): Effect.fn.Return<Store, PlatformError, FileSystem.FileSystem | Scope.Scope> {
  const system = yield* FileSystem.FileSystem
  yield* system.makeDirectory(directory, { recursive: true })
  const written = new EventFiles(system, {
    directory,
    name,
    maxBytes: 10_000_000,
    maxAgeMs: 86_400_000,
    maxFiles: undefined,
    format: "runs"
  })
  yield* Effect.addFinalizer(() => written.close)
  const files = new RunFiles(system, directory, writer)
  let hasWritten = false
  const line = (at: number, rest: object) => written.writeLines([JSON.stringify({ writer, at, ...rest })])
  return {
    write: (chunks, now) =>
      Effect.andThen(
        written.writeLines(chunks.map((chunk) => lineOf(chunk, now))),
        Effect.sync(() => {
          hasWritten = true
        })
      ),
    beat: (now) => line(now, {}),
    // A Layer that has kept nothing leaves no file.
    end: (now) => Effect.suspend(() => hasWritten ? line(now, { end: true }) : Effect.void),
    list: (query, alive) => Effect.map(files.refresh, () => files.index.list(query, files.isLost(alive))),
    tree: (runId, alive) =>
      Effect.gen(function*() {
        yield* files.refresh
        const tree = files.index.tree(runId, files.isLost(alive))
        if (tree === undefined) return undefined
        return {
          key: tree.key,
          runs: yield* Effect.forEach(tree.runs, ({ entry, parts }) => files.stored(entry, parts))
        }
      }),
    similar: (runId) => Effect.sync(() => files.index.similar(runId)),
    forget: (what, alive) =>
      Effect.gen(function*() {
        yield* files.refresh
        files.index.forget(what, files.isLost(alive))
        yield* files.removeOld(alive)
      }),
    damages: Effect.map(files.refresh, () => files.damages)
  }
})
