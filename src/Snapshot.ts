/**
 * Makes, decodes and encodes snapshots: the input of a run, immutable and the same for every stage.
 *
 * `make` builds one from values that the compiler has checked; `decode` reads one from untrusted JSON and fails with
 * `SnapshotInvalid`, which says where. A stage reads it with `yield* Snapshot.current`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual, pipe } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Any as AnyExtension, ExtensionClass } from "./Extension.ts"
import { holds } from "./internal/holds.ts"
import { immutable } from "./internal/immutable.ts"
import { fields, instance } from "./internal/options.ts"
import { describeProblems, Problem, problemsOf } from "./internal/problems.ts"
import { define, isObjectOf, isRecord } from "./internal/record.ts"
import { type Current, extensionsOf, type RunIdentity, seal, Snapshot } from "./internal/snapshot-model.ts"
import { StageContext } from "./StageContext.ts"

export {
  DocumentEnrichment,
  Enrichments,
  MemoryEnrichment,
  Message,
  ProfileEnrichment,
  ProvenIdentity,
  RoutingDecision,
  RunIdentity,
  Snapshot
} from "./internal/snapshot-model.ts"
export type { Current, Proven } from "./internal/snapshot-model.ts"

/**
 * What `make` takes: any part of a snapshot.
 */
export type Input = { readonly [K in keyof Snapshot]?: Snapshot[K] | undefined }

declare const Carried: unique symbol

/**
 * A snapshot that carries the extensions `X`.
 */
export type With<X> = Snapshot & Pipeable & { readonly [Carried]: (_: X) => void }

/**
 * The extensions that a snapshot is known to carry.
 */
export type CarriedBy<S> = S extends { readonly [Carried]: (_: infer X) => void } ? X : never

/**
 * A snapshot could not be read: what is wrong, and where.
 */
export class SnapshotInvalid extends Schema.TaggedError<SnapshotInvalid>()("SnapshotInvalid", {
  code: Schema.Literals(["SNAPSHOT_INVALID", "SNAPSHOT_NEWER_VERSION"]),
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    return `Invalid snapshot: ${describeProblems(this.problems)}`
  }
}

const version = 1

const Encoded = Schema.Struct({ version: Schema.Int, snapshot: Schema.toCodecJson(Snapshot) })

/** Why something that somebody gave could not be read, as far as what it threw says. */
const unreadable = (path: Problem["path"], thrown: unknown): Problem => ({
  path,
  message: thrown instanceof RangeError ? "It is nested too deep" : "It throws when it is read"
})

const fieldNames = Object.keys(Snapshot.fields)

/** The fields that are given, each read once, and what is wrong with those that cannot be read. */
const readFields = (fields: Input): { readonly given: Input; readonly problems: ReadonlyArray<Problem> } => {
  const keys = Result.try(() => isObjectOf(fieldNames, fields) ? Object.keys(fields) : undefined)
  if (Result.isFailure(keys)) return { given: {}, problems: [unreadable([], keys.failure)] }
  if (keys.success === undefined) return { given: {}, problems: [{ path: [], message: "Expected an object" }] }
  const given: Record<string, unknown> = {}
  const problems: Array<Problem> = []
  for (const key of keys.success as ReadonlyArray<keyof Input>) {
    const value = Result.try(() => immutable(fields[key]))
    if (Result.isFailure(value)) problems.push(unreadable([key], value.failure))
    // What a Map or a Date holds is in no key of it: the schema would take it for an empty record.
    else if (key === "metadata" && typeof value.success === "object" && !isRecord(value.success)) {
      problems.push({ path: [key], message: "Expected a plain object" })
    } else define(given, key, value.success)
  }
  return { given, problems }
}

const present = <A extends object>(fields: A): A =>
  // Leaving out the keys that hold undefined is what exactOptionalPropertyTypes asks for.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

/** What is wrong with fields, as the schema says it. */
const problemsOfFailure = (failure: unknown): ReadonlyArray<Problem> => {
  const issue = failure instanceof Error ? failure.cause : undefined
  return Result.getOrElse(
    Result.try(() => SchemaIssue.isIssue(issue) ? problemsOf(issue) : [unreadable([], failure)]),
    (thrown) => [unreadable([], thrown)]
  )
}

/** What the compiler cannot rule out, an empty id for one, is thrown as `decode` would tell it. */
const construct = (fields: Input): Snapshot => {
  const { given, problems } = readFields(fields)
  const made = Result.try(() =>
    new Snapshot(present(given) as ConstructorParameters<typeof Snapshot>[0], { parseOptions: { errors: "all" } })
  )
  if (Result.isSuccess(made) && problems.length === 0) return made.success
  throw invalid(Result.isSuccess(made) ? problems : [...problems, ...problemsOfFailure(made.failure)])
}

