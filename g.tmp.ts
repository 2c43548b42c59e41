import { NodeFileSystem } from "@effect/platform-node-shared"
import { Effect, Exit, Fiber, Layer } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as I from "stageflow/interceptors"
import { Sqlite } from "stageflow/sqlite"
import { mkdtempSync } from "node:fs"
const dir = mkdtempSync("/tmp/idem-")
const layers: any = { memory: I.IdempotencyStore.layerMemory, sql: Layer.provide(I.IdempotencyStore.layerSql(), Sqlite.layer({ filename: dir + "/a.db" })), file: Layer.provide(I.IdempotencyStore.layerFile(dir + "/s"), NodeFileSystem.layer) }
const settings: any = { lease: "30 seconds" }
for (const name of process.argv.slice(2)) for (const fails of [false, true]) {
  let started = 0
  const pipeline = Pipeline.make("p").add(Stage.work("s", { run: Effect.suspend((): Effect.Effect<object, Error> => { started++; return Effect.andThen(Effect.sleep("20 millis"), fails && started < 50 ? Effect.fail(new Error("no")) : Effect.succeed({ started })) }) })).pipe(Pipeline.intercept(I.idempotency(settings)))
  const t = Date.now()
  const r = await Effect.runPromise(Effect.provide(Effect.gen(function*() {
    const fs = yield* Effect.forEach(Array.from({ length: 1000 }), () => Effect.forkChild(Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "k" + fails } }))))
    return yield* Effect.forEach(fs, Fiber.await)
  }), layers[name]) as any) as any
  console.log(name, fails, Date.now() - t, "ms; bodies", started, "ok", r.filter((e: any) => Exit.isSuccess(e)).length, r.filter((e: any) => !Exit.isSuccess(e)).slice(0, 200).map((e: any) => e.cause.reasons[0].error?.error?._tag ?? "Error").reduce((a: any, x: any) => ({ ...a, [x]: (a[x] ?? 0) + 1 }), {}))
}
