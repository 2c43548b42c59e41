/**
 * Chooses one of several branches by the route that a router decided on, and decides on routes by weight.
 *
 * `match` makes one stage of all branches. It is wired to a router, a stage like any other, and runs the branch of the route
 * that the router gave; the others do nothing. Each route of the router has to have a branch.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Route } from "stageflow/control"
 *
 * const router = Stage.route("router", {
 *   *run() {
 *     const { inputText = "" } = yield* Snapshot.current
 *     return { route: inputText.includes("help") ? "support" : "sales" }
 *   }
 * })
 *
 * const chat = Pipeline.make("chat")
 *   .add(router)
 *   .add(
 *     Route.match("answer", router, {
 *       support: Stage.transform("support", { run: Effect.succeed({ text: "How can I help?" }) }),
 *       sales: Stage.transform("sales", { run: Effect.succeed({ text: "What would you like?" }) })
 *     }),
 *     { inputs: ["router"] }
 *   )
 * ```
 *
 * Branches that other stages read one by one, or that are more than one stage of the same pipeline, are stages with a `when`;
 * see `Source.is`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { announce } from "../attempt/attempt.ts"
import { Held, holding } from "../attempt/held-codec.ts"
import { asRepetition } from "../attempt/repetition.ts"
import type { OneRecord, Shown } from "../checks/bodies.ts"
import type { BranchInputs, MatchProblem, RouteIn, RoutesWithBranch, WeightsProblem } from "../checks/route.ts"
import type { Checked, NotGiven } from "../checks/wiring.ts"
import { Suggestions } from "../internal/nearest-name.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Snapshot from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import type { StageOutput } from "../StageOutput.ts"
import {
  type Body,
  contentOf,
  type DataOf,
  type ErrorOf,
  type Runs,
  runsOf,
  type ServicesOf,
  type SignalsOf,
  type TakenBy
} from "./internal/body.ts"
import { placeOf } from "./internal/key-hash.ts"
import { entriesOf, isRecord } from "./internal/named.ts"

// ---------------------------------------------------------------------------------------------------------------------
// decisions
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Which route was taken, and why. It is a `Snapshot.RoutingDecision`, so a snapshot can carry it.
 *
 * `by` says what decided: the `"router"`; its `"confidence"`, which was too low for its own choice; the `"weights"` of the
 * routes; or `"otherwise"`, which stands in where there is no branch, or no key. `chosen` is what the router chose when that
 * is not the route that was taken.
 */
export const RoutingDecision = Schema.Struct({
  ...Snapshot.RoutingDecision.fields,
  route: Schema.String,
  by: Schema.Literals(["router", "confidence", "weights", "otherwise"]),
  chosen: Schema.optionalKey(Schema.String)
})

/**
 * Which route was taken, and why; see the schema of this name.
 */
export type RoutingDecision = typeof RoutingDecision.Type

const artifactType = "routing_decision"

const isDecision = Schema.is(RoutingDecision)

/**
 * The decision that the output of a stage has on record: `s.answer.output.map(Route.decisionIn)`. `None` when the stage
 * decided on nothing, as one that was skipped.
 */
export const decisionIn = (output: StageOutput): Option.Option<RoutingDecision> => {
  const record = output.artifacts.find(({ type }) => type === artifactType)
  return Option.filter(Option.fromUndefinedOr(record?.payload), isDecision)
}

// ---------------------------------------------------------------------------------------------------------------------
// match: types
// ---------------------------------------------------------------------------------------------------------------------

/** What a `Route.match` is given to read the route from: a router, or a function of the inputs that gives its decision. */
export type Router = Stage.Any | ((inputs: never) => unknown)

/** The branches, by their routes: stages, pipelines, or functions of the inputs that give an Effect. */
export type Branches = Readonly<Record<string, unknown>>

/** The name under which a router is read; of a function nothing is known. */
type NameOf<R> = R extends Stage.Any ? R["name"] : never

/** What a router decides. While the compiler has not yet looked at it, it is any router. */
type DecisionOf<R> = [Router] extends [R] ? NotGiven : Decision<R>

type Decision<R> = R extends Stage.Any ? Stage.DataOf<R> : R extends (inputs: never) => infer D ? D : never

