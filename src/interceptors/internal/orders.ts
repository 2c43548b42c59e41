/**
 * Orders the ready interceptors, from the outermost to the innermost: the one table that they, the authentication and the
 * test kit read. The guide shows it and says why each is where it is.
 */
import { gateOrder } from "../../attempt/gate.ts"

export const orders = {
  tracingOfRun: 1,
  metricsOfRun: 1,
  deadline: 2,
  snapshotSize: 8,
  authentication: 10,
  tenant: 20,
  tracingOfStage: 25,
  metrics: 28,
  authorization: gateOrder,
  idempotency: 30,
  cache: 35,
  rateLimit: 40,
  bulkhead: 45,
  fallback: 48,
  circuitBreaker: 50,
  retry: 60,
  hedge: 65,
  timeout: 70,
  outputSize: 75,
  unchangedInputs: 76,
  tracingOfAttempt: 80,
  logging: 90
} as const
