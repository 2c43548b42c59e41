/**
 * Exports what pipelines are tested with: simulations in virtual time, doubles of ports, stages and interceptors alone.
 */
export * as InterceptorTest from "./InterceptorTest.ts"
export * as Port from "./Port.ts"
export * as Simulation from "./Simulation.ts"
export * as StageTest from "./StageTest.ts"
