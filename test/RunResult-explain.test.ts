import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { Pipeline, ResultCodec, RunResult, Snapshot, Stage, StageError } from "stageflow"
import { formatFrame, framesOf, shortFrame } from "../src/internal/stack-frames.ts"

class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", {
  bank: Schema.String,
  card: Schema.Unknown,
  cause: Schema.Defect()
}) {
  readonly code = "CARD_DECLINED"
  override get message(): string {
    return `${this.bank} declined the card`
  }
}

const boom = (): never => {
  throw new RangeError("hunter2 is the password")
}

const failedOf = (run: Effect.Effect<unknown, RunResult.StageFailed>) => Effect.flip(run)

const running = (stage: Stage.Stage<string, unknown, unknown, unknown, unknown, never>) =>
  failedOf(
    Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()) as Effect.Effect<unknown, RunResult.StageFailed>
  )

describe("a defect", () => {
  it.effect("is told by its class and by where in the program it was thrown, never by its message", () =>
    Effect.gen(function*() {
      const failed = yield* running(Stage.work("charge", { run: Effect.sync((): void => boom()) }))
      assert.match(
        failed.message,
        /Stage "charge" died of a defect: RangeError at boom \(test\/RunResult-explain\.test\.ts:\d+:\d+\) \(see `cause`\)$/
      )
      assert.notInclude(failed.message, "hunter2")
      assert(failed.error instanceof StageError.StageFault && failed.error.reason._tag === "Defect")
      assert.strictEqual(failed.error.reason.type, "RangeError")
    }))

  it.effect("that is no error is told by its kind", () =>
    Effect.gen(function*() {
      const failed = yield* running(Stage.work("charge", { run: Effect.die("hunter2") }))
      assert.include(failed.message, "died of a defect: a string (see `cause`)")
    }))

  it.effect("of a class whose name is no name is an Error", () =>
    Effect.gen(function*() {
      class Strange extends Error {}
      Object.defineProperty(Strange, "name", { value: "hunter2 is the password" })
      const failed = yield* running(Stage.work("charge", { run: Effect.die(new Strange("x")) }))
      assert.include(failed.message, "died of a defect: Error at ")
      assert.notInclude(failed.message, "hunter2")
    }))

  it.effect("that throws when it is looked at is a defect all the same", () =>
    Effect.gen(function*() {
      const hostile = new Proxy(new Error("x"), {
        get: () => boom(),
        getPrototypeOf: () => boom()
      })
      const failed = yield* running(Stage.work("charge", { run: Effect.die(hostile) }))
      assert.include(failed.message, "Stage \"charge\"")
      assert.include(RunResult.explain(failed), "Stage \"charge\" of pipeline \"p\" failed")
    }))

  it.effect("of a condition or an input is told in the same way", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").work("a", { run: Effect.void }).work("b", {
        when: (s) => s.a.map((): boolean => boom()),
        run: Effect.void
      })
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.match(failed.message, /its condition threw: RangeError at boom \(.*\) \(see `cause`\)$/)
    }))

  it.effect("is told in the same way when the result comes back from JSON", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").work("charge", { run: Effect.sync((): void => boom()) })
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const back = yield* ResultCodec.decode(pipeline, yield* ResultCodec.encode(pipeline, failed))
      assert(back instanceof RunResult.StageFailed)
      assert.strictEqual(back.message, failed.message)
    }))
})

describe("the frames of the program", () => {
  const withStack = (message: string, ...lines: ReadonlyArray<string>) =>
    Object.assign(new Error(message), { stack: [`Error: ${message}`, ...lines].join("\n") })

  it("leave out the runtime, Effect and this package", () => {
    const frames = framesOf(withStack(
      "x",
      "    at Generator.next (<anonymous>)",
      "    at node:internal/process/task_queues:103:5",
      "    at run (file:///app/node_modules/effect/dist/internal/effect.js:1:2)",
      "    at run (file:///app/node_modules/.pnpm/effect@4.1.0/node_modules/effect/dist/Effect.js:1:2)",
      "    at layer (/app/node_modules/@effect/platform-node/dist/index.js:1:2)",
      "    at conclude (C:\\app\\node_modules\\stageflow\\dist\\engine\\conclusion.js:1:2)",
      "    at async charge (file:///app/src/checkout.ts:12:5)",
      "    at C:\\app\\src\\main.ts:3:4"
    ))
    assert.deepStrictEqual(frames.map(formatFrame), [
      "async charge (file:///app/src/checkout.ts:12:5)",
      "C:\\app\\src\\main.ts:3:4"
    ])
    assert.deepStrictEqual(frames.map(shortFrame), ["async charge (src/checkout.ts:12:5)", "src/main.ts:3:4"])
  })

  it("are none of what a message looks like", () => {
    const message = "nothing\n    at secret (file:///hunter2/x.ts:1:2)"
    assert.deepStrictEqual(framesOf(withStack(message)), [])
  })
})

