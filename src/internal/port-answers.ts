/**
 * Changes what a port answers: members that are an Effect or a Stream, and functions that return one. Other members, and the
 * calls that an implementation makes to itself, stay as they are. A port may also be a single function.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export type AnyEffect = Effect.Effect<unknown, unknown, unknown>
export type AnyStream = Stream.Stream<unknown, unknown, unknown>
type AnyFunction = (...args: never) => unknown

/** What a member of a port answers with. */
export type Answer<X> = X extends (...args: never) => infer Out ? Out : X
/** What an answer can fail with. */
export type ErrorOf<X> = X extends Effect.Effect<unknown, infer E, unknown> ? E
  : X extends Stream.Stream<unknown, infer E, unknown> ? E
  : never
/** What an answer gives, when it is no Stream. */
export type SuccessOf<X> = X extends Effect.Effect<infer A, unknown, unknown> ? A : void

/**
 * The members of a port that answer with an Effect or a Stream; `"call"` for a port that is a function.
 */
export type Method<S> = S extends AnyFunction ? "call"
  : { readonly [K in keyof S]-?: Answer<S[K]> extends AnyEffect | AnyStream ? K : never }[keyof S] & string

/** A member of a port. */
export type Member<S, M> = S extends AnyFunction ? S : M extends keyof S ? S[M] : never

/** A call of a method. */
export interface Asked {
  readonly method: string
  readonly args: ReadonlyArray<unknown>
  /** Whether the method is no function: an Effect or a Stream itself. */
  readonly isMember?: boolean
}

/** What is made of the answers of a port. */
export interface Change {
  readonly effect: (asked: Asked, answer: AnyEffect) => AnyEffect
  readonly stream: (asked: Asked, answer: AnyStream) => AnyStream
}

/** The same for Effects and Streams: something that happens before the answer, or instead of it. */
export const before = (change: Change["effect"]): Change => ({
  effect: change,
  stream: (asked, answer) =>
    // What the change gives is `answer` or nothing.
    Stream.unwrap(change(asked, Effect.succeed(answer)) as Effect.Effect<AnyStream, unknown, unknown>)
})

const changedAnswer = (change: Change, asked: Asked, answer: unknown): unknown => {
  if (Effect.isEffect(answer)) return change.effect(asked, answer)
  return Stream.isStream(answer) ? change.stream(asked, answer) : answer
}

/** The members of an object, those of its classes included: a service may be an instance. */
const descriptorsOf = (service: object): ReadonlyMap<PropertyKey, PropertyDescriptor> => {
  const descriptors = new Map<PropertyKey, PropertyDescriptor>()
  for (let owner = service; owner !== null && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const key of Reflect.ownKeys(owner)) {
      const descriptor = Object.getOwnPropertyDescriptor(owner, key)
      if (key !== "constructor" && descriptor !== undefined && !descriptors.has(key)) descriptors.set(key, descriptor)
    }
  }
  return descriptors
}

/** An object like the service whose members are read when they are asked for: a getter may give something else then. */
export const mirror = <S extends object>(service: S, read: (key: PropertyKey) => unknown): S => {
  const copy = Object.create(Object.getPrototypeOf(service) as object | null) as object
  for (const [key, { enumerable }] of descriptorsOf(service)) {
    Object.defineProperty(copy, key, { get: () => read(key), enumerable: enumerable ?? true, configurable: true })
  }
  return copy as S // it has all members of the service
}

const changedMember = (change: Change, service: unknown, method: string, member: unknown): unknown =>
  typeof member === "function"
    ? (...args: ReadonlyArray<unknown>) => changedAnswer(change, { method, args }, Reflect.apply(member, service, args))
    : changedAnswer(change, { method, args: [], isMember: true }, member)

/** A port whose answers are changed. */
export const changed = <S>(service: S, change: Change): S => {
  // The changed function gives answers of the same types.
  if (typeof service === "function") return changedMember(change, undefined, "call", service) as S
  if (typeof service !== "object" || service === null) return service
  return mirror(service, (key) => changedMember(change, service, String(key), Reflect.get(service, key)))
}
