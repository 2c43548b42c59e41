/**
 * Names the types of guard stages: what a guard reads, what it does with what it finds, and what it gives.
 */
import type * as Stage from "../Stage.ts"
import type { Finding } from "./Finding.ts"
import type { TextMissing } from "./GuardError.ts"

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