/** What a router is read from. */
type Reads<R> = R extends Stage.Any ? { readonly [K in R["name"]]: Stage.DataOf<R> }
  : R extends (inputs: infer I) => unknown ? I
  : never

type Inputs<B> = { [K in keyof B]: TakenBy<B[K]> }
type Datas<B> = { [K in keyof B]: DataOf<B[K]> }
type Signals<B> = { [K in keyof B]: SignalsOf<B[K]> }
type Errors<B> = { [K in keyof B]: ErrorOf<B[K]> }
type Services<B> = { [K in keyof B]: ServicesOf<B[K]> }

/** What the branch for other routes takes, when there is one. */
type OtherInput<Other> = [Other] extends [NotGiven] ? NotGiven : TakenBy<Other>

/** Whether the compiler knows all routes and all branches; if not, a branch can be missing when the stage runs. */
type Missing<R, B, Other> = [Other] extends [NotGiven]
  ? string extends RouteIn<DecisionOf<R>> | RoutesWithBranch<B> ? NoBranch : never
  : never

/**
 * How branches are chosen.
 */
export interface MatchOptions<Other, Fallback extends string> {
  /** What runs when no branch has the route. A router that gives any string needs it. */
  readonly otherwise?: Other | undefined
  /**
   * The route that is taken instead of the router's own choice when its `confidence` is less than `atLeast`, or is no number.
   */
  readonly confidence?:
    | { readonly atLeast: number; readonly otherwise: Fallback }
    | undefined
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
}

/**
 * Makes a stage of branches.
 */
export interface Match {
  <
    const Name extends string,
    R extends Router,
    B extends Branches,
    Other = NotGiven,
    const Fallback extends RoutesWithBranch<B> = never
  >(
    name: Checked<
      Name,
      MatchProblem<
        Name,
        NameOf<R>,
        DecisionOf<R>,
        Inputs<B>,
        Datas<B>,
        OtherInput<Other>,
        DataOf<Other>,
        Fallback
      >
    >,
    router: R,
    branches: B,
    options?: MatchOptions<Other, Fallback>
  ): Stage.Stage<
    Name,
    OneRecord<Reads<R> & BranchInputs<Inputs<B>, OtherInput<Other>, NameOf<R>>>,
    Shown<Datas<B>[keyof B] | DataOf<Other>>,
    Shown<Signals<B>[keyof B] | SignalsOf<Other>>,
    Shown<Errors<B>[keyof B] | ErrorOf<Other> | Missing<R, B, Other>>,
    Shown<Services<B>[keyof B] | ServicesOf<Other>>
  >
}

/**
 * No branch has the route that a router gave. Where the compiler knows all routes it does not happen.
 */
