/**
 * Shows runs while they go on and when they are over, and takes their events to where they are kept.
 */
export * as BufferedSink from "./BufferedSink.ts"
export * as FileSink from "./FileSink.ts"
export * as LiveSink from "./LiveSink.ts"
export * as LoggerSink from "./LoggerSink.ts"
export * as OtlpSink from "./OtlpSink.ts"
export * as RunRecord from "./RunRecord.ts"
export * as RunReport from "./RunReport.ts"
export * as Sinks from "./Sinks.ts"
export * as SqlSink from "./SqlSink.ts"
export * as TerminalTimeline from "./TerminalTimeline.ts"
export * as TraceContext from "./TraceContext.ts"
export * as WideEvents from "./WideEvents.ts"
