/**
 * Sets keys of plain objects, whatever they are called, and makes plain objects that share a shape.
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