export class NoBranch extends Schema.TaggedError<NoBranch>()("NoBranch", {
  stage: Schema.String,
  /** The route, when it is a text. */
  route: Schema.UndefinedOr(Schema.String),
  /** The routes that have a branch. */
  known: Schema.Array(Schema.String),
  /** The one of them that is nearest. */
  didYouMean: Schema.optionalKey(Schema.String)
}) {
  readonly code = "NO_BRANCH"
  override get message(): string {
    if (this.route === undefined) {
      return `Stage "${this.stage}" was given no route: a router gives a text as its \`route\``
    }
    const known = this.didYouMean === undefined
      ? `It has: ${this.known.join(", ")}.`
      : `Did you mean "${this.didYouMean}"?`
    return `Stage "${this.stage}" has no branch for the route ${options.shown(this.route)}. ${known}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// match: running
// ---------------------------------------------------------------------------------------------------------------------

/** The options as they are read; the signatures know more of them. */
interface UntypedMatchOptions {
  readonly otherwise?: Body | undefined
  readonly confidence?: Threshold | undefined
  readonly kind?: Stage.Kind | undefined
}

interface Threshold {
  readonly atLeast: number
  readonly otherwise: string
}

const matchOptionNames: ReadonlyArray<keyof UntypedMatchOptions> = ["otherwise", "confidence", "kind"]

const isRouter = (given: unknown): given is Router => typeof given === "function" || Stage.isStage(given)

const isFinite = (given: unknown): given is number => typeof given === "number" && Number.isFinite(given)

/** What is run for each route. It is read once: a record that changes later changes nothing. */
const branchesOf = (given: Branches): ReadonlyMap<string, Runs> => {
  const entries = entriesOf("branches", "an object with a branch for each route", given)
  return new Map(entries.map(([route, body]) => [route, runsOf(`branches.${route}`, body as Body)])) // which it asks for
}

const thresholdOf = (
  given: Threshold | undefined,
  branches: ReadonlyMap<string, Runs>
): Threshold | undefined => {
  if (given === undefined) return undefined
  const { atLeast, otherwise } = options.fields<Partial<Threshold>>("confidence", ["atLeast", "otherwise"], given)
  return {
    atLeast: options.ofKind("confidence.atLeast", "a finite number", isFinite, atLeast),
    otherwise: options.oneOf("confidence.otherwise", Array.from(branches.keys()), otherwise ?? "")
  }
}

/** Reads the decision of a router from the inputs of the stage. */
const readerOf = (router: Router): (inputs: unknown) => unknown => {
  const given = options.ofKind("router", "a router, or a function that gives its decision", isRouter, router)
  // A function takes the inputs of the stage: the signature says so. A stage is an input by its name.
  if (!Stage.isStage(given)) return given as (inputs: unknown) => unknown
  return (inputs) => (inputs as Readonly<Record<string, unknown>>)[given.name]
}

/** What of a router's data is on record. */
const recordable = {
  reason: Schema.is(Schema.String),
  confidence: Schema.is(Schema.Finite),
  candidates: Schema.is(Snapshot.RoutingDecision.fields.candidates.schema)
}

/** What a router says of its decision besides the route, as far as it is what a decision has. */
const detailsOf = (decision: Readonly<Record<string, unknown>>): Pick<
  RoutingDecision,
  "reason" | "confidence" | "candidates"
> => {
  const { candidates, confidence, reason } = decision
  return {
    ...(recordable.reason(reason) ? { reason } : {}),
    ...(recordable.confidence(confidence) ? { confidence } : {}),
    ...(recordable.candidates(candidates) ? { candidates } : {})
  }
}

/** A decision as it is put on record. */
type Recorded = Omit<RoutingDecision, "agentId" | "pipelineName" | "topology">

/** A choice of a branch: what is run, and why. */
interface Choice {
  readonly decision: Recorded
  readonly runs: Runs
}

/** What a stage chooses from. */
class Choosing {
  private readonly branches: ReadonlyMap<string, Runs>
  private readonly other: Runs | undefined
  private readonly threshold: Threshold | undefined

  constructor(
    branches: ReadonlyMap<string, Runs>,
    other: Runs | undefined,
    threshold: Threshold | undefined
  ) {
    this.branches = branches
    this.other = other
    this.threshold = threshold
  }

  /** What is run of all this, each with its route, for descriptions. */
  get content(): Pipeline.Content {
    return contentOf([...this.branches, ...(this.other === undefined ? [] : [["otherwise", this.other] as const])])
  }

  /** What is to be run for a decision of the router. */
  choose(stage: string, decision: unknown): Choice | NoBranch {
    const given = isRecord(decision) ? decision : {}
    const { route } = given
    // A router that gives no route has decided nothing: there is no telling what it would have meant.
    if (typeof route !== "string") return this.noBranch(stage, undefined)
    const details = detailsOf(given)
    const unsure = this.unsure(route, details)
    if (unsure !== undefined) return unsure
    const branch = this.branches.get(route)
    if (branch !== undefined) return { decision: { ...details, route, by: "router" }, runs: branch }
    if (this.other === undefined) return this.noBranch(stage, route)
    return { decision: { ...details, route: "otherwise", by: "otherwise", chosen: route }, runs: this.other }
  }

  /** What is run instead when the router is not sure enough: a confidence that is no number is none. */
  private unsure(
    chosen: string,
    details: Pick<RoutingDecision, "reason" | "confidence" | "candidates">
  ): Choice | undefined {
    if (this.threshold === undefined) return undefined
    const { atLeast, otherwise } = this.threshold
    if (details.confidence !== undefined && details.confidence >= atLeast) return undefined
    return {
      decision: { ...details, route: otherwise, by: "confidence", chosen },
      runs: this.branches.get(otherwise) as Runs // `thresholdOf` has looked
    }
  }

  private noBranch(stage: string, route: string | undefined): NoBranch {
    const known = Array.from(this.branches.keys())
    const didYouMean = route === undefined ? undefined : new Suggestions(this.branches).nearest(route, "")
    return new NoBranch({ stage, route, known, ...(didYouMean === undefined ? {} : { didYouMean }) })
  }
}

/**
 * Makes one stage of several branches, of which it runs the one whose route the router gave:
 * `Route.match("answer", router, { support, sales })`.
 *
 * The stage takes what the router gives, by the name of the router, and what its branches take; every branch is given all of
 * it. `router` is a stage, which is not run here but wired to like any other, or a function of the inputs that gives a
 * decision. Its data is that of any branch, and so are its errors, its needs, and how else it may end.
 *
 * A route without a branch is a compile error, and so is a branch without a route. What was decided is in the output
 * (`decisionIn`) and in the event `RouteDecided`.
 */
export const match: Match = (
  name: string,
  router: Router,
  given: Branches,
  settings: MatchOptions<unknown, string> = {}
) => {
  // What `otherwise` is, is what `runsOf` asks.
  const { confidence, kind, otherwise } = options.fields("options", matchOptionNames, settings as UntypedMatchOptions)
  const read = readerOf(router)
  const branches = branchesOf(given)
  const choosing = new Choosing(
    branches,
    otherwise === undefined ? undefined : runsOf("otherwise", otherwise),
    thresholdOf(confidence, branches)
  )
  const run = Effect.fnUntraced(function*(inputs: unknown) {
    const context = yield* StageContext
    const choice = choosing.choose(context.stage, read(inputs))
    if (choice instanceof NoBranch) return yield* choice
    yield* context.addArtifact({ type: artifactType, payload: choice.decision })
    announce(context, { _tag: "RouteDecided", ...choice.decision })
    const { decision: { by, route }, runs } = choice
    // Branches may be called the same, and what is kept of one is not the other's.
    const body = by === "otherwise" ? "otherwise" : `branches.${route}`
    return yield* asRepetition(Effect.suspend(() => runs.run(inputs)), [context.stage, body, 0], inputs)
  })
  const made = Stage.make(kind ?? "transform", name, { run }).pipe(
    Stage.annotate(Pipeline.Inside, choosing.content),
    Stage.annotate(Held, { errors: [holding(NoBranch)] })
  )
  // The signatures compute the types of the stage; the value does not know them.
  return made as never
}

// ---------------------------------------------------------------------------------------------------------------------
// weights
// ---------------------------------------------------------------------------------------------------------------------

/**
 * There is no key to choose a route by, and nothing says which route that is.
 */
export class NoRouteKey extends Schema.TaggedError<NoRouteKey>()("NoRouteKey", { stage: Schema.String }) {
  readonly code = "NO_ROUTE_KEY"
  override get message(): string {
    return `Stage "${this.stage}" has no key to choose a route by: \`key\` gave no text. Say which route that is with \`otherwise\``
  }
}

