/** Assigns even where the key is `__proto__`, which a plain assignment would take for the prototype. */
export const define = (target: object, key: PropertyKey, value: unknown): void => {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true })
  } else {
    ;(target as Record<PropertyKey, unknown>)[key] = value
  }
}
