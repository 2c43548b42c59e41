/**
 * Decides what a picture of a pipeline shows, whatever it is written in: a box for each stage, and one arrow for each
 * pair of stages that have anything to do with each other.
 */
import * as Effect from "effect/Effect"
import * as Graph from "effect/Graph"
import {
  type Any as AnyPipeline,
  describe,
  type DescribedContent,
  type DescribedStage,
  type Description,
  type Edge,
  isPipeline,
  type Repetition
} from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Kind } from "../Stage.ts"

/** What the pictures in every language can be told. */
export interface DrawingOptions {
  /**
   * What happens to an arrow that says nothing but "later", between stages that other arrows put in that order anyway:
   * `"show"`, the default, draws it; `"hide"` leaves it out.
   */
  readonly impliedOrder?: "show" | "hide" | undefined
}

/** A stage in a picture. */
export interface Box {
  /** Short, unique, and harmless in any language. */
  readonly id: string
  readonly name: string
  /** `undefined` when a hand-made description has edges to a stage that it does not list. */
  readonly kind: Kind | undefined
  /** What the stage runs, when that is pipelines: boxes in the box. */
  readonly inside: Drawing | undefined
  readonly repeats: Repetition | undefined
}

/**
 * What the look of an arrow tells of it. One that stands for several edges has the look that tells most: a condition
 * before a stream, a stream before data, data before order, and optional only when nothing in it is required. An arrow back, in a loop, says that what is
 * there runs again.
 */
export type Look = "condition" | "stream" | "required" | "optional" | "order" | "again"

/** Everything that one stage wants of another. */
export interface Arrow {
  readonly from: string
  readonly to: string
  readonly look: Look
  /** `when` for a condition and the inputs that the data is for, an optional one with a `?`. May be empty. */
  readonly label: string
}

export interface Drawing {
  readonly name: string
  readonly boxes: ReadonlyArray<Box>
  readonly arrows: ReadonlyArray<Arrow>
}

interface Listed {
  readonly name: string
  readonly kind: Kind | undefined
  readonly inside?: DrawableContent | undefined
}

type Edges = ReadonlyArray<Edge>

/** Words that mean something in Mermaid, or that programs which read it stumble over. */
const reserved = new Set([
  "call",
  "class",
  "classDef",
  "click",
  "default",
  "direction",
  "end",
  "flowchart",
  "graph",
  "href",
  "interpolate",
  "linkStyle",
  "style",
  "subgraph"
])

