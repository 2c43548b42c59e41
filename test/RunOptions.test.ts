import { assert, describe, it } from "@effect/vitest"
import { Pipeline, type Run, Snapshot, StageError } from "stageflow"
import { Counter } from "./acceptance/support/stages.ts"

const counter = new Counter()
const pipeline = Pipeline.make("options").add(counter.stage("only"))
const snapshot = Snapshot.make()

/** Every way to run a pipeline, called with what only untyped code could give. */
const ways = {
  run: (options: unknown) => Pipeline.run(pipeline, snapshot, options as Run.RunOptions),
  "run, data last": (options: unknown) => pipeline.pipe(Pipeline.run(snapshot, options as Run.RunOptions)),
  start: (options: unknown) => Pipeline.start(pipeline, snapshot, options as Run.RunOptions),
  stream: (options: unknown) => Pipeline.stream(pipeline, snapshot, options as Run.RunOptions)
}

const invalidOf = (mistake: () => unknown): StageError.InvalidOption => {
  try {
    mistake()
  } catch (error) {
    assert.instanceOf(error, StageError.InvalidOption)
    return error
  }
  return assert.fail("nothing was thrown")
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const wrong: Readonly<Record<string, readonly [given: unknown, option: string, message: string]>> = {
  "a misspelt word": [
    { failure: "countinue" },
    "failure",
    `Invalid option "failure": expected "fail-fast" or "continue", got "countinue"`
  ],
  "a word of another type": [{ failure: true }, "failure", "got true"],
  "null as a word": [{ failure: null }, "failure", "got null"],
  "a misspelt key": [
    { concurency: 2 },
    "concurency",
    `Invalid option "concurency": expected one of concurrency, failure, interruptionGrace`
  ],
  "a key beside good ones": [{ concurrency: 2, retries: 3 }, "retries", "expected one of concurrency"],
  "a symbol as concurrency": [{ concurrency: Symbol("2") }, "concurrency", "got Symbol(2)"],
  "a bigint as concurrency": [{ concurrency: 2n }, "concurrency", "got 2n"],
  "an object without a prototype as concurrency": [
    { concurrency: Object.create(null) as object },
    "concurrency",
    "got an object"
  ],
  "a revoked Proxy as concurrency": [{ concurrency: revoked() }, "concurrency", "got an object"],
  "a text of ten million letters": [{ failure: "x".repeat(10_000_000) }, "failure", "..."],
  "a revoked Proxy as the grace": [{ interruptionGrace: revoked() }, "interruptionGrace", "got an object"],
  "null as the grace": [{ interruptionGrace: null }, "interruptionGrace", "got null"],
  "a word instead of the options": ["continue", "options", `expected an object, got "continue"`],
  "null instead of the options": [null, "options", "got null"],
  "a list instead of the options": [[], "options", "got an array"],
  "a function instead of the options": [() => ({}), "options", "got a function"],
  "a revoked Proxy instead of the options": [revoked(), "options", "got an object that cannot be read"],
  "options with a getter that throws": [
    {
      get failure(): string {
        throw new Error("hunter2")
      }
    },
    "failure",
    "got a value that cannot be read"
  ]
}

describe("options of a run that make no sense are InvalidOption where they are given", () => {
  for (const [title, [given, option, message]] of Object.entries(wrong)) {
    it(title, () => {
      for (const [way, call] of Object.entries(ways)) {
        const error = invalidOf(() => call(given))
        assert.strictEqual(error.option, option, way)
        assert.include(error.message, message, way)
        assert.notInclude(error.message, "hunter2", way)
        assert.isBelow(error.message.length, 500, way)
      }
      assert.strictEqual(counter.total, 0)
    })
  }

  it("options that are there but undefined are left out", () => {
    for (const call of Object.values(ways)) {
      call(undefined)
      call({})
      call({ concurrency: undefined, failure: undefined, interruptionGrace: undefined })
    }
  })

  it("each option is read once", () => {
    const reads: Array<string> = []
    const options = new Proxy({ failure: "continue", concurrency: 2 }, {
      get: (target, key) => {
        reads.push(String(key))
        return Reflect.get(target, key) as unknown
      }
    })
    assert.isDefined(ways.run(options))
    assert.deepStrictEqual(reads.toSorted(), Array.from(new Set(reads)).toSorted())
  })
})

describe("what is run, and with what, is checked where it is given", () => {
  const calls: Readonly<Record<string, (pipeline: unknown, snapshot: unknown) => unknown>> = {
    run: (pipeline, snapshot) => Pipeline.run(pipeline as Pipeline.Pipeline<never>, snapshot as never),
    start: (pipeline, snapshot) => Pipeline.start(pipeline as Pipeline.Pipeline<never>, snapshot as never),
    stream: (pipeline, snapshot) => Pipeline.stream(pipeline as Pipeline.Pipeline<never>, snapshot as never)
  }
  for (const [way, call] of Object.entries(calls)) {
    it(`${way}: what is no pipeline`, () => {
      for (const given of [undefined, null, 42, "chat", {}, { name: "chat" }, revoked(), () => pipeline]) {
        const error = invalidOf(() => call(given, snapshot))
        assert.strictEqual(error.option, "pipeline")
        assert.include(error.message, "Pipeline.make")
      }
      const last = Pipeline.run(snapshot)
      for (const given of [undefined, {}]) {
        assert.strictEqual(invalidOf(() => last(given as never)).option, "pipeline")
      }
    })

    it(`${way}: what is no snapshot`, () => {
      for (const given of [null, { inputText: "hello" }, "hello", 42, revoked()]) {
        const error = invalidOf(() => call(pipeline, given))
        assert.strictEqual(error.option, "snapshot")
        assert.include(error.message, "Snapshot.make")
      }
    })
  }
})