/** A decision for one of the routes `R`. */
export interface Decided<out R extends string> extends RoutingDecision {
  readonly route: R
}

/** The routes of weights. */
type RoutesOf<W> = keyof W & string

/**
 * How a route is chosen by weight.
 */
export interface WeightedOptions<In, Otherwise extends string> {
  /** Who or what is always given the same route: a user, a session. It is not put on record. */
  readonly key: (snapshot: Snapshot.Current, inputs: In) => string | undefined
  /** What is decided. The same key is in other routes of another experiment. The name of the stage when left out. */
  readonly experiment?: string | undefined
  /** The route of those that have no key. When left out, the stage fails with `NoRouteKey`. */
  readonly otherwise?: Otherwise | undefined
}

/**
 * Makes a stage that chooses a route by weight.
 */
export interface Weighted {
  <
    const Name extends string,
    const W extends Readonly<Record<string, number>>,
    In = unknown,
    const Otherwise extends RoutesOf<W> = never
  >(
    name: Checked<Name, WeightsProblem<Name, W>>,
    weights: W,
    options: WeightedOptions<In, Otherwise>
  ): Stage.Stage<Name, In, Decided<keyof W & string>, never, [Otherwise] extends [never] ? NoRouteKey : never>
}

/** The options as they are read; the signature knows more of them. */
interface UntypedWeightedOptions {
  readonly key: (snapshot: Snapshot.Current, inputs: never) => string | undefined
  readonly experiment?: string | undefined
  readonly otherwise?: string | undefined
}

