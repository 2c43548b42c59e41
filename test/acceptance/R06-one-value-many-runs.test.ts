import { assert, describe, it } from "@effect/vitest"
import { Array, Context, Effect, Exit, Fiber, Layer, Option, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Pipeline, Run, Snapshot, Stage, StageContext, StageOutput } from "stageflow"

const count = 1_000

/** What happens to the run of a user: the five fates take turns. */
const fates = ["ok", "fails", "cancels", "is interrupted", "is cancelled from outside"] as const
const fateOf = (index: number) => fates[index % fates.length] as typeof fates[number]

/** Which run is building its own port, and which ports were closed. */
class Port extends Context.Service<Port, { readonly owner: string }>()("test/Port") {}

/** Every stage asks who its run belongs to and checks that everything it can reach says the same. */
const me = Effect.gen(function*() {
  const context = yield* StageContext.StageContext
  const { userId } = yield* Snapshot.current
  const { inputText, pipelineRunId } = context.snapshot
  assert.strictEqual(context.identity.userId, userId)
  assert.strictEqual(context.identity.pipelineRunId, pipelineRunId)
  assert.strictEqual(context.lineage.runId, pipelineRunId)
  assert.strictEqual(inputText, `fate of ${userId}`)
  return { userId: userId ?? "nobody", index: Number(userId?.slice(1)) }
})

const first = Stage.transform("first", {
  run: Effect.gen(function*() {
    const { index, userId } = yield* me
    yield* Effect.sleep(1 + index * 7919 % 13)
    return { userId, index, list: [userId] }
  })
})

const flaky = Stage.transform("flaky", {
  run: Effect.gen(function*() {
    const { index, userId } = yield* me
    const { attempt } = yield* StageContext.StageContext
    yield* Effect.sleep(1 + index % 5)
    if (attempt <= index % 3) return yield* Effect.fail(`flaky ${userId}` as const)
    return { userId, attempt }
  })
}).pipe(Stage.retry(Schedule.recurs(2)))

const decide = Stage.guard("decide", {
  run: ({ first }: { readonly first: { readonly userId: string; readonly index: number } }) =>
    Effect.gen(function*() {
      const { index, userId } = yield* me
      assert.strictEqual(first.userId, userId)
      yield* Effect.sleep(1 + index % 7)
      const fate = fateOf(index)
      if (fate === "fails") return yield* Effect.fail(`broken ${userId}` as const)
      if (fate === "cancels") return StageOutput.cancel(`stopped ${userId}`, { data: { userId } })
      if (fate === "is interrupted" || fate === "is cancelled from outside") yield* Effect.sleep("1 hour")
      return { userId }
    })
})

const last = Stage.transform("last", {
  run: (inputs: {
    readonly decide: { readonly userId: string }
    readonly first: { readonly userId: string; readonly list: ReadonlyArray<string> }
    readonly flaky: { readonly userId: string; readonly attempt: number }
  }) =>
    Effect.gen(function*() {
      const { userId } = yield* me
      const { owner } = yield* Port
      assert.deepStrictEqual(
        [inputs.decide.userId, inputs.first.userId, inputs.flaky.userId, ...inputs.first.list],
        [userId, userId, userId, userId]
      )
      return { userId, owner, attempt: inputs.flaky.attempt }
    })
})

const pipelineWith = (ports: { opened: number; closed: number }) =>
  Pipeline.make("shared").add(first).add(flaky).add(decide, { inputs: ["first"] })
    .add(last, { inputs: ["decide", "first", "flaky"] })
    .pipe(Pipeline.provide(Layer.effect(
      Port,
      Effect.acquireRelease(
        Effect.sync(() => ({ owner: `port ${ports.opened++}` })),
        () => Effect.sync(() => ports.closed++)
      )
    )))

const snapshotOf = (index: number) => Snapshot.make({ userId: `u${index}`, inputText: `fate of u${index}` })

