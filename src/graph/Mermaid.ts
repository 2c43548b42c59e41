/**
 * Draws a pipeline as a Mermaid flowchart, which Markdown pages show as a picture.
 *
 * `Graph.toMermaid` of effect draws every edge with the same arrow, so the text is written here; the graph itself, its
 * numbering and its reduction are effect's.
 */
import { mermaidText as escaped } from "../internal/mermaid-text.ts"
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
 * How a flowchart is drawn.
 */
export interface MermaidOptions extends DrawingOptions {
  /** Where the arrows point: `"TD"`, the default, is down, `"LR"` to the right. */
  readonly direction?: "TD" | "LR" | "BT" | "RL" | undefined
}

const shapes: Readonly<Record<Kind, readonly [open: string, close: string]>> = {
  transform: ["[", "]"],
  enrich: ["[(", ")]"],
  route: ["{", "}"],
  guard: ["{{", "}}"],
  work: ["[[", "]]"],
  agent: ["([", "])"]
}

const lines: Readonly<Record<Look, string>> = {
  condition: "==>",
  stream: "--o",
  required: "-->",
  optional: "-->",
  order: "-.->",
  again: "-->"
}

const nodeOf = (box: Box, direction: string): ReadonlyArray<string> => {
  const { id, inside, kind, name } = box
  const subtitle = subtitleOf(box)
  const label = subtitle === undefined ? escaped(name) : `${escaped(name)}<br/>${subtitle}`
  if (inside !== undefined) {
    return [`subgraph ${id}["${label}"]`, ...indented([`direction ${direction}`, ...linesOf(inside, direction)]), "end"]
  }
  const [open, close] = kind === undefined ? ["[", "]"] : shapes[kind]
  return [`${id}${open}"${label}"${close}`]
}

const arrowOf = ({ from, label, look, to }: Arrow): string =>
  `${from} ${lines[look]}${label === "" ? "" : `|"${escaped(label)}"|`} ${to}`

const indented = (text: ReadonlyArray<string>): ReadonlyArray<string> => text.map((line) => `  ${line}`)

const linesOf = ({ arrows, boxes }: Drawing, direction: string): ReadonlyArray<string> => [
  ...boxes.flatMap((box) => nodeOf(box, direction)),
  ...arrows.map(arrowOf)
]

/**
 * Writes a pipeline as a Mermaid flowchart.
 *
 * A pipeline gives an Effect, which fails when the pipeline is invalid; a `Pipeline.Description` gives the text itself.
 *
 * - Boxes carry name and kind. The kinds have shapes: transform a rectangle, enrich a cylinder, route a diamond, guard a
 *   hexagon, work a rectangle with double sides, agent a pill.
 * - A solid arrow is data. Its label is the input, with a `?` when the reader goes without it; no label means that the
 *   input is called like the stage it comes from.
 * - A thick arrow is a condition (`when`). A dotted one is order alone.
 * - An arrow that ends in a circle is a stream: its reader takes the chunks while the stage runs.
 * - There is one arrow between two stages. Its label lists everything that the one wants of the other.
 * - A stage that runs pipelines (`Pipeline.Inside`) is a box with the boxes of those pipelines in it, and with one for each
 *   function that it names. What runs in a loop has an arrow back, labelled "again".
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline } from "stageflow"
 * import { toMermaid } from "stageflow/graph"
 *
 * const pipeline = Pipeline.make("hello")
 *   .guard("check", { run: Effect.succeed({}) })
 *   .transform("greet", { after: ["check"], run: Effect.succeed({ text: "Hello" }) })
 *
 * // flowchart TD
 * //   check{{"check<br/>guard"}}
 * //   greet["greet<br/>transform"]
 * //   check -.-> greet
 * const text = toMermaid(pipeline)
 * ```
 */
export const toMermaid: Draw<MermaidOptions> = draw((drawing, options) => {
  const direction = options?.direction ?? "TD"
  return [`flowchart ${direction}`, ...indented(linesOf(drawing, direction))].join("\n")
})
