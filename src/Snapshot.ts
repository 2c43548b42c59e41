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
import * as PlainJson from "./internal/plain-json.ts"
import { describeProblems, FieldProblem, problemsOf, problemsUnder } from "./internal/problems.ts"
import { type Current, extensionsOf, type RunIdentity, seal, Snapshot, withInput } from "./internal/snapshot-model.ts"
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
 * What `make` takes: any part of a snapshot, the input of its pipeline being an `I`.
 */
export type Input<I = unknown> =
  & { readonly [K in Exclude<keyof Snapshot, "input">]?: Snapshot[K] | undefined }
  & { readonly input?: I | undefined }

declare const Carried: unique symbol
declare const Nothing: unique symbol

/**
 * The input of a snapshot that is not known to have one.
 */
export interface NoInput {
  readonly [Nothing]: never
}

/** `any` is an input like any other. */
type IsNone<I> = 0 extends 1 & I ? false : [I] extends [NoInput] ? true : false

/**
 * A snapshot that carries the extensions `X` and the input `I` of a pipeline: the type of a parameter that is handed to
 * such a pipeline.
 */
export type With<X, I = NoInput> =
  & Snapshot
  & Pipeable
  & { readonly [Carried]: (_: X) => void }
  & (IsNone<I> extends true ? unknown : { readonly input: I })

/**
 * The extensions that a snapshot is known to carry.
 */
export type CarriedBy<S> = S extends { readonly [Carried]: (_: infer X) => void } ? X : never

/**
 * The input of a pipeline that a snapshot is known to carry, or `NoInput`.
 */
export type InputOf<S> = S extends { readonly input: infer I } ? I : NoInput

/**
 * A snapshot could not be read: what is wrong, and where.
 */
export class SnapshotInvalid extends Schema.TaggedError<SnapshotInvalid>()("SnapshotInvalid", {
  code: Schema.Literals(["SNAPSHOT_INVALID", "SNAPSHOT_NEWER_VERSION"]),
  problems: Schema.Array(FieldProblem)
}) {
  override get message(): string {
    return `Invalid snapshot: ${describeProblems(this.problems)}`
  }
}

const version = 1

/**
 * What has the schema of an input: a pipeline.
 */
export interface OfInput {
  readonly input?: Schema.Top | undefined
}

const Encoded = Schema.Struct({ version: Schema.Int, snapshot: Schema.toCodecJson(Snapshot) })

const present = <A extends object>(fields: A): A =>
  // Leaving out the keys that hold undefined is what exactOptionalPropertyTypes asks for.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

/** What the compiler cannot rule out, an empty id for one, is thrown as `decode` would tell it. */
const construct = (fields: Input): Snapshot => {
  const made = Result.try(() => {
    const isObject: boolean = typeof fields === "object" && fields !== null && !Array.isArray(fields)
    if (!isObject) throw invalid([{ path: [], message: "Expected an object" }])
    const given = present(fields) as ConstructorParameters<typeof Snapshot>[0]
    return new Snapshot(given, { parseOptions: { errors: "all" } })
  })
  if (Result.isSuccess(made)) return made.success
  throw whyInvalid(made.failure)
}

/** Why no snapshot could be made: what is wrong with its fields, or what happened when they were read. */
const whyInvalid = (thrown: unknown): SnapshotInvalid => {
  if (thrown instanceof SnapshotInvalid) return thrown
  const issue = thrown instanceof Error ? thrown.cause : undefined
  if (SchemaIssue.isIssue(issue)) return invalid(problemsOf(issue))
  // A schema looks into data by recursion, and the stack has an end.
  return invalid([{
    path: [],
    message: thrown instanceof RangeError ? "Is nested too deep" : "Threw when it was read"
  }])
}

const build = (fields: Input, extensions: Context.Context<never>): Snapshot => {
  const snapshot = construct(fields)
  // The schema makes new objects while it checks: those are the ones to make immutable.
  return seal(Object.assign(snapshot, immutable({ ...snapshot })), extensions)
}

/** A snapshot with the input that was given. Nothing is learnt of it from where the snapshot is used. */
type Made<I> = IsNone<I> extends true ? With<never> : With<never, NoInfer<I>>

/**
 * Makes a snapshot. What you pass in is copied; it stays yours and unchanged.
 *
 * `input` is what a pipeline with an `input` schema takes. Use `decode` for data that the compiler has not checked: `make`
 * throws `SnapshotInvalid` on it.
 */
export const make = <const I = NoInput>(fields: Input<I> = {}): Made<I> =>
  // The phantom of With is never there at run time.
  build(fields, Context.empty()) as Made<I>

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
  ): <Of extends Snapshot>(self: Of) => With<CarriedBy<Of> | Self, InputOf<Of>>
  <Of extends Snapshot, Self, Name extends string, S extends Schema.Codec<any, any>>(
    self: Of,
    extension: ExtensionClass<Self, Name, S>,
    value: S["Type"]
  ): With<CarriedBy<Of> | Self, InputOf<Of>>
} = dual(
  3,
  <Of extends Snapshot, Self, Name extends string, S extends Schema.Codec<any, any>>(
    self: Of,
    extension: ExtensionClass<Self, Name, S>,
    value: S["Type"]
  ): With<CarriedBy<Of> | Self, InputOf<Of>> => {
    const encode = Schema.encodeUnknownResult(Schema.toCodecJson(extension.schema))
    const encoded = Result.getOrThrowWith(
      encode(value, { errors: "all" }),
      ({ issue }) => invalid(problemsIn(extension, issue))
    )
    // toCodecJson encodes to JSON; With has a phantom only.
    return build(
      { ...self, extensions: { ...self.extensions, [extension.extension]: encoded as Schema.Json } },
      Context.add(extensionsOf(self), extension, immutable(value))
    ) as unknown as With<CarriedBy<Of> | Self, InputOf<Of>>
  }
)

