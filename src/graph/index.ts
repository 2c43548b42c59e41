/**
 * Draws pictures of pipelines.
 */
export { type DotOptions, toDot } from "./Dot.ts"
export type { Draw, DrawingOptions, Drawn } from "./Drawing.ts"
export { type MermaidOptions, toMermaid } from "./Mermaid.ts"
