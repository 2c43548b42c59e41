/**
 * Checks, in the compiler, that each route has a branch: the routes of the router, what the branches take and what they
 * give.
 */
import type { Besides, BodyProblem, Place, TakenByAll, Together } from "./bodies.ts"
import type { First, Listed, Mismatch, OneOf } from "./sentence.ts"
import type { NotGiven } from "./wiring.ts"

/** The route that a decision names. */
export type RouteIn<Decision> = Decision extends { readonly route: infer R extends string } ? R : never

/** What the branches take besides the decision; `Inputs` are their inputs by route, `Other` those of the one for the rest. */
export type BranchInputs<Inputs, Other, Router> = [Other] extends [NotGiven] ? Together<Inputs, Router>
  : TakenByAll<((_: Together<Inputs, Router>) => void) | ((_: Besides<Other, Router>) => void)>

/** The routes that have a branch: the keys of a record, as texts. */
export type RoutesWithBranch<Branches> = `${Exclude<keyof Branches, symbol>}`

// ---------------------------------------------------------------------------------------------------------------------
// sentences
// ---------------------------------------------------------------------------------------------------------------------

/** How a sentence begins that is about the router: it is a stage, or a function without a name. */
type Giver<Name extends string, Router extends string> = [Router] extends [never] ? `stage '${Name}': its router`
  : `stage '${Name}': stage '${Router}'`

type DecisionProblem<Name extends string, Router extends string, Decision, Other> = [RouteIn<Decision>] extends [never]
  ? `${Giver<Name, Router>} gives no 'route'`
  : string extends RouteIn<Decision> ? [Other] extends [NotGiven] ? `${Giver<
        Name,
        Router
      >} gives any string as its route; say what runs \`otherwise\`, or write its routes \`as const\``
    : never
  : never

type UnknownRoute<Name extends string, Router extends string, Routes, Unknown> = string extends Routes | Unknown ? never
  : [Unknown] extends [never] ? never
  : `${Place<Name, "route", OneOf<Unknown>>}: ${[Router] extends [never] ? `its router`
    : `stage '${Router}'`} has no such route, only ${Listed<
    Routes
  >}`

type RouteLeftOut<Name extends string, Missing, Other> = [Other] extends [NotGiven] ? [Missing] extends [never] ? never
  : `${Place<Name, "route", OneOf<Missing>>}: no branch runs it; add one, or say what runs \`otherwise\``
  : never

type ConfidenceProblem<Name extends string, Router extends string, Decision, Fallback> = [Fallback] extends [never]
  ? never
  : Decision extends { readonly confidence?: infer Given } ? [Given] extends [number | undefined] ? never
    : `${Giver<Name, Router>} gives 'confidence' as something else than a number`
  : `${Giver<Name, Router>} gives no 'confidence'`

/** The decision of one that chose the route `R`. */
type Narrowed<Decision, R> = Decision extends { readonly route: infer Given } ?
  R extends Given ? Decision & { readonly route: R }
  : never
  : never

/** What a branch is given of the decision: the fallback can be given any. */
type DecisionFor<Decision, K, Fallback> = `${K & (string | number)}` extends Fallback ? Decision
  : Narrowed<Decision, `${K & (string | number)}`>

/** What is wrong with what a branch takes of the decision. */
type DecisionTaken<At extends string, Wanted, Router, Given> = Router extends keyof Wanted
  ? [Given] extends [Wanted[Router]] ? never : `${At}: the router gives it ${Mismatch<Wanted[Router], Given>}`
  : never

type BranchProblem<At extends string, Router, Given, In, Data, All> = First<
  BodyProblem<At, In, Data, All, Router>,
  DecisionTaken<At, In, Router, Given>
>

type BranchProblems<Name extends string, Router, Decision, Inputs, Datas, Fallback, All> = {
  [K in keyof Inputs]: BranchProblem<
    Place<Name, "route", K>,
    Router,
    DecisionFor<Decision, K, Fallback>,
    Inputs[K],
    K extends keyof Datas ? Datas[K] : never,
    All
  >
}[keyof Inputs]

/**
 * What is wrong with a stage `Name` that runs a branch for each route of the `Decision` of a router.
 *
 * `Inputs` is what the branches take and `Datas` what they give, both by route; `Other` and `OtherData` are those of the
 * branch for all other routes, and `Fallback` is the route of an unsure router. While the compiler has not yet looked at the
 * router, its decision is `NotGiven`.
 */
export type MatchProblem<
  Name extends string,
  Router extends string,
  Decision,
  Inputs,
  Datas,
  Other,
  OtherData,
  Fallback
> = [Decision] extends [NotGiven] ? never : First<
  DecisionProblem<Name, Router, Decision, Other>,
  First<
    UnknownRoute<
      Name,
      Router,
      RouteIn<Decision>,
      Exclude<RoutesWithBranch<Inputs>, RouteIn<Decision> | Fallback>
    >,
    First<
      RouteLeftOut<Name, Exclude<RouteIn<Decision>, RoutesWithBranch<Inputs>>, Other>,
      First<
        ConfidenceProblem<Name, Router, Decision, Fallback>,
        First<
          BranchProblems<Name, Router, Decision, Inputs, Datas, Fallback, BranchInputs<Inputs, Other, Router>>,
          [Other] extends [NotGiven] ? never : BranchProblem<
            Place<Name, "route", "otherwise">,
            Router,
            Decision,
            Other,
            OtherData,
            BranchInputs<Inputs, Other, Router>
          >
        >
      >
    >
  >
>

/** What is wrong with a stage `Name` that chooses among routes by their `Weights`. */
export type WeightsProblem<Name extends string, Weights> = [keyof Weights] extends [never]
  ? `stage '${Name}': it has no routes to choose from`
  : {
    [K in keyof Weights]: Weights[K] extends number ?
      `${Weights[K]}` extends `-${string}` ? `${Place<Name, "route", K>}: a weight is zero or more`
      : never
      : never
  }[keyof Weights]