describe("RunResult.explain", () => {
  it.effect("tells of a failed run everything that is known", () =>
    Effect.gen(function*() {
      const charge = Stage.work("charge", {
        run: Effect.fail(
          new CardDeclined({ bank: "First", card: Redacted.make("4111"), cause: new TypeError("socket hang up") })
        )
      })
      const pipeline = Pipeline.make("checkout")
        .add(Stage.enrich("order", { run: Effect.succeed({ id: 1 }) }))
        .add(Stage.work("stock", { run: Effect.never }))
        .add(charge.pipe(Stage.retry({ attempts: 2 })), { after: ["order"] })
        .add(Stage.work("ship", { run: Effect.void }), { after: ["charge"] })
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      yield* TestClock.adjust("1 minute")
      const explained = RunResult.explain(yield* Fiber.join(fiber))
      const lines = explained.split("\n").map((line) => line.trim())
      for (
        const line of [
          "Stage \"charge\" of pipeline \"checkout\" failed after 2 attempts",
          "CardDeclined (CARD_DECLINED): First declined the card",
          "bank: \"First\"",
          "caused by: TypeError: socket hang up",
          "ended before: order",
          "interrupted: stock",
          "never started: ship"
        ]
      ) assert.include(lines, line)
      assert.match(explained, /at .*RunResult-explain\.test\.ts:\d+:\d+/)
      assert.strictEqual(explained.match(/attempt \d .* failed: CardDeclined/g)?.length, 2)
      assert.notInclude(explained, "4111")
      assert.notInclude(explained, "node_modules/effect")
    }))

  it.effect("shows the message of a defect, and what failed inside of a run of a stage", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make("inner").work("deep", { run: Effect.sync((): void => boom()) })
      const outer = Pipeline.make("outer").work("sub", {
        run: Effect.gen(function*() {
          return yield* Effect.asVoid(Pipeline.run(inner, yield* Snapshot.current))
        })
      })
      const explained = RunResult.explain(yield* Effect.flip(Pipeline.run(outer, Snapshot.make())))
      assert.include(explained, "Stage \"sub\" of pipeline \"outer\" failed")
      assert.include(explained, "Stage \"deep\" of pipeline \"inner\" failed")
      assert.include(explained, "in the cause: RangeError: hunter2 is the password")
    }))

  it.effect("tells of each failure of a run that went on", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").work("a", { run: Effect.sync((): void => boom()) }).work("b", {
        run: Effect.fail("no")
      })
        .work("c", { run: Effect.void }).work("d", { after: ["a"], run: Effect.void })
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Incomplete")
      const lines = RunResult.explain(result).split("\n").map((line) => line.trim())
      for (const line of ["stage \"a\"", "stage \"b\"", "\"no\"", "ok: c", "blocked: d"]) assert.include(lines, line)
    }))
})

describe("a failure that nobody handles", () => {
  it("is printed with what matters in its first ten lines", async () => {
    const root = resolve(import.meta.dirname, "..")
    const node = resolve(root, "node_modules/.bin/node")
    const program = resolve(root, "test/support/unhandled.ts")
    const printed = await new Promise<string>((done) =>
      execFile(node, ["--conditions=stageflow-source", program], { cwd: root }, (_error, _out, err) => done(err))
    )
    const first = printed.split("\n").slice(0, 10).join("\n")
    assert.include(first, "StageFailed: Stage \"charge\" of pipeline \"checkout\" failed")
    assert.include(first, "died of a defect: RangeError at totalOf (support/unhandled.ts:")
    assert.include(first, "interrupted: stock")
    assert.include(first, "never started: ship")
    assert.match(first, /at totalOf \(.*test\/support\/unhandled\.ts:\d+:\d+\)/)
    assert.notInclude(first, "hunter2")
  })
})
