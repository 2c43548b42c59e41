/**
 * `npm run bench` prints tables; `npm run bench -- --json` prints one JSON object as its last line. Words after `--` say
 * which sections to run (see `sections.ts`); targets of the others are left out.
 */
import { Console, Effect } from "effect"
import { forEachCosts } from "./for-each.ts"
import { runLarge } from "./large.ts"
import { measure } from "./measure.ts"
import { heapPerStageBytes } from "./memory.ts"
import { format, type Report } from "./report.ts"
import { type Section, sectionsNamed } from "./sections.ts"
import { streamingCosts } from "./streaming.ts"
import { targetsOf } from "./targets.ts"
import { typecheck300 } from "./typecheck.ts"

const bench = Effect.fnUntraced(function*(sections: ReadonlySet<Section>) {
  if (globalThis.gc === undefined) return yield* Effect.die("Run with --expose-gc, as `npm run bench` does")
  const when = Effect.fnUntraced(function*<A, E>(section: Section, effect: Effect.Effect<A, E>) {
    if (!sections.has(section)) return undefined
    yield* Console.error(section)
    return yield* effect
  })
  const typecheck = yield* when("typecheck", Effect.promise(() => typecheck300()))
  const heap = yield* when("memory", heapPerStageBytes)
  const large = yield* when("large", Effect.all({ chain: runLarge("chain"), fanOut: runLarge("fanOut") }))
  const forEach = yield* when("forEach", forEachCosts)
  const streaming = yield* when("streaming", streamingCosts)
  const measured = yield* measure(sections, Console.error)
  const numbers = { ...measured, typecheck300: typecheck, heapPerStageBytes: heap, large, forEach, streaming }
  return { ...numbers, targets: targetsOf(numbers) } satisfies Report
})

const words = process.argv.slice(2)
const sections = sectionsNamed(words.filter((word) => !word.startsWith("--")))
const report = await Effect.runPromise(bench(sections))
console.log(words.includes("--json") ? JSON.stringify(report) : format(report))
