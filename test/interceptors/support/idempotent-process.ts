/**
 * One process that runs a pipeline with an idempotency key, on a store that it shares with others.
 *
 *     node idempotent-process.ts <sql|file> <folder> <seconds of the lease> [blocking]
 *
 * It writes what the store answers to its claims, `started` when its body runs, and at last its result, or the code of its
 * error. The body ends as soon as there is a file called `end` in the folder; one that is blocking keeps its process from
 * doing anything else for longer than the lease, and then waits for a moment. It leaves a line in `executions`, outside of
 * the library.
 */
import { NodeFileSystem } from "@effect/platform-node-shared"
import { Duration, Effect, Layer } from "effect"
import { appendFileSync, existsSync } from "node:fs"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Sqlite } from "stageflow/sqlite"

const { IdempotencyStore } = Interceptors

const [kind = "", folder = "", lease = "", manner = ""] = process.argv.slice(2)

const say = (line: string) => Effect.sync(() => process.stdout.write(`${line}\n`))

const charge = Stage.work("charge", {
  run: Effect.gen(function*() {
    appendFileSync(`${folder}/executions`, `${process.pid}\n`)
    yield* say("started")
    if (manner === "blocking") {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(lease) * 1500)
      yield* Effect.sleep("200 millis")
      return { by: process.pid }
    }
    while (!existsSync(`${folder}/end`)) yield* Effect.sleep("20 millis")
    return { by: process.pid }
  })
})

const pipeline = Pipeline.make("payments").add(charge)
  .pipe(Pipeline.intercept(Interceptors.idempotency({ lease: Duration.seconds(Number(lease)) })))

const store = kind === "sql"
  ? Layer.provide(IdempotencyStore.layerSql(), Sqlite.layer({ filename: `${folder}/store.db` }))
  : Layer.provide(IdempotencyStore.layerFile(`${folder}/store`), NodeFileSystem.layer)

/** The same store, which says what it answers. */
const talking = Layer.effect(
  IdempotencyStore,
  Effect.map(Effect.service(IdempotencyStore), (real) => ({
    ...real,
    claim: (claim: Interceptors.IdempotencyClaim) => Effect.tap(real.claim(claim), ({ _tag }) => say(_tag))
  }))
).pipe(Layer.provide(store))

const program = Effect.gen(function*() {
  const run = Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "order 7" } }))
  const result = yield* Effect.result(run)
  yield* say(JSON.stringify(
    result._tag === "Success" ? result.success.outputs.charge.data : { code: result.failure.error.code }
  ))
})

await Effect.runPromise(Effect.provide(program, talking))
