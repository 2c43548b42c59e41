import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Snapshot } from "stageflow"
import { Sqlite } from "stageflow/sqlite"
import { ApprovalPolicy, Approvals, Tool, ToolRegistry, Tools, UndoStore } from "stageflow/tools"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { approvals as stores } from "../tools/support/stores.ts"
import { announced, Book, given, inStage, openAi } from "../tools/support/tools.ts"

const yes = { approve: true, by: "ada" } as const
const no = { approve: false, by: "bob", comment: "Too much" } as const

/** Waits until so many questions are pending. */
const pending = (count = 1) =>
  Effect.gen(function*() {
    const approvals = yield* Approvals.Approvals
    while (true) {
      const found = yield* approvals.list({ status: "pending" })
      if (found.length >= count) return found
      yield* Effect.yieldNow
    }
  })

const registry = <T extends Tool.Any>(tool: T) => ToolRegistry.layer(tool)

for (const [name, store] of Object.entries(stores)) {
  describe(`R35 an approval is decided once (${name})`, () => {
    const withBook = <A, E>(
      body: (book: Book) => Effect.Effect<A, E, ToolRegistry | Approvals.Approvals>
    ): Effect.Effect<A, unknown> => {
      const book = new Book()
      const base = Layer.merge(store, UndoStore.layerMemory())
      return Effect.provide(body(book), Layer.provideMerge(registry(book.pay("always")), base)) as Effect.Effect<
        A,
        unknown
      >
    }

    it.effect("a tool waits for its approval, and runs after it", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const running = yield* Effect.forkChild(inStage(Tools.execute(openAi("pay", { amount: 5 }))))
          const [question] = yield* pending()
          assert.deepStrictEqual(book.lines, [])
          assert.deepInclude(question, {
            tool: "pay",
            actionType: "PAYMENT",
            message: "Run \"pay\"?",
            parameters: [{ name: "amount", value: "5" }],
            status: "pending",
            pipeline: "chat",
            stage: "agent"
          })
          const approvals = yield* Approvals.Approvals
          const decided = yield* approvals.decide(question?.id ?? "", { ...yes, comment: "Fine" })
          assert.deepInclude(decided, { status: "approved", by: "ada", comment: "Fine", settledAt: 0 })
          const { events, exit } = yield* Fiber.join(running)
          assert.strictEqual(exit._tag === "Success" && exit.value.results[0]?._tag, "Succeeded")
          assert.deepStrictEqual(book.lines, ["pay 5"])
          assert.deepStrictEqual(announced(events), [
            "ToolInvoked",
            "ApprovalRequested",
            "ApprovalDecided",
            "ToolStarted",
            "ToolCompleted"
          ])
        })
      ))

    it.effect("denied means that it did not run, and later decisions are refused", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const running = yield* Effect.forkChild(inStage(Tools.execute(openAi("pay", { amount: 5 }))))
          const [{ id } = { id: "" }] = yield* pending()
          const approvals = yield* Approvals.Approvals
          yield* approvals.decide(id, no)
          const late = yield* Effect.flip(approvals.decide(id, yes))
          assert.deepInclude(late, { _tag: "ApprovalNotPending", status: "denied" })
          assert.strictEqual((yield* Effect.flip(approvals.cancel(id)))._tag, "ApprovalNotPending")
          const { events, exit } = yield* Fiber.join(running)
          const [result] = exit._tag === "Success" ? exit.value.results : []
          assert.deepInclude(result, { _tag: "Denied", content: "ApprovalDenied: Tool \"pay\" was denied: Too much" })
          assert.deepStrictEqual(book.lines, [])
          assert.deepStrictEqual(announced(events).slice(-2), ["ApprovalDecided", "ToolDenied"])
          assert.deepInclude(yield* approvals.get(id), { status: "denied", by: "bob" })
        })
      ))

    it.effect("expired means that it did not run, and later decisions are refused", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const running = yield* Effect.forkChild(inStage(Tools.execute(openAi("pay", { amount: 5 }))))
          const [{ id } = { id: "" }] = yield* pending()
          yield* TestClock.adjust("60 seconds")
          const approvals = yield* Approvals.Approvals
          const late = yield* Effect.flip(approvals.decide(id, yes))
          assert.deepInclude(late, { _tag: "ApprovalNotPending", status: "expired" })
          const { events, exit } = yield* Fiber.join(running)
          assert.strictEqual(exit._tag === "Success" && exit.value.results[0]?._tag, "Denied")
          assert.deepStrictEqual(announced(events).slice(-2), ["ApprovalExpired", "ToolDenied"])
          assert.deepStrictEqual(book.lines, [])
          assert.deepStrictEqual(yield* approvals.list({ status: "pending" }), [])
          assert.strictEqual((yield* approvals.list({ status: "expired" })).length, 1)
        })
      ))

    it.effect("a decision after the time is refused though nobody has noticed that it is over", () =>
      withBook(() =>
        Effect.gen(function*() {
          const approvals = yield* Approvals.Approvals
          const ask = {
            id: "1",
            actionId: "1",
            tool: "pay",
            actionType: "pay",
            message: "",
            parameters: [],
            irreversible: false,
            runId: "r",
            correlationId: "r",
            pipeline: "p",
            stage: "s",
            about: "[]"
          }
          yield* approvals.request(ask)
          yield* TestClock.adjust("59999 millis")
          assert.strictEqual((yield* approvals.get("1")).status, "pending")
          yield* TestClock.adjust("1 millis")
          const late = yield* Effect.flip(approvals.decide("1", yes))
          assert.deepInclude(late, { _tag: "ApprovalNotPending", status: "expired" })
          assert.strictEqual((yield* approvals.get("1")).status, "expired")
          // Nobody decided it: it can be asked again, about the same and nothing else.
          assert.strictEqual((yield* approvals.request(ask)).status, "pending")
          assert.strictEqual(
            (yield* Effect.flip(approvals.request({ ...ask, about: "[1]" })))._tag,
            "ApprovalStoreFailed"
          )
          yield* approvals.decide("1", yes)
          assert.strictEqual((yield* approvals.request(ask)).status, "approved")
        })
      ))

    it.effect("interrupting the run takes the question back, and the tool does not run", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const running = yield* Effect.forkChild(inStage(Tools.execute(openAi("pay", { amount: 5 }))))
          const [{ id } = { id: "" }] = yield* pending()
          yield* Fiber.interrupt(running)
          const approvals = yield* Approvals.Approvals
          assert.strictEqual((yield* approvals.get(id)).status, "cancelled")
          const late = yield* Effect.flip(approvals.decide(id, yes))
          assert.deepInclude(late, { _tag: "ApprovalNotPending", status: "cancelled" })
          assert.deepStrictEqual(book.lines, [])
        })
      ))

    it.effect("of 50 who decide at once one is heard", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const running = yield* Effect.forkChild(given(Tools.execute(openAi("pay", { amount: 5 }))))
          const [{ id } = { id: "" }] = yield* pending()
          const approvals = yield* Approvals.Approvals
          const said = yield* Effect.forEach(
            Array.from({ length: 50 }, (_, index) => index),
            (index) => Effect.exit(approvals.decide(id, { approve: index % 2 === 0, by: `${index}` })),
            { concurrency: "unbounded" }
          )
          const heard = said.filter(({ _tag }) => _tag === "Success")
          assert.strictEqual(heard.length, 1)
          const { results: [result] } = yield* Fiber.join(running)
          const { status } = yield* approvals.get(id)
          assert.strictEqual(result?._tag, status === "approved" ? "Succeeded" : "Denied")
          assert.strictEqual(book.lines.length, status === "approved" ? 1 : 0)
        })
      ))

    it.effect("calls of one turn are approved one by one: one that is denied stops no other", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const calls = [1, 2, 3].map((amount) => openAi("pay", { amount }, `c${amount}`))
          const running = yield* Effect.forkChild(given(Tools.execute(calls)))
          const asked = yield* pending(3)
          const approvals = yield* Approvals.Approvals
          for (const { id, parameters } of asked) {
            yield* approvals.decide(id, parameters[0]?.value === "2" ? no : yes)
          }
          const { results } = yield* Fiber.join(running)
          assert.deepStrictEqual(results.map(({ _tag, callId }) => [callId, _tag]), [
            ["c1", "Succeeded"],
            ["c2", "Denied"],
            ["c3", "Succeeded"]
          ])
          assert.deepStrictEqual(book.lines.toSorted(), ["pay 1", "pay 3"])
        })
      ))

    it.effect("one that is denied stops its siblings where that is wanted", () =>
      withBook((book) =>
        Effect.gen(function*() {
          const calls = [1, 2, 3].map((amount) => openAi("pay", { amount }))
          const running = yield* Effect.forkChild(given(Tools.execute(calls, { onDenied: "cancel" })))
          const asked = yield* pending(3)
          const approvals = yield* Approvals.Approvals
          yield* approvals.decide(asked.find(({ parameters }) => parameters[0]?.value === "2")?.id ?? "", no)
          const { results } = yield* Fiber.join(running)
          assert.deepStrictEqual(
            results.map((result) => result._tag === "Denied" ? result.error.tag : result._tag),
            ["StoppedWithSibling", "ApprovalDenied", "StoppedWithSibling"]
          )
          assert.deepStrictEqual(book.lines, [])
          assert.deepStrictEqual(yield* approvals.list({ status: "pending" }), [])
        })
      ))
  })
}

