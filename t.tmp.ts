import { Effect, Exit } from "effect"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as I from "stageflow/interceptors"
import { Steps } from "./test/interceptors/support/steps.ts"
import { breakable } from "./test/interceptors/support/stores.ts"
const moment = process.argv[2] as any
const program = Effect.gen(function*() {
  const { broken, layer, store } = yield* breakable
  const log: string[] = []
  for (const op of ["claim", "keep", "release"] as const) (broken as any)[op] = (c: any) => Effect.andThen(Effect.yieldNow, Effect.tap((store as any)[op](c), (a: any) => Effect.sync(() => log.push(op + " " + c.owner.slice(0,4) + " " + JSON.stringify(a)))))
  let effects = 0, key = "counted"
  const stage = Stage.work("stage", { run: Effect.sync(() => { effects++; log.push("body"); return { key } }) })
  const steps = new Steps(moment)
  const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(Interceptor.make({ name: "x", order: 10, around: steps.around }), I.idempotency({ lease: "1 second" })))
  const run = Effect.provide(Effect.suspend(() => Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: key } }))), layer)
  yield* run
  const count = steps.counted
  for (let step = 1; step <= count; step++) {
    effects = 0; key = `key ${step}`; log.length = 0
    steps.interruptAt(step)
    const t = Date.now()
    const e = yield* Effect.exit(run)
    log.push("first done " + (Date.now() - t))
    steps.interruptAt(undefined)
    yield* run
    if (effects !== 1 || Date.now() - t > 100) console.log(step, count, effects, Date.now() - t, log.join(" | "), Exit.isSuccess(e))
  }
})
await Effect.runPromise(program)
