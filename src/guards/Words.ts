/**
 * Words and phrases in a text, however they are written.
 *
 * A text is read in several ways, because what a symbol means is not known: `buy!spam` is two words, `b!tch` is one, and
 * `s p a m` is four letters or one word. What one of the readings finds is found. Digits and symbols count as the letters
 * that they are written for in words that have a letter at least, so `50` is never `so`.
 *
 * A script that puts no space between words is read character by character.
 */
import { isWrittenFor, spellingOf } from "./LookAlike.ts"
import type { Meter } from "./Meter.ts"
import { normalise } from "./Normalise.ts"

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

const isOneCharacter = (text: string): boolean => text.length === ((text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1)

const isSingle = ({ text }: Word): boolean => isOneCharacter(text) && !isUnspaced(text)

// Two single letters are more often two words, or initials.
const spacedAtLeast = 3

/** How many words from here on are single characters with the same character between them. */
const spacedRun = (text: string, words: Reading, index: number): number => {
  let separator: string | undefined
  for (let count = 1;; count++) {
    const last = words[index + count - 1]
    const next = words[index + count]
    if (last === undefined || next === undefined || !isSingle(last) || !isSingle(next)) return count
    const between = text.slice(last.end, next.start)
    if (!isOneCharacter(between) || between !== (separator ?? between)) return count
    separator = between
  }
}

/** Single characters with the same character between them, as words: `s p a m`, `s.p.a.m`. */
const spacedWords = (text: string, words: Reading, isAlone: (first: Word) => boolean): Reading => {
  const joined: Array<Word> = []
  for (let index = 0; index < words.length;) {
    const first = words[index] as Word // index is within words
    const count = isAlone(first) ? 1 : spacedRun(text, words, index)
    if (count < spacedAtLeast) {
      joined.push(...words.slice(index, index + count))
    } else {
      const run = words.slice(index, index + count)
      joined.push({ ...wordAt(run.map((word) => word.text).join(""), first.start), end: run.at(-1)?.end ?? first.end })
    }
    index += count
  }
  return joined
}

// The words of one letter before a word of spaced letters: "a s p a m".
const isOneLetterWord = ({ text }: Word): boolean => text === "a" || text === "i"

/** The ways to read a normalised text. */
export const readings = (text: string, meter: Meter): ReadonlyArray<Reading> => {
  const plain = read(text, isWordCharacter, meter)
  const all: Array<Reading> = [plain]
  let symbolic = plain
  if (Array.from(symbols).some((symbol) => text.includes(symbol))) {
    const whole = read(text, (character) => symbols.includes(character) || isWordCharacter(character), meter)
    symbolic = trimmed(whole)
    all.push(whole, symbolic)
  }
  const spaced = spacedWords(text, symbolic, () => false)
  if (spaced.length < symbolic.length) all.push(spaced, spacedWords(text, symbolic, isOneLetterWord))
  meter.steps += all.length * symbolic.length
  return all
}

/** The words of a phrase that somebody is to be found saying. */
export type Phrase = ReadonlyArray<string>

/** What all words have in common that can be meant by this one. */
export const spellingOfWord = (word: string): string => wordAt(word, 0).spelling

/** The words of a phrase, normalised. None when there is no letter or digit in it. */
export const phraseOf = (text: string): Phrase =>
  read(normalise(text).text, isWordCharacter, { steps: 0 }).map((word) => word.text)

interface Entry<out A> {
  readonly phrase: Phrase
  readonly value: A
}

interface Node<A> {
  readonly next: Map<string, Node<A>>
  readonly entries: Array<Entry<A>>
}

const emptyNode = <A>(): Node<A> => ({ next: new Map(), entries: [] })

const isWord = (word: Word | undefined, wanted: string): boolean => {
  if (word === undefined || word.text === wanted) return word !== undefined
  if (!word.hasLetter || word.text.length !== wanted.length) return false
  for (let index = 0; index < wanted.length; index++) {
    if (!isWrittenFor(word.text.charAt(index), wanted.charAt(index))) return false
  }
  return true
}

/** A phrase that was found: the index behind its last word, and what it was entered with. */
export interface Match<out A> {
  readonly end: number
  readonly value: A
}

/** Phrases to look for, arranged so that looking for all of them costs about as much as looking for one. */
export class Phrases<A> {
  private readonly root = emptyNode<A>()

  add(phrase: Phrase, value: A): void {
    let node = this.root
    for (const word of phrase) {
      const { spelling } = wordAt(word, 0)
      const next = node.next.get(spelling) ?? emptyNode<A>()
      node.next.set(spelling, next)
      node = next
    }
    node.entries.push({ phrase, value })
  }

  /** The phrases that start with this word. */
  startingAt(words: Reading, start: number, meter: Meter): ReadonlyArray<Match<A>> {
    const matches: Array<Match<A>> = []
    let node: Node<A> | undefined = this.root
    for (let index = start;; index++) {
      meter.steps++
      node = node.next.get(words[index]?.spelling ?? "")
      if (node === undefined) return matches
      for (const { phrase, value } of node.entries) {
        meter.steps += phrase.length
        if (phrase.every((wanted, offset) => isWord(words[start + offset], wanted))) {
          matches.push({ end: index + 1, value })
        }
      }
    }
  }
}
