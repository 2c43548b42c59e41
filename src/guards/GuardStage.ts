/**
 * A guard made of a detector: what it reads, and what it does with what it finds.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { InvalidOption } from "../StageError.ts"
import * as StageOutput from "../StageOutput.ts"
import type { Detector } from "./Detector.ts"
import { type Finding, schemaOf } from "./Finding.ts"
import { TextMissing } from "./GuardError.ts"
import * as Redaction from "./Redaction.ts"

/**
 * What a guard does when it finds something.
 *
 * - `redact`: the text passes, with masks.
 * - `cancel`: the run ends as `Cancelled`, on purpose.
 * - `fail`: the stage fails with a typed error.
 */
export type Action = "redact" | "cancel" | "fail"

/**
 * Where the text is: in the snapshot's `inputText`, or in an input called `text`.
 */
export type From = "snapshot" | "input"

/**
 * What a guard gives: the text that passed, and what was masked in it, as positions in the text before.
 */
export interface Checked<out Kind extends string = string> {
  readonly text: string
  readonly findings: ReadonlyArray<Finding<Kind>>
}

/**
 * The input of a guard that reads one.
 */
export interface TextInput {
  readonly text: string
}

/**
 * A guard that finds `Kind`, fails with `E` when its action is `fail`, and reads an input when it is told so.
 */
export type GuardStage<Name extends string, Kind extends string, A extends Action, F extends From, E> = Stage.Stage<
  Name,
  "input" extends F ? TextInput : unknown,
  Checked<Kind>,
  "cancel" extends A ? "cancel" : never,
  TextMissing | ("fail" extends A ? E : never)
>

/** @internal What makes a guard that finds `Kind` and fails with `E`. */
export interface Parts<Kind extends string, E extends Error> {
  readonly detector: Detector<Kind>
  readonly action: Action
  readonly from: From
  readonly mask: Redaction.Mask<Kind>
  readonly error: Schema.Top & (new(found: { readonly stage: string; readonly findings: ReadonlyArray<Finding> }) => E)
}

const checkedOption = <A extends string>(option: string, given: A, known: ReadonlyArray<A>): A => {
  if (known.includes(given)) return given
  throw new InvalidOption({ option, expected: `one of ${known.join(", ")}`, given: JSON.stringify(given) })
}

const textFor = (stage: string, from: From, inputs: unknown, inputText: string | undefined) => {
  const text = from === "snapshot" ? inputText : Predicate.hasProperty(inputs, "text") ? inputs.text : undefined
  return typeof text === "string" ? Effect.succeed(text) : Effect.fail(new TextMissing({ stage, from }))
}

/** How a guard checks a text. */
type Check = (text: string, stage: string) => Effect.Effect<Checked | StageOutput.Cancel, Error>

const redacting = <Kind extends string, E extends Error>({ detector, mask }: Parts<Kind, E>): Check => {
  const { redact } = Redaction.make(detector, mask)
  return (text) => Effect.sync(() => redact(text))
}

const stopping = <Kind extends string, E extends Error>({ action, detector, error: Found }: Parts<Kind, E>): Check =>
  Effect.fnUntraced(function*(text: string, stage: string) {
    const findings = detector.detect(text)
    if (findings.length === 0) return { text, findings }
    const error = new Found({ stage, findings })
    return action === "cancel" ? StageOutput.cancel(error.message, { data: { findings } }) : yield* Effect.fail(error)
  })

/** @internal */
export const make = <Name extends string, Kind extends string, A extends Action, F extends From, E extends Error>(
  name: Name,
  parts: Parts<Kind, E>,
  actions: ReadonlyArray<Action>
): GuardStage<Name, Kind, A, F, E> => {
  checkedOption("action", parts.action, actions)
  const from = checkedOption("from", parts.from, ["snapshot", "input"])
  const check = parts.action === "redact" ? redacting(parts) : stopping(parts)

  const stage = Stage.guard(name as string, {
    run: Effect.fnUntraced(function*(inputs: unknown) {
      const { snapshot, stage } = yield* StageContext
      return yield* check(yield* textFor(stage, from, inputs, snapshot.inputText), stage)
    }),
    output: Schema.Struct({ text: Schema.String, findings: Schema.Array(schemaOf<string>(parts.detector.kinds)) }),
    // Its type is a union with E, which the compiler cannot look into here.
    error: Schema.Union([TextMissing, parts.error]) as Schema.Top as Schema.Codec<Error>
  })
  // The options decide what it reads, what it finds and how it ends: A, F, Kind and E are their literal types.
  return stage as Stage.Any as GuardStage<Name, Kind, A, F, E>
}
