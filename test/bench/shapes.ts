/**
 * The graphs that are measured, as data: for each stage the stages that it reads.
 */
import { mulberry32 } from "./random.ts"

export interface Graph {
  readonly shape: Shape
  /** The stages in layers: a stage reads stages of the layer before its own. */
  readonly layers: ReadonlyArray<ReadonlyArray<Node>>
}

export interface Node {
  /** Its place among all stages, from 0. */
  readonly index: number
  /** The stages that it reads, by index. */
  readonly dependencies: ReadonlyArray<number>
}

export const shapes = ["chain", "fanOut", "layered"] as const

export type Shape = (typeof shapes)[number]

const range = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

/** Each stage reads the one before it. */
const chain = (count: number): Graph["layers"] =>
  range(count).map((index) => [{ index, dependencies: index === 0 ? [] : [index - 1] }])

/** One stage, all the others but the last behind it, and the last behind all of these. */
const fanOut = (count: number): Graph["layers"] => {
  const branches = range(count).slice(1, -1)
  return [
    [{ index: 0, dependencies: [] }],
    branches.map((index) => ({ index, dependencies: [0] })),
    [{ index: count - 1, dependencies: branches }]
  ]
}

const pickDistinct = (random: () => number, from: ReadonlyArray<Node>, count: number): ReadonlyArray<number> => {
  const picked = new Set<number>()
  while (picked.size < Math.min(count, from.length)) {
    picked.add((from[Math.floor(random() * from.length)] as Node).index)
  }
  return Array.from(picked)
}

/** Layers of a twentieth of all stages; each stage reads three others of the layer before, or all when it has fewer. */
const layered = (count: number): Graph["layers"] => {
  const width = Math.max(1, Math.floor(count / 20))
  const random = mulberry32(42)
  const layers: Array<ReadonlyArray<Node>> = []
  for (let from = 0; from < count; from += width) {
    const before = layers.at(-1) ?? []
    const indices = range(Math.min(width, count - from)).map((offset) => from + offset)
    layers.push(indices.map((index) => ({ index, dependencies: pickDistinct(random, before, 3) })))
  }
  return layers
}

const layersOf: Record<Shape, (count: number) => Graph["layers"]> = { chain, fanOut, layered }

/** The graph of this shape with `count` stages. */
export const graphOf = (shape: Shape, count: number): Graph => ({ shape, layers: layersOf[shape](count) })
