/**
 * Tells plain objects from others, sets their keys, whatever they are called, and makes ones that share a shape.
 */

/** Assigns even where the key is `__proto__`, which a plain assignment would take for the prototype. */
export const define = (target: object, key: PropertyKey, value: unknown): void => {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  } else {
    ;(target as Record<PropertyKey, unknown>)[key] = value
  }
}

/**
 * A factory of plain objects that will all get the same keys.
 *
 * V8 keeps the shapes of object literals in one tree with a limit: past some 1,500 different first keys it falls back to
 * hash tables. A constructor has a tree of its own; with `Object.prototype` as its prototype it makes plain objects.
 */
export const shape = (): new() => object => {
  const Shape = function() {} as unknown as { new(): object; prototype: object }
  Shape.prototype = Object.prototype
  return Shape
}

/**
 * Whether a value can be read as an object of these keys: one that a literal makes, or one that has any of them. A list, a
 * Map or a Promise that somebody gave by mistake has none.
 */
export const isObjectOf = (keys: ReadonlyArray<string>, given: unknown): given is object =>
  isRecord(given)
  || (typeof given === "object" && given !== null && !Array.isArray(given) && keys.some((key) => key in given))

/** Whether a value is an object of named things, as a literal makes one, and not a list, a Map, a Promise or an instance. */
export const isRecord = (given: unknown): given is Readonly<Record<string, unknown>> => {
  if (typeof given !== "object" || given === null) return false
  const prototype: unknown = Object.getPrototypeOf(given)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
