/**
 * Makes a short text that stands for a value: the same for equal values, in every process, and another one for others.
 *
 * It tells values apart and keeps nobody out, so MD5 is good enough. It is also the one digest that `effect/crypto` has
 * without WebCrypto, whose promises would let runs fall out of virtual time.
 */
import * as Digest from "effect/crypto/Digest"
import * as Hex from "effect/encoding/Hex"
import { canonical } from "../../../internal/canonical.ts"

// WebCrypto has no MD5, so effect always brings it along.
const md5 = Digest.md5.implementation as (data: Uint8Array) => Uint8Array

const encoder = new TextEncoder()

const digestOfBytes = (bytes: Uint8Array): string => Hex.encode(md5(bytes))

/** The digest of a text, as 32 hexadecimal digits. */
export const digestOfText = (text: string): string => digestOfBytes(encoder.encode(text))

/** The digest of a value. Throws where it cannot see what a value holds. */
export const digestOf = (value: unknown): string => digestOfText(canonical(value, digestOfBytes))
