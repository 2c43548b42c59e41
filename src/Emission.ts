/**
 * Gives the events that a stage emits of its own a name and a type: the tokens of an answer, the steps of a search.
 *
 * ```ts
 * import { Effect, Schema, Stream } from "effect"
 * import { Emission, Pipeline, Snapshot, Stage } from "stageflow"
 *
 * class Token extends Emission.make<Token>()("token", Schema.Struct({ text: Schema.String })) {}
 *
 * const answer = Stage.transform("answer", {
 *   run: Effect.gen(function*() {
 *     yield* Token.emit({ text: "Hello" })
 *     return { done: true }
 *   })
 * })
 *
 * const tokens = Pipeline.stream(Pipeline.make("chat").add(answer), Snapshot.make()).pipe(
 *   Pipeline.emitted(Token),
 *   Stream.map(({ data, stage }) => `${stage}: ${data.text}`)
 * )
 * ```
 *
 * What is emitted is a `StageEmitted` like any other, whose `type` is the name and whose `data` is written by the schema:
 * sinks need to know nothing of it, and it is read back from wherever they kept it.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { Event, Of } from "./Event.ts"
import * as options from "./internal/options.ts"
import { describeProblems, FieldProblem, problemsOf } from "./internal/problems.ts"
import { StageContext } from "./StageContext.ts"

const TypeId = "~stageflow/Emission"

/**
 * What was emitted is none of what the schema describes. The stage dies of it: that is a mistake in its program.
 *
 * The message says where, and nothing of the data.
 */
export class EmissionInvalid extends Schema.TaggedError<EmissionInvalid>()("EmissionInvalid", {
  emission: Schema.String,
  stage: Schema.String,
  problems: Schema.Array(FieldProblem)
}) {
  readonly code = "EMISSION_INVALID"
  override get message(): string {
    return `Stage "${this.stage}" emitted no valid "${this.emission}": ${describeProblems(this.problems)}`
  }
}

/**
 * The event of an emission, with the data as the schema writes it.
 */
export type EventOf<Name extends string, S extends Schema.Top> = Of<"StageEmitted"> & {
  readonly type: Name
  readonly data: S["Encoded"]
}

/**
 * The class that `make` returns: a name, a schema, and how to emit and recognise what has them.
 */
export interface EmissionClass<Self, Name extends string, S extends Schema.Codec<any, any>> {
  // Nobody makes one: a class has a name of its own, which an error of the compiler says.
  new(_: never): { readonly [TypeId]: { readonly self: Self } }
  readonly [TypeId]: typeof TypeId
  /** The `type` of its events. */
  readonly emission: Name
  readonly schema: S
  /** Puts an event in the run's events. It cannot fail; data that is none of the schema is a defect, `EmissionInvalid`. */
  readonly emit: (data: S["Type"]) => Effect.Effect<void, never, StageContext>
  /** Whether an event is one of these: by its type, and by its data. */
  readonly is: (event: Event) => event is EventOf<Name, S>
  /** Reads the data of an event; nothing when it is none of these. */
  readonly decode: (event: Event) => Effect.Effect<Option.Option<S["Type"]>>
}

/**
 * Any emission class.
 */
export type Any = Pick<EmissionClass<any, string, Schema.Codec<any, any>>, "emission" | "schema" | "decode">

/**
 * The data of an emission class.
 */
export type Data<E extends Any> = E["schema"]["Type"]

/**
 * What was emitted, and where.
 */
export interface Emitted<out A> {
  readonly runId: string
  readonly stage: string
  readonly attempt: number
  readonly data: A
}

/**
 * Whether a value is an emission class.
 */
export const isEmission = (u: unknown): u is Any => typeof u === "function" && Predicate.hasProperty(u, TypeId)

/**
 * Defines an emission: the `type` of its events, and the schema of their data.
 *
 * The schema must decode and encode without services, so that an event can be read anywhere.
 */
export const make = <Self>() =>
<const Name extends string, S extends Schema.Codec<any, any>>(
  name: Name,
  schema: S
): EmissionClass<Self, Name, S> => {
  const emission = options.name("name", name)
  const given = options.ofKind("schema", "a schema", Schema.isSchema, schema) as S
  const encode = Schema.encodeUnknownEffect(given, { errors: "all" })
  const decode = Schema.decodeUnknownEffect(given)
  const isEncoded = Schema.is(Schema.toEncoded(given))
  const is = (event: Event): event is EventOf<Name, S> =>
    event._tag === "StageEmitted" && event.type === emission && isEncoded(event.data)
  const emit = (data: S["Type"]): Effect.Effect<void, never, StageContext> =>
    Effect.flatMap(StageContext, (context) =>
      Effect.matchEffect(encode(data), {
        onFailure: ({ issue }) =>
          Effect.die(new EmissionInvalid({ emission, stage: context.stage, problems: problemsOf(issue) })),
        onSuccess: (encoded) => context.emit(emission, encoded)
      }))
  const made = {
    [TypeId]: TypeId,
    emission,
    schema: given,
    emit,
    is,
    decode: (event: Event) => is(event) ? Effect.option(decode(event.data)) : Effect.succeedNone
  }
  // The class has what makes it an emission, and so do those that extend it.
  // oxlint-disable-next-line typescript/no-extraneous-class -- a class of nobody's own, to extend
  return Object.assign(class {}, made) as unknown as EmissionClass<Self, Name, S>
}
