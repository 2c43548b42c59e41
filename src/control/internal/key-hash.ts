/**
 * Hashes a key to a place between 0 and 1 that is the same in every process and every version, and in other languages.
 *
 * It is MurmurHash3 (x86, 32 bits) over UTF-8. What `effect/Hash` gives may be another number after an update, and everybody
 * in an experiment would change sides.
 */

const encoder = new TextEncoder()

const rotated = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))

const scrambled = (block: number): number => Math.imul(rotated(Math.imul(block, 0xcc9e2d51), 15), 0x1b873593)

const mixed = (hash: number): number => {
  let value = hash
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return value ^ (value >>> 16)
}

/** The hash of a text: a whole number from 0, below 2^32. */
export const hashOf = (text: string, seed: number): number => {
  const bytes = encoder.encode(text)
  const byte = (index: number): number => bytes[index] ?? 0
  const whole = bytes.length - (bytes.length % 4)
  let hash = seed
  for (let index = 0; index < whole; index += 4) {
    const block = byte(index) | (byte(index + 1) << 8) | (byte(index + 2) << 16) | (byte(index + 3) << 24)
    hash = Math.imul(rotated(hash ^ scrambled(block), 13), 5) + 0xe6546b64
  }
  // What is left over of the last four bytes; there are zeros behind the end.
  const rest = byte(whole) | (byte(whole + 1) << 8) | (byte(whole + 2) << 16)
  return mixed(hash ^ scrambled(rest) ^ bytes.length) >>> 0
}

/** Where a key is between 0 and 1. Under another salt it is somewhere else, whatever the first place was. */
export const placeOf = (key: string, salt: string): number => hashOf(key, hashOf(salt, 0)) / 2 ** 32
