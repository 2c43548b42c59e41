/**
 * Reads and writes one sample of audio, a number between -1 and 1, as a little-endian integer.
 */

type Bits = 8 | 16 | 24 | 32

const scale: Readonly<Record<Bits, number>> = { 8: 2 ** 7, 16: 2 ** 15, 24: 2 ** 23, 32: 2 ** 31 }

const readInteger = (view: DataView, at: number, bits: Bits): number => {
  switch (bits) {
    case 8:
      return view.getUint8(at) - 128
    case 16:
      return view.getInt16(at, true)
    case 24:
      return view.getInt8(at + 2) * 2 ** 16 + view.getUint16(at, true)
    case 32:
      return view.getInt32(at, true)
  }
}

/** The sample at a place. */
export const readSample = (view: DataView, at: number, bits: Bits): number => readInteger(view, at, bits) / scale[bits]

const writeInteger = (view: DataView, at: number, bits: Bits, value: number): void => {
  switch (bits) {
    case 8:
      return view.setUint8(at, value + 128)
    case 16:
      return view.setInt16(at, value, true)
    case 24:
      view.setUint16(at, value & 0xffff, true)
      return view.setInt8(at + 2, value >> 16)
    case 32:
      return view.setInt32(at, value, true)
  }
}

/** Writes a sample; one that is louder than can be is cut, and what is no number is silence. */
export const writeSample = (view: DataView, at: number, bits: Bits, sample: number): void => {
  const full = scale[bits]
  const value = Number.isNaN(sample) ? 0 : Math.round(sample * full)
  writeInteger(view, at, bits, Math.max(-full, Math.min(full - 1, value)))
}
