/**
 * Keeps questions that somebody has to say yes or no to, and what was said.
 */
export * as Approvals from "./Approvals.ts"
/**
 * Decides before anybody is asked whether a tool may run.
 */
export * as ApprovalPolicy from "./ApprovalPolicy.ts"
/**
 * Decides on pending approvals.
 */
export * as Approvers from "./Approvers.ts"
/**
 * Shows what a change does.
 */
export * as Diff from "./Diff.ts"
/**
 * Makes tools.
 */
export * as Tool from "./Tool.ts"
export * from "./ToolError.ts"
export { DuplicateTool, ToolRegistry } from "./ToolRegistry.ts"
/**
 * Calls tools.
 */
export * as Tools from "./Tools.ts"
/**
 * Takes back what tools did.
 */
export * as Undo from "./Undo.ts"
export { UndoStore, UndoStoreFailed } from "./UndoStore.ts"
