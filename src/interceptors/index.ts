/**
 * Ready-made interceptors: resilience, authentication, tenancy and observability around stages.
 */
export * from "./Key.ts"
export * from "./Retry.ts"
export * from "./Timeout.ts"
export { type RetryPolicy } from "../internal/retry.ts"
