/**
 * Makes stages that run something for each of several items.
 */
export * as ForEach from "./ForEach.ts"
/**
 * Makes stages of pipelines.
 */
export * as Subpipeline from "./Subpipeline.ts"
/**
 * Chooses branches by route, and routes by weight.
 */
export * as Route from "./Route.ts"
/**
 * Makes pipelines of common shapes, and stages of which the first to succeed wins.
 */
export * as Shapes from "./Shapes.ts"
/**
 * Keeps pipelines by their names.
 */
export * as PipelineRegistry from "./PipelineRegistry.ts"

/**
 * Makes stages of a draft and the guards that judge it.
 */
export * as GuardRetry from "./GuardRetry.ts"

/**
 * Makes stages that run something again and again, until a condition holds.
 */
export * as Loop from "./Loop.ts"

/**
 * Takes back what the stages of a run have done when it does not complete.
 */
export * as Saga from "./Saga.ts"
