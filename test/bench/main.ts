/**
 * `npm run bench` prints tables; `npm run bench -- --json` prints one JSON object as its last line.
 */
import { Console, Effect } from "effect"
import { runLarge } from "./large.ts"
import { measure } from "./measure.ts"
import { heapPerStageBytes } from "./memory.ts"
import { format, type Report } from "./report.ts"
import { targetsOf } from "./targets.ts"
import { typecheck300 } from "./typecheck.ts"

const bench = Effect.gen(function*() {
  if (globalThis.gc === undefined) return yield* Effect.die("Run with --expose-gc, as `npm run bench` does")
  yield* Console.error("type-checking")
  const typecheck = yield* Effect.promise(() => typecheck300())
  yield* Console.error("memory and large graphs")
  const heap = yield* heapPerStageBytes
  const large = { chain: yield* runLarge("chain"), fanOut: yield* runLarge("fanOut") }
  const measured = yield* measure(Console.error)
  const numbers = { ...measured, typecheck300: typecheck, heapPerStageBytes: heap, large }
  return { ...numbers, targets: targetsOf(numbers) } satisfies Report
})

const report = await Effect.runPromise(bench)
console.log(process.argv.includes("--json") ? JSON.stringify(report) : format(report))
