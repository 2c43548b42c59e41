/**
 * Masks what was found in a text.
 *
 * What is left has no findings: a mask can join what stood apart (`12` and `34` around a mask of digits), so the result
 * is searched again until nothing is found. Should a text not come to rest after a few rounds, all of it is masked.
 */
import * as Result from "effect/Result"
import { InvalidOption } from "../StageError.ts"
import type { Detector } from "./Detector.ts"
import { type Finding, merge } from "./Finding.ts"
import { unreadMeter } from "./internal/unread-meter.ts"
import type { Meter } from "./Meter.ts"

/**
 * What stands in place of a finding: the same for all, or for each kind its own. Of any length, also empty.
 */
export type Mask<Kind extends string> = string | ((kind: Kind) => string)

/**
 * A text after redaction.
 */
export interface Redacted<out Kind extends string> {
  readonly text: string
  /** What was masked: positions in the text as it was given. */
  readonly findings: ReadonlyArray<Finding<Kind>>
}

/**
 * Masks what a detector finds.
 */
export interface Redactor<out Kind extends string> {
  readonly redact: (text: string, meter?: Meter) => Redacted<Kind>
}

type Findings<Kind extends string> = ReadonlyArray<Finding<Kind>>

/** A part of the redacted text: a part of the original, or a mask for one. */
interface Piece {
  readonly at: number
  readonly length: number
  readonly start: number
  readonly end: number
  readonly isMask: boolean
}

const noPiece: Piece = { at: 0, length: 0, start: 0, end: 0, isMask: true }

interface Masked {
  readonly text: string
  readonly pieces: ReadonlyArray<Piece>
}

const maskAll = <Kind extends string>(
  original: string,
  findings: Findings<Kind>,
  masks: ReadonlyMap<Kind, string>
): Masked => {
  const pieces: Array<Piece> = []
  const parts: Array<string> = []
  let at = 0
  const add = (part: string, start: number, end: number, isMask: boolean): void => {
    pieces.push({ at, length: part.length, start, end, isMask })
    parts.push(part)
    at += part.length
  }
  let copied = 0
  for (const { end, kind, start } of findings) {
    add(original.slice(copied, start), copied, start, false)
    add(masks.get(kind) ?? "", start, end, true)
    copied = end
  }
  add(original.slice(copied), copied, original.length, false)
  return { text: parts.join(""), pieces }
}

/** What was found in the redacted text, as parts of the original. Findings and pieces are both in order. */
const positionsInOriginal = <Kind extends string>(
  found: Findings<Kind>,
  { pieces }: Masked,
  meter: Meter
): Findings<Kind> => {
  let index = 0
  const pieceAt = (position: number): Piece => {
    for (let piece = pieces[index]; piece !== undefined; piece = pieces[++index]) {
      meter.steps++
      if (position < piece.at + piece.length) return piece
    }
    return noPiece
  }
  return found.map(({ end, kind, start }) => {
    const first = pieceAt(start)
    const last = pieceAt(end - 1)
    return {
      kind,
      start: first.isMask ? first.start : first.start + start - first.at,
      end: last.isMask ? last.end : last.start + end - last.at
    }
  })
}

// A text that still has findings after so many rounds is masked as a whole.
const mostRounds = 8

/** The mask of each kind. One that is itself a finding would never leave a text without any. */
const masksByKind = <Kind extends string>(
  { detect, kinds }: Detector<Kind>,
  mask: Mask<Kind>
): ReadonlyMap<Kind, string> =>
  new Map(kinds.map((kind) => {
    const given = Result.try((): unknown => typeof mask === "function" ? mask(kind) : mask)
    if (Result.isFailure(given)) {
      throw new InvalidOption({
        option: "mask",
        expected: "a text, or a function that gives one",
        given: "one that throws"
      })
    }
    const text = given.success
    if (typeof text !== "string") {
      throw new InvalidOption({ option: "mask", expected: "a text, or a function that gives one", given: typeof text })
    }
    if (detect(text).length > 0) {
      throw new InvalidOption({
        option: "mask",
        expected: "a text that is no finding itself",
        given: JSON.stringify(text)
      })
    }
    return [kind, text]
  }))

/**
 * Makes a redactor. Throws `InvalidOption` for a mask that the detector itself would find.
 */
export const make = <Kind extends string>(detector: Detector<Kind>, mask: Mask<Kind>): Redactor<Kind> => {
  const masks = masksByKind(detector, mask)

  const redact: Redactor<Kind>["redact"] = (original, meter = unreadMeter()) => {
    let findings = merge(detector.detect(original, meter))
    for (let round = 1; findings.length > 0; round++) {
      const masked = maskAll(original, findings, masks)
      const found = detector.detect(masked.text, meter)
      // After the last round nothing is left but a mask, which is no finding.
      if (found.length === 0 || round > mostRounds) return { text: masked.text, findings }
      const more = merge([...findings, ...positionsInOriginal(found, masked, meter)])
      findings = round < mostRounds
        ? more
        : more.slice(0, 1).map(({ kind }) => ({ kind, start: 0, end: original.length }))
    }
    return { text: original, findings }
  }

  return { redact }
}
