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
import { immutable } from "./internal/immutable.ts"
import { describeProblems, Problem, problemsOf } from "./internal/problems.ts"
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

const present = <A extends object>(fields: A): A =>
  // Leaving out the keys that hold undefined is what exactOptionalPropertyTypes asks for.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

/** What the compiler cannot rule out, an empty id for one, is thrown as `decode` would tell it. */
const construct = (fields: Input): Snapshot => {
  const given = present(fields) as ConstructorParameters<typeof Snapshot>[0]
  const made = Result.try(() => new Snapshot(given, { parseOptions: { errors: "all" } }))
  if (Result.isSuccess(made)) return made.success
  const issue = made.failure instanceof Error ? made.failure.cause : undefined
  throw SchemaIssue.isIssue(issue) ? invalid(problemsOf(issue)) : made.failure
}

const build = (fields: Input, extensions: Context.Context<never>): Snapshot => {
  const snapshot = construct(fields)
  // The schema makes new objects while it checks: those are the ones to make immutable.
  return seal(Object.assign(snapshot, immutable({ ...snapshot })), extensions)
}

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
export const isSnapshot = (u: unknown): u is Snapshot => u instanceof Snapshot

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
    const encode = Schema.encodeUnknownResult(Schema.toCodecJson(extension.schema))
    const encoded = Result.getOrThrowWith(
      encode(value, { errors: "all" }),
      ({ issue }) => invalid(problemsIn(extension, issue))
    )
    // toCodecJson encodes to JSON; With has a phantom only.
    return build(
      { ...self, extensions: { ...self.extensions, [extension.extension]: encoded as Schema.Json } },
      Context.add(extensionsOf(self), extension, immutable(value))
    ) as unknown as With<X | Self>
  }
)

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
    build({ ...self, ...fields, extensions: self.extensions }, extensionsOf(self)) as unknown as With<X>
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
  Schema.encodeUnknownSync(Encoded)({ version, snapshot: self }) as Schema.Json

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
    const decoded = Schema.decodeUnknownResult(Schema.toCodecJson(extension.schema))(
      snapshot.extensions[extension.extension],
      { errors: "all" }
    )
    if (Result.isSuccess(decoded)) {
      context = Context.add(context, extension, immutable(decoded.success))
    } else {
      problems.push(...problemsIn(extension, decoded.failure.issue))
    }
  }
  return problems.length === 0 ? Result.succeed(context) : Result.fail(invalid(problems))
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
  const newer = newerThanKnown(input)
  if (newer !== undefined) return Effect.fail(newer)
  return pipe(
    Schema.decodeUnknownResult(Encoded)(input, { errors: "all" }),
    Result.mapError((error) => invalid(problemsOf(error.issue))),
    Result.flatMap(({ snapshot }) =>
      Result.map(decodeExtensions(snapshot, options?.extensions ?? []), (context) => build(snapshot, context))
    ),
    Effect.fromResult
  ) as Effect.Effect<With<E[number]["Identifier"]>, SnapshotInvalid> // With has a phantom only
}
