/**
 * What an option cannot be is rejected where it is given, with a message that says what that option can be.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EventSink, Pipeline, Snapshot, Stage, StageError } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest } from "stageflow/testing"

const work = Stage.work("work", { run: Effect.void })
const pipeline = Pipeline.make("p").add(work)

/** As a program without types would give it. */
type Given = never

const problemOf = (make: () => unknown): StageError.InvalidOption => {
  try {
    make()
  } catch (error) {
    if (error instanceof StageError.InvalidOption) return error
    throw error
  }
  throw new Error("accepted")
}

type Options = Readonly<Record<string, (given: Given) => unknown>>

/** The second part of a name says which of several options of that name it is. */
const optionOf = (name: string): string => name.split(" ")[0] ?? name

const rejected = (kind: string, expected: string, options: Options, wrong: ReadonlyArray<unknown>) =>
  describe(kind, () => {
    for (const [name, make] of Object.entries(options)) {
      it(name, () => {
        for (const given of wrong) {
          const error = problemOf(() => make(given as Given))
          assert.strictEqual(error.option, optionOf(name))
          assert.strictEqual(error.expected, expected)
        }
      })
    }
  })

/** Nothing of these is a number that counts, and some of them cannot even be shown as text. */
const noNumbers: ReadonlyArray<unknown> = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -1,
  1.5,
  2 ** 53,
  "3",
  "",
  "many",
  null,
  true,
  {},
  [3],
  4n,
  Symbol("three"),
  Object.create(null),
  () => 3
]

describe("an option that cannot be", () => {
  rejected("a number of things, at least one", "a whole number from 1", {
    "limit": (limit) => Interceptors.rateLimit({ limit, window: "1 second" }),
    "permits": (permits) => Interceptors.bulkhead({ name: "db", permits }),
    "failures": (failures) => Interceptors.circuitBreaker({ failures }),
    "attempts of a policy": (attempts) => Interceptors.exponential({ attempts }),
    "attempts of a provider": (attempts) => Interceptors.providers({ provide: null as never, attempts }),
    "capacity of a cache": (capacity) => Interceptors.Results.layerMemory({ capacity }),
    "capacity of a sink": (capacity) => EventSink.make(() => Effect.void, { capacity }),
    "maxBytes of an output": (maxBytes) => Interceptors.outputSize({ maxBytes }),
    "maxBytes of a snapshot": (maxBytes) => Interceptors.snapshotSize({ maxBytes }),
    "times of a test": (times) => InterceptorTest.run(Interceptors.timeout(), { times }),
    "times of denials": (times) => InterceptorTest.failsClosed(Interceptors.timeout(), { times })
  }, [...noNumbers.filter((given) => given !== null), 0, "unbounded"])

  rejected("a number of things, none included", "a whole number from 0", {
    "queue": (queue) => Interceptors.bulkhead({ name: "db", permits: 1, queue }),
    "minimum": (minimum) => Interceptors.RetryBudget.layerMemory({ minimum }),
    "times": (times) => Interceptors.retry({ times })
  }, [...noNumbers.filter((given) => given !== null), "unbounded"])

  rejected("a share", "a number from 0 to 1", {
    "ratio": (ratio) => Interceptors.RetryBudget.layerMemory({ ratio })
  }, ["0.5", -0.1, 1.1, Number.NaN, true, {}, [0.5], Symbol("half")])

  rejected("a limit on what runs at once", "a whole number from 1, or \"unbounded\"", {
    "concurrency": (concurrency) => Pipeline.run(pipeline, Snapshot.make(), { concurrency })
  }, [...noNumbers, 0])

  rejected("a time", "a duration longer than zero, such as \"30 seconds\"", {
    "window of a limit": (window) => Interceptors.rateLimit({ limit: 1, window }),
    "window of a budget": (window) => Interceptors.RetryBudget.layerMemory({ window }),
    "openFor": (openFor) => Interceptors.circuitBreaker({ openFor }),
    "base": (base) => Interceptors.exponential({ base }),
    "ttl": (ttl) => Interceptors.cache({ ttl, of: () => "" }),
    "timeout": (timeout) => Interceptors.timeout(timeout),
    "deadline": (deadline) => Interceptors.deadline(deadline),
    "after": (after) => Interceptors.hedge({ after })
  }, [0, -1, Number.NaN, "100", "soon", true, {}, Object.create(null), Symbol("soon"), () => 3])

  it("a bulkhead's queue of ten times very many is as long as a number can be", () => {
    Interceptors.bulkhead({ name: "all", permits: Number.MAX_SAFE_INTEGER })
  })

  describe("one of a few words", () => {
    const words: Readonly<Record<string, readonly [expected: string, make: (given: Given) => unknown]>> = {
      "jitter": ["\"full\", \"equal\", \"decorrelated\" or \"none\"", (jitter) => Interceptors.linear({ jitter })],
      "algorithm": [
        "\"token-bucket\", \"fixed-window\" or \"sliding-window\"",
        (algorithm) => Interceptors.rateLimit({ limit: 1, window: "1 second", algorithm })
      ],
      "onExceeded": [
        "\"fail\" or \"delay\"",
        (onExceeded) => Interceptors.rateLimit({ limit: 1, window: "1 second", onExceeded })
      ]
    }
    for (const [option, [expected, make]] of Object.entries(words)) {
      it(option, () => {
        for (const given of ["ful", "Fail", "toString", 1, true, {}]) {
          const error = problemOf(() => make(given as Given))
          assert.strictEqual(error.option, option)
          assert.strictEqual(error.expected, expected)
        }
      })
    }
  })

  it("shows what was given, without running any code of it", () => {
    let ran = 0
    const hostile = {
      toString: () => String(++ran),
      [Symbol.toPrimitive]: () => ++ran
    }
    const shown = (given: unknown) => problemOf(() => Interceptors.outputSize({ maxBytes: given as Given })).given
    assert.strictEqual(shown("3"), "\"3\"")
    assert.strictEqual(shown(4n), "4n")
    assert.strictEqual(shown([3]), "an array")
    assert.strictEqual(shown(hostile), "an object")
    assert.strictEqual(shown(() => 3), "a function")
    assert.strictEqual(shown(Symbol("three")), "Symbol(three)")
    assert.strictEqual(ran, 0)
  })
})
