/**
 * Draws a pipeline in DOT, the language of Graphviz.
 *
 * `Graph.toGraphViz` of effect gives edges a label and no style, so the text is written here; the graph itself, its
 * numbering and its reduction are effect's.
 */
import type { Kind } from "../Stage.ts"
import {
  type Arrow,
  type Box,
  type Draw,
  draw,
  type Drawing,
  type DrawingOptions,
  type Look,
  subtitleOf
} from "./Drawing.ts"

/**
 * How a graph is drawn.
 */
export interface DotOptions extends DrawingOptions {
  /** Where the arrows point: `"TB"`, the default, is down, `"LR"` to the right. */
  readonly direction?: "TB" | "LR" | "BT" | "RL" | undefined
}

const shapes: Readonly<Record<Kind, string>> = {
  transform: "box",
  enrich: "cylinder",
  route: "diamond",
  guard: "hexagon",
  work: "component",
  agent: "oval"
}

const styles: Readonly<Record<Look, string>> = {
  condition: "bold",
  stream: "tapered",
  required: "solid",
  optional: "dashed",
  order: "dotted",
  again: "solid"
}

// Graphviz reads HTML entities in a label, also those that nobody meant; and it stops at a character that is no text.
const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\")
    .replaceAll("\"", "\\\"")
    .replaceAll("&", "&amp;")
    .replace(/\r\n|\r|\n/g, "\\n")
    .replace(/[^\P{Cc}\t]|\p{Cs}/gu, "\uFFFD")

const nodeOf = (box: Box): ReadonlyArray<string> => {
  const { id, inside, kind, name } = box
  const subtitle = subtitleOf(box)
  const label = subtitle === undefined ? escaped(name) : `${escaped(name)}\\n${subtitle}`
  if (inside !== undefined) {
    return [`subgraph "${clusterOf(id)}" {`, ...indented([`label="${label}";`, ...linesOf(inside)]), "}"]
  }
  return [`"${id}" [label="${label}", shape=${kind === undefined ? "box" : shapes[kind]}];`]
}

/** Graphviz draws a box around a subgraph that is called like this. */
const clusterOf = (id: string): string => `cluster_${id}`

/** Where an arrow ends: a box, or a box in the box that the arrow is cut off at. */
interface End {
  readonly id: string
  readonly cutOff: string | undefined
}

const endAt = (box: Box): End => {
  let [first, inside] = [box, box.inside]
  while (inside !== undefined) {
    first = inside.boxes[0] as Box // a drawing without boxes is no inside
    inside = first.inside
  }
  return { id: first.id, cutOff: first === box ? undefined : clusterOf(box.id) }
}

const whole = (id: string): End => ({ id, cutOff: undefined })

const arrowOf = ({ from, label, look, to }: Arrow, ends: ReadonlyMap<string, End>): string => {
  // An arrow goes from a box to a box of the same drawing, or, back in a loop, to one inside of them.
  const [tail, head] = [ends.get(from) ?? whole(from), ends.get(to) ?? whole(to)]
  const attributes = [
    `style=${styles[look]}`,
    ...(label === "" ? [] : [`label="${escaped(label)}"`]),
    ...(tail.cutOff === undefined ? [] : [`ltail="${tail.cutOff}"`]),
    ...(head.cutOff === undefined ? [] : [`lhead="${head.cutOff}"`])
  ]
  return `"${tail.id}" -> "${head.id}" [${attributes.join(", ")}];`
}

const indented = (text: ReadonlyArray<string>): ReadonlyArray<string> => text.map((line) => `  ${line}`)

const linesOf = ({ arrows, boxes }: Drawing): ReadonlyArray<string> => {
  const ends = new Map(boxes.map((box) => [box.id, endAt(box)]))
  return [...boxes.flatMap(nodeOf), ...arrows.map((arrow) => arrowOf(arrow, ends))]
}

/**
 * Writes a pipeline in DOT, for `dot -Tsvg` and whatever else reads it.
 *
 * A pipeline gives an Effect, which fails when the pipeline is invalid; a `Pipeline.Description` gives the text itself.
 *
 * - Boxes carry name and kind. The kinds have shapes: transform a box, enrich a cylinder, route a diamond, guard a
 *   hexagon, work a component, agent an oval.
 * - A solid arrow is data, a dashed one data that the reader can go without. The label is the input, with a `?` when
 *   it is optional; no label means that the input is called like the stage it comes from.
 * - A bold arrow is a condition (`when`). A dotted one is order alone.
 * - A tapered arrow is a stream: its reader takes the chunks while the stage runs.
 * - There is one arrow between two stages. Its label lists everything that the one wants of the other.
 * - A stage that runs pipelines (`Pipeline.Inside`) is a box with the boxes of those pipelines in it, and with one for each
 *   function that it names. What runs in a loop has an arrow back, labelled "again".
 */
export const toDot: Draw<DotOptions> = draw((drawing, options) =>
  [
    `digraph "${escaped(drawing.name)}" {`,
    ...indented([
      ...(options?.direction === undefined ? [] : [`rankdir=${options.direction};`]),
      // Without it arrows go on into the box to the box that they are written for.
      ...(drawing.boxes.some(({ inside }) => inside !== undefined) ? ["compound=true;"] : []),
      ...linesOf(drawing)
    ]),
    "}"
  ].join("\n")
)
