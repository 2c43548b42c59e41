/**
 * Describes a search for something in texts. What the search needs is prepared once, for any number of texts.
 */
import type { Finding } from "./Finding.ts"
import type { Meter } from "./Meter.ts"

/**
 * Finds something in a text: in order, not overlapping, with positions in the text as it was given.
 *
 * The same text has the same findings. The time it takes grows with the text and not faster, whatever is in it;
 * `meter` counts the steps.
 */
export interface Detector<out Kind extends string = string> {
  /** All that it can find. */
  readonly kinds: ReadonlyArray<Kind>
  readonly detect: (text: string, meter?: Meter) => ReadonlyArray<Finding<Kind>>
}
