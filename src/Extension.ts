/**
 * Adds an application's own typed data to snapshots.
 *
 * An extension is a service whose value travels in the snapshot: it has a schema, it encodes with the snapshot, and
 * a stage reads it with `yield*`. Running a pipeline that reads an extension with a snapshot that lacks it is a compile
 * error.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Extension, Pipeline, Snapshot, Stage } from "stageflow"
 *
 * class Skills extends Extension.make<Skills>()("skills", Schema.Struct({ level: Schema.String })) {}
 *
 * const greet = Stage.transform("greet", {
 *   run: Effect.gen(function*() {
 *     const skills = yield* Skills
 *     return { greeting: `You are ${skills.level}` }
 *   })
 * })
 *
 * const pipeline = Pipeline.make("greeting").add(greet)
 * const program = Pipeline.run(pipeline, Snapshot.make({}).pipe(Snapshot.extend(Skills, { level: "expert" })))
 * ```
 */
import * as Context from "effect/Context"
import * as Schema from "effect/Schema"
import { instance, text } from "./internal/options.ts"

const prefix = "stageflow/Extension/"

/**
 * The service key of the extension called `Name`.
 */
export type Key<Name extends string> = `stageflow/Extension/${Name}`

/**
 * The class that `make` returns: a service key with a schema and the name it has in a snapshot.
 */
export interface ExtensionClass<Self, Name extends string, S extends Schema.Codec<any, any>>
  extends Context.ServiceClass<Self, Key<Name>, S["Type"]>
{
  readonly extension: Name
  readonly schema: S
}

/**
 * Any extension class.
 */
export interface Any extends Context.Key<any, any> {
  readonly key: Key<string>
  readonly extension: string
  readonly schema: Schema.Codec<any, any>
}

/**
 * Among services, those that are extensions: a pipeline needs them from its snapshot and from nowhere else.
 */
export type Among<Services> = Extract<Services, { readonly key: Key<string> }>

/**
 * The names of the extensions among services.
 */
export type Names<Services> = Services extends { readonly key: Key<infer Name> } ? Name : never

/**
 * Defines an extension: the name it has in a snapshot, and the schema of its value.
 *
 * The schema must decode and encode without services, so that a snapshot can be read anywhere.
 */
export const make = <Self>() =>
<const Name extends string, S extends Schema.Codec<any, any>>(
  name: Name,
  schema: S
): ExtensionClass<Self, Name, S> => {
  const service = Context.Service<Self, S["Type"]>()(`${prefix}${text("name", name)}`)
  instance("schema", "a Schema", Schema.isSchema, schema)
  // The service class gains the two properties that make it an extension.
  return Object.assign(service, { extension: name, schema }) as unknown as ExtensionClass<Self, Name, S>
}
