/**
 * Lays a graph of stages out from left to right.
 *
 * dagre does it, with its ranker `tight-tree`: the default one takes ten times as long for 1,000 stages, for a picture that is
 * hardly better. A graph so large that even that takes too long, and that nobody reads as a picture, is laid out in plain
 * columns.
 */
import { graphlib, layout } from "@dagrejs/dagre"
import * as Result from "effect/Result"
import { orderOf, type Placed } from "./order.ts"
import { boxHeight, boxWidth, type Layout } from "./page-model.ts"

/** Stages and edges of a graph that dagre lays out in a second or two. */
const mostForDagre = 5_000

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

/** A column for each number of stages that must have ended before. */
const laidOutInColumns = (stages: ReadonlyArray<Placed>, order: ReadonlyArray<number>): Layout => {
  const columns = stages.map(() => 0)
  const heights: Array<number> = []
  const boxes = stages.map((): readonly [number, number] => [0, 0])
  for (const index of order) {
    const before = stages[index]?.before ?? []
    const column = before.reduce((last, other) => Math.max(last, (columns[other] ?? 0) + 1), 0)
    const row = heights[column] ?? 0
    columns[index] = column
    for (let missing = heights.length; missing <= column; missing++) heights.push(0)
    heights[column] = row + 1
    boxes[index] = [
      margin + boxWidth / 2 + column * (boxWidth + gapBetweenColumns),
      margin + boxHeight / 2 + row * (boxHeight + gapInColumn)
    ]
  }
  const highest = heights.reduce((most, rows) => Math.max(most, rows), 0)
  return {
    width: 2 * margin + heights.length * (boxWidth + gapBetweenColumns) - gapBetweenColumns,
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
  const edges = stages.reduce((sum, { before }) => sum + before.length, 0)
  const inColumns = () => laidOutInColumns(stages, orderOf(stages))
  if (stages.length + edges > mostForDagre) return inColumns()
  // It calls itself for each column: a very long chain is too deep for the stack.
  return Result.getOrElse(Result.try(() => laidOutByDagre(stages)), inColumns)
}
