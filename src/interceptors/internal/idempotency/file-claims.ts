/**
 * Keeps claims and results as files.
 *
 * The files of a key are numbered, and of those that can be read the one with the highest number counts. To change an entry
 * is to make the next one, which only one of all who try can do: a hard link fails where a file is already. Then the one
 * before is removed. So nothing is ever locked, and a process that is killed leaves nothing behind that others would have
 * to break.
 *
 * Between its look and its link a process can be held up for as long as it likes, and the file it looked at may be gone.
 * So it looks again after the link: unless that file is still there, and the same, it takes its own back. For the same
 * reason a claim that is given up is not removed but followed by an entry of nobody, which the sweep removes later: a name
 * is not used again while somebody may still mean its last file.
 *
 * Somebody else's files are left alone. One that cannot be read where there is nothing else under its key may hold a
 * result, so the key is not available; no other key depends on it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { FileSystem } from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import {
  type Answer,
  answerFrom,
  type Claim,
  claimedAfter,
  type ClaimEntry,
  type Claims,
  entryOf,
  isClaimOf,
  isResultOf,
  lossesAfter,
  sweptAfterMs
} from "./claims.ts"
import { digestOfText } from "./digest.ts"

const Content = Schema.fromJsonString(Schema.Struct({
  key: Schema.String,
  owner: Schema.String,
  fingerprint: Schema.String,
  until: Schema.Finite,
  result: Schema.optionalKey(Schema.String),
  losses: Schema.optionalKey(Schema.Int)
}))

type Content = typeof Content.Type

/** The one file of a key cannot be read: it may hold a result. */
class Unreadable extends Schema.TaggedError<Unreadable>()("Unreadable", {
  path: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot read "${this.path}" (see \`cause\`), which may hold a result: repair it, or remove it to free its key`
  }
}

type Failure = PlatformError | Schema.SchemaError | Unreadable

/** The entry of a key that counts, if there is one, and the highest number that its files have. */
interface Found {
  readonly highest: number
  readonly number: number
  readonly content: Content | undefined
}

/** Where the files of a key are: a directory that it shares with some, so that listing it costs little. */
interface Place {
  readonly key: string
  readonly folder: string
  readonly name: string
}

/** The owner of a claim that was given up. */
const nobody = ""

/** How often to look again at a key that somebody is changing. */
const patience = 20

/** The names that are ours: entries, and files that are being written. */
const entryName = /^[0-9a-f]{32}\.[1-9][0-9]{0,14}$/
const writingName = /^[0-9]+-.+\.tmp$/
const folderName = /^[0-9a-f]{3}$/

const isNotThere = (error: Failure): boolean => error._tag === "PlatformError" && error.reason._tag === "NotFound"

const isOfNobody = (content: Content | undefined): boolean => content === undefined || content.owner === nobody

export class FileClaims implements Claims<Failure> {
  private readonly files: FileSystem
  private readonly directory: string

  constructor(files: FileSystem, directory: string) {
    this.files = files
    this.directory = directory
  }

  get prepare(): Effect.Effect<void, PlatformError> {
    return this.files.makeDirectory(this.directory, { recursive: true })
  }

  readonly claim = (asked: Claim): Effect.Effect<Answer, Failure> =>
    Effect.gen({ self: this }, function*() {
      const place = this.placeOf(asked.key)
      yield* this.files.makeDirectory(place.folder, { recursive: true })
      while (true) {
        const found = yield* this.look(place)
        const known = isOfNobody(found.content) ? undefined : found.content
        const answer = known === undefined ? undefined : answerFrom(known, asked.now)
        if (answer !== undefined) return answer
        const losses = lossesAfter(known)
        if (yield* this.advance(place, found, entryOf(asked, losses))) return claimedAfter(losses)
      }
    })

  readonly renew: Claims<Failure>["renew"] = ({ key, owner, until }) => this.change(key, owner, { until })

  readonly keep: Claims<Failure>["keep"] = ({ key, owner, result, until }) =>
    Effect.gen({ self: this }, function*() {
      if (yield* this.change(key, owner, { result, until })) return true
      return isResultOf(owner, (yield* this.look(this.placeOf(key))).content)
    })

  readonly release: Claims<Failure>["release"] = ({ key, owner }) =>
    Effect.gen({ self: this }, function*() {
      const until = yield* Clock.currentTimeMillis
      yield* this.change(key, owner, { owner: nobody, until })
    })

  private change(key: string, owner: string, changes: Partial<ClaimEntry>): Effect.Effect<boolean, Failure> {
    return Effect.gen({ self: this }, function*() {
      const place = this.placeOf(key)
      while (true) {
        const found = yield* this.look(place)
        if (!isClaimOf(owner, found.content)) return false
        if (yield* this.advance(place, found, { ...found.content, ...changes })) return true
      }
    })
  }

  private placeOf(key: string): Place {
    const name = digestOfText(key)
    return { key, folder: `${this.directory}/${name.slice(0, 3)}`, name }
  }

  private pathOf({ folder, name }: Place, number: number): string {
    return `${folder}/${name}.${number}`
  }

  private remove(place: Place, number: number): Effect.Effect<void, PlatformError> {
    return this.files.remove(this.pathOf(place, number), { force: true })
  }

  /** The numbers of the files of a key, the highest first. */
  private numbers({ folder, name }: Place): Effect.Effect<ReadonlyArray<number>, Failure> {
    return this.files.readDirectory(folder).pipe(
      Effect.catchIf(isNotThere, () => Effect.succeed([])),
      Effect.map((names) =>
        names
          .filter((file) => file.startsWith(`${name}.`) && entryName.test(file))
          .map((file) => Number(file.slice(name.length + 1)))
          .toSorted((a, b) => b - a)
      )
    )
  }

  private read(path: string): Effect.Effect<Content | undefined, Failure> {
    return this.files.readFileString(path).pipe(
      Effect.flatMap((text) => Schema.decodeEffect(Content)(text)),
      Effect.catchIf(isNotThere, () => Effect.undefined),
      Effect.mapError((cause) => new Unreadable({ path, cause }))
    )
  }

  private look(place: Place): Effect.Effect<Found, Failure> {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        const numbers = yield* this.numbers(place)
        const [highest] = numbers
        if (highest === undefined) return { highest: 0, number: 0, content: undefined }
        // More than one: somebody makes the next and may still take it back.
        if (numbers.length > 1 && attempt < patience) continue
        const found = yield* this.firstReadable(place, numbers)
        if (found !== undefined) return { ...found, highest }
      }
    })
  }

  /** The first file that can be read. Nothing when they went meanwhile. */
  private firstReadable(place: Place, numbers: ReadonlyArray<number>) {
    return Effect.gen({ self: this }, function*() {
      let failure: Failure | undefined
      for (const number of numbers) {
        const path = this.pathOf(place, number)
        const read = yield* Effect.result(this.read(path))
        if (read._tag === "Failure") failure ??= read.failure
        else if (read.success?.key === place.key) return { number, content: read.success }
        else if (read.success !== undefined) failure ??= new Unreadable({ path, cause: "It is of another key" })
      }
      if (failure !== undefined) return yield* Effect.fail(failure)
      return undefined
    })
  }

  /** Makes the next entry after the one that was found. Says whether it counts. */
  private advance(place: Place, found: Found, next: ClaimEntry): Effect.Effect<boolean, Failure> {
    const number = found.highest + 1
    const takeBack = Effect.as(this.remove(place, number), false)
    return Effect.gen({ self: this }, function*() {
      const made = yield* Effect.scoped(Effect.gen({ self: this }, function*() {
        const written = yield* this.write(place, { key: place.key, ...next } as Content)
        return yield* Effect.as(this.files.link(written, this.pathOf(place, number)), true).pipe(
          Effect.catchIf(({ reason }) => reason._tag === "AlreadyExists", () => Effect.succeed(false))
        )
      }))
      if (!made) return false
      const earlier = yield* Effect.onError(this.earlierThan(place, number, found), () => Effect.ignore(takeBack))
      if (earlier === undefined) return yield* takeBack
      // One that stays does not count.
      for (const each of earlier) yield* Effect.ignore(this.remove(place, each))
      return true
    }).pipe(
      // Left halfway, nobody could tell who has the claim.
      Effect.uninterruptible
    )
  }

  /** The numbers before the one that was just made; nothing when it does not count. */
  private earlierThan(place: Place, number: number, found: Found) {
    return Effect.gen({ self: this }, function*() {
      const [highest, ...earlier] = yield* this.numbers(place)
      if (highest !== number) return undefined
      if (found.content === undefined) return earlier.length === 0 ? earlier : undefined
      const still = yield* this.read(this.pathOf(place, found.number))
      return still?.owner === found.content.owner && still.until === found.content.until ? earlier : undefined
    })
  }

  /** A file that is written to the end, under a name that nobody reads, for as long as the scope is open. */
  private write(place: Place, content: Content) {
    return Effect.gen({ self: this }, function*() {
      const now = yield* Clock.currentTimeMillis
      const path = `${place.folder}/${now}-${crypto.randomUUID()}.tmp`
      yield* Effect.addFinalizer(() => Effect.ignore(this.files.remove(path, { force: true })))
      const text = yield* Schema.encodeEffect(Content)(content)
      yield* Effect.scoped(Effect.gen({ self: this }, function*() {
        const file = yield* this.files.open(path, { flag: "wx" })
        yield* file.writeAll(new TextEncoder().encode(text))
        yield* file.sync
      }))
      return path
    })
  }

  /** Removes what has been over for a while, and what killed processes left. What it cannot read or remove stays. */
  get sweep(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const before = (yield* Clock.currentTimeMillis) - sweptAfterMs
      for (const folder of yield* this.listed(this.directory, folderName)) {
        const path = `${this.directory}/${folder}`
        for (const name of yield* this.listed(path, writingName)) {
          if (Number.parseInt(name, 10) <= before) yield* this.sweepFile(`${path}/${name}`)
        }
        for (const name of yield* this.listed(path, entryName)) yield* this.sweepEntry(`${path}/${name}`, before)
      }
    })
  }

  private listed(path: string, pattern: RegExp): Effect.Effect<ReadonlyArray<string>> {
    return this.files.readDirectory(path).pipe(
      Effect.map((names) => names.filter((name) => pattern.test(name))),
      Effect.catch(() => Effect.succeed([]))
    )
  }

  private sweepEntry(path: string, before: number): Effect.Effect<void> {
    return this.read(path).pipe(
      Effect.flatMap((content) =>
        content !== undefined && content.until <= before ? this.sweepFile(path) : Effect.void
      ),
      Effect.ignore
    )
  }

  private sweepFile(path: string): Effect.Effect<void> {
    return Effect.ignore(this.files.remove(path, { force: true }))
  }
}
