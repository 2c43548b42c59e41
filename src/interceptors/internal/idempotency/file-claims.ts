/**
 * Keeps claims and results as files.
 *
 * The files of a key are numbered, and the one with the highest number counts. To change an entry is to make the next
 * one, which only one of all who try can do: a hard link fails where a file is already. Then the one before is removed.
 * So nothing is ever locked, and a process that is killed leaves nothing behind that others would have to break.
 *
 * Between its look and its link a process can be held up for as long as it likes, and the file it looked at may be gone.
 * So it looks again after the link: unless that file is still there, and the same, it takes its own back.
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
  claimed,
  type Claims,
  type Entry,
  isClaimOf,
  sweptAfterMs
} from "./claims.ts"
import { digestOfText } from "./digest.ts"

const Content = Schema.fromJsonString(Schema.Struct({
  key: Schema.String,
  owner: Schema.String,
  fingerprint: Schema.String,
  until: Schema.Finite,
  result: Schema.optionalKey(Schema.String)
}))

type Content = typeof Content.Type
type Failure = PlatformError | Schema.SchemaError

/** The entry that counts, and its number. */
interface Found {
  readonly number: number
  readonly content: Content
}

/** Where the files of a key are: a directory that it shares with some, so that listing it costs little. */
interface Place {
  readonly folder: string
  readonly name: string
}

/** How often to look again at a key that somebody is changing. */
const patience = 20

const isNotThere = ({ reason }: PlatformError): boolean => reason._tag === "NotFound"

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
      const { fingerprint, key, now, owner, until } = asked
      const place = this.placeOf(key)
      yield* this.files.makeDirectory(place.folder, { recursive: true })
      while (true) {
        const found = yield* this.look(place)
        const answer = found === undefined ? undefined : answerFrom(found.content, now)
        if (answer !== undefined) return answer
        if (yield* this.advance(place, found, { key, owner, fingerprint, until })) return claimed
      }
    })

  readonly renew: Claims<Failure>["renew"] = ({ key, owner, until }) => this.change(key, owner, { until })

  readonly keep: Claims<Failure>["keep"] = ({ key, owner, result, until }) => this.change(key, owner, { result, until })

  readonly release: Claims<Failure>["release"] = ({ key, owner }) =>
    Effect.gen({ self: this }, function*() {
      const place = this.placeOf(key)
      const found = yield* this.look(place)
      if (found !== undefined && isClaimOf(owner, found.content)) yield* this.remove(place, found.number)
    })

  private change(key: string, owner: string, changes: Partial<Entry>): Effect.Effect<boolean, Failure> {
    return Effect.gen({ self: this }, function*() {
      const place = this.placeOf(key)
      while (true) {
        const found = yield* this.look(place)
        if (found === undefined || !isClaimOf(owner, found.content)) return false
        if (yield* this.advance(place, found, { ...found.content, ...changes } as Content)) return true
      }
    })
  }

  private placeOf(key: string): Place {
    const name = digestOfText(key)
    return { folder: `${this.directory}/${name.slice(0, 3)}`, name }
  }

  private pathOf({ folder, name }: Place, number: number): string {
    return `${folder}/${name}.${number}`
  }

  private remove(place: Place, number: number): Effect.Effect<void, PlatformError> {
    return this.files.remove(this.pathOf(place, number), { force: true })
  }

  /** The numbers of the files of a key, the highest last. */
  private numbers({ folder, name }: Place): Effect.Effect<ReadonlyArray<number>, PlatformError> {
    return this.files.readDirectory(folder).pipe(
      Effect.catchIf(isNotThere, () => Effect.succeed([])),
      Effect.map((names) =>
        names
          .filter((file) => file.startsWith(`${name}.`))
          .map((file) => Number(file.slice(name.length + 1)))
          .toSorted((a, b) => a - b)
      )
    )
  }

  private read(path: string): Effect.Effect<Content | undefined, Failure> {
    return this.files.readFileString(path).pipe(
      Effect.flatMap((text) => Schema.decodeEffect(Content)(text)),
      Effect.catchIf((error) => error._tag === "PlatformError" && isNotThere(error), () => Effect.undefined)
    )
  }

  private look(place: Place): Effect.Effect<Found | undefined, Failure> {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        const numbers = yield* this.numbers(place)
        const number = numbers.at(-1)
        if (number === undefined) return undefined
        // More than one: somebody makes the next and may still take it back.
        if (numbers.length > 1 && attempt < patience) continue
        const content = yield* this.read(this.pathOf(place, number))
        if (content !== undefined) return { number, content }
      }
    })
  }

  /** Makes the next entry after the one that was found. Says whether it counts. */
  private advance(place: Place, found: Found | undefined, next: Content): Effect.Effect<boolean, Failure> {
    return Effect.gen({ self: this }, function*() {
      const number = (found?.number ?? 0) + 1
      const made = yield* Effect.scoped(Effect.gen({ self: this }, function*() {
        const written = yield* this.write(place, next)
        return yield* Effect.as(this.files.link(written, this.pathOf(place, number)), true).pipe(
          Effect.catchIf(({ reason }) => reason._tag === "AlreadyExists", () => Effect.succeed(false))
        )
      }))
      if (!made) return false
      const numbers = yield* this.numbers(place)
      if (numbers.at(-1) !== number || !(yield* this.isStill(place, numbers, found))) {
        yield* this.remove(place, number)
        return false
      }
      for (const earlier of numbers.slice(0, -1)) yield* this.remove(place, earlier)
      return true
    }).pipe(
      // Left halfway, nobody could tell who has the claim.
      Effect.uninterruptible
    )
  }

  private isStill(
    place: Place,
    numbers: ReadonlyArray<number>,
    found: Found | undefined
  ): Effect.Effect<boolean, Failure> {
    if (found === undefined) return Effect.succeed(numbers.length === 1)
    return Effect.map(
      this.read(this.pathOf(place, found.number)),
      (content) => content?.owner === found.content.owner && content.until === found.content.until
    )
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

  /** Removes what has been over for a while, and what killed processes left. */
  get sweep(): Effect.Effect<void, Failure> {
    return Effect.gen({ self: this }, function*() {
      const before = (yield* Clock.currentTimeMillis) - sweptAfterMs
      for (const folder of yield* this.files.readDirectory(this.directory)) {
        const names = yield* this.files.readDirectory(`${this.directory}/${folder}`)
        for (const name of names) yield* this.sweepFile(`${this.directory}/${folder}/${name}`, name, before)
      }
    })
  }

  private sweepFile(path: string, name: string, before: number): Effect.Effect<void, Failure> {
    return Effect.gen({ self: this }, function*() {
      const over = name.endsWith(".tmp") ? Number.parseInt(name, 10) : (yield* this.read(path))?.until ?? before + 1
      if (over <= before) yield* this.files.remove(path, { force: true })
    })
  }
}
