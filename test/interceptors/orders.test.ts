import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { Interceptor } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest } from "stageflow/testing"
import { orders } from "../../src/interceptors/internal/orders.ts"

type Ordered = keyof typeof orders

const docs = resolve(import.meta.dirname, "../../docs")

/** The rows of the table that has these columns, without their backticks. */
const tableOf = (page: string, ...columns: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = readFileSync(join(docs, page), "utf8").split("\n")
  const header = lines.findIndex((line) => line.startsWith(`| ${columns.join(" | ")} |`))
  assert.isAtLeast(header, 0, `${page} has no table of ${columns.join(", ")}`)
  const rows = lines.slice(header + 2)
  return rows.slice(0, rows.findIndex((line) => !line.startsWith("|"))).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim().replaceAll("`", ""))
  )
}

/** What the guide calls each of them. */
const inGuide: Record<Ordered, string> = {
  tracingOfRun: "tracing: the run",
  metricsOfRun: "metrics: the run",
  deadline: "deadline",
  snapshotSize: "snapshotSize",
  authentication: "Auth.authentication",
  authorization: "Auth.authentication, Auth.require: roles and scopes of a stage; your own gates",
  tenant: "tenant",
  tracingOfStage: "tracing: a stage",
  metrics: "metrics: a stage",
  idempotency: "idempotency",
  cache: "cache",
  rateLimit: "rateLimit",
  bulkhead: "bulkhead",
  fallback: "fallback, providers",
  circuitBreaker: "circuitBreaker",
  retry: "retry, retryWithinBudget",
  hedge: "hedge",
  timeout: "timeout",
  outputSize: "outputSize",
  unchangedInputs: "unchangedInputs",
  tracingOfAttempt: "tracing: an attempt",
  logging: "logging"
}

/** What the reference says of each that has a row there. */
const inReference: Record<string, string> = {
  snapshotSize: `${orders.snapshotSize}, the run`,
  deadline: `${orders.deadline}, the run`,
  tenant: `${orders.tenant}, the run`,
  tracing: `${orders.tracingOfRun} the run, ${orders.tracingOfStage} a stage, ${orders.tracingOfAttempt} an attempt`,
  metrics: `${orders.metricsOfRun} the run, ${orders.metrics} a stage`,
  idempotency: `${orders.idempotency}`,
  cache: `${orders.cache}`,
  rateLimit: `${orders.rateLimit}`,
  bulkhead: `${orders.bulkhead}`,
  "fallback, providers": `${orders.fallback}`,
  circuitBreaker: `${orders.circuitBreaker}`,
  retry: `${orders.retry}`,
  retryWithinBudget: `${orders.retry}`,
  hedge: `${orders.hedge}`,
  timeout: `${orders.timeout}`,
  outputSize: `${orders.outputSize}`,
  unchangedInputs: `${orders.unchangedInputs}`,
  logging: `${orders.logging}`
}

const key = () => ""

/** Each of those that are one interceptor, and where it has to be. */
const single: ReadonlyArray<readonly [Ordered, Interceptor.Any]> = [
  ["deadline", Interceptors.deadline("1 second")],
  ["snapshotSize", Interceptors.snapshotSize({ maxBytes: 1 })],
  ["authentication", Auth.authentication()],
  ["authorization", Auth.require({ roles: ["admin"] })],
  ["tenant", Interceptors.tenant()],
  ["metricsOfRun", Interceptors.metrics()],
  ["idempotency", Interceptors.idempotency()],
  ["cache", Interceptors.cache({ ttl: "1 second", of: key })],
  ["rateLimit", Interceptors.rateLimit({ limit: 1, window: "1 second" })],
  ["bulkhead", Interceptors.bulkhead({ name: "b", permits: 1 })],
  ["fallback", Interceptors.fallback({ when: () => true, to: () => Effect.succeed({}) })],
  ["circuitBreaker", Interceptors.circuitBreaker()],
  ["retry", Interceptors.retry()],
  ["retry", Interceptors.retryWithinBudget()],
  ["hedge", Interceptors.hedge({ after: "1 second" })],
  ["timeout", Interceptors.timeout()],
  ["outputSize", Interceptors.outputSize({ maxBytes: 1 })],
  ["unchangedInputs", Interceptors.unchangedInputs()],
  ["logging", Interceptors.logging()]
]

describe("the orders of the ready interceptors", () => {
  it("are one table, which the guide shows", () => {
    const own = Interceptor.make({ name: "own", around: (effect) => effect }).order
    const table = Object.entries(orders).map(([name, order]) => [String(order), inGuide[name as Ordered]])
    assert.deepStrictEqual(
      tableOf("guides/interceptors.md", "order", "interceptor").map((cells) => cells.slice(0, 2)),
      [...table, [String(own), "your own, unless you say otherwise"]]
    )
  })

  it("go from the outermost to the innermost", () => {
    const numbers = Object.values(orders)
    assert.deepStrictEqual(numbers, numbers.toSorted((a, b) => a - b))
  })

  it("are in the reference as well", () => {
    const rows = tableOf("api/interceptors.md", "name", "order", "fails with", "needs")
    assert.deepStrictEqual(Object.fromEntries(rows.map(([name, order]) => [name, order])), inReference)
  })

  it("are those of the interceptors", () => {
    assert.deepStrictEqual(
      single.map(([name, interceptor]) => [name, interceptor.order]),
      single.map(([name]) => [name, orders[name]])
    )
  })

  it.effect("of which tracing has three", () =>
    Effect.gen(function*() {
      const at = (order: number) => Interceptor.make({ name: String(order), order, around: (effect) => effect })
      const { tracingOfAttempt, tracingOfRun, tracingOfStage } = orders
      const beside = [tracingOfStage - 1, tracingOfStage + 1, tracingOfAttempt - 1, tracingOfAttempt + 1].map(at)
      const { entered } = yield* InterceptorTest.order([...beside, Interceptors.tracing()])
      assert.deepStrictEqual(entered, [
        "tracing (run)",
        String(tracingOfStage - 1),
        "tracing (stage)",
        String(tracingOfStage + 1),
        String(tracingOfAttempt - 1),
        "tracing (attempt)",
        String(tracingOfAttempt + 1),
        "stage"
      ])
      assert.strictEqual(Interceptors.tracing().order, tracingOfRun)
    }))
})
