/**
 * What a terminal shows of an output: new lines, the cursor going up, and the rest of a line being cleared. Colours are
 * left out; any other escape code throws.
 */
export const screenOf = (output: string): ReadonlyArray<string> => {
  const lines: Array<string> = [""]
  let row = 0
  let column = 0
  // oxlint-disable-next-line no-control-regex
  for (const [token] of output.matchAll(/\u001b\[\d*[A-Za-z]|[^]/gu)) {
    const line = lines[row] ?? ""
    if (token === "\r") {
      column = 0
    } else if (token === "\n") {
      row++
      lines[row] ??= ""
    } else if (token.startsWith("\u001b") && token.endsWith("A")) {
      row -= Number(token.slice(2, -1))
    } else if (token === "\u001b[K") {
      lines[row] = line.slice(0, column)
    } else if (token.startsWith("\u001b") && token.endsWith("m")) {
      // A colour.
    } else if (token.startsWith("\u001b")) {
      throw new Error(`unexpected escape code ${JSON.stringify(token)}`)
    } else {
      lines[row] = line.slice(0, column).padEnd(column) + token + line.slice(column + token.length)
      column += token.length
    }
  }
  return lines
}
