/**
 * Makes a short text that stands for a value: the same for equal values, in every process.
 *
 * It tells values apart and keeps nobody out: where that matters, the values themselves are compared as well.
 */
import * as Digest from "effect/crypto/Digest"
import * as Hex from "effect/encoding/Hex"

// WebCrypto has no MD5, so effect always brings it along; it is the one digest that needs no promise.
const md5 = Digest.md5.implementation as (data: Uint8Array) => Uint8Array

const encoder = new TextEncoder()

/** The digest of a text, as 32 hexadecimal digits. */
export const digestOfText = (text: string): string => Hex.encode(md5(encoder.encode(text)))
