/**
 * Measures how large a value is, and tells whether it has changed: walks over values of any depth, one step at a time, so
 * that a large one is not read any further than it takes.
 */

/** Something that a value holds, and the name that it has in it. */
type Content = readonly [value: unknown, key: string]

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

type Bytes = ArrayBuffer | SharedArrayBuffer | ArrayBufferView

const isBytes = (value: unknown): value is Bytes =>
  ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer

function* contentsOf(value: object): Generator<Content> {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) yield [value[index], ""]
  } else if (value instanceof Map) {
    for (const [key, item] of value) {
      yield [key, ""]
      yield [item, ""]
    }
  } else if (value instanceof Set) {
    for (const item of value) yield [item, ""]
  } else {
    for (const key of Object.keys(value)) yield [(value as Record<string, unknown>)[key], key]
  }
}

/** Visits everything that a value holds, each object once, until `visit` says stop by returning false. */
const walk = (root: unknown, visit: (value: unknown, key: string) => boolean): void => {
  const seen = new Set<object>()
  const pending: Array<Iterator<Content>> = [[[root, ""] as const].values()]
  for (let contents = pending.at(-1); contents !== undefined; contents = pending.at(-1)) {
    const next = contents.next()
    if (next.done === true) {
      pending.pop()
      continue
    }
    const [value, key] = next.value
    if (isObject(value)) {
      if (seen.has(value)) continue
      seen.add(value)
    }
    if (!visit(value, key)) return
    if (isObject(value) && !isBytes(value)) pending.push(contentsOf(value))
  }
}

/** How many bytes a text has in UTF-8; stops counting a little beyond `enough`. */
const utf8Length = (text: string, enough: number): number => {
  // No character has less than a byte.
  if (text.length > enough) return text.length
  let bytes = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    bytes += unit < 0x800 ? 1 : 2
    // Two halves of a character are two units and four bytes; a half without the other is written as three.
    if (isFirstHalf(unit) && isSecondHalf(text.charCodeAt(index + 1))) index++
  }
  return bytes
}

const isFirstHalf = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isSecondHalf = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** About how many bytes a value takes; stops counting a little beyond `enough`. */
export const sizeOf = (root: unknown, enough: number): number => {
  let bytes = 0
  walk(root, (value, key) => {
    bytes += 1 + utf8Length(key, enough)
    if (typeof value === "string") bytes += utf8Length(value, enough)
    else if (isObject(value)) bytes += isBytes(value) ? value.byteLength : 2
    else bytes += 8
    return bytes <= enough
  })
  return bytes
}

const prime = 16_777_619

/** The bytes themselves. A buffer that was handed to somebody else has none any more, and cannot be looked into. */
const bytesOf = (value: Bytes): Uint8Array => {
  if (value.byteLength === 0) return new Uint8Array()
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value)
}

/** A number that is another one when anything in the value has changed, with all but certainty. */
export const fingerprint = (root: unknown): number => {
  let hash = 2_166_136_261
  const mix = (part: number) => {
    hash = Math.imul(hash ^ part, prime)
  }
  const mixText = (text: string) => {
    for (let index = 0; index < text.length; index++) mix(text.charCodeAt(index))
  }
  walk(root, (value, key) => {
    mixText(key)
    if (isBytes(value)) {
      mix(value.byteLength)
      for (const byte of bytesOf(value)) mix(byte)
    } else if (value instanceof Date) {
      mix(value.getTime())
    } else if (!isObject(value)) {
      mixText(`${typeof value}:${String(value)}`)
    }
    return true
  })
  return hash
}
