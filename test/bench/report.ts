/**
 * Everything that the benchmark says, and how it says it to people.
 */
import type { ForEachCosts } from "./for-each.ts"
import { interceptorNames } from "./interceptors.ts"
import type { Large } from "./large.ts"
import { type Measured, sizes } from "./measure.ts"
import { shapes } from "./shapes.ts"
import { lengths, type StreamingCosts } from "./streaming.ts"
import { exporterModes, floors, modes, runLogModes, sinkModes, type SubjectName, waitingModes } from "./subjects.ts"
import type { Target } from "./targets.ts"
import type { Form } from "./typecheck.ts"

export interface Report extends Measured {
  readonly typecheck300:
    | Readonly<Record<Form, { readonly seconds: number; readonly instantiations: number }>>
    | undefined
  readonly heapPerStageBytes: number | undefined
  /** Runs of 100,000 stages. */
  readonly large: { readonly chain: Large; readonly fanOut: Large } | undefined
  /** A for-each over 100,000 items. */
  readonly forEach: ForEachCosts | undefined
  /** Chunks through chains of stages that stream. */
  readonly streaming: StreamingCosts | undefined
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

const microseconds = (value: number | undefined): string => value === undefined ? "-" : value.toFixed(2)

/** The costs of some subjects, with the sizes and shapes for which one of them was measured. */
const costs = ({ results }: Report, title: string, subjects: ReadonlyArray<SubjectName>): string => {
  const rows = shapes.flatMap((shape) =>
    sizes.flatMap((size) => {
      const values = subjects.map((subject) => results[shape][size][subject])
      return values.every((value) => value === undefined) ? [] : [[shape, count(size), ...values.map(microseconds)]]
    })
  )
  return rows.length === 0 ? "" : aligned([[title, "stages", ...subjects], ...rows])
}

/** What spans cost, in runs without them that were measured in the same turns. */
const exporterRatios = ({ results }: Report): string => {
  const [reference, ...traced] = exporterModes
  const rows = shapes.flatMap((shape) =>
    sizes.flatMap((size) => {
      const of = results[shape][size]
      const bare = of[reference]
      if (bare === undefined) return []
      return [[shape, count(size), ...traced.map((mode) => ((of[mode] ?? Number.NaN) / bare).toFixed(1))]]
    })
  )
  return rows.length === 0 ? "" : aligned([["in bare", "stages", ...traced], ...rows])
}

const ownCosts = ({ interceptors }: Report): string =>
  Object.keys(interceptors).length === 0 ? "" : aligned([
    ["interceptor", "µs per stage, more than bare"],
    ...interceptorNames.map((name) => [name, microseconds(interceptors[name])])
  ])

const others = ({ forEach, forkJoin, heapPerStageBytes, large, nested, streaming, typecheck300 }: Report): string =>
  aligned([
    ...(Number.isNaN(forkJoin) ? [] : [["one forkChild and join", `${microseconds(forkJoin)} µs`]]),
    ...(nested.flat === undefined ? [] : [
      ["50 stages in one pipeline", `${microseconds(nested.flat)} µs`],
      ["the same in pipelines of 10, 5 deep", `${microseconds(nested.nested)} µs`]
    ]),
    ...(large === undefined ? [] : [
      ["chain of 100,000, cold", `${large.chain.milliseconds.toFixed(0)} ms`],
      ["fanOut of 100,000, cold", `${large.fanOut.milliseconds.toFixed(0)} ms`]
    ]),
    ...(forEach === undefined ? [] : [
      ["ForEach over 100,000 items, per item", `${microseconds(forEach.stage)} µs`],
      ["Effect.forEach over the same, per item", `${microseconds(forEach.effect)} µs`],
      ["ForEach, most on the heap per item", `${forEach.stagePeak} bytes`],
      ["Effect.forEach, most on the heap per item", `${forEach.effectPeak} bytes`]
    ]),
    ...(streaming === undefined ? [] : [
      ...lengths.flatMap((length) => [
        [`a chunk through ${length} streaming stages`, `${microseconds(streaming.stages[length])} µs`],
        ["the same by a Stream", `${microseconds(streaming.byHand[length])} µs`]
      ]),
      ["1,000,000 chunks, growth of the heap", `${(streaming.growth / 1_000_000).toFixed(1)} MB`]
    ]),
    ...(heapPerStageBytes === undefined ? [] : [["held by a result, per stage", `${heapPerStageBytes} bytes`]]),
    ...(typecheck300 === undefined ? [] : [
      ["type-checking 300 stages", `${typecheck300.added.seconds.toFixed(2)} s`],
      ["instantiations for them", count(typecheck300.added.instantiations)],
      ["type-checking 300 inline stages", `${typecheck300.inline.seconds.toFixed(2)} s`],
      ["instantiations for them", count(typecheck300.inline.instantiations)]
    ])
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
  [
    costs(report, "µs per stage", [...modes, ...floors]),
    costs(report, "µs per stage that waits", waitingModes),
    costs(report, "µs per stage, with a sink", sinkModes),
    costs(report, "µs per stage, with spans", exporterModes),
    exporterRatios(report),
    costs(report, "µs per stage, with a run log", runLogModes),
    ownCosts(report),
    others(report),
    targets(report)
  ].filter((table) => table !== "").join("\n\n")
