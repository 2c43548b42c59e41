/**
 * Fits text into the cells of a terminal: measures it, cuts it with an ellipsis, and takes out what would move the cursor.
 *
 * `effect` has nothing that measures text. The wide ranges are those of Unicode's East Asian Width; emoji are what the
 * engine's own tables say.
 */

const graphemes = /* @__PURE__ */ new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** Characters that take one cell each: those of most names, and those that are drawn with. */
const narrow = /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff█░…]*$/

/** One grapheme that takes two cells. */
const wide =
  /^(?:[\u1100-\u115f\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18aff}\u{1b000}-\u{1b2fb}\u{1f200}-\u{1f265}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|[^]\ufe0f)/u

/** What takes no cell of its own. */
const weightless = /^[\p{M}\p{Cf}]+$/u

const widthOfGrapheme = (grapheme: string): number => wide.test(grapheme) ? 2 : weightless.test(grapheme) ? 0 : 1

/** How many cells a text takes. */
export const widthOf = (text: string): number => {
  if (narrow.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += widthOfGrapheme(segment)
  return width
}

/** The longest part that is looked at of any text: no screen is wider. */
const longest = 1000

/** Characters that nobody sees and that change how others are shown: directions, joiners of words, tags. */
const invisible = /[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu

/** The text on one line, without anything that a terminal would act on. */
export const printable = (text: string): string => {
  const beginning = text.slice(0, longest)
  if (narrow.test(beginning)) return beginning.trim()
  return beginning.toWellFormed().replaceAll(/[\p{Cc}\s]+/gu, " ").replaceAll(invisible, "").trim()
}

/** The text, cut where it is wider than `width`. */
export const cut = (text: string, width: number): string => {
  if (widthOf(text) <= width) return text
  if (width <= 0) return ""
  let kept = ""
  let left = width - 1
  for (const { segment } of graphemes.segment(text)) {
    left -= widthOfGrapheme(segment)
    if (left < 0) break
    kept += segment
  }
  return `${kept}…`
}

/** The text in exactly `width` cells, at their start. */
export const left = (text: string, width: number): string => {
  const fitting = cut(text, width)
  return fitting + " ".repeat(Math.max(width - widthOf(fitting), 0))
}

/** The text in exactly `width` cells, at their end. */
export const right = (text: string, width: number): string => {
  const fitting = cut(text, width)
  return " ".repeat(Math.max(width - widthOf(fitting), 0)) + fitting
}
