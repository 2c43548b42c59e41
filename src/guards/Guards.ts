/**
 * Makes ready guard stages for text that somebody wrote.
 *
 * ```ts
 * import { Pipeline } from "stageflow"
 * import * as Guards from "stageflow/guards"
 *
 * const checked = Pipeline.make("checked")
 *   .add(Guards.lengthLimit("length", { maximum: 4000 }))
 *   .add(Guards.instructionOverride("override"), { after: ["length"] })
 *   .add(Guards.personalData("pii", { mask: "[removed]" }), { after: ["override"] })
 *   .add(Guards.contentFilter("content", { from: "input", words: ["spam"] }), (s) => ({
 *     inputs: { text: s.pii.map(({ text }) => text) }
 *   }))
 * ```
 *
 * A guard gives the text that passed. What comes after it reads that text, not the snapshot's: the snapshot still has
 * what was written. A text that is missing does not pass.
 */
import * as options from "../internal/options.ts"
import * as ContentFilter from "./ContentFilter.ts"
import { ContentBlocked, InstructionOverrideFound, LengthOutOfRange, PersonalDataFound } from "./GuardError.ts"
import type { Action, From, GuardStage } from "./GuardStage.ts"
import * as InstructionOverride from "./InstructionOverride.ts"
import { guardStage } from "./internal/guard-stage.ts"
import { kindInBrackets } from "./internal/kind-in-brackets.ts"
import * as LengthLimit from "./LengthLimit.ts"
import * as PersonalData from "./PersonalData.ts"
import type { Mask } from "./Redaction.ts"

/**
 * The options that all guards have.
 */
export interface GuardOptions<A extends Action, F extends From> {
  /** What to do when something is found. */
  readonly action?: A | undefined
  /** Where the text is: the snapshot's `inputText` when nothing is given. */
  readonly from?: F | undefined
}

const removed = "[removed]"
const allActions: ReadonlyArray<Action> = ["redact", "cancel", "fail"]

/**
 * Finds personal data; masks it, when no other action is given. A mask is one text for all, or a function of the kind;
 * `[email]`, `[phone]` and so on when none is given.
 */
export const personalData = <
  const Name extends string,
  const K extends PersonalData.Kind = PersonalData.Kind,
  const A extends Action = "redact",
  const F extends From = "snapshot"
>(
  name: Name,
  given: GuardOptions<A, F> & PersonalData.Options<K> & { readonly mask?: Mask<K> | undefined } = {}
): GuardStage<Name, K, A, F, PersonalDataFound> => {
  options.only(["action", "from", "mask", "kinds"], given)
  return guardStage(name, {
    detector: PersonalData.make(given),
    action: given.action ?? "redact",
    from: given.from ?? "snapshot",
    mask: given.mask ?? kindInBrackets,
    error: PersonalDataFound
  }, allActions)
}

/**
 * Finds words and phrases that you give; cancels the run, when no other action is given.
 */
export const contentFilter = <
  const Name extends string,
  const A extends Action = "cancel",
  const F extends From = "snapshot"
>(
  name: Name,
  given: GuardOptions<A, F> & ContentFilter.Options & { readonly mask?: Mask<ContentFilter.Kind> | undefined }
): GuardStage<Name, ContentFilter.Kind, A, F, ContentBlocked> => {
  options.only(["action", "from", "mask", "words"], given)
  return guardStage(name, {
    detector: ContentFilter.make(given),
    action: given.action ?? "cancel",
    from: given.from ?? "snapshot",
    mask: given.mask ?? removed,
    error: ContentBlocked
  }, allActions)
}

/**
 * Finds phrases that try to change a model's instructions; cancels the run, when no other action is given.
 */
export const instructionOverride = <
  const Name extends string,
  const K extends string = never,
  const A extends Action = "cancel",
  const F extends From = "snapshot"
>(
  name: Name,
  given: GuardOptions<A, F> & InstructionOverride.Options<K> & {
    readonly mask?: Mask<InstructionOverride.Kind | K> | undefined
  } = {}
): GuardStage<Name, InstructionOverride.Kind | K, A, F, InstructionOverrideFound> => {
  options.only(["action", "from", "mask", "patterns"], given)
  return guardStage(name, {
    detector: InstructionOverride.make(given),
    action: given.action ?? "cancel",
    from: given.from ?? "snapshot",
    mask: given.mask ?? removed,
    error: InstructionOverrideFound
  }, allActions)
}

/**
 * Limits how many characters a text has; cancels the run, when no other action is given.
 */
export const lengthLimit = <
  const Name extends string,
  const A extends Exclude<Action, "redact"> = "cancel",
  const F extends From = "snapshot"
>(
  name: Name,
  given: GuardOptions<A, F> & LengthLimit.Limits
): GuardStage<Name, LengthLimit.Kind, A, F, LengthOutOfRange> => {
  options.only(["action", "from", "minimum", "maximum"], given)
  return guardStage(name, {
    detector: LengthLimit.make(given),
    action: given.action ?? "cancel",
    from: given.from ?? "snapshot",
    mask: removed,
    error: LengthOutOfRange
  }, ["cancel", "fail"])
}
