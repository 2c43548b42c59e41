/**
 * What the numbers have to be.
 */
import { stages } from "./large.ts"
import type { Report } from "./report.ts"
import { shapes } from "./shapes.ts"
import { modes } from "./subjects.ts"

export interface Target {
  readonly name: string
  readonly value: number
  /** The value is to be at most this. */
  readonly limit: number
  readonly met: boolean
}

const atMost = (name: string, value: number, limit: number): Target => ({ name, value, limit, met: value <= limit })

/** Every target, met or not. */
export const targetsOf = (
  { forkJoin, large, results, typecheck300 }: Omit<Report, "targets">
): ReadonlyArray<Target> => [
  ...shapes.map((shape) => atMost(`bare ${shape} at 1,000, in forkJoin`, results[shape][1_000].bare / forkJoin, 0.5)),
  ...shapes.map((shape) =>
    atMost(`events ${shape} at 1,000, in forkJoin`, results[shape][1_000].events / forkJoin, 1.5)
  ),
  ...shapes.map((shape) =>
    atMost(`defaults ${shape} at 1,000, in forkJoin`, results[shape][1_000].defaults / forkJoin, 6)
  ),
  ...shapes.flatMap((shape) =>
    modes.map((mode) =>
      atMost(
        `${mode} ${shape}, 10,000 stages in runs of 1,000`,
        results[shape][10_000][mode] * 10 / results[shape][1_000][mode],
        15
      )
    )
  ),
  ...(["chain", "fanOut"] as const).map((shape) =>
    atMost(`${shape} of ${stages.toLocaleString("en")}, stages missing`, large[shape].missing, 0)
  ),
  atMost("type-checking 300 stages, in seconds", typecheck300.seconds, 3)
]
