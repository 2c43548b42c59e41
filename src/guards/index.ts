/**
 * Guards for text that somebody wrote: ready stages, and the pure functions under them.
 */
export * as Finding from "./Finding.ts"
export * as Normalise from "./Normalise.ts"
