/**
 * Finds words and phrases that you do not want in a text.
 *
 * They are found as whole words, in any case and however they are disguised by look-alike letters, invisible characters,
 * digits for letters (`sp4m`) or single letters (`s p a m`). Between the words of a phrase may be anything that is no
 * word.
 */
import * as options from "../internal/options.ts"
import { InvalidOption } from "../StageError.ts"
import type { Detector } from "./Detector.ts"
import { type Finding, merge } from "./Finding.ts"
import { unreadMeter } from "./internal/unread-meter.ts"
import { phraseOf, Phrases, readings } from "./internal/words.ts"
import { normalise } from "./Normalise.ts"

/**
 * What a content filter finds.
 */
export type Kind = "content"

/**
 * What to look for.
 */
export interface Options {
  /** Words and phrases, one at least, spelt as they are. Of each its letters and digits are compared: `c++` is `c`. */
  readonly words: ReadonlyArray<string>
}

const phrasesToFind = ({ words: given }: Options): Phrases<undefined> => {
  const words = options.names("words", given)
  const phrases = new Phrases<undefined>()
  if (words.length === 0) {
    throw new InvalidOption({ option: "words", expected: "one word or phrase at least", given: "none" })
  }
  for (const word of words) {
    const phrase = phraseOf(word)
    if (phrase.length === 0) {
      throw new InvalidOption({ option: "words", expected: "a letter or digit in each", given: JSON.stringify(word) })
    }
    phrases.add(phrase, undefined)
  }
  return phrases
}

/**
 * Finds words and phrases.
 */
export const make = (given: Options): Detector<Kind> => {
  const phrases = phrasesToFind(given)
  return {
    kinds: ["content"],
    detect: (text, meter = unreadMeter()) => {
      const normalised = normalise(text, meter)
      const findings: Array<Finding<Kind>> = []
      for (const words of readings(normalised.text, meter)) {
        for (const [index, first] of words.entries()) {
          for (const { end } of phrases.startingAt(words, index, meter)) {
            const last = words[end - 1] ?? first
            findings.push({ kind: "content", ...normalised.originalRange(first.start, last.end) })
          }
        }
      }
      return merge(findings)
    }
  }
}