const weightedOptionNames: ReadonlyArray<keyof UntypedWeightedOptions> = ["key", "experiment", "otherwise"]

const isWeight = (given: unknown): given is number => isFinite(given) && given >= 0

/** The weights, each checked, in an order that does not depend on how they were written. */
const weightsOf = (
  given: Readonly<Record<string, number>>
): ReadonlyArray<readonly [route: string, weight: number]> => {
  const entries = entriesOf("weights", "an object with a weight for each route", given)
  const weights = entries.map(([route, weight]) =>
    [route, options.ofKind(`weights.${route}`, "a finite number from 0", isWeight, weight)] as const
  )
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  options.ofKind("weights", "weights of which one is more than zero, with a finite sum", isPositive, total)
  return weights.toSorted(([one], [other]) => one < other ? -1 : 1)
}

const isPositive = (given: unknown): given is number => isFinite(given) && given > 0

/** Chooses a route by where a key is between 0 and 1: each route has a part of that as long as its weight. */
const routeAt = (weights: ReadonlyArray<readonly [route: string, weight: number]>, place: number): string => {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  let end = 0
  const found = weights.find(([, weight]) => {
    end += weight
    return place * total < end
  })
  // The last of them ends at the total, which no place below 1 reaches.
  return (found as readonly [string, number])[0]
}

/**
 * Makes a stage that chooses a route by weight, as for an experiment: `Route.weighted("variant", { a: 0.9, b: 0.1 }, { key:
 * ({ userId }) => userId })`.
 *
 * The same key has the same route in every run, process and version: what decides is a hash of the key and of the name of
 * the experiment, and neither the clock nor chance. Another experiment divides the same keys in another way. When a weight
 * changes, only as many keys change their route as have to, as long as there are two of them.
 *
 * Its data is the decision, which the event `RouteDecided` has, too. It is a router like any other: `Route.match` is wired
 * to it, and `s.variant.is("b")` asks for a route.
 */
export const weighted: Weighted = (
  name: string,
  given: Readonly<Record<string, number>>,
  settings: UntypedWeightedOptions
) => {
  const { experiment, key, otherwise } = options.fields("options", weightedOptionNames, settings)
  const weights = weightsOf(given)
  const routes = weights.map(([route]) => route)
  const [keyOf, salt] = [options.callable("key", key as UntypedWeightedOptions["key"]), experiment ?? name]
  options.name("experiment", salt)
  const fallback = otherwise === undefined ? undefined : options.oneOf("otherwise", routes, otherwise)
  const candidates = weights.map(([route, weight]) => ({ route, weight }))
  const decide = (stage: string, key: unknown): Effect.Effect<Recorded, NoRouteKey> => {
    // A text without letters is what those have in common that nothing is known of.
    if (typeof key === "string" && key !== "") {
      return Effect.succeed({ route: routeAt(weights, placeOf(key, salt)), by: "weights", candidates })
    }
    return fallback === undefined
      ? Effect.fail(new NoRouteKey({ stage }))
      : Effect.succeed({ route: fallback, by: "otherwise", candidates })
  }
  const run = Effect.fnUntraced(function*(inputs: unknown) {
    const context = yield* StageContext
    const decision = yield* decide(context.stage, keyOf(context.snapshot, inputs as never)) // the signature says so
    announce(context, { _tag: "RouteDecided", ...decision })
    return decision
  })
  // The signature computes the types of the stage; the value does not know them.
  return Stage.annotate(Stage.make("route", name, { run }), Held, { errors: [holding(NoRouteKey)] }) as never
}
