/**
 * Makes a short text that is the same for equal values and, but for a chance of one in 2^64, another one for others.
 *
 * It is for comparing values within a process: it takes a look at each thing that a value holds, once, however often the
 * value holds it. It keeps nobody out.
 */
import { bytesOf, nameOfView, type Part, piecesOf, primitive } from "./canonical.ts"

/** A number made of everything that was added, in its order: two lanes of MurmurHash3. */
class Hash {
  a = 0x9747b28c
  b = 0x3c6ef372

  word(word: number): void {
    let a = Math.imul(word, 0xcc9e2d51)
    a = Math.imul((a << 15) | (a >>> 17), 0x1b873593) ^ this.a
    this.a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe6546b64) | 0
    let b = Math.imul(word, 0x239b961b)
    b = Math.imul((b << 16) | (b >>> 16), 0x38b34ae5) ^ this.b
    this.b = (Math.imul((b << 17) | (b >>> 15), 5) + 0x561ccd1b) | 0
  }

  text(text: string): void {
    const { length } = text
    this.word(length)
    for (let index = 0; index < length; index += 2) {
      // After the last character comes NaN, which is no bit.
      this.word(text.charCodeAt(index) | (text.charCodeAt(index + 1) << 16))
    }
  }

  number(value: number): void {
    // Zero is zero, whatever its sign, and not a number is one value.
    double[0] = value === 0 ? 0 : value
    this.word(words[0] as number)
    this.word(words[1] as number)
  }

  bytes(bytes: Uint8Array): void {
    const whole = bytes.length & ~3
    for (let index = 0; index < whole; index += 4) {
      this.word(
        (bytes[index] as number) | ((bytes[index + 1] as number) << 8) | ((bytes[index + 2] as number) << 16)
          | ((bytes[index + 3] as number) << 24)
      )
    }
    for (let index = whole; index < bytes.length; index++) this.word(bytes[index] as number)
  }

  hash({ a, b }: Hash): void {
    this.word(a)
    this.word(b)
  }
}

const double = new Float64Array(1)
const words = new Int32Array(double.buffer)

/** What comes next: nothing that is one of these can be taken for another. */
const kinds = { text: 1, number: 2, string: 3, primitive: 4, value: 5, list: 6, fields: 7 } as const

/** A value that is being looked at, and how far. */
class Frame {
  readonly value: object | undefined
  readonly hash = new Hash()
  /** The elements of a list, the names and values of an object literal, or the pieces of something else. */
  readonly items: ReadonlyArray<unknown>
  readonly isPieces: boolean
  index = 0

  constructor(value: object | undefined, items: ReadonlyArray<unknown>, kind: number) {
    this.value = value
    this.items = items
    this.isPieces = kind === kinds.value
    this.hash.word(kind)
    this.hash.word(items.length)
  }
}

/** Most values are lists and object literals. */
const frameOf = (value: object): Frame => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype && Array.isArray(value)) return new Frame(value, value, kinds.list)
  const isLiteral = prototype === Object.prototype && Object.getOwnPropertySymbols(value).length === 0
  return isLiteral ? new Frame(value, fieldsOf(value), kinds.fields) : new Frame(value, piecesOf(value), kinds.value)
}

const fieldsOf = (value: object): ReadonlyArray<unknown> => {
  const fields: Array<unknown> = []
  for (const key of Object.keys(value).sort()) {
    const field = (value as Record<string, unknown>)[key]
    if (field !== undefined) fields.push(key, field)
  }
  return fields
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Adds what holds nothing else. */
const add = (hash: Hash, value: unknown): void => {
  if (typeof value === "number") {
    hash.word(kinds.number)
    hash.number(value)
  } else if (typeof value === "string") {
    hash.word(kinds.string)
    hash.text(value)
  } else {
    hash.word(kinds.primitive)
    hash.text(primitive(value))
  }
}

const hashOfBytes = (view: ArrayBufferView): Hash => {
  const hash = new Hash()
  hash.text(nameOfView(view))
  hash.word(view.byteLength)
  hash.bytes(bytesOf(view))
  return hash
}

/** The text of a value. Throws where it cannot see what the value holds. */
export const fingerprint = (root: unknown): string => {
  const known = new Map<object, Hash>()
  const inside = new Set<object>()
  const first = new Frame(undefined, [root], kinds.list)
  // A list of what is looked at instead of recursion: a value may be nested as deeply as it likes.
  const frames: Array<Frame> = [first]
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    const found = step(frame, known)
    if (found === undefined) {
      frames.pop()
      if (frame.value === undefined) break
      inside.delete(frame.value)
      known.set(frame.value, frame.hash)
    } else {
      if (inside.has(found)) throw new TypeError("A value that contains itself has no fingerprint")
      inside.add(found)
      frames.push(frameOf(found))
    }
  }
  return `${first.hash.a >>> 0},${first.hash.b >>> 0}`
}

/** Goes on with a value up to the next object that nothing is known of, which is come back to when it is known. */
const step = (frame: Frame, known: Map<object, Hash>): object | undefined => {
  const { hash, isPieces, items } = frame
  for (; frame.index < items.length; frame.index++) {
    const item = items[frame.index]
    if (isPieces && typeof item === "string") {
      hash.word(kinds.text)
      hash.text(item)
      continue
    }
    const value = isPieces ? (item as Part).value : item
    if (!isObject(value)) {
      add(hash, value)
      continue
    }
    const hashed = known.get(value)
    if (hashed !== undefined) {
      hash.word(kinds.value)
      hash.hash(hashed)
    } else if (ArrayBuffer.isView(value)) {
      known.set(value, hashOfBytes(value))
      frame.index--
    } else {
      return value
    }
  }
  return undefined
}