describe("R6 a pipeline value is reusable and re-entrant", () => {
  it.effect("1,000 runs at once of one value, some failing, cancelled and interrupted, never see each other", () =>
    Effect.gen(function*() {
      const ports = { opened: 0, closed: 0 }
      const pipeline = pipelineWith(ports)
      const runIds = new Set<string>()
      const owners = new Set<string>()

      const oneRun = Effect.fnUntraced(function*(index: number) {
        const userId = `u${index}`
        const fate = fateOf(index)
        const handle = yield* Pipeline.start(pipeline, snapshotOf(index), { concurrency: 1 + index % 4 })
        runIds.add(handle.lineage.runId)
        const waiting = yield* Effect.forkChild(Effect.exit(handle.await))
        yield* Effect.sleep("1 minute")
        if (fate === "is cancelled from outside") yield* handle.cancel(`enough ${userId}`, { data: { userId } })
        if (fate === "is interrupted") return yield* Effect.interrupt
        const exit = yield* Fiber.join(waiting)
        const events = yield* Stream.runCollect(handle.events)
        assert.isTrue(events.every(({ runId }) => runId === handle.lineage.runId))
        assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, position) => position + 1))
        if (Exit.isFailure(exit)) {
          const failed = Option.getOrThrow(Exit.findErrorOption(exit))
          assert.strictEqual(fate, "fails")
          assert.strictEqual(failed.error, `broken ${userId}`)
          assert.strictEqual(failed.identity.userId, userId)
          assert.strictEqual(failed.outputs.first?._tag === "Ok" ? failed.outputs.first.data.userId : "", userId)
          assert.deepStrictEqual(failed.neverStarted, ["last"])
          return fate
        }
        const result = exit.value
        assert.strictEqual(result.identity.userId, userId)
        if (result._tag === "Cancelled") {
          const reason = fate === "cancels" ? `stopped ${userId}` : `enough ${userId}`
          assert.deepStrictEqual([result.reason, result.data], [reason, { userId }])
          assert.strictEqual(result.by, fate === "cancels" ? "decide" : undefined)
          assert.strictEqual(result.outputs.first?.data.userId, userId)
          return fate
        }
        assert.strictEqual(fate, "ok")
        assert.deepStrictEqual(result.outputs.first.data, { userId, index, list: [userId] })
        assert.strictEqual(result.outputs.last.data.userId, userId)
        assert.strictEqual(result.outputs.last.data.attempt, 1 + index % 3)
        owners.add(result.outputs.last.data.owner)
        return fate
      })

      const all = yield* Effect.forkChild(Effect.forEach(
        Array.range(0, count - 1),
        (index) => Effect.exit(Effect.scoped(oneRun(index))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("2 hours")
      const exits = yield* Fiber.join(all)
      const seen = exits.map((exit) => Exit.isSuccess(exit) ? exit.value : "is interrupted")
      const wrong = exits.filter((exit) => Exit.isFailure(exit) && !Exit.hasInterrupts(exit))
      assert.deepStrictEqual(wrong, [])
      assert.deepStrictEqual(seen, exits.map((_, index) => fateOf(index)))
      assert.strictEqual(runIds.size, count)
      assert.strictEqual(owners.size, count / fates.length)
      assert.deepStrictEqual(ports, { opened: count, closed: count })
    }))

  it.effect("1,000 runs into one event sink are told apart by their ids, each with its own gapless sequence", () =>
    Effect.gen(function*() {
      const pipeline = pipelineWith({ opened: 0, closed: 0 })
      const all = yield* Effect.forkChild(Effect.forEach(
        Array.range(0, count - 1).filter((index) => index % fates.length < 3),
        (index) => Effect.exit(Pipeline.run(pipeline, snapshotOf(index))),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("2 hours")
      const exits = yield* Fiber.join(all)
      const memory = yield* EventSink.Memory
      const byRun = Object.values(Array.groupBy(yield* memory.events, ({ runId }) => runId))
      assert.strictEqual(byRun.length, exits.length)
      for (const events of byRun) {
        assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, position) => position + 1))
        assert.strictEqual(events[0]?._tag, "RunStarted")
      }
      const ends = byRun.map((events) => events.at(-1)?._tag)
      assert.deepStrictEqual(
        [...new Set(ends)].toSorted().map((tag) => [tag, ends.filter((end) => end === tag).length]),
        [["RunCancelled", 200], ["RunCompleted", 200], ["RunFailed", 200]]
      )
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("one value after the other gives the same again, with new ids, whatever happened in between", () =>
    Effect.gen(function*() {
      const pipeline = pipelineWith({ opened: 0, closed: 0 })
      const once = (index: number) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Effect.exit(Pipeline.run(pipeline, snapshotOf(index))))
          yield* TestClock.adjust("2 hours")
          return yield* Fiber.join(fiber)
        })
      const idsOf = (exit: Exit.Exit<{ readonly identity: Snapshot.RunIdentity }, unknown>) =>
        Exit.isSuccess(exit) ? exit.value.identity.pipelineRunId : ""
      const before = yield* once(0)
      assert.isTrue(Exit.isFailure(yield* once(1)))
      const after = yield* once(0)
      assert.isTrue(Exit.isSuccess(before) && Exit.isSuccess(after))
      assert.notStrictEqual(idsOf(before), idsOf(after))
    }))

  it.effect("adding to a pipeline makes another and leaves it as it was, also while it runs", () =>
    Effect.gen(function*() {
      const base = Pipeline.make("base").add(Stage.work("wait", { run: Effect.sleep(10) }))
      const running = yield* Effect.forkChild(Pipeline.run(base, Snapshot.make()))
      const more = base.add(Stage.work("more", { run: Effect.void }), { after: ["wait"] })
      const other = base.add(Stage.work("other", { run: Effect.void }))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(Object.keys((yield* Fiber.join(running)).outputs), ["wait"])
      for (const [pipeline, names] of [[more, ["wait", "more"]], [other, ["wait", "other"]]] as const) {
        const { stages } = yield* Pipeline.describe(pipeline)
        assert.deepStrictEqual<ReadonlyArray<string>>(stages.map(({ name }) => name), names)
      }
    }))

  it.effect("a run that runs its own pipeline again is another run", () =>
    Effect.gen(function*() {
      const depths: Array<string> = []
      const again: Stage.Stage<"again", unknown, { readonly runs: number }> = Stage.transform("again", {
        run: Effect.gen(function*() {
          const { lineage, snapshot } = yield* StageContext.StageContext
          depths.push(lineage.runId)
          if (depths.length > 20) return { runs: 0 }
          const result = yield* Effect.orDie(Pipeline.run(recursive, snapshot))
          return { runs: 1 + result.outputs.again.data.runs }
        })
      })
      const recursive = Pipeline.make("recursive").add(again)
      const result = yield* Effect.provideService(
        Pipeline.run(recursive, Snapshot.make(), { concurrency: 1 }),
        Run.DepthLimit,
        100
      )
      assert.strictEqual(result.outputs.again.data.runs, 20)
      assert.strictEqual(new Set(depths).size, 21)
    }))
})
