/**
 * Checks, in the compiler, that each route has a branch: the routes of the router, what the branches take and what they
 * give.
 */
import type { First, Listed, Mismatch, OneOf } from "./sentence.ts"
import type { NoData } from "./stage.ts"
import type { NotGiven } from "./wiring.ts"

/** The route that a decision names. */
export type RouteIn<Decision> = Decision extends { readonly route: infer R extends string } ? R : never

/** What a function takes, of several: all that any of them takes. */
type TakenByAll<F> = [F] extends [(_: infer I) => void] ? I : never

/** What a branch takes besides the decision of the router. */
type Besides<In, Router> = unknown extends In ? unknown
  : [Extract<keyof In, Router>] extends [never] ? In
  : Omit<In, Router & string>

/** What the branches take besides the decision; `Inputs` are their inputs by route, `Other` those of the one for the rest. */
export type BranchInputs<Inputs, Other, Router> = TakenByAll<
  | { [K in keyof Inputs]: (_: Besides<Inputs[K], Router>) => void }[keyof Inputs]
  | ([Other] extends [NotGiven] ? never : (_: Besides<Other, Router>) => void)
>

/** Several inputs as one record. */
export type OneRecord<In> = unknown extends In ? unknown : { readonly [K in keyof In]: In[K] }

/** The routes that have a branch: the keys of a record, as texts. */
export type RoutesWithBranch<Branches> = `${Exclude<keyof Branches, symbol>}`

// ---------------------------------------------------------------------------------------------------------------------
// sentences
// ---------------------------------------------------------------------------------------------------------------------

type Place<Name extends string, Route> = `stage '${Name}', route '${Route & (string | number)}'`

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
  : `${Place<Name, OneOf<Unknown>>}: ${[Router] extends [never] ? `its router`
    : `stage '${Router}'`} has no such route, only ${Listed<
    Routes
  >}`

type RouteLeftOut<Name extends string, Missing, Other> = [Other] extends [NotGiven] ? [Missing] extends [never] ? never
  : `${Place<Name, OneOf<Missing>>}: no branch runs it; add one, or say what runs \`otherwise\``
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

type TakesProblem<Name extends string, K, Wanted, Router, Given> = unknown extends Wanted ? never
  : [Wanted] extends [object] ? Router extends keyof Wanted ? [Given] extends [Wanted[Router]] ? never
      : `${Place<Name, K>}: the router gives it ${Mismatch<Wanted[Router], Given>}`
    : never
  : `${Place<Name, K>}: its branch takes no object, and the inputs of a stage are one; give a function of them`

type GivesProblem<Name extends string, K, Data> = [NoData<Data>] extends [never] ? never
  : `${Place<Name, K>}: its branch gives ${OneOf<NoData<Data>> & string}; data must be an object`

/** What of a branch's input nobody can give, because another branch takes it with another type. */
type Contradicted<Wanted, Both> = [Wanted] extends [never] ? never
  : [Both] extends [never] ? ``
  : [Wanted] extends [string | number | boolean | bigint | symbol | null | undefined] ? never
  : [Wanted] extends [ReadonlyArray<unknown> | ((...given: never) => unknown)] ? never
  : {
    [G in keyof Wanted]: G extends keyof Both ? [Both[G]] extends [never] ? [Wanted[G]] extends [never] ? never
        : ` '${G & string}'`
      : never
      : never
  }[keyof Wanted]

type ContradictionProblem<Name extends string, K, Wanted, Inputs, Router> = unknown extends Wanted ? never : {
  [F in Exclude<keyof Wanted, Router>]: F extends keyof Inputs
    ? Contradicted<Wanted[F], Inputs[F]> extends infer Part
      ? Part extends string ? `${Place<Name, K>}, input '${F & string}': another branch takes${Part extends `` ? ` it`
          : Part} with another type`
      : never
    : never
    : never
}[Exclude<keyof Wanted, Router>]

type BranchProblems<Name extends string, Router, Decision, Inputs, Datas, Fallback, Together> = {
  [K in keyof Inputs]: First<
    TakesProblem<Name, K, Inputs[K], Router, DecisionFor<Decision, K, Fallback>>,
    First<
      K extends keyof Datas ? GivesProblem<Name, K, Datas[K]> : never,
      ContradictionProblem<Name, K, Inputs[K], Together, Router>
    >
  >
}[keyof Inputs]

/**
 * What is wrong with a stage `Name` that runs a branch for each route of the `Decision` of a router.
 *
 * `Inputs` is what the branches take and `Datas` what they give, both by route; `Other` and `OtherData` are those of the
 * branch for all other routes, and `Fallback` is the route of an unsure router.
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
> = First<
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
          [Other] extends [NotGiven] ? never : First<
            TakesProblem<Name, "otherwise", Other, Router, Decision>,
            GivesProblem<Name, "otherwise", OtherData>
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
      `${Weights[K]}` extends `-${string}` ? `${Place<Name, K>}: a weight is zero or more`
      : never
      : never
  }[keyof Weights]
