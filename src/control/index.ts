/**
 * Makes stages that run something for each of several items.
 */
export * as ForEach from "./ForEach.ts"
/**
 * Makes stages of pipelines.
 */
export * as Subpipeline from "./Subpipeline.ts"
