/**
 * Puts bytes together that were cut in the wrong place.
 */

/** All of them in one piece. */
export const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.byteLength
  }
  return whole
}

const none = new Uint8Array(0)

/** Keeps what is left of the last unit until the rest of it comes. */
export class Remainder {
  private rest: Uint8Array = none

  get size(): number {
    return this.rest.byteLength
  }

  /** The whole units of `width` bytes that there are now. */
  wholeOf(bytes: Uint8Array, width: number): Uint8Array {
    const all = this.rest.byteLength === 0 ? bytes : joined([this.rest, bytes])
    const whole = all.byteLength - all.byteLength % width
    // A copy: whoever gave the bytes may write over them.
    this.rest = all.slice(whole)
    return whole === all.byteLength ? all : all.subarray(0, whole)
  }

  takeAll(): Uint8Array {
    const { rest } = this
    this.rest = none
    return rest
  }
}
