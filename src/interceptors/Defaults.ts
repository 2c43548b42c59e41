/**
 * Provides the default interceptors, which are safe for every pipeline.
 */
import { combine, type Interceptor } from "../Interceptor.ts"
import type { StageTimeout } from "../StageError.ts"
import { logging } from "./Logging.ts"
import { metrics } from "./Metrics.ts"
import { timeout } from "./Timeout.ts"
import { tracing } from "./Tracing.ts"

/**
 * The default stack: a timeout of 30 seconds for each attempt, tracing, metrics and logging.
 *
 * What else one adds nests among them by its `order`: a retry is outside of the timeout, a cache outside of both. The guide
 * has the table of all orders.
 */
export const defaults: Interceptor<StageTimeout> = combine(timeout(), tracing(), metrics(), logging())
