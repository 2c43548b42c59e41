/**
 * Measures how large a value is, and tells whether it has changed: walks over values of any depth.
 */

type Visit = (value: unknown, key: string) => void

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Visits everything that a value holds, each object once, until `visit` says stop by returning false. */
const walk = (root: unknown, visit: (value: unknown, key: string) => boolean): void => {
  const seen = new Set<object>()
  const pending: Array<readonly [value: unknown, key: string]> = [[root, ""]]
  const push: Visit = (value, key) => pending.push([value, key])
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [value, key] = next
    if (isObject(value)) {
      if (seen.has(value)) continue
      seen.add(value)
    }
    if (!visit(value, key)) return
    if (isObject(value) && !ArrayBuffer.isView(value)) pushContents(value, push)
  }
}

const pushContents = (value: object, push: Visit): void => {
  if (value instanceof Map) {
    for (const [key, item] of value) {
      push(key, "key")
      push(item, "value")
    }
  } else if (value instanceof Set) {
    for (const item of value) push(item, "item")
  } else {
    for (const key of Object.keys(value)) push((value as Record<string, unknown>)[key], key)
  }
}

/** About how many bytes a value takes; stops counting a little beyond `enough`. */
export const sizeOf = (root: unknown, enough: number): number => {
  let bytes = 0
  walk(root, (value, key) => {
    bytes += key.length
    if (typeof value === "string") bytes += value.length
    else if (isObject(value)) bytes += ArrayBuffer.isView(value) ? value.byteLength : 2
    else bytes += 8
    return bytes <= enough
  })
  return bytes
}

const prime = 16_777_619

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
    if (ArrayBuffer.isView(value)) {
      for (const byte of new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) mix(byte)
    } else if (value instanceof Date) {
      mix(value.getTime())
    } else if (!isObject(value)) {
      mixText(`${typeof value}:${String(value)}`)
    }
    return true
  })
  return hash
}
