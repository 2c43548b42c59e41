/**
 * Exports what pipelines are tested with: simulations in virtual time, doubles of ports, stages, interceptors and pipelines alone.
 */
export * as InterceptorTest from "./InterceptorTest.ts"
export * as PipelineTest from "./PipelineTest.ts"
export * as Port from "./Port.ts"
export * as Simulation from "./Simulation.ts"
export * as StageTest from "./StageTest.ts"
