/**
 * Checks text that somebody wrote: guard stages that are ready to use, and the pure functions under them.
 */
export * as ContentFilter from "./ContentFilter.ts"
export type { Detector } from "./Detector.ts"
export * as Finding from "./Finding.ts"
export * from "./GuardError.ts"
export * from "./Guards.ts"
export type { Action, Checked, From, GuardStage, TextInput } from "./GuardStage.ts"
export * as InstructionOverride from "./InstructionOverride.ts"
export * as LengthLimit from "./LengthLimit.ts"
export type { Meter } from "./Meter.ts"
export * as Normalise from "./Normalise.ts"
export * as PersonalData from "./PersonalData.ts"
export * as Redaction from "./Redaction.ts"