/** The snapshot with its input changed, when one is given. */
type Updated<Of, I> = With<CarriedBy<Of>, IsNone<I> extends true ? InputOf<Of> : I>

/**
 * Changes some fields of a snapshot. What it carries, its extensions included, stays.
 *
 * `undefined` removes a field. The given snapshot is not changed; it can be `Snapshot.current`, to hand it to another
 * pipeline with its own `input`.
 */
export const update: {
  <const I = NoInput>(fields: Omit<Input<I>, "extensions">): <Of extends Snapshot>(self: Of) => Updated<Of, I>
  <Of extends Snapshot, const I = NoInput>(self: Of, fields: Omit<Input<I>, "extensions">): Updated<Of, I>
} = dual(
  2,
  <Of extends Snapshot, const I = NoInput>(self: Of, fields: Omit<Input<I>, "extensions">): Updated<Of, I> =>
    // The extensions are those of `self`, which carries them.
    build({ ...self, ...fields, extensions: self.extensions }, extensionsOf(self)) as unknown as Updated<Of, I>
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
 * through their schemas, and the input of a pipeline through the pipeline's, when it is given: `Snapshot.encode(snapshot,
 * pipeline)`.
 *
 * Throws `SnapshotInvalid` when the input is not what that schema encodes or, without one, no plain data.
 */
export const encode = (self: Snapshot, of: OfInput = {}): Schema.Json => {
  const snapshot = self.input === undefined ? self : withInput(self, inputAsJson(self.input, of.input))
  // toCodecJson encodes to JSON.
  return Schema.encodeUnknownSync(Encoded)({ version, snapshot }) as Schema.Json
}

type Problems = ReadonlyArray<FieldProblem>

/** What a schema makes of an input. Its own code can throw, and an asynchronous one cannot be waited for. */
const converted = (convert: () => Result.Result<unknown, Schema.SchemaError>): Result.Result<unknown, Problems> => {
  const result = Result.try(convert)
  if (Result.isFailure(result)) {
    return Result.fail([{ path: [], message: "Its schema threw, or is asynchronous, when the input went through it" }])
  }
  return Result.mapError(result.success, ({ issue }) => problemsOf(issue))
}

const under = <A>(result: Result.Result<A, Problems>): Result.Result<A, Problems> =>
  Result.mapError(result, (problems) => problemsUnder(["input"], problems))

const inputAsJson = (input: unknown, schema: OfInput["input"]): Schema.Json =>
  Result.getOrThrowWith(
    under(
      schema === undefined
        ? PlainJson.write(input)
        : converted(() =>
          // The schema of an input needs no services.
          Schema.encodeUnknownResult(Schema.toCodecJson(schema as Schema.Codec<unknown>))(input, { errors: "all" })
        ) as Result.Result<Schema.Json, Problems> // toCodecJson encodes to JSON
    ),
    (problems) => invalid(problems)
  )

const inputFromJson = (json: unknown, schema: OfInput["input"]): Result.Result<unknown, Problems> =>
  under(
    schema === undefined ? PlainJson.readBack(json) : converted(() => {
      const known = schema as Schema.Codec<unknown> // it needs no services
      // An input that is `undefined` is not written.
      return json === undefined
        ? Schema.decodeUnknownResult(Schema.toType(known))(json, { errors: "all" })
        : Schema.decodeUnknownResult(Schema.toCodecJson(known))(json, { errors: "all" })
    })
  )

const invalid = (problems: ReadonlyArray<FieldProblem>, code: SnapshotInvalid["code"] = "SNAPSHOT_INVALID") =>
  new SnapshotInvalid({ code, problems })

const problemsIn = ({ extension }: AnyExtension, issue: SchemaIssue.Issue): ReadonlyArray<FieldProblem> =>
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
  const problems: Array<FieldProblem> = []
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

/** Everything that a snapshot carries in encoded form, decoded; all problems at once. */
const decodeCarried = (snapshot: Snapshot, extensions: ReadonlyArray<AnyExtension>, schema: OfInput["input"]) => {
  const context = decodeExtensions(snapshot, extensions)
  const input = schema !== undefined || snapshot.input !== undefined
    ? inputFromJson(snapshot.input, schema)
    : Result.succeed(undefined)
  if (Result.isFailure(input)) {
    const others = Result.isFailure(context) ? context.failure.problems : []
    return Result.fail(invalid([...others, ...input.failure]))
  }
  return Result.map(context, (context) => build({ ...snapshot, input: input.success }, context))
}

/**
 * Decodes a snapshot from JSON that nobody has checked, with the extensions that it must carry and, through the schema of
 * its pipeline, the input: `Snapshot.decode(json, { extensions: [Skills], input: Bill })`.
 *
 * Fails with every problem at once and the path to each. Keys such as `__proto__` are data and pollute nothing.
 */
export const decode = <const E extends ReadonlyArray<AnyExtension> = [], I = NoInput>(
  json: unknown,
  options?: { readonly extensions?: E | undefined; readonly input?: Schema.Codec<I, any> | undefined }
): Effect.Effect<With<E[number]["Identifier"], I>, SnapshotInvalid> => {
  const newer = newerThanKnown(json)
  if (newer !== undefined) return Effect.fail(newer)
  return pipe(
    Schema.decodeUnknownResult(Encoded)(json, { errors: "all" }),
    Result.mapError((error) => invalid(problemsOf(error.issue))),
    Result.flatMap(({ snapshot }) => decodeCarried(snapshot, options?.extensions ?? [], options?.input)),
    Effect.fromResult
  ) as Effect.Effect<With<E[number]["Identifier"], I>, SnapshotInvalid> // With has a phantom only
}
