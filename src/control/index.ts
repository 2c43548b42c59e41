/**
 * Makes stages of pipelines.
 */
export * as Subpipeline from "./Subpipeline.ts"
/**
 * Chooses branches by route, and routes by weight.
 */
export * as Route from "./Route.ts"
