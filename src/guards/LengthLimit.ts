/**
 * Finds texts that are shorter or longer than they may be.
 *
 * Characters are counted as Unicode counts them: an emoji is one or a few, never the two halves of one. What the maximum
 * counts is everything. The minimum does not count white space and what cannot be seen: a text of blanks is empty.
 */
import * as options from "../internal/options.ts"
import { InvalidOption } from "../StageError.ts"
import type { Detector } from "./Detector.ts"
import { isInvisible } from "./internal/invisible.ts"
import { unreadMeter } from "./internal/unread-meter.ts"

/**
 * What is wrong with the length of a text.
 */
export type Kind = "too-short" | "too-long"

/**
 * How many characters a text may have; one of the two at least.
 */
export interface Limits {
  readonly minimum?: number | undefined
  readonly maximum?: number | undefined
}

/** Also the blank of Braille, which is no white space to Unicode. */
const isBlank = (character: string): boolean => /[\s\u2800]/.test(character) || isInvisible(character)

const checked = ({ maximum, minimum }: Limits): { readonly minimum: number; readonly maximum: number } => {
  if (minimum === undefined && maximum === undefined) {
    throw new InvalidOption({ option: "maximum", expected: "a minimum or a maximum", given: "neither" })
  }
  const atLeast = options.count("minimum", minimum ?? 0)
  const atMost = maximum === undefined ? Number.POSITIVE_INFINITY : options.count("maximum", maximum)
  if (atMost < atLeast) {
    throw new InvalidOption({ option: "maximum", expected: `at least the minimum, ${atLeast}`, given: String(maximum) })
  }
  return { minimum: atLeast, maximum: atMost }
}

/**
 * Finds a text that is too short, as a whole, or the end of a text that is too long.
 */
export const make = (limits: Limits): Detector<Kind> => {
  const { maximum, minimum } = checked(limits)
  return {
    kinds: ["too-short", "too-long"],
    detect: (text, meter = unreadMeter()) => {
      let characters = 0
      let visible = 0
      let position = 0
      for (const character of text) {
        if (characters === maximum) return [{ kind: "too-long", start: position, end: text.length }]
        meter.steps++
        characters++
        position += character.length
        if (visible < minimum && !isBlank(character)) visible++
      }
      return visible < minimum ? [{ kind: "too-short", start: 0, end: text.length }] : []
    }
  }
}
