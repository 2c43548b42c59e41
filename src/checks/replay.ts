/**
 * Checks, in the compiler, what is replayed: that the stage exists, and that the snapshot is read with its extensions.
 */
import type { Among, Names } from "../Extension.ts"
import type { First, Listed, OneOf } from "./sentence.ts"
import type { AnyNode, StagesOf } from "./wiring.ts"

/** What is wrong with replaying the stages `N`, that need `R` besides, with the extensions `X`. */
export type ReplayProblem<N extends AnyNode, R, X> = First<
  [StagesOf<N>] extends [never] ? `this pipeline has no stages` : never,
  [Exclude<Among<N["services"] | R>, X>] extends [never] ? never
    : `the stages read the extension '${
      & OneOf<Names<Exclude<Among<N["services"] | R>, X>>>
      & string}'; name its class in { extensions: [...] }`
>

/** What is wrong with replaying from this stage. */
export type StageProblem<N extends AnyNode, Name> = string extends StagesOf<N>["name"] ? never
  : [Name] extends [StagesOf<N>["name"]] ? never
  : [StagesOf<N>["name"]] extends [infer Known] ? [Extract<Known, string>] extends [never] ? never
    : `this pipeline has no stage '${Name & string}'; its stages are ${Listed<StagesOf<N>["name"]>}`
  : never