const isHarmless = (name: string): boolean =>
  /^[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*$/.test(name)
  && !name.split("-").some((word) => reserved.has(word))
  && !(name in Object.prototype)

/** The name itself where it can be one, so that the text can be read; otherwise the number, which no such name is. */
const idOf = (index: Graph.NodeIndex, { name }: Listed): string => isHarmless(name) ? name : String(index)

/**
 * What is drawn of a description.
 */
export interface Drawable extends Omit<Description, "stages" | "warnings"> {
  readonly stages: ReadonlyArray<Omit<DescribedStage, "inside"> & { readonly inside?: DrawableContent }>
}

/**
 * What is drawn of what a stage runs.
 */
export interface DrawableContent extends Omit<DescribedContent, "pipelines"> {
  readonly pipelines: ReadonlyArray<{ readonly label?: string; readonly pipeline: Drawable }>
}

/** One edge for each pair of stages, with all that the one wants of the other. */
const graphOf = ({ edges, stages }: Drawable): Graph.DirectedGraph<Listed, Edges> =>
  Graph.directed<Listed, Edges>((graph) => {
    const indices = new Map<string, Graph.NodeIndex>()
    const add = (stage: Listed): Graph.NodeIndex => {
      const index = Graph.addNode(graph, stage)
      indices.set(stage.name, index)
      return index
    }
    const indexOf = (name: string) => indices.get(name) ?? add({ name, kind: undefined })
    const between = new Map<Graph.NodeIndex, Map<Graph.NodeIndex, Array<Edge>>>()
    for (const stage of stages) add(stage)
    for (const edge of edges) {
      const from = indexOf(edge.from)
      const to = indexOf(edge.to)
      const targets = between.get(from) ?? new Map<Graph.NodeIndex, Array<Edge>>()
      between.set(from, targets)
      const known = targets.get(to)
      if (known !== undefined) {
        known.push(edge)
      } else {
        const merged = [edge]
        targets.set(to, merged)
        Graph.addEdge(graph, from, to, merged)
      }
    }
  })

const saysOnlyLater = (edges: Edges): boolean => edges.every(({ type }) => type === "order")

/** A description that was made by hand may have a cycle, which has no order to imply. */
const withoutImpliedOrder = (graph: Graph.DirectedGraph<Listed, Edges>): Graph.DirectedGraph<Listed, Edges> => {
  if (!Graph.isAcyclic(graph)) return graph
  const needed = Graph.transitiveReduction(graph)
  return Graph.mutate(graph, (mutable) => {
    for (const [index, { data }] of Graph.edges(graph)) {
      if (saysOnlyLater(data) && Graph.getEdge(needed, index)._tag === "None") Graph.removeEdge(mutable, index)
    }
  })
}

const lookOf = (edges: Edges): Look => {
  if (edges.some(({ type }) => type === "condition")) return "condition"
  if (edges.some(({ type }) => type === "stream")) return "stream"
  const data = edges.filter(({ type }) => type === "data")
  if (data.length === 0) return "order"
  return data.every(({ optional }) => optional) ? "optional" : "required"
}

/** Whether a plain arrow says it all: data for the input that is called like the stage it comes from. */
const goesWithoutSaying = ({ from, input, optional, type }: Edge): boolean =>
  type === "order" || ((type === "data" || type === "stream") && input === from && !optional)

const wordsOf = ({ input, optional, type }: Edge): ReadonlyArray<string> => {
  if (type === "condition") return ["when"]
  return input === undefined ? [] : [optional ? `${input}?` : input]
}

const labelOf = (edges: Edges): string =>
  edges.every(goesWithoutSaying) ? "" : Array.from(new Set(edges.flatMap(wordsOf))).join(", ")

/** What stands between the ids of a box and of a box inside of it; no harmless name has it. */
const inside = "__"

/** What is to be drawn of what a stage runs: one pipeline as it is, several and functions as boxes with their labels. */
const contentOf = (
  { functions = [], pipelines }: DrawableContent,
  name: string,
  options: DrawingOptions | undefined,
  prefix: string
): Drawing | undefined => {
  const [first] = pipelines
  if (functions.length === 0) {
    if (first === undefined) return undefined
    if (pipelines.length === 1 && first.label === undefined) return drawingOf(first.pipeline, options, prefix)
  }
  const boxes = pipelines.map(({ label, pipeline }, index): Box => {
    const id = `${prefix}${idOf(index, { name: label ?? pipeline.name, kind: undefined })}`
    return {
      id,
      name: label ?? pipeline.name,
      kind: undefined,
      inside: drawingOf(pipeline, options, `${id}${inside}`),
      repeats: undefined
    }
  })
  const plain = functions.map((name, index): Box => {
    const id = `${prefix}${idOf(pipelines.length + index, { name, kind: undefined })}`
    return { id, name, kind: undefined, inside: undefined, repeats: undefined }
  })
  return { name, boxes: [...boxes, ...plain], arrows: [] }
}

/** The boxes in a drawing that no arrow leads to, or that none leads away from, as deep inside as there are boxes. */
const ends = (drawing: Drawing, side: "from" | "to"): ReadonlyArray<Box> => {
  const others = new Set(drawing.arrows.filter(({ from, to }) => from !== to).map((arrow) => arrow[side]))
  return drawing.boxes.filter(({ id }) => !others.has(id))
    .flatMap((box) => box.inside === undefined ? [box] : ends(box.inside, side))
}

/** The arrows back in a loop: from what ends in it to what begins in it. */
const arrowsBack = (id: string, inside: Drawing | undefined): ReadonlyArray<Arrow> => {
  const back = (from: string, to: string): Arrow => ({ from, to, look: "again", label: "again" })
  if (inside === undefined) return [back(id, id)]
  const first = ends(inside, "to")
  return ends(inside, "from").flatMap((last) => first.map(({ id }) => back(last.id, id)))
}

const boxOf = (
  { inside: content, kind, name }: Listed,
  id: string,
  options: DrawingOptions | undefined
): Box => {
  const drawn = content === undefined ? undefined : contentOf(content, name, options, `${id}${inside}`)
  // An empty box would look like a stage.
  const shown = drawn === undefined || drawn.boxes.length === 0 ? undefined : drawn
  const repeats = content?.repeats
  if (repeats !== "loop" || shown === undefined) return { id, name, kind, inside: shown, repeats }
  const arrows = [...shown.arrows, ...arrowsBack(id, shown)]
  return { id, name, kind, inside: { ...shown, arrows }, repeats }
}

/** What is to be drawn of a pipeline's description. The ids in it begin with `prefix`. */
export const drawingOf = (
  description: Drawable,
  options: DrawingOptions | undefined,
  prefix = ""
): Drawing => {
  const whole = graphOf(description)
  const graph = options?.impliedOrder === "hide" ? withoutImpliedOrder(whole) : whole
  const boxes = Array.from(
    Graph.entries(Graph.nodes(graph)),
    ([index, listed]): Box => boxOf(listed, `${prefix}${idOf(index, listed)}`, options)
  )
  const arrows = Array.from(
    Graph.values(Graph.edges(graph)),
    ({ data, source, target }): Arrow => ({
      from: (boxes[source] as Box).id, // the indices of nodes that are never removed are their positions
      to: (boxes[target] as Box).id,
      look: lookOf(data),
      label: labelOf(data)
    })
  )
  const loops = boxes.filter(({ inside, repeats }) => repeats === "loop" && inside === undefined)
  return { name: description.name, boxes, arrows: [...arrows, ...loops.flatMap(({ id }) => arrowsBack(id, undefined))] }
}

/** What a box says of its stage besides the name. */
export const subtitleOf = ({ kind, repeats }: Box): string | undefined => {
  if (kind === undefined) return undefined
  return repeats === undefined ? kind : repeats === "for-each" ? `${kind}, for each item` : `${kind}, in a loop`
}

/**
 * What drawing gives: an Effect for a pipeline, which has to be valid to be described, and a text for a description.
 */
export type Drawn<Self> = Self extends AnyPipeline ? Effect.Effect<string, PipelineInvalid> : string

/**
 * Draws a pipeline, or its description.
 */
export interface Draw<Options extends DrawingOptions> {
  // One signature, not two: the function can be handed to `Effect.map`, `Effect.flatMap` and `pipe` for either.
  <Self extends AnyPipeline | Drawable>(self: Self, options?: Options): Drawn<Self>
}

/** Makes it from what writes a drawing down. */
export const draw = <Options extends DrawingOptions>(
  write: (drawing: Drawing, options: Options | undefined) => string
): Draw<Options> => {
  const drawDescription = (description: Drawable, options?: Options) => write(drawingOf(description, options), options)
  // The compiler does not follow `isPipeline` into the conditional type.
  return ((self: AnyPipeline | Drawable, options?: Options) =>
    isPipeline(self)
      ? Effect.map(describe(self), (description) => drawDescription(description, options))
      : drawDescription(self, options)) as Draw<Options>
}
