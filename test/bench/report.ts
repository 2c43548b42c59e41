/**
 * Everything that the benchmark says, and how it says it to people.
 */
import { interceptorNames } from "./interceptors.ts"
import type { Large } from "./large.ts"
import { type Measured, sizes } from "./measure.ts"
import { shapes } from "./shapes.ts"
import type { Target } from "./targets.ts"

export interface Report extends Measured {
  readonly typecheck300: { readonly seconds: number; readonly instantiations: number }
  readonly heapPerStageBytes: number
  /** Runs of 100,000 stages. */
  readonly large: { readonly chain: Large; readonly fanOut: Large }
  readonly targets: ReadonlyArray<Target>
}

const alignedLine = (widths: ReadonlyArray<number>) => (cells: ReadonlyArray<string>): string =>
  cells.map((cell, column) => column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))
    .join("  ")

/** The rows with their columns aligned, the first one to the left. */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map(alignedLine(widths)).join("\n")
}

const count = (value: number): string => value.toLocaleString("en")

const microseconds = (value: number): string => value.toFixed(2)

const costs = ({ results }: Report): string =>
  aligned([
    ["µs per stage", "stages", "bare", "events", "spans", "defaults", "floor"],
    ...shapes.flatMap((shape) =>
      sizes.map((size) => {
        const { bare, defaults, events, floor, spans } = results[shape][size]
        return [shape, count(size), ...[bare, events, spans, defaults, floor].map(microseconds)]
      })
    )
  ])

const ownCosts = ({ interceptors }: Report): string =>
  aligned([
    ["interceptor", "µs per stage, more than bare"],
    ...interceptorNames.map((name) => [name, microseconds(interceptors[name])])
  ])

const others = ({ forkJoin, heapPerStageBytes, large, typecheck300 }: Report): string =>
  aligned([
    ["one forkChild and join", `${microseconds(forkJoin)} µs`],
    ["chain of 100,000, cold", `${large.chain.milliseconds.toFixed(0)} ms`],
    ["fanOut of 100,000, cold", `${large.fanOut.milliseconds.toFixed(0)} ms`],
    ["held by a result, per stage", `${heapPerStageBytes} bytes`],
    ["type-checking 300 stages", `${typecheck300.seconds.toFixed(2)} s`],
    ["instantiations for them", count(typecheck300.instantiations)]
  ])

const targets = (report: Report): string =>
  aligned([
    ["target", "value", "at most", "met"],
    ...report.targets.map(({ limit, met, name, value }) => [
      name,
      value.toFixed(2),
      limit.toFixed(2),
      met ? "yes" : "NO"
    ])
  ])

/** The report as tables. */
export const format = (report: Report): string =>
  [costs(report), ownCosts(report), others(report), targets(report)].join("\n\n")
