/**
 * Shows runs: while they go on, and when they are over.
 */
export * as RunReport from "./RunReport.ts"
export * as TerminalTimeline from "./TerminalTimeline.ts"
