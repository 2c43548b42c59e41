/**
 * Knows who is told of the calls of ports that are recorded.
 */
import * as Context from "effect/Context"
import type { PortCall } from "./run-recorder.ts"

/** Who is told of the calls that are made here. */
export const PortCalls = Context.Reference<ReadonlyArray<(call: PortCall) => void>>(
  "stageflow/observability/PortCalls",
  { defaultValue: () => [] }
)
