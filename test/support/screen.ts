/**
 * A terminal that is no terminal: what it shows of an output, and everything that has scrolled out of it.
 *
 * It knows new lines, the cursor going up (as far as the first line that is in sight) or to the start of its line, what
 * clears the rest of a line or of the screen, and lines that wrap or do not. Colours are left out; any other escape code
 * throws.
 */
import { widthOf } from "../../src/observability/internal/cells.ts"

interface Size {
  readonly columns: number
  readonly rows: number
}

const graphemes = new Intl.Segmenter()

// oxlint-disable-next-line no-control-regex
const escapeCode = /(\u001b\[\??\d*[A-Za-z])/

/** All lines, those that are out of sight included, the last one in sight last. */
export const screenOf = (
  output: string,
  { columns, rows }: Size = { columns: 80, rows: 24 }
): ReadonlyArray<string> => {
  const lines: Array<Array<string>> = [[]]
  let row = 0
  let column = 0
  let wraps = true
  const lineAt = (index: number) => lines[index] ??= []
  const write = (character: string) => {
    const width = widthOf(character)
    if (column + width > columns) {
      if (!wraps) return
      row++
      column = 0
    }
    const line = lineAt(row)
    while (line.length < column) line.push(" ")
    line[column] = character
    // The second half of a wide character.
    if (width === 2) line[column + 1] = ""
    column += width
  }
  for (const part of output.split(escapeCode)) {
    if (part.startsWith("\u001b[")) {
      const line = lineAt(row)
      const code = part.slice(2)
      if (code === "K" || code === "0K") line.length = Math.min(line.length, column)
      else if (code === "J") {
        line.length = Math.min(line.length, column)
        lines.length = row + 1
      } else if (code === "1G") column = 0
      else if (code === "?7l") wraps = false
      else if (code === "?7h") wraps = true
      else if (code.endsWith("A")) row = Math.max(row - Number(code.slice(0, -1)), lines.length - rows, 0)
      else if (!code.endsWith("m")) throw new Error(`unexpected escape code ${JSON.stringify(part)}`)
      continue
    }
    for (const { segment } of graphemes.segment(part)) {
      if (segment === "\r") column = 0
      else if (segment === "\n" || segment === "\r\n") {
        row++
        column = 0
        lineAt(row)
      } else write(segment)
    }
  }
  return lines.map((line) => line.join("").trimEnd())
}
