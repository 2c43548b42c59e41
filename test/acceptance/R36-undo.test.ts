import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Snapshot } from "stageflow"
import { Sqlite } from "stageflow/sqlite"
import { Tool, ToolRegistry, Tools, Undo, UndoStore } from "stageflow/tools"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { undos as stores } from "../tools/support/stores.ts"
import { announced, Book, given, inStage, openAi } from "../tools/support/tools.ts"

/** The actions of a turn that succeeded. */
const actionsOf = ({ results }: Tools.Turn) =>
  results.flatMap((each) => each._tag === "Succeeded" ? [each.actionId] : [])

/** Runs what it wraps twice. */
const twice = Interceptor.make({ name: "twice", around: (effect) => Effect.andThen(effect, effect) })

const pay = (amount: number) => openAi("pay", { amount })

for (const [name, store] of Object.entries(stores)) {
  describe(`R36 undo works by the action's id (${name})`, () => {
    const withTools = <T extends Tool.Any, A, E>(
      tool: T,
      body: Effect.Effect<A, E, ToolRegistry | UndoStore>
    ): Effect.Effect<A, unknown> =>
      Effect.provide(
        body,
        Layer.provideMerge(ToolRegistry.layer(tool) as Layer.Layer<ToolRegistry, unknown, UndoStore>, store)
      )

    it.effect("takes back by what the tool gave and was given, though its name is not its action type", () => {
      const book = new Book()
      return withTools(
        book.pay(),
        Effect.gen(function*() {
          const [actionId = ""] = actionsOf(yield* given(Tools.execute(pay(5))))
          const { events, exit } = yield* inStage(Undo.undo(actionId))
          assert.deepStrictEqual(exit, Exit.succeed({ actionId, tool: "pay" }))
          assert.deepStrictEqual(book.lines, ["pay 5", "undo r5 of 5"])
          assert.deepStrictEqual(announced(events), ["ToolUndone"])
        })
      )
    })

    it.effect("once: again, it says that it was done", () => {
      const book = new Book()
      return withTools(
        book.pay(),
        Effect.gen(function*() {
          const [actionId = ""] = actionsOf(yield* given(Tools.execute(pay(5))))
          yield* Undo.undo(actionId)
          assert.deepInclude(yield* Effect.flip(Undo.undo(actionId)), { _tag: "AlreadyUndone", at: 0 })
          assert.deepStrictEqual(yield* Undo.undoRun(actionId.split("/")[0] ?? ""), { undone: [], failed: [] })
          assert.strictEqual(book.lines.length, 2)
        })
      )
    })

    it.effect("of 50 who take it back at once one does", () => {
      const book = new Book()
      return withTools(
        book.pay(),
        Effect.gen(function*() {
          const [actionId = ""] = actionsOf(yield* given(Tools.execute(pay(5))))
          const exits = yield* Effect.forEach(
            Array.from({ length: 50 }),
            () => Effect.exit(Undo.undo(actionId)),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(exits.filter(({ _tag }) => _tag === "Success").length, 1)
          assert.deepStrictEqual(book.lines, ["pay 5", "undo r5 of 5"])
        })
      )
    })

    it.effect("within its time, and says when it is over", () => {
      const book = new Book()
      return withTools(
        book.pay(),
        Effect.gen(function*() {
          const [first = "", second = ""] = actionsOf(yield* given(Tools.execute([pay(1), pay(2)])))
          yield* TestClock.adjust("3599999 millis")
          yield* Undo.undo(first)
          yield* TestClock.adjust("1 millis")
          assert.strictEqual((yield* Effect.flip(Undo.undo(second)))._tag, "UndoExpired")
          assert.strictEqual((yield* Effect.flip(Undo.undo("nothing")))._tag, "UndoUnknown")
          assert.deepStrictEqual(book.lines, ["pay 1", "pay 2", "undo r1 of 1"])
        })
      )
    })

    it.effect("of a run all, in the reverse order of their completion; one that fails stops no other", () => {
      const book = new Book()
      const step = Tool.make("step", {
        parameters: Schema.Struct({ name: Schema.String, ms: Schema.Finite }),
        run: ({ ms, name }) => Effect.andThen(Effect.sleep(ms), book.note(name)),
        undo: (_, { name }) => name === "b" ? Effect.fail("no") : book.note(`undo ${name}`)
      })
      return withTools(
        step,
        Effect.gen(function*() {
          const calls = [["a", 30], ["b", 10], ["c", 20], ["d", 20]].map(([name, ms]) => openAi("step", { name, ms }))
          const running = yield* Effect.forkChild(given(Tools.execute(calls), Snapshot.make({ pipelineRunId: "run" })))
          yield* TestClock.adjust("30 millis")
          const { results } = yield* Fiber.join(running)
          assert.strictEqual(results.length, 4)
          yield* given(Tools.execute(openAi("step", { name: "other", ms: 0 })))
          const { failed, undone } = yield* Undo.undoRun("run")
          assert.deepStrictEqual(book.lines.slice(5), ["undo a", "undo d", "undo c"])
          assert.deepStrictEqual(undone.length, 3)
          assert.deepStrictEqual(failed.map(({ error }) => error._tag), ["UndoFailed"])
        })
      )
    })

    it.effect("one that fails may be tried again, one that dies or hangs may not: nobody knows what it did", () => {
      const book = new Book()
      let left = 2
      const tool = Tool.make("tool", {
        parameters: Schema.Struct({ how: Schema.Literals(["fails", "dies", "hangs"]) }),
        run: ({ how }) => book.note(how),
        undoLimit: "5 seconds",
        undo: (_, { how }): Effect.Effect<void, string> => {
          if (how === "dies") return Effect.die(how)
          return how === "hangs" ? Effect.never : left-- > 0 ? Effect.fail(how) : book.note("undone")
        }
      })
      return withTools(
        tool,
        Effect.gen(function*() {
          const calls = ["fails", "dies", "hangs"].map((how) => openAi("tool", { how }))
          const [fails = "", dies = "", hangs = ""] = actionsOf(yield* given(Tools.execute(calls)))
          assert.strictEqual((yield* Effect.flip(Undo.undo(fails)))._tag, "UndoFailed")
          assert.strictEqual((yield* Effect.flip(Undo.undo(fails)))._tag, "UndoFailed")
          yield* Undo.undo(fails)
          assert.strictEqual((yield* Effect.flip(Undo.undo(dies)))._tag, "UndoUnfinished")
          assert.strictEqual((yield* Effect.flip(Undo.undo(dies)))._tag, "UndoUnfinished")
          const hanging = yield* Effect.forkChild(Effect.flip(Undo.undo(hangs)))
          yield* TestClock.adjust("5 seconds")
          assert.strictEqual((yield* Fiber.join(hanging))._tag, "UndoUnfinished")
          assert.strictEqual((yield* Effect.flip(Undo.undo(hangs)))._tag, "UndoUnfinished")
          assert.deepStrictEqual(book.lines.slice(3), ["undone"])
        })
      )
    })

    it.effect("an undo that has begun is not interrupted", () => {
      const book = new Book()
      const begun = Deferred.makeUnsafe<void>()
      const tool = Tool.make("tool", {
        run: () => Effect.void,
        undo: () =>
          Deferred.succeed(begun, undefined).pipe(
            Effect.andThen(Effect.sleep("1 second")),
            Effect.andThen(book.note("undone"))
          )
      })
      return withTools(
        tool,
        Effect.gen(function*() {
          const [actionId = ""] = actionsOf(yield* given(Tools.execute({ name: "tool" })))
          const undoing = yield* Effect.forkChild(Undo.undo(actionId))
          yield* Deferred.await(begun)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(undoing), { startImmediately: true })
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(interrupting)
          assert.deepStrictEqual(book.lines, ["undone"])
          assert.strictEqual((yield* Effect.flip(Undo.undo(actionId)))._tag, "AlreadyUndone")
        })
      )
    })

    it.effect("what a tool has done can be taken back, also when its run is interrupted before that is kept", () => {
      const book = new Book()
      const keeping = Deferred.makeUnsafe<void>()
      const slow = Layer.effect(
        UndoStore,
        Effect.map(UndoStore, (store) => ({
          ...store,
          keep: (done: Parameters<typeof store.keep>[0]) =>
            Deferred.succeed(keeping, undefined).pipe(
              Effect.andThen(Effect.sleep("1 second")),
              Effect.andThen(store.keep(done))
            )
        }))
      )
      const layer = Layer.provideMerge(ToolRegistry.layer(book.pay()), Layer.provideMerge(slow, store))
      return Effect.gen(function*() {
        const running = yield* Effect.forkChild(
          inStage(Tools.execute(pay(5)), Snapshot.make({ pipelineRunId: "run" }))
        )
        yield* Deferred.await(keeping)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
        // The interruption reaches the tool before time goes on.
        for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(interrupting)
        const { undone } = yield* Undo.undoRun("run")
        assert.strictEqual(undone.length, 1)
        assert.deepStrictEqual(book.lines, ["pay 5", "undo r5 of 5"])
      }).pipe(Effect.provide(layer))
    })

    it.effect("in a stage, of no other organisation", () => {
      const book = new Book()
      return withTools(
        book.pay(),
        Effect.gen(function*() {
          const of = (orgId: string) => Snapshot.make({ orgId })
          const [actionId = ""] = actionsOf(yield* given(Tools.execute(pay(5)), of("acme")))
          const { exit } = yield* inStage(Effect.flip(Undo.undo(actionId)), of("other"))
          assert.strictEqual(exit._tag === "Success" && exit.value._tag, "UndoUnknown")
          const runId = actionId.split("/")[0] ?? ""
          const all = yield* inStage(Undo.undoRun(runId), of("other"))
          assert.deepStrictEqual(all.exit, Exit.succeed({ undone: [], failed: [] }))
          const own = yield* inStage(Undo.undoRun(runId), of("acme"))
          assert.strictEqual(own.exit._tag === "Success" && own.exit.value.undone.length, 1)
        })
      )
    })

    it.effect("a tool that is run again by a retry is taken back as often as it was done", () => {
      const book = new Book()
      let attempts = 0
      const tool = Tool.make("tool", {
        success: Schema.Int,
        run: () => Effect.as(book.note(`do ${++attempts}`), attempts),
        undo: (attempt) => book.note(`undo ${attempt}`)
      }).pipe(Tool.intercept(twice))
      return withTools(
        tool,
        Effect.gen(function*() {
          const [actionId = ""] = actionsOf(yield* given(Tools.execute({ name: "tool" })))
          yield* Undo.undo(actionId)
          assert.deepStrictEqual(book.lines, ["do 1", "do 2", "undo 2", "undo 1"])
        })
      )
    })
  })
}

