/**
 * Makes stages of pipelines.
 */
export * as Subpipeline from "./Subpipeline.ts"