const build = (fields: Input, extensions: Context.Context<never>): Snapshot => {
  const snapshot = construct(fields)
  // The schema makes new objects while it checks: those are the ones to make immutable.
  return seal(Object.assign(snapshot, immutable({ ...snapshot })), extensions)
}

const checked = <S extends Snapshot>(self: S): S =>
  instance("snapshot", "a Snapshot; see Snapshot.make", isSnapshot, self) as S

/**
 * Makes a snapshot. What you pass in is copied; it stays yours and unchanged.
 *
 * Use `decode` for data that the compiler has not checked: `make` throws `SnapshotInvalid` on it.
 */
export const make = (fields: Input = {}): With<never> =>
  // The phantom of With is never there at run time.
  build(fields, Context.empty()) as With<never>

/**
 * Whether a value is a snapshot.
 */
export const isSnapshot = (u: unknown): u is Snapshot => holds(() => u instanceof Snapshot)

const isExtension = (u: unknown): u is AnyExtension =>
  Context.isKey(u) && "extension" in u && typeof u.extension === "string" && "schema" in u && Schema.isSchema(u.schema)

/** The value of an extension, read once, and the JSON of it. */
const encodeExtension = <A>(extension: AnyExtension, value: A): { readonly own: A; readonly encoded: Schema.Json } => {
  const encode = Schema.encodeUnknownResult(Schema.toCodecJson(extension.schema))
  const result = Result.try(() => {
    const own = immutable(value)
    return Result.map(encode(own, { errors: "all" }), (encoded) => ({ own, encoded: encoded as Schema.Json })) // JSON
  })
  if (Result.isFailure(result)) throw invalid([unreadable(["extensions", extension.extension], result.failure)])
  return Result.getOrThrowWith(result.success, ({ issue }) => invalid(problemsIn(extension, issue)))
}

/**
 * Adds the value of an extension.
 *
 * Throws `SnapshotInvalid` when the value breaks a check of the extension's schema; a value of another type does not
 * compile.
 */
export const extend: {
  <Self, Name extends string, S extends Schema.Codec<any, any>>(
    extension: ExtensionClass<Self, Name, S>,
    value: S["Type"]
  ): <X>(self: With<X>) => With<X | Self>
  <X, Self, Name extends string, S extends Schema.Codec<any, any>>(
    self: With<X>,
    extension: ExtensionClass<Self, Name, S>,
    value: S["Type"]
  ): With<X | Self>
} = dual(
  3,
  <X, Self, Name extends string, S extends Schema.Codec<any, any>>(
    self: With<X>,
    extension: ExtensionClass<Self, Name, S>,
    value: S["Type"]
  ): With<X | Self> => {
    checked(self)
    instance("extension", "an extension; see Extension.make", isExtension, extension)
    const { own, encoded } = encodeExtension(extension, value)
    // With has a phantom only.
    return build(
      { ...self, extensions: { ...self.extensions, [extension.extension]: encoded } },
      Context.add(extensionsOf(self), extension, own)
    ) as unknown as With<X | Self>
  }
)

/** The fields of a snapshot with some of them replaced; what cannot be read of them is thrown. */
const changed = (self: Snapshot, fields: Omit<Input, "extensions">): Input => {
  const { given, problems } = readFields(fields)
  if (problems.length > 0) throw invalid(problems)
  return { ...self, ...given, extensions: self.extensions }
}

/**
 * Changes some fields of a snapshot. What it carries, its extensions included, stays.
 *
 * `undefined` removes a field. The given snapshot is not changed.
 */
export const update: {
  (fields: Omit<Input, "extensions">): <X>(self: With<X>) => With<X>
  <X>(self: With<X>, fields: Omit<Input, "extensions">): With<X>
} = dual(
  2,
  <X>(self: With<X>, fields: Omit<Input, "extensions">): With<X> =>
    // The extensions are those of `self`, which carries X.
    build(changed(checked(self), fields), extensionsOf(self)) as unknown as With<X>
)

/**
 * Reads the snapshot of the run that this stage is part of.
 */
export const current: Effect.Effect<Current, never, StageContext> = Effect.map(
  StageContext,
  (context) => context.snapshot
)

/**
 * Reads the snapshot of the run, typed as one that carries these extensions, to hand it to another pipeline.
 */
export const currentWith = <const E extends ReadonlyArray<AnyExtension>>(
  ..._extensions: E
): Effect.Effect<
  Current & With<E[number]["Identifier"]>,
  never,
  StageContext | E[number]["Identifier"]
