import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, type Run, Snapshot, Stage, StageOutput } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { during } from "./support/lifecycle.ts"
import { heapInUse } from "./support/memory.ts"

const shown = (entries: ReadonlyArray<Run.RunEntry>) =>
  entries.map(({ depth, parentStage, pipeline, status }) => `${depth} ${pipeline} in ${parentStage}: ${status}`)

/** A pipeline of one stage that takes a second. */
const leaf = <E>(name: string, end: Effect.Effect<void, E>) =>
  Pipeline.make(name).work("work", { run: Effect.andThen(Effect.sleep("1 second"), end) })

describe("R30 the runs of a tree are seen from a handle, live", () => {
  it.effect("children, descendants, parent and root, while they run and when they have ended", () =>
    Effect.gen(function*() {
      const inner = leaf("inner", Effect.void)
      const middle = Pipeline.make("middle")
        .add(Subpipeline.stage("first", inner))
        .add(Subpipeline.stage("second", inner), { after: ["first"] })
      const outer = Pipeline.make("outer")
        .add(Subpipeline.stage("middle", middle))
        .add(
          Subpipeline.stage("other", leaf("failing", Effect.fail("down" as const))).pipe(
            Stage.catch(() => Effect.void)
          )
        )
      const handle = yield* Pipeline.start(outer, Snapshot.make())
      const first = yield* handle.tree
      assert.deepStrictEqual([first.parent, first.root], [undefined, first.run])
      assert.deepStrictEqual(first.run, {
        runId: handle.lineage.runId,
        pipeline: "outer",
        parentRunId: undefined,
        parentStage: undefined,
        depth: 0,
        status: "running"
      })
      assert.deepStrictEqual(shown(first.children), [
        "1 middle in middle: running",
        "1 failing in other: running"
      ])
      assert.deepStrictEqual(first.children.map(({ parentRunId }) => parentRunId), [
        handle.lineage.runId,
        handle.lineage.runId
      ])
      assert.deepStrictEqual(shown(first.descendants), [
        "1 middle in middle: running",
        "2 inner in first: running",
        "1 failing in other: running"
      ])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(shown((yield* handle.tree).descendants), [
        "1 middle in middle: running",
        "2 inner in first: completed",
        "2 inner in second: running",
        "1 failing in other: failed"
      ])
      yield* TestClock.adjust("1 second")
      yield* handle.await
      const last = yield* handle.tree
      assert.strictEqual(last.run.status, "completed")
      assert.deepStrictEqual(shown(last.descendants), [
        "1 middle in middle: completed",
        "2 inner in first: completed",
        "2 inner in second: completed",
        "1 failing in other: failed"
      ])
      assert.deepStrictEqual([last.forgotten, new Set(last.descendants.map(({ runId }) => runId)).size], [0, 4])
      // What was seen before is a value of its own.
      assert.strictEqual(first.run.status, "running")
    }).pipe(Effect.scoped))

  it.effect("a child sees its own parent and root, and nothing beside it", () =>
    Effect.gen(function*() {
      const trees: Array<Run.RunTree> = []
      const inner = Pipeline.make("inner").work("leaf", { run: Effect.void })
      const starting = Effect.gen(function*() {
        const handle = yield* Pipeline.start(inner, Snapshot.make())
        yield* handle.await
        trees.push(yield* handle.tree)
      }).pipe(Effect.scoped)
      const middle = Pipeline.make("middle").work("start", { run: starting })
      const outer = Pipeline.make("outer").add(Subpipeline.stage("middle", middle)).add(
        Subpipeline.stage("other", inner)
      )
      for (const withHandle of [false, true]) {
        trees.length = 0
        if (withHandle) yield* Effect.scoped(Effect.flatMap(Pipeline.start(outer, Snapshot.make()), (run) => run.await))
        else yield* Pipeline.run(outer, Snapshot.make())
        const [tree] = trees
        assert(tree !== undefined)
        assert.deepStrictEqual(shown([tree.root]), ["0 outer in undefined: running"])
        assert.deepStrictEqual(shown(tree.parent === undefined ? [] : [tree.parent]), ["1 middle in middle: running"])
        assert.deepStrictEqual(shown([tree.run]), ["2 inner in start: completed"])
        assert.deepStrictEqual([tree.children, tree.descendants], [[], []])
        assert.strictEqual(tree.parent?.runId, tree.run.parentRunId)
        assert.strictEqual(tree.root.runId, tree.parent?.parentRunId)
      }
    }))

  it.effect("says of each how it ended, in the words of its last event", () =>
    Effect.gen(function*() {
      const denied = Interceptor.make({ name: "deny", order: 0, aroundRun: () => Effect.fail("denied" as const) })
      const dies = Interceptor.make({ name: "dies", order: 0, aroundRun: () => Effect.die("bug") })
      const child = <E>(end: Effect.Effect<void, E>) => Pipeline.make("child").work("work", { run: end })
      const ignored = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.asVoid(Effect.exit(effect))
      const pipeline = Pipeline.make("p")
        .work("completed", { run: ignored(Pipeline.run(child(Effect.void), Snapshot.make())) })
        .work("failed", { run: ignored(Pipeline.run(child(Effect.fail("no")), Snapshot.make())) })
        .work("incomplete", {
          run: ignored(Pipeline.run(child(Effect.fail("no")), Snapshot.make(), { failure: "continue" }))
        })
        .work("cancelled", {
          run: ignored(Pipeline.run(
            Pipeline.make("child").guard("guard", { run: Effect.succeed(StageOutput.cancel("enough")) }),
            Snapshot.make()
          ))
        })
        .work("interrupted", {
          run: ignored(Effect.timeout(Pipeline.run(child(Effect.sleep("1 hour")), Snapshot.make()), "1 second"))
        })
        .work("denied", {
          run: ignored(Pipeline.run(child(Effect.void).pipe(Pipeline.intercept(denied)), Snapshot.make()))
        })
        .work("rejected", {
          run: ignored(Pipeline.run(child(Effect.void).pipe(Pipeline.intercept(dies)), Snapshot.make()))
        })
        .work("timed_out", {
          run: ignored(Pipeline.run(
            child(Effect.sleep("1 hour")).pipe(Pipeline.intercept(Interceptors.deadline("1 second"))),
            Snapshot.make()
          ))
        })
      const tree = yield* during(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipeline, Snapshot.make())
          yield* handle.await
          return yield* handle.tree
        })),
        "1 minute"
      )
      for (const { parentStage, status } of tree.children) assert.strictEqual(status, parentStage as Run.RunStatus)
      assert.strictEqual(tree.children.length, 8)
    }))

  it.effect("whoever interrupts a stage sees its runs interrupted", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make("inner").work("leaf", { run: Effect.never })
      const middle = Pipeline.make("middle").add(Subpipeline.stage("inner", inner))
      const outer = Pipeline.make("outer").add(Subpipeline.stage("middle", middle)).work("on", { run: Effect.never })
      const handle = yield* Pipeline.start(outer, Snapshot.make(), { failure: "continue" })
      yield* handle.interrupt("middle", "enough")
      assert.deepStrictEqual(shown((yield* handle.tree).descendants), [
        "1 middle in middle: interrupted",
        "2 inner in inner: interrupted"
      ])
    }).pipe(Effect.scoped))
})

