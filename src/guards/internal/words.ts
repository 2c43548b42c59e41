/**
 * Splits a text into words, and finds phrases among them however they are written.
 *
 * A text is read in several ways, because what a symbol means is not known: `buy!spam` is two words, `k!ll` is one. What
 * one of the readings finds is found. Digits and symbols count as the letters that they are written for in words that
 * have a letter at least, so `50` is never `so`. A word is also found as single letters: `s p a m`, `s.p.a.m`.
 *
 * A script that puts no space between words is read character by character.
 */
import type { Meter } from "../Meter.ts"
import { normalise } from "../Normalise.ts"
import { isWrittenFor, spellingOf } from "./look-alike.ts"
import { unreadMeter } from "./unread-meter.ts"

/** A word of a text, and where it is. */
export interface Word {
  readonly text: string
  /** The same for all words that can be meant by it. */
  readonly spelling: string
  readonly hasLetter: boolean
  readonly start: number
  readonly end: number
}

const wordCharacter = /[\p{L}\p{N}\p{M}]/u
const letter = /\p{L}/u
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u

const isAsciiWord = (unit: number): boolean => (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x30 && unit <= 0x39)

/** Whether a character of a normalised text is part of a word. */
export const isWordCharacter = (character: string): boolean => {
  const unit = character.charCodeAt(0)
  return unit < 0x80 ? isAsciiWord(unit) : wordCharacter.test(character)
}

const isUnspaced = (character: string): boolean => character.charCodeAt(0) > 0x7f && unspaced.test(character)

const wordAt = (text: string, start: number): Word => {
  let spelling = ""
  let hasLetter = false
  for (const character of text) {
    spelling += spellingOf(character)
    hasLetter ||= letter.test(character)
  }
  return { text, spelling, hasLetter, start, end: start + text.length }
}

/** One way to read a text. */
export type Reading = ReadonlyArray<Word>

const symbols = "@$!|"

const read = (text: string, isPart: (character: string) => boolean, meter: Meter): Reading => {
  const words: Array<Word> = []
  let start = 0
  let end = 0
  const finish = (): void => {
    if (end > start) words.push(wordAt(text.slice(start, end), start))
  }
  for (const character of text) {
    meter.steps++
    const isAlone = isUnspaced(character)
    if (isAlone || !isPart(character)) {
      finish()
      start = end + character.length
      if (isAlone) words.push(wordAt(character, end))
    }
    end += character.length
  }
  finish()
  return words
}

/** Every word without the exclamation marks and bars at its ends. */
const trimmed = (words: Reading): Reading =>
  words.flatMap((word): Reading => {
    const text = word.text.replace(/^[!|]+/, "")
    const start = word.end - text.length
    let end = text.length
    while (end > 0 && (text[end - 1] === "!" || text[end - 1] === "|")) end--
    return end === 0 ? [] : end === word.text.length ? [word] : [wordAt(text.slice(0, end), start)]
  })

/** The ways to read a normalised text. */
export const readings = (text: string, meter: Meter): ReadonlyArray<Reading> => {
  const plain = read(text, isWordCharacter, meter)
  if (!Array.from(symbols).some((symbol) => text.includes(symbol))) return [plain]
  const symbolic = read(text, (character) => symbols.includes(character) || isWordCharacter(character), meter)
  return [plain, symbolic, trimmed(symbolic)]
}

/** The words of a phrase that somebody is to be found saying. */
export type Phrase = ReadonlyArray<string>

/** The words of a phrase, normalised. None when there is no letter or digit in it. */
export const phraseOf = (text: string): Phrase =>
  read(normalise(text).text, isWordCharacter, unreadMeter()).map((word) => word.text)

interface PhraseEntry<out A> {
  readonly phrase: Phrase
  readonly isSpelled: boolean
  readonly value: A
}

interface PhraseNode<A> {
  readonly next: Map<string, PhraseNode<A>>
  readonly entries: Array<PhraseEntry<A>>
}

const emptyPhraseNode = <A>(): PhraseNode<A> => ({ next: new Map(), entries: [] })

const isWord = (text: string, hasLetter: boolean, wanted: string): boolean => {
  if (text === wanted) return true
  if (!hasLetter || text.length !== wanted.length) return false
  for (let index = 0; index < wanted.length; index++) {
    if (!isWrittenFor(text.charAt(index), wanted.charAt(index))) return false
  }
  return true
}

const isPhrase = (words: Reading, start: number, { isSpelled, phrase }: PhraseEntry<unknown>): boolean => {
  if (!isSpelled) {
    return phrase.every((wanted, offset) => {
      const word = words[start + offset]
      return word !== undefined && isWord(word.text, word.hasLetter, wanted)
    })
  }
  const letters = words.slice(start, start + phrase.length)
  return isWord(letters.map(({ text }) => text).join(""), letters.some(({ hasLetter }) => hasLetter), phrase.join(""))
}

// Two single letters are initials, or two words.
const shortestSpelled = 3

/** The letters of a phrase, each as a word; none when that says nothing new. */
const spelledOut = (phrase: Phrase): Phrase | undefined => {
  const letters = Array.from(phrase.join(""))
  return letters.length < shortestSpelled || letters.length === phrase.length ? undefined : letters
}

/** A phrase that was found: the index behind its last word, and what it was entered with. */
export interface Match<out A> {
  readonly end: number
  readonly value: A
}

/** Phrases to look for, arranged so that looking for all of them costs about as much as looking for one. */
export class Phrases<A> {
  private readonly root = emptyPhraseNode<A>()

  add(phrase: Phrase, value: A): void {
    this.enter({ phrase, isSpelled: false, value })
    const letters = spelledOut(phrase)
    if (letters !== undefined) this.enter({ phrase: letters, isSpelled: true, value })
  }

  private enter(entry: PhraseEntry<A>): void {
    let node = this.root
    for (const word of entry.phrase) {
      const { spelling } = wordAt(word, 0)
      const next = node.next.get(spelling) ?? emptyPhraseNode<A>()
      node.next.set(spelling, next)
      node = next
    }
    node.entries.push(entry)
  }

  /** The phrases that start with this word. */
  startingAt(words: Reading, start: number, meter: Meter): ReadonlyArray<Match<A>> {
    const matches: Array<Match<A>> = []
    let node: PhraseNode<A> | undefined = this.root
    for (let index = start;; index++) {
      meter.steps++
      node = node.next.get(words[index]?.spelling ?? "")
      if (node === undefined) return matches
      for (const entry of node.entries) {
        meter.steps += entry.phrase.length
        if (isPhrase(words, start, entry)) matches.push({ end: index + 1, value: entry.value })
      }
    }
  }
}