> =>
  // A stage that has the services of these extensions has them from this snapshot.
  current as Effect.Effect<Current & With<E[number]["Identifier"]>, never, StageContext>

/**
 * Reads who and what the current run belongs to.
 */
export const identity: Effect.Effect<RunIdentity, never, StageContext> = Effect.map(
  StageContext,
  (context) => context.identity
)

/**
 * Encodes a snapshot as JSON, with the version of its shape. Nothing is lost: dates, options and bytes of extensions go
 * through their schemas.
 */
export const encode = (self: Snapshot): Schema.Json =>
  // toCodecJson encodes to JSON.
  Schema.encodeUnknownSync(Encoded)({ version, snapshot: checked(self) }) as Schema.Json

const invalid = (problems: ReadonlyArray<Problem>, code: SnapshotInvalid["code"] = "SNAPSHOT_INVALID") =>
  new SnapshotInvalid({ code, problems })

const problemsIn = ({ extension }: AnyExtension, issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  problemsOf(issue).map((problem) => ({ ...problem, path: ["extensions", extension, ...problem.path] }))

const newerThanKnown = (input: unknown): SnapshotInvalid | undefined => {
  if (typeof input !== "object" || input === null || !("version" in input)) return undefined
  const found = input.version
  if (typeof found !== "number" || found <= version) return undefined
  const message = `Written by a newer version (${found}); this one reads up to ${version}`
  return invalid([{ path: ["version"], message }], "SNAPSHOT_NEWER_VERSION")
}

const decodeExtensions = (snapshot: Snapshot, extensions: ReadonlyArray<AnyExtension>) => {
  let context = Context.empty()
  const problems: Array<Problem> = []
  for (const extension of extensions) {
    if (!Object.hasOwn(snapshot.extensions, extension.extension)) {
      problems.push({ path: ["extensions", extension.extension], message: "Missing key" })
      continue
    }
    const decoded = decodeExtension(extension, snapshot.extensions[extension.extension])
    if (Result.isSuccess(decoded)) context = Context.add(context, extension, decoded.success)
    else problems.push(...decoded.failure)
  }
  return problems.length === 0 ? Result.succeed(context) : Result.fail(invalid(problems))
}

/** The value of an extension from its JSON. */
const decodeExtension = (extension: AnyExtension, json: unknown): Result.Result<unknown, ReadonlyArray<Problem>> => {
  const decode = Schema.decodeUnknownResult(Schema.toCodecJson(extension.schema))
  // A schema is somebody's code, too.
  const result = Result.try(() => Result.map(decode(json, { errors: "all" }), immutable))
  return Result.isSuccess(result)
    ? Result.mapError(result.success, ({ issue }) => problemsIn(extension, issue))
    : Result.fail([unreadable(["extensions", extension.extension], result.failure)])
}

/**
 * Decodes a snapshot from JSON that nobody has checked, with the extensions that it must carry.
 *
 * Fails with every problem at once and the path to each. Keys such as `__proto__` are data and pollute nothing.
 */
export const decode = <const E extends ReadonlyArray<AnyExtension> = []>(
  input: unknown,
  options?: { readonly extensions?: E | undefined }
): Effect.Effect<With<E[number]["Identifier"]>, SnapshotInvalid> => {
  const { extensions } = fields<{ readonly extensions?: E | undefined }>("options", ["extensions"], options ?? {})
  if (extensions !== undefined) instance("extensions", "a list of extensions", isExtensions, extensions)
  const result = Result.try(() => decodeAll(immutable(input), extensions ?? []))
  const decoded = Result.isSuccess(result)
    ? result.success
    : Result.fail(
      result.failure instanceof SnapshotInvalid ? result.failure : invalid([unreadable([], result.failure)])
    )
  return Effect.fromResult(decoded) as Effect.Effect<With<E[number]["Identifier"]>, SnapshotInvalid> // With has a phantom only
}

const isExtensions = (u: unknown): u is ReadonlyArray<AnyExtension> => Array.isArray(u) && u.every(isExtension)

const decodeAll = (
  input: unknown,
  extensions: ReadonlyArray<AnyExtension>
): Result.Result<Snapshot, SnapshotInvalid> => {
  const newer = newerThanKnown(input)
  if (newer !== undefined) return Result.fail(newer)
  return pipe(
    Schema.decodeUnknownResult(Encoded)(input, { errors: "all" }),
    Result.mapError((error) => invalid(problemsOf(error.issue))),
    Result.flatMap(({ snapshot }) =>
      Result.map(decodeExtensions(snapshot, extensions), (context) => build(snapshot, context))
    )
  )
}
