/**
 * Lays a graph of stages out from left to right.
 *
 * dagre does it, with its ranker `tight-tree`: the default one takes ten times as long for 1,000 stages, for a picture that is
 * hardly better. While it does nothing else runs in the process, so a graph for which even that takes too long, and that nobody
 * reads as a picture, is laid out in plain columns.
 */
import { graphlib, layout } from "@dagrejs/dagre"
import * as Result from "effect/Result"
import { orderOf, type Placed } from "./order.ts"
import { boxHeight, boxWidth, type Layout } from "./page-model.ts"

/**
 * What dagre lays out in half a second: stages, and the columns that their edges cross. It puts a point into each of these, so
 * a few edges across all of a graph are as much work as many stages.
 */
const mostForDagre = 1_500

const gapBetweenColumns = 48
const gapInColumn = 16
const margin = 12

type Point = { readonly x: number; readonly y: number }

const rounded = (value: number): number => Math.round(value)

/** A curve through the points, as SVG writes it. */
const pathThrough = (points: ReadonlyArray<Point>): string => {
  const [first, ...rest] = points.map(({ x, y }) => ({ x: rounded(x), y: rounded(y) }))
  if (first === undefined) return ""
  let at = first
  let path = `M${first.x} ${first.y}`
  for (const point of rest) {
    const middle = rounded((at.x + point.x) / 2)
    path += `C${middle} ${at.y} ${middle} ${point.y} ${point.x} ${point.y}`
    at = point
  }
  return path
}

/** From the right side of a box to the left side of another. */
const betweenSides = (
  from: Point | undefined,
  middle: ReadonlyArray<Point>,
  to: Point | undefined
): ReadonlyArray<Point> => {
  if (from === undefined || to === undefined) return middle
  const [start, end] = [{ x: from.x + boxWidth / 2, y: from.y }, { x: to.x - boxWidth / 2, y: to.y }]
  return [start, ...middle.filter(({ x }) => x > start.x && x < end.x), end]
}

const edgesOf = (stages: ReadonlyArray<Placed>): ReadonlyArray<readonly [from: number, to: number]> =>
  stages.flatMap(({ before }, index) => before.map((other) => [other, index] as const))

const laidOutByDagre = (stages: ReadonlyArray<Placed>): Layout => {
  const graph = new graphlib.Graph()
  graph.setGraph({
    rankdir: "LR",
    ranker: "tight-tree",
    nodesep: gapInColumn,
    ranksep: gapBetweenColumns,
    marginx: margin,
    marginy: margin
  })
  for (const index of stages.keys()) graph.setNode(String(index), { width: boxWidth, height: boxHeight })
  const edges = edgesOf(stages)
  for (const [from, to] of edges) graph.setEdge(String(from), String(to), {})
  layout(graph)
  const boxes = stages.map((_, index) => graph.node(String(index)) as Point) // laid out above
  const { height = 0, width = 0 } = graph.graph() as { readonly width?: number; readonly height?: number }
  return {
    width: Math.ceil(width),
    height: Math.ceil(height),
    boxes: boxes.map(({ x, y }) => [rounded(x), rounded(y)]),
    lines: edges.map(([from, to]) => {
      const { points } = graph.edge(String(from), String(to)) as { readonly points: ReadonlyArray<Point> }
      return [from, to, pathThrough(betweenSides(boxes[from], points.slice(1, -1), boxes[to]))]
    })
  }
}

/** The column of each stage: after those of all that must have ended before. */
const columnsOf = (stages: ReadonlyArray<Placed>): ReadonlyArray<number> => {
  const columns = stages.map(() => 0)
  for (const index of orderOf(stages)) {
    const before = stages[index]?.before ?? []
    columns[index] = before.reduce((last, other) => Math.max(last, (columns[other] ?? 0) + 1), 0)
  }
  return columns
}

/** The stages of each column, those that wait for stages further up before the others. */
const sortedColumns = (
  stages: ReadonlyArray<Placed>,
  columns: ReadonlyArray<number>
): ReadonlyArray<ReadonlyArray<number>> => {
  const last = columns.reduce((most, column) => Math.max(most, column), 0)
  const sorted = Array.from({ length: last + 1 }, (): Array<number> => [])
  for (const [index, column] of columns.entries()) sorted[column]?.push(index)
  const rows = stages.map(() => 0)
  const height = (index: number): number => {
    const before = stages[index]?.before ?? []
    return before.reduce((sum, other) => sum + (rows[other] ?? 0), 0) / Math.max(before.length, 1)
  }
  for (const column of sorted) {
    const heights = new Map(column.map((index) => [index, height(index)]))
    column.sort((a, b) => (heights.get(a) ?? 0) - (heights.get(b) ?? 0))
    for (const [row, index] of column.entries()) rows[index] = row
  }
  return sorted
}

const laidOutInColumns = (stages: ReadonlyArray<Placed>, columns: ReadonlyArray<number>): Layout => {
  const boxes = stages.map((): readonly [number, number] => [0, 0])
  const sorted = sortedColumns(stages, columns)
  for (const [column, indices] of sorted.entries()) {
    for (const [row, index] of indices.entries()) {
      boxes[index] = [
        margin + boxWidth / 2 + column * (boxWidth + gapBetweenColumns),
        margin + boxHeight / 2 + row * (boxHeight + gapInColumn)
      ]
    }
  }
  const highest = sorted.reduce((most, { length }) => Math.max(most, length), 0)
  return {
    width: 2 * margin + sorted.length * (boxWidth + gapBetweenColumns) - gapBetweenColumns,
    height: 2 * margin + highest * (boxHeight + gapInColumn) - gapInColumn,
    boxes,
    lines: edgesOf(stages).map(([from, to]) => {
      const [start, end] = [boxes[from] ?? [0, 0], boxes[to] ?? [0, 0]]
      return [from, to, pathThrough(betweenSides({ x: start[0], y: start[1] }, [], { x: end[0], y: end[1] }))]
    })
  }
}

/** Where the stages are in a picture of the graph. */
export const laidOut = (stages: ReadonlyArray<Placed>): Layout => {
  if (stages.length === 0) return { width: 0, height: 0, boxes: [], lines: [] }
  const columns = columnsOf(stages)
  const crossed = edgesOf(stages).reduce((sum, [from, to]) => sum + (columns[to] ?? 0) - (columns[from] ?? 0), 0)
  const inColumns = () => laidOutInColumns(stages, columns)
  if (stages.length + crossed > mostForDagre) return inColumns()
  // It calls itself for each column: a very long chain is too deep for the stack.
  return Result.getOrElse(Result.try(() => laidOutByDagre(stages)), inColumns)
}
