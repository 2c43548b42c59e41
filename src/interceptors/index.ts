/**
 * Ready-made interceptors: resilience, authentication, tenancy and observability around stages.
 */
export { type RetryPolicy } from "../internal/retry.ts"
export * from "./Bulkhead.ts"
export * from "./Cache.ts"
export * from "./CircuitBreaker.ts"
export * from "./Defaults.ts"
export * from "./Fallback.ts"
export * from "./Hedge.ts"
export * from "./Key.ts"
export * from "./Logging.ts"
export * from "./Metrics.ts"
export * from "./RateLimit.ts"
export * from "./Retry.ts"
export * from "./Tenant.ts"
export * from "./Timeout.ts"
export * from "./Tracing.ts"
export * from "./Validation.ts"
