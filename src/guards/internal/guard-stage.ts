/**
 * Makes a guard stage of a detector: reads the text, lets the detector search it, and masks, cancels or fails when
 * something is found.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { announce } from "../../attempt/attempt.ts"
import * as Stage from "../../Stage.ts"
import { StageContext } from "../../StageContext.ts"
import { InvalidOption } from "../../StageError.ts"
import * as StageOutput from "../../StageOutput.ts"
import type { Detector } from "../Detector.ts"
import { type Finding, schemaOf } from "../Finding.ts"
import { TextMissing } from "../GuardError.ts"
import type { Action, Checked, From, GuardStage } from "../GuardStage.ts"
import * as Redaction from "../Redaction.ts"

/** What a guard is made of that finds `Kind` and fails with `E`. */
export interface GuardDefinition<Kind extends string, E extends Error> {
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

type TextCheck = (text: string, stage: string) => Effect.Effect<Checked | StageOutput.Cancel, Error, StageContext>

/** Announces how many findings there were and what came of them, and nothing of what they are. */
const tell = (findings: number, found: "redacted" | "rejected"): Effect.Effect<void, never, StageContext> =>
  Effect.map(StageContext, (context) =>
    announce(context, {
      _tag: "GuardVerdict",
      guard: context.stage,
      verdict: findings === 0 ? "accepted" : found,
      findings
    }))

const maskFindings = <Kind extends string, E extends Error>(
  { detector, mask }: GuardDefinition<Kind, E>
): TextCheck => {
  const { redact } = Redaction.make(detector, mask)
  return (text) => Effect.tap(Effect.sync(() => redact(text)), ({ findings }) => tell(findings.length, "redacted"))
}

const stopOnFindings = <Kind extends string, E extends Error>(
  { action, detector, error: Found }: GuardDefinition<Kind, E>
): TextCheck =>
  Effect.fnUntraced(function*(text: string, stage: string) {
    const findings = detector.detect(text)
    yield* tell(findings.length, "rejected")
    if (findings.length === 0) return { text, findings }
    const error = new Found({ stage, findings })
    if (action === "cancel") return StageOutput.cancel(error.message, { data: { findings } })
    return yield* Effect.fail(error)
  })

/** Makes a guard, which may be told any of the actions. */
export const guardStage = <Name extends string, Kind extends string, A extends Action, F extends From, E extends Error>(
  name: Name,
  definition: GuardDefinition<Kind, E>,
  actions: ReadonlyArray<Action>
): GuardStage<Name, Kind, A, F, E> => {
  checkedOption("action", definition.action, actions)
  const from = checkedOption("from", definition.from, ["snapshot", "input"])
  const check = definition.action === "redact" ? maskFindings(definition) : stopOnFindings(definition)

  const stage = Stage.guard(name as string, {
    run: Effect.fnUntraced(function*(inputs: unknown) {
      const { snapshot, stage } = yield* StageContext
      return yield* check(yield* textFor(stage, from, inputs, snapshot.inputText), stage)
    }),
    output: Schema.Struct({ text: Schema.String, findings: Schema.Array(schemaOf<string>(definition.detector.kinds)) }),
    // Its type is a union with E, which the compiler cannot look into here.
    error: Schema.Union([TextMissing, definition.error]) as Schema.Top as Schema.Codec<Error>
  })
  // The options decide what it reads, what it finds and how it ends: A, F, Kind and E are their literal types.
  return stage as Stage.Any as GuardStage<Name, Kind, A, F, E>
}