describe("R36 undo across processes", () => {
  it.effect("another process takes back what one did, once, by the same tool", () =>
    Effect.gen(function*() {
      const filename = `${yield* temporaryFolder}/undo.db`
      const book = new Book()
      const process = () =>
        Layer.fresh(
          Layer.provideMerge(
            ToolRegistry.layer(book.pay()),
            Layer.provide(UndoStore.layerSql(), Sqlite.layer({ filename }))
          )
        )
      const [actionId = ""] = actionsOf(yield* Effect.provide(given(Tools.execute(pay(5))), process()))
      const exits = yield* Effect.forEach(
        [process(), process()],
        (layer) => Effect.exit(Effect.provide(Undo.undo(actionId), layer)),
        { concurrency: 2 }
      )
      assert.strictEqual(exits.filter(({ _tag }) => _tag === "Success").length, 1)
      assert.deepStrictEqual(book.lines, ["pay 5", "undo r5 of 5"])
      const without = Layer.provideMerge(
        ToolRegistry.layer(),
        Layer.provide(UndoStore.layerSql(), Sqlite.layer({ filename }))
      )
      const [other = ""] = actionsOf(yield* Effect.provide(given(Tools.execute(pay(6))), process()))
      const error = yield* Effect.flip(Effect.provide(Undo.undo(other), without))
      assert.deepInclude(error, { _tag: "NotUndoable", reason: "no-tool" })
      yield* Effect.provide(Undo.undo(other), process())
    }))
})
