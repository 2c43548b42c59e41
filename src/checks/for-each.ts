/**
 * Checks, in the compiler, how a stage runs something for each of several items: what gives the items, what is run for them
 * and whether the two fit.
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { First, Mismatch, OneOf } from "./sentence.ts"
import type { NoData } from "./stage.ts"
import type { NotGiven } from "./wiring.ts"

/** What `items` gives one by one. */
export type ItemOf<Items> = Items extends Stream.Stream<infer A, infer _E, infer _R> ? A
  : Items extends Iterable<infer A> ? A
  : never

/** What else it can fail with. */
export type ItemsError<Items> = Items extends Stream.Stream<infer _A, infer E, infer _R> ? E : never

/** What it needs. */
export type ItemsServices<Items> = Items extends Stream.Stream<infer _A, infer _E, infer R> ? R : never

type Place<Name extends string, Option extends string> = `stage '${Name}', ${Option}`

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

type NoItems<Items> = Items extends string ? `it gives a text; split it into items`
  : Items extends AnyEffect ? `it gives an Effect; give a Stream (Stream.fromIterableEffect, Stream.unwrap)`
  : Items extends PromiseLike<unknown> ?
    `it gives a Promise; give a Stream (Stream.fromEffect, Stream.fromAsyncIterable)`
  : Items extends Iterable<unknown> | Stream.Stream<unknown, unknown, unknown> ? never
  : Items extends AsyncIterable<unknown> ? `it gives an AsyncIterable; give a Stream (Stream.fromAsyncIterable)`
  : `it gives nothing to go through; give an Iterable or a Stream`

type ItemsProblem<Name extends string, Items> = unknown extends Items ? never
  : [NoItems<Items>] extends [never] ? never
  : `${Place<Name, "items">}: ${OneOf<NoItems<Items>> & string}`

type Waiting<A> = Extract<NoData<A>, `${string}(${string}`>

type FunctionProblem<Name extends string, Returned, Value> = [Returned] extends [never] ? never
  : [Returned] extends [AnyEffect] ? [Value] extends [never] ? never
    : unknown extends Value ? never
    : [Waiting<Value>] extends [never] ? never
    : `${Place<Name, "each">}: it gives ${OneOf<Waiting<Value>> & string}`
  : Returned extends PromiseLike<unknown>
    ? `${Place<Name, "each">}: it is an async function; use Effect.promise or Effect.tryPromise in an Effect`
  : `${Place<Name, "each">}: it returns a value; return an Effect (Effect.succeed, Effect.gen)`

type TakenProblem<Name extends string, Taken, Item> = unknown extends Taken ? never
  : [Taken] extends [never] ? never
  : [Item] extends [Taken] ? never
  : `${Place<Name, "each">}: it takes other items; items gives ${Mismatch<Taken, Item>}`

/** What is run for each item, as far as it can be wrong: whether it is anything at all, and what it takes. */
type EachProblem<Name extends string, Each, IsBody, Taken, Item, Value> = IsBody extends true ? First<
    TakenProblem<Name, Taken, Item>,
    Each extends (...given: never) => infer Returned ? FunctionProblem<Name, Returned, Value> : never
  >
  : `${Place<Name, "each">}: this is no stage, no pipeline and no function`

type NoCount<N> = N extends number ? number extends N ? never
  : `${N}` extends "0" | `-${string}` | `${string}.${string}` | "NaN" | "Infinity" ? N
  : never
  : N

type Shown<A> = A extends string ? `'${A}'` : A extends number | bigint | boolean | null | undefined ? `${A}` : `this`

type ConcurrencyProblem<Name extends string, Concurrency> = Concurrency extends "unbounded" | undefined ? never
  : string extends Concurrency ? `${Place<Name, "concurrency">}: give a whole number from 1, or 'unbounded'`
  : [NoCount<Concurrency>] extends [never] ? never
  : `${Place<Name, "concurrency">}: ${Shown<Concurrency>} is no limit; give a whole number from 1, or 'unbounded'`

type FailureProblem<Name extends string, Failure> = Failure extends "fail-fast" | "continue" | undefined ? never
  : Failure extends { readonly tolerate: infer N } ? [Exclude<NoCount<N>, 0>] extends [never] ? never
    : `${Place<Name, "failure">}: ${Shown<N>} is no count of items; give a whole number from 0`
  : `${Place<Name, "failure">}: give 'fail-fast', 'continue' or { tolerate: n }`

type OutputProblem<Name extends string, Value, Data> = unknown extends Data ? never
  : [Value] extends [never] ? never
  : unknown extends Value ? never
  : [Value] extends [Data] ? never
  : `${Place<Name, "output">}: each gives ${Mismatch<Data, Value>}`

type OptionName =
  | "items"
  | "each"
  | "key"
  | "concurrency"
  | "failure"
  | "retry"
  | "events"
  | "kind"
  | "output"
  | "error"

type OptionProblem<Name extends string, Other> = [Other] extends [never] ? never
  : `stage '${Name}' has no option '${
    & OneOf<Other>
    & string}', only items, each, key, concurrency, failure, retry, events, kind, output and error`

/** What was given, as far as it can be wrong. */
export interface GivenForEach {
  readonly items: unknown
  readonly each: unknown
  readonly isBody: boolean
  readonly taken: unknown
  readonly value: unknown
  readonly concurrency: unknown
  readonly failure: unknown
  readonly data: unknown
  readonly options: unknown
}

/**
 * What is wrong with a stage `Name` that runs something for each of several items. While the compiler has not yet looked at
 * the options, nothing is.
 */
export type ForEachProblem<Name extends string, G extends GivenForEach> = [G["options"]] extends [NotGiven] ? never
  : ProblemOf<Name, G>

type ProblemOf<Name extends string, G extends GivenForEach> = First<
  First<
    OptionProblem<Name, Exclude<keyof G["options"] & string, OptionName>>,
    ItemsProblem<Name, G["items"]>
  >,
  First<
    First<
      EachProblem<Name, G["each"], G["isBody"], G["taken"], ItemOf<G["items"]>, G["value"]>,
      ConcurrencyProblem<Name, G["concurrency"]>
    >,
    First<FailureProblem<Name, G["failure"]>, OutputProblem<Name, G["value"], G["data"]>>
  >
>
