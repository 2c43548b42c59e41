/**
 * What the numbers have to be.
 */
import type { InterceptorName } from "./interceptors.ts"
import { stages } from "./large.ts"
import type { Size } from "./measure.ts"
import type { Report } from "./report.ts"
import { type Shape, shapes } from "./shapes.ts"
import { lengths } from "./streaming.ts"
import { type Mode, modes, waitingModes } from "./subjects.ts"

export interface Target {
  readonly name: string
  readonly value: number
  /** The value is to be at most this. */
  readonly limit: number
  readonly met: boolean
}

/** A target, unless what it is about was not measured. */
const atMost = (name: string, value: number | undefined, limit: number): ReadonlyArray<Target> =>
  value === undefined || Number.isNaN(value) ? [] : [{ name, value, limit, met: value <= limit }]

/** What a stage may cost in a run of 1,000, in forks-and-joins. */
const costs: ReadonlyArray<readonly [mode: Mode, limit: number]> = [
  ["bare", 0.5],
  ["events", 1.5],
  ["defaults", 3],
  ["bareAwaiting", 1],
  ["bareYielding", 1],
  ["defaultsAwaiting", 6],
  ["defaultsYielding", 6],
  ["buffered", 2],
  ["runLogSqlite", 10]
]

/** How many runs of 1,000 stages one of 10,000 may cost. */
const growth = 12.5

/** What a run of 1,000 stages may cost whose sink takes 1 ms for each event, in runs whose sink takes no time. */
const slowSink = 1.05

/** What an interceptor may add to a stage, in microseconds. */
const interceptorCosts: ReadonlyArray<readonly [name: InterceptorName, limit: number]> = [
  ["circuitBreaker", 5],
  ["cache", 5]
]

const millions = (count: number | undefined): number | undefined => count === undefined ? undefined : count / 1_000_000

/** Every target of what was measured, met or not. */
export const targetsOf = (
  { forEach, forkJoin, interceptors, large, nested, results, streaming, typecheck300 }: Omit<Report, "targets">
): ReadonlyArray<Target> => {
  const costOf = (shape: Shape, size: Size, mode: Mode) => results[shape][size][mode] ?? Number.NaN
  return [
    ...costs.flatMap(([mode, limit]) =>
      shapes.flatMap((shape) =>
        atMost(`${mode} ${shape} at 1,000, in forkJoin`, costOf(shape, 1_000, mode) / forkJoin, limit)
      )
    ),
    ...shapes.flatMap((shape) =>
      [...modes, ...waitingModes].flatMap((mode) =>
        atMost(
          `${mode} ${shape}, 10,000 stages in runs of 1,000`,
          costOf(shape, 10_000, mode) * 10 / costOf(shape, 1_000, mode),
          growth
        )
      )
    ),
    ...atMost(
      "10 stages nested 5 deep, in 50 stages flat",
      (nested.nested ?? Number.NaN) / (nested.flat ?? Number.NaN),
      3
    ),
    ...shapes.flatMap((shape) =>
      atMost(
        `${shape} of 1,000 with a sink that is slow, in runs with a fast one`,
        costOf(shape, 1_000, "bufferedSlow") / costOf(shape, 1_000, "buffered"),
        slowSink
      )
    ),
    ...interceptorCosts.flatMap(([name, limit]) => atMost(`${name}, in µs per stage`, interceptors[name], limit)),
    ...atMost("ForEach, time per item in Effect.forEach", forEach?.ratio, 3),
    ...atMost("ForEach, peak heap in Effect.forEach", forEach && forEach.stagePeak / forEach.effectPeak, 2),
    ...lengths.flatMap((length) =>
      atMost(`chunks through ${length} streaming stages, in the same Stream`, streaming?.ratio[length], 2)
    ),
    ...atMost("1,000,000 chunks, growth of the heap in MB", millions(streaming?.growth), 20),
    ...(["chain", "fanOut"] as const).flatMap((shape) =>
      atMost(`${shape} of ${stages.toLocaleString("en")}, stages missing`, large?.[shape].missing, 0)
    ),
    ...(["added", "inline"] as const).flatMap((form) => [
      ...atMost(`type-checking 300 ${form} stages, in seconds`, typecheck300?.[form].seconds, 3),
      ...atMost(
        `instantiations for 300 ${form} stages, in millions`,
        millions(typecheck300?.[form].instantiations),
        3.5
      )
    ])
  ]
}
