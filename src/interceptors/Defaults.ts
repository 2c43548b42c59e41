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
 * What else one adds to it nests by its `order`, outer to inner: deadline, auth, tenant, idempotency, cache, rate limit,
 * bulkhead, fallback, circuit breaker, retry, hedge, timeout, validation, tracing, metrics, logging.
 */
export const defaults: Interceptor<StageTimeout> = combine(timeout(), tracing(), metrics(), logging())
