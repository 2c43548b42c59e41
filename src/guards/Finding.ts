/**
 * Says where in a text something was found, and of what kind it is; joins findings that overlap, and counts them.
 *
 * A finding never holds the text itself, because findings go into results, events and logs.
 */
import * as Schema from "effect/Schema"

/**
 * What was found from `start` up to, and not including, `end`: positions in the text that was given, as `slice` counts.
 */
export interface Finding<out Kind extends string = string> {
  readonly kind: Kind
  readonly start: number
  readonly end: number
}

/**
 * The schema of findings of these kinds.
 */
export const schemaOf = <const Kind extends string>(kinds: ReadonlyArray<Kind>): Schema.Codec<Finding<Kind>> =>
  Schema.Struct({ kind: Schema.Literals(kinds), start: Schema.Int, end: Schema.Int })

/**
 * The schema of findings of any kind.
 */
export const Finding: Schema.Codec<Finding> = Schema.Struct({
  kind: Schema.String,
  start: Schema.Int,
  end: Schema.Int
})

const lengthOf = ({ end, start }: Finding): number => end - start

/**
 * Sorts findings and makes one of those that overlap: it covers all of them and has the kind of the longest.
 */
export const merge = <Kind extends string>(findings: ReadonlyArray<Finding<Kind>>): ReadonlyArray<Finding<Kind>> => {
  const merged: Array<Finding<Kind>> = []
  let longest = 0
  for (const finding of findings.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = merged.at(-1)
    if (last === undefined || finding.start >= last.end) {
      merged.push(finding)
      longest = lengthOf(finding)
      continue
    }
    const { kind } = lengthOf(finding) > longest ? finding : last
    longest = Math.max(longest, lengthOf(finding))
    merged[merged.length - 1] = { kind, start: last.start, end: Math.max(last.end, finding.end) }
  }
  return merged
}

/**
 * How many of each kind were found, in words: `2 email, 1 phone`.
 */
export const summary = (findings: ReadonlyArray<Finding>): string => {
  const counts = new Map<string, number>()
  for (const { kind } of findings) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return Array.from(counts, ([kind, count]) => `${count} ${kind}`).join(", ")
}
