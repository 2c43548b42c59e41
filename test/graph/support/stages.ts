import { Effect } from "effect"
import { type Pipeline, Source, Stage } from "stageflow"

/** A stage of a kind that does nothing. */
export const idle = <const Name extends string>(name: Name, kind: Stage.Kind = "transform") =>
  Stage.make(kind, name, { run: Effect.succeed({}) })

/** One stage of each kind. */
export const kinds: ReadonlyArray<Stage.Kind> = ["transform", "enrich", "route", "guard", "work", "agent"]

type Wiring = Omit<Pipeline.Spec, "stage">

/** Every way in which `reader` can want something of `giver`. */
export const wirings = {
  order: { after: ["giver"] },
  requiredByName: { inputs: ["giver"] },
  optionalByName: { inputs: ["giver?"] },
  requiredBySource: { inputs: { text: Source.stage("giver").required } },
  optionalBySource: { inputs: { text: Source.stage("giver").orElse(() => ({})) } },
  sameTwice: { inputs: ["giver?", "giver?"] },
  condition: { when: Source.stage("giver").output.map(() => true) },
  orderAndData: { after: ["giver"], inputs: ["giver"] },
  conditionAndData: {
    when: Source.stage("giver").output.map(() => true),
    inputs: { who: Source.stage("giver").option }
  },
  everything: {
    when: Source.stage("giver").output.map(() => true),
    inputs: { giver: Source.stage("giver").required, who: Source.stage("giver").option },
    after: ["giver"]
  },
  requiredAndOptional: { inputs: { a: Source.stage("giver").required, b: Source.stage("giver").option } }
} satisfies Record<string, Wiring>
