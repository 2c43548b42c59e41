/**
 * Draws a pipeline in DOT, the language of Graphviz.
 *
 * `Graph.toGraphViz` of effect gives edges a label and no style, so the text is written here; the graph itself, its
 * numbering and its reduction are effect's.
 */
import type { Kind } from "../Stage.ts"
import { type Arrow, type Box, type Draw, draw, type DrawingOptions, type Look } from "./Drawing.ts"

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
  required: "solid",
  optional: "dashed",
  order: "dotted"
}

// Graphviz reads HTML entities in a label, also those that nobody meant; and it stops at a character that is no text.
const escaped = (text: string): string =>
  text.replaceAll("\\", "\\\\")
    .replaceAll("\"", "\\\"")
    .replaceAll("&", "&amp;")
    .replace(/\r\n|\r|\n/g, "\\n")
    .replace(/[^\P{Cc}\t]|\p{Cs}/gu, "\uFFFD")

const nodeOf = ({ id, kind, name }: Box): string =>
  kind === undefined
    ? `  "${id}" [label="${escaped(name)}", shape=box];`
    : `  "${id}" [label="${escaped(name)}\\n${kind}", shape=${shapes[kind]}];`

const arrowOf = ({ from, label, look, to }: Arrow): string =>
  `  "${from}" -> "${to}" [style=${styles[look]}${label === "" ? "" : `, label="${escaped(label)}"`}];`

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
 * - There is one arrow between two stages. Its label lists everything that the one wants of the other.
 */
export const toDot: Draw<DotOptions> = draw(({ arrows, boxes, name }, options) =>
  [
    `digraph "${escaped(name)}" {`,
    ...(options?.direction === undefined ? [] : [`  rankdir=${options.direction};`]),
    ...boxes.map(nodeOf),
    ...arrows.map(arrowOf),
    "}"
  ].join("\n")
)
