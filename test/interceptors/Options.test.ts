/**
 * What an option cannot be is rejected where it is given, with a message that says what that option can be.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Guards from "stageflow/guards"
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
    "attempts of a retry": (attempts) => Interceptors.retry({ attempts }),
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
    "minimum": (minimum) => Interceptors.RetryBudget.layerMemory({ minimum })
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

describe("what cannot be an option at all", () => {
  const keyOfNumber = 5 as Given
  const given = (value: unknown) => value as Given
  const wrong: Readonly<Record<string, () => unknown>> = {
    "a policy that is null": () => Stage.retry(work, given(null)),
    "a policy that is a number": () => Stage.retry(work, given(5)),
    "a policy that is a list": () => Interceptors.retry(given([])),
    "a misspelt policy": () => Stage.retry(work, given({ bogus: 1 })),
    "faults that are text": () => Stage.retry(work, given({ faults: "yes" })),
    "a schedule that is none": () => Interceptors.retry(given({ schedule: 5 })),
    "while that is no function": () => Interceptors.retry(given({ while: 5 })),
    "backoff that is misspelt": () => Interceptors.exponential(given({ retries: 5 })),
    "counts of a breaker": () => Interceptors.circuitBreaker({ counts: keyOfNumber }),
    "the key of a breaker": () => Interceptors.circuitBreaker({ key: keyOfNumber }),
    "a breaker that is misspelt": () => Interceptors.circuitBreaker(given({ failure: 1 })),
    "a cache of nothing": () => Interceptors.cache(given(null)),
    "a cache without a subject": () => Interceptors.cache(given({ ttl: "1 second" })),
    "a capacity that is misspelt": () => Interceptors.Results.layerMemory(given({ size: 1 })),
    "a fallback of nothing": () => Interceptors.fallback(given({})),
    "a fallback of numbers": () => Interceptors.fallback(given({ when: 5, to: 5 })),
    "a fallback to nothing": () => Interceptors.fallbackTo(work, given(5)),
    "a fallback that is misspelt": () => Interceptors.fallbackTo(work, () => Effect.void, given({ if: () => true })),
    "no providers": () => Interceptors.providers(...given([])),
    "a provider of nothing": () => Interceptors.providers(given({ provide: 5 })),
    "a tenant that is looked up by a number": () => Interceptors.tenant({ lookUp: given(5) }),
    "a bulkhead without a name": () => Interceptors.bulkhead({ name: " ", permits: 1 }),
    "a bulkhead that is misspelt": () => Interceptors.bulkhead(given({ name: "b", permits: 1, size: 2 })),
    "a rate limit of nothing": () => Interceptors.rateLimit(given(null)),
    "a hedge of nothing": () => Interceptors.hedge(given(undefined)),
    "a timeout that is misspelt": () => Interceptors.timeout("1 second", given({ graze: 1 })),
    "a budget that is misspelt": () => Interceptors.RetryBudget.layerMemory(given({ min: 1 })),
    "a size that is misspelt": () => Interceptors.outputSize(given({ bytes: 1 })),
    "an interceptor without a name": () => Interceptor.make({ name: "", around: (effect) => effect }),
    "an interceptor without an order": () =>
      Interceptor.make({ name: "i", order: Number.NaN, around: (effect) => effect }),
    "an interceptor of a number": () => Interceptor.make(given({ name: "i", around: 5 })),
    "an interceptor that is misspelt": () => Interceptor.make(given({ name: "i", arround: () => Effect.void })),
    "claims of a number": () => Auth.authentication({ claims: given(5) }),
    "a stage of no kind": () => Stage.make(given("bogus"), "s", { run: Effect.void }),
    "a stage of nothing": () => Stage.work("s", given(null)),
    "words in one text": () => Guards.contentFilter("g", { words: given("spam") }),
    "words that are missing": () => Guards.contentFilter("g", given({})),
    "words that are numbers": () => Guards.contentFilter("g", { words: given([5]) }),
    "kinds in one text": () => Guards.personalData("g", { kinds: given("email") }),
    "limits that are missing": () => Guards.lengthLimit("g", given(undefined)),
    "a guard that is misspelt": () => Guards.personalData("g", given({ kind: ["email"] })),
    "a mask that throws": () =>
      Guards.personalData("g", {
        mask: () => {
          throw new Error("mask")
        }
      })
  }
  for (const [what, make] of Object.entries(wrong)) it(what, () => void problemOf(make))
})