describe("R38 of the runs of a tree", () => {
  const child = Pipeline.make("child").work("work", { run: Effect.void })

  const loop = (times: number, seen: Effect.Effect<void> = Effect.void) =>
    Pipeline.make("loop").work("loop", {
      run: Effect.gen(function*() {
        for (let index = 0; index < times; index++) yield* Pipeline.run(child, Snapshot.make())
        yield* seen
      })
    })

  it.effect(
    "2,000 children of a loop are listed, and nothing of them is left when the run is gone",
    () =>
      Effect.gen(function*() {
        const measured = Effect.gen(function*() {
          const tree = yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(loop(2_000), Snapshot.make())
            yield* handle.await
            return yield* handle.tree
          }))
          assert.strictEqual(tree.children.length, 2_000)
          assert.isTrue(tree.children.every(({ status }) => status === "completed"))
        })
        yield* measured
        const before = yield* Effect.promise(heapInUse)
        for (let round = 0; round < 5; round++) yield* measured
        const after = yield* Effect.promise(heapInUse)
        assert.isAtMost(after, before * 1.1)
      }),
    60_000
  )

  it.effect("a run keeps the last 10,000 that have ended, and counts the others", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      const pipeline = loop(10_100, Effect.andThen(Deferred.succeed(ended, undefined), Effect.never))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* Deferred.await(ended)
      const { children, descendants, forgotten } = yield* handle.tree
      assert.deepStrictEqual([children.length, descendants.length, forgotten], [10_000, 10_000, 100])
    }).pipe(Effect.scoped), 60_000)
})
