/**
 * Exports the core: stages, pipelines, snapshots, runs and events.
 */
export * as Event from "./Event.ts"
export * as EventSink from "./EventSink.ts"
export * as Extension from "./Extension.ts"
export * as Interceptor from "./Interceptor.ts"
export * as OutputBag from "./OutputBag.ts"
export * as Pipeline from "./Pipeline.ts"
export * as PipelineInvalid from "./PipelineInvalid.ts"
export * as ResultCodec from "./ResultCodec.ts"
export * as Run from "./Run.ts"
export * as RunResult from "./RunResult.ts"
export * as Snapshot from "./Snapshot.ts"
export * as Source from "./Source.ts"
export * as Stage from "./Stage.ts"
export * as StageContext from "./StageContext.ts"
export * as StageError from "./StageError.ts"
export * as StageOutput from "./StageOutput.ts"