describe("R35 who is asked", () => {
  const base = Layer.merge(stores.memory, UndoStore.layerMemory())

  it.effect("an Effect of the parameters says whether a tool needs an approval", () =>
    Effect.gen(function*() {
      const book = new Book()
      const pay = Tool.make("pay", {
        parameters: Schema.Struct({ amount: Schema.Finite }),
        run: ({ amount }) => book.note(`pay ${amount}`),
        needsApproval: ({ amount }) => Effect.succeed(amount > 100),
        approvalMessage: ({ amount }) => `Pay ${amount}?`
      })
      yield* Effect.gen(function*() {
        const calls = [openAi("pay", { amount: 100 }), openAi("pay", { amount: 101 })]
        const running = yield* Effect.forkChild(given(Tools.execute(calls)))
        const [question] = yield* pending()
        assert.strictEqual(question?.message, "Pay 101?")
        yield* TestClock.adjust("60 seconds")
        const { results } = yield* Fiber.join(running)
        assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Succeeded", "Denied"])
        assert.deepStrictEqual(book.lines, ["pay 100"])
      }).pipe(Effect.provide(Layer.provideMerge(registry(pay), base)))
    }))

  const policies: ReadonlyArray<readonly [string, ApprovalPolicy.Verdict | "dies", string, number]> = [
    ["approves", ApprovalPolicy.approve("policy"), "Succeeded", 1],
    ["denies", ApprovalPolicy.deny("policy", "Never"), "Denied", 0],
    ["asks", ApprovalPolicy.ask, "Denied", 0],
    ["dies", "dies", "Denied", 0]
  ]
  for (const [what, verdict, outcome, ran] of policies) {
    for (const declared of ["never", "always"] as const) {
      it.effect(`a policy that ${what} overrules a tool that says ${declared}`, () =>
        Effect.gen(function*() {
          const book = new Book()
          const policy = ApprovalPolicy.layer(({ isDeclared, parameters, tool }) => {
            assert.deepStrictEqual([tool.name, parameters, isDeclared], ["pay", { amount: 5 }, declared === "always"])
            return verdict === "dies" ? Effect.die("policy") : Effect.succeed(verdict)
          })
          const layer = Layer.provideMerge(Layer.merge(policy, registry(book.pay(declared))), base)
          const running = yield* Effect.forkChild(
            given(Tools.execute(openAi("pay", { amount: 5 }))).pipe(Effect.provide(layer))
          )
          yield* Effect.yieldNow
          yield* TestClock.adjust("61 seconds")
          const { results } = yield* Fiber.join(running)
          assert.deepStrictEqual(results.map(({ _tag }) => _tag), [outcome])
          assert.strictEqual(book.lines.length, ran)
        }))
    }
  }

  it.effect("what cannot be taken back is asked about where the policy says so", () =>
    Effect.gen(function*() {
      const book = new Book()
      const wipe = Tool.make("wipe", { irreversible: true, run: () => book.note("wipe") })
      const layer = Layer.provideMerge(Layer.merge(ApprovalPolicy.askForIrreversible, registry(wipe)), base)
      yield* Effect.gen(function*() {
        const running = yield* Effect.forkChild(given(Tools.execute({ name: "wipe" })))
        const [question] = yield* pending()
        assert.isTrue(question?.irreversible)
        yield* (yield* Approvals.Approvals).decide(question?.id ?? "", yes)
        assert.strictEqual((yield* Fiber.join(running)).results[0]?._tag, "Succeeded")
        assert.deepStrictEqual(book.lines, ["wipe"])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("nobody can be shown something else than there is", () =>
    Effect.gen(function*() {
      const say = Tool.make("say", {
        parameters: Schema.Struct({ text: Schema.String, token: Schema.Redacted(Schema.String) }),
        needsApproval: "always",
        run: () => Effect.void
      })
      yield* Effect.gen(function*() {
        const call = { name: "say", input: { text: "a\u001b[2K\u202eb", token: "secret" } }
        const running = yield* Effect.forkChild(given(Tools.execute(call)))
        const [question] = yield* pending()
        assert.deepStrictEqual(question?.parameters, [
          { name: "text", value: "a\\u{1b}[2K\\u{202e}b" },
          { name: "token", value: "<redacted>" }
        ])
        assert.notInclude(JSON.stringify(question), "secret")
        yield* Fiber.interrupt(running)
      }).pipe(Effect.provide(Layer.provideMerge(registry(say), base)))
    }))
})

describe("R35 an approval in a database", () => {
  it.effect("outlives the run that waits for it, and is decided by another process", () =>
    Effect.gen(function*() {
      const filename = `${yield* temporaryFolder}/approvals.db`
      const book = new Book()
      /** What a process has: connections and memory of its own. */
      const process = () => {
        const sql = Layer.provide(
          Approvals.Approvals.layerSql({ whenInterrupted: "keep", pollEvery: "1 second" }),
          Sqlite.layer({ filename })
        )
        return Layer.fresh(
          Layer.provideMerge(registry(book.pay("always")), Layer.merge(sql, UndoStore.layerMemory()))
        )
      }
      const run = inStage(Tools.execute(openAi("pay", { amount: 5 })), Snapshot.make({ pipelineRunId: "run-1" }))
      const asked = Deferred.makeUnsafe<string>()
      const first = yield* Effect.forkChild(
        Effect.gen(function*() {
          yield* Effect.forkChild(run)
          const [{ id } = { id: "" }] = yield* pending()
          yield* Deferred.succeed(asked, id)
          return yield* Effect.never
        }).pipe(Effect.provide(process()))
      )
      const id = yield* Deferred.await(asked)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(book.lines, [])

      const second = yield* Effect.forkChild(Effect.provide(run, process()))
      yield* Effect.gen(function*() {
        const approvals = yield* Approvals.Approvals
        assert.deepStrictEqual((yield* pending()).map((question) => question.id), [id])
        yield* approvals.decide(id, yes)
        assert.strictEqual((yield* Effect.flip(approvals.decide(id, no)))._tag, "ApprovalNotPending")
      }).pipe(Effect.provide(process()))
      yield* TestClock.adjust("1 second")
      const { exit } = yield* Fiber.join(second)
      assert.strictEqual(exit._tag === "Success" && exit.value.results[0]?._tag, "Succeeded")
      assert.deepStrictEqual(book.lines, ["pay 5"])
    }))
})
