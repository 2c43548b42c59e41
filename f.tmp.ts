import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as I from "stageflow/interceptors"
const rng = (seed: number) => () => { seed |= 0; seed = seed + 0x6D2B79F5 | 0; let t = Math.imul(seed ^ seed >>> 15, 1 | seed); t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t; return ((t ^ t >>> 14) >>> 0) / 4294967296 }
const down = Effect.fail(new I.IdempotencyStoreFailed({ defect: new Error("down") }))
const one = (seed: number, faults: boolean) => Effect.gen(function*() {
  const r = rng(seed)
  const store = yield* I.IdempotencyStore
  const log: string[] = []
  let losses = 0
  const shaky = <A>(op: string, e: Effect.Effect<A, I.IdempotencyStoreFailed>) => Effect.suspend(() => {
    const delay = r() < 0.5 ? Effect.void : r() < .5 ? Effect.yieldNow : Effect.sleep(r() * 3000)
    const x = faults ? r() : 1
    const act = x < 0.05 ? down : x < .1 ? Effect.andThen(e, down) : x < .12 ? Effect.die("dead") : x < .14 ? Effect.andThen(e, Effect.never) : e
    return Effect.andThen(delay, Effect.andThen(act as Effect.Effect<A, I.IdempotencyStoreFailed>, (a) => r() < .3 ? Effect.as(Effect.sleep(r() * 3000), a) : Effect.succeed(a)))
  })
  const wrapped = Layer.succeed(I.IdempotencyStore, {
    claim: (c) => shaky("claim", Effect.tap(store.claim(c), (a) => Effect.sync(() => { if (a._tag === "Claimed" && a.losses) losses += 1 }))),
    keep: (c) => shaky("keep", store.keep(c)), renew: (c) => shaky("renew", store.renew(c)), release: (c) => shaky("release", store.release(c)), watch: store.watch })
  let started = 0, finished = 0, running = 0, overlap = 0
  const body = Effect.suspend(() => {
    started++; running++; if (running > 1) overlap++
    const n = started
    const x = r()
    const wait = x < .3 ? Effect.void : x < .5 ? Effect.yieldNow : Effect.sleep(r() * 60000)
    const work = r() < .2 ? Effect.uninterruptible(wait) : wait
    const y = r()
    return Effect.ensuring(Effect.andThen(work, Effect.suspend((): Effect.Effect<{ n: number }, Error> => {
      if (y < .3) return Effect.fail(new Error("no"))
      finished++
      return Effect.succeed({ n })
    })), Effect.sync(() => { running-- }))
  })
  const inside = [[], [I.timeout("20 seconds", { grace: "2 seconds" })], [I.timeout("30 seconds", {grace: "1 second"}), I.retry({ times: 1, while: () => false })]][Math.floor(r() * 3)]!
  let stage: any = Stage.work("s", { run: body as any })
  const pl: any = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(I.idempotency({ losses: 1000 }), ...inside))
  const outer = r() < .3 ? Pipeline.intercept(Interceptor.make({ name: "t", order: 10, around: (e: any) => e })) : (x: any) => x
  const pipeline: any = outer(pl)
  const runs = 1 + Math.floor(r() * 6)
  const fibers: Fiber.Fiber<any, any>[] = []
  for (let i = 0; i < runs; i++) {
    fibers.push(yield* Effect.forkDetach(Effect.provide(Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "k" } }), { interruptionGrace: "1 second" } as any), wrapped) as any, { startImmediately: true }))
    if (r() < .5) yield* TestClock.adjust(r() * 30000)
    if (r() < .5) { const f = fibers[Math.floor(r() * fibers.length)]!; f.interruptUnsafe(); if (r() < .5) yield* Effect.yieldNow }
  }
  for (let i = 0; i < 60; i++) yield* TestClock.adjust("30 seconds")
  const results: string[] = []
  for (const f of fibers) {
    const e = f.pollUnsafe()
    if (e === undefined) { results.push("HANGS"); continue }
    results.push(Exit.isSuccess(e) ? "ok " + (e.value as any).outputs.s.data.n : Exit.hasInterrupts(e) ? "interrupted" : "fail " + String((Cause.squash(e.cause) as any).error?._tag ?? Cause.squash(e.cause)))
  }
  const oks = new Set(results.filter((x) => x.startsWith("ok")))
  const bad = results.includes("HANGS") || oks.size > 1 || finished > 1 + losses || (!faults && overlap > 0)
  if (bad) console.log("SEED", seed, { faults, started, finished, overlap, losses, results, inside: inside.map((x: any) => x.name) })
  return bad
}).pipe(Effect.provide(I.IdempotencyStore.layerMemory))
const from = Number(process.argv[2]), to = Number(process.argv[3]), faults = process.argv[4] === "faults"
let bads = 0
for (let s = from; s < to; s++) bads += (await Effect.runPromise(Effect.provide(Effect.scoped(one(s, faults)), TestClock.layer()))) ? 1 : 0
console.log("done", bads)
