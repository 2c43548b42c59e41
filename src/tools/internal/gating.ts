/**
 * Says whether a tool may be used in the execution mode of a run.
 */
import type { Facts } from "../Tool.ts"
import { ToolNotAllowed } from "../ToolError.ts"

/** Whether a tool may be used in an execution mode. One that is for some modes only is for no run that has none. */
export const isAllowed = ({ behaviours }: Facts, executionMode: string | undefined): boolean =>
  behaviours === undefined || (executionMode !== undefined && behaviours.includes(executionMode))

/** Why a tool may not be used in an execution mode; `undefined` when it may. */
export const notAllowed = (tool: Facts, executionMode: string | undefined): ToolNotAllowed | undefined =>
  isAllowed(tool, executionMode)
    ? undefined
    : new ToolNotAllowed({
      tool: tool.name,
      ...(executionMode === undefined ? {} : { executionMode }),
      behaviours: tool.behaviours ?? []
    })
