/**
 * Guard retries and loops end: with the right reason, after exactly as many attempts as there may be, and whoever tries again
 * knows why.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { GuardRetry, Loop } from "stageflow/control"

interface Draft {
  readonly text: string
  readonly style?: string
}
type Revision = GuardRetry.Revision<Draft, string>

/** A draft that gives these texts, the last one again and again, and notes what it is told. */
const drafting = (...texts: ReadonlyArray<string>) => {
  const told: Array<Revision> = []
  const draft = ({ revision }: { readonly revision: Revision }): Effect.Effect<Draft> =>
    Effect.sync(() => {
      told.push(revision)
      return { text: texts[Math.min(told.length, texts.length) - 1] ?? "" }
    })
  return { draft, told }
}

/** A guard that accepts this text only, and counts how often it was asked. */
const wants = (text: string) => {
  const asked: Array<string> = []
  const guard = (draft: Draft) =>
    Effect.sync(() => {
      asked.push(draft.text)
      return draft.text === text ? GuardRetry.accept : GuardRetry.reject(`Not ${draft.text}`)
    })
  return { guard, asked }
}

const runOf = <S extends Stage.Stage<string, unknown, object, never, unknown>>(stage: S) =>
  Pipeline.run(Pipeline.make("p").add(stage as Stage.Stage<"stage", unknown, object, never, unknown>), Snapshot.make())

/** What a stage that fails fails with. */
const errorOf = <S extends Stage.Stage<string, unknown, object, never, unknown>>(stage: S) =>
  Effect.map(Effect.flip(runOf(stage)), ({ error }) => error)

describe("R18 a guard retry", () => {
  it.effect("makes two attempts after the first, and no more", () =>
    Effect.gen(function*() {
      const { draft, told } = drafting("a", "b", "c", "good")
      const { asked, guard } = wants("good")
      const error = yield* errorOf(GuardRetry.stage("stage", { draft, guards: { guard } }))
      assert(error instanceof GuardRetry.NoDraftAccepted)
      assert.deepStrictEqual([error.reason, error.attempts, error.maxAttempts], ["attempts", 3, 3])
      assert.strictEqual(told.length, 3)
      assert.deepStrictEqual(asked, ["a", "b", "c"])
      assert.deepStrictEqual(error.feedback, [{ guard: "guard", feedback: "Not c" }])
      assert.strictEqual(
        error.message,
        "No draft of stage \"stage\" was accepted: 3 of 3 attempts are used up; rejected last by guard"
      )
    }))

  for (const maxAttempts of [1, 2, 5]) {
    it.effect(`makes ${maxAttempts} attempts when there may be as many`, () =>
      Effect.gen(function*() {
        const texts = Array.from({ length: 10 }, (_, index) => `draft ${index + 1}`)
        const failing = drafting(...texts)
        const never = wants("good")
        const error = yield* errorOf(
          GuardRetry.stage("stage", { draft: failing.draft, guards: { never: never.guard }, maxAttempts })
        )
        assert(error instanceof GuardRetry.NoDraftAccepted)
        assert.strictEqual(error.attempts, maxAttempts)
        assert.strictEqual(failing.told.length, maxAttempts)
        const last = drafting(...texts)
        const lucky = wants(`draft ${maxAttempts}`)
        const stage = GuardRetry.stage("stage", { draft: last.draft, guards: { lucky: lucky.guard }, maxAttempts })
        assert.strictEqual((yield* runOf(stage))._tag, "Completed")
        assert.strictEqual(last.told.length, maxAttempts)
      }))
  }

  it.effect("tells the next attempt which one it is, what was before it, and what all guards said", () =>
    Effect.gen(function*() {
      const { draft, told } = drafting("a", "b", "good")
      const stage = GuardRetry.stage("stage", {
        draft,
        guards: {
          first: wants("good").guard,
          second: (given) => Effect.succeed(given.text === "a" ? GuardRetry.reject("Never a") : GuardRetry.accept)
        }
      })
      yield* runOf(stage)
      assert.deepStrictEqual<ReadonlyArray<unknown>>(told, [
        { attempt: 1, previous: Option.none(), feedback: [] },
        {
          attempt: 2,
          previous: Option.some({ text: "a" }),
          feedback: [{ guard: "first", feedback: "Not a" }, { guard: "second", feedback: "Never a" }]
        },
        { attempt: 3, previous: Option.some({ text: "b" }), feedback: [{ guard: "first", feedback: "Not b" }] }
      ])
    }))

  it.effect("ends when a draft comes again, whatever was between, and does not judge it again", () =>
    Effect.gen(function*() {
      for (const [texts, attempts] of [[["a", "a"], 2], [["a", "b", "a"], 3]] as const) {
        const { draft, told } = drafting(...texts, "good")
        const { asked, guard } = wants("good")
        const error = yield* errorOf(GuardRetry.stage("stage", { draft, guards: { guard }, maxAttempts: 10 }))
        assert(error instanceof GuardRetry.NoDraftAccepted)
        assert.deepStrictEqual([error.reason, error.attempts], ["stagnation", attempts])
        assert.strictEqual(told.length, attempts)
        assert.strictEqual(asked.length, attempts - 1)
        assert.strictEqual(error.history.length, attempts)
        assert.strictEqual(
          error.message,
          `No draft of stage "stage" was accepted: attempt ${attempts} gave again what had been rejected; rejected last by guard`
        )
      }
    }))

  it.effect("compares drafts by their data: the order of keys says nothing, and some of it may be enough", () =>
    Effect.gen(function*() {
      const drafts = [{ text: "a", style: "x", n: 1 }, { n: 1, style: "y", text: "a" }, { n: 1, style: "x", text: "a" }]
      const attemptsWith = (stagnation: GuardRetry.Stagnation<(typeof drafts)[number]> | false) =>
        Effect.gen(function*() {
          let attempts = 0
          const draft = Effect.sync(() => drafts[attempts++ % 3] ?? { text: "", style: "", n: 0 })
          const error = yield* errorOf(GuardRetry.stage("stage", {
            draft: () => draft,
            guards: { no: () => Effect.succeed(GuardRetry.reject("no")) },
            maxAttempts: 5,
            stagnation
          }))
          assert(error instanceof GuardRetry.NoDraftAccepted)
          return [error.reason, attempts]
        })
      assert.deepStrictEqual(yield* attemptsWith({}), ["stagnation", 3])
      assert.deepStrictEqual(yield* attemptsWith({ fingerprint: ["text"] }), ["stagnation", 2])
      assert.deepStrictEqual(yield* attemptsWith({ fingerprint: ({ n, text }) => [n, text] }), ["stagnation", 2])
      assert.deepStrictEqual(yield* attemptsWith({ fingerprint: ["text"], times: 4 }), ["stagnation", 4])
      assert.deepStrictEqual(yield* attemptsWith({ times: 3 }), ["stagnation", 4])
      assert.deepStrictEqual(yield* attemptsWith({ times: 4 }), ["attempts", 5])
      assert.deepStrictEqual(yield* attemptsWith(false), ["attempts", 5])
    }))

  it.effect("ends at its deadline, in a draft or in a guard, and interrupts what is in flight", () =>
    Effect.gen(function*() {
      const sleeps = ["1 second", "1 minute"] as const
      for (const slow of ["draft", "guard"] as const) {
        const log: Array<string> = []
        const pause = (who: string, attempt: number) =>
          (who === slow ? Effect.sleep(sleeps[attempt - 1] ?? "1 minute") : Effect.void).pipe(
            Effect.onInterrupt(() => Effect.sync(() => log.push(`${who} ${attempt}`)))
          )
        const stage = GuardRetry.stage("stage", {
          draft: ({ revision }: { readonly revision: Revision }) =>
            Effect.as(pause("draft", revision.attempt), { text: `draft ${revision.attempt}` }),
          guards: {
            quick: wants("good").guard,
            slow: (_, { attempt }) => Effect.as(pause("guard", attempt), GuardRetry.accept)
          },
          deadline: "10 seconds"
        })
        const fiber = yield* Effect.forkChild(errorOf(stage), { startImmediately: true })
        yield* TestClock.adjust("9999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(fiber)
        assert(error instanceof GuardRetry.NoDraftAccepted)
        assert.deepStrictEqual([error.reason, error.attempts, error.abandoned], ["deadline", 2, false])
        assert.deepStrictEqual(log, [`${slow} 2`])
        // What is known is told: of the draft whose guards were interrupted, what one of them had said.
        assert.deepStrictEqual(
          error.history.map(({ attempt, verdicts }) => [attempt, verdicts.map(({ guard }) => guard)]),
          slow === "draft" ? [[1, ["quick", "slow"]]] : [[1, ["quick", "slow"]], [2, ["quick"]]]
        )
      }
    }))

  it.effect("does not wait for ever at its deadline for what ignores its interruption", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const stage = GuardRetry.stage("stage", {
        draft: () =>
          Effect.uninterruptible(
            Effect.andThen(Deferred.succeed(started, undefined), Effect.as(Effect.sleep("1 hour"), { text: "late" }))
          ),
        guards: { any: () => Effect.succeed(GuardRetry.accept) },
        deadline: "10 seconds"
      })
      const fiber = yield* Effect.forkChild(
        Effect.provideService(errorOf(stage), Stage.InterruptionGrace, Duration.seconds(5)),
        { startImmediately: true }
      )
      yield* Deferred.await(started)
      yield* TestClock.adjust("15 seconds")
      const error = yield* Fiber.join(fiber)
      assert(error instanceof GuardRetry.NoDraftAccepted)
      assert.deepStrictEqual([error.reason, error.abandoned], ["deadline", true])
      yield* TestClock.adjust("2 hours")
    }))
})

describe("R18 a loop", () => {
  interface State {
    readonly at: string
    readonly n?: number
  }

  /** A loop that goes through these states, the last one again and again. */
  const through = (
    states: ReadonlyArray<State>,
    options: Partial<Loop.Options<unknown, State, never, "fail">> = {}
  ) => {
    let calls = 0
    const stage = Loop.until("stage", {
      maxIterations: 20,
      until: ({ at }: State) => at === "end",
      ...options,
      state: (): State => states[0] ?? { at: "" },
      body: (_: State) => Effect.sync((): State => states[Math.min(++calls, states.length - 1)] ?? { at: "" })
    })
    return { stage, calls: () => calls }
  }
  const at = (text: string): ReadonlyArray<State> => Array.from(text, (letter) => ({ at: letter }))

  const endOf = (states: ReadonlyArray<State>, options: Partial<Loop.Options<unknown, State, never, "fail">> = {}) =>
    Effect.gen(function*() {
      const { calls, stage } = through(states, options)
      const error = yield* errorOf(stage)
      assert(error instanceof Loop.LoopUnfinished)
      assert.strictEqual(error.iterations, calls())
      return [error.reason, error.iterations, error.period]
    })

  it.effect("ends after as many iterations as there may be: 100 when nothing is said", () =>
    Effect.gen(function*() {
      for (const maxIterations of [1, 2, 7, undefined]) {
        let calls = 0
        const count = Loop.until("stage", {
          state: () => ({ n: 0 }),
          body: ({ n }) => Effect.sync(() => ({ n: (calls++, n + 1) })),
          until: () => false,
          maxIterations
        })
        const error = yield* errorOf(count)
        assert(error instanceof Loop.LoopUnfinished)
        const most = maxIterations ?? 100
        assert.deepStrictEqual([error.reason, error.iterations, calls, error.state], [
          "iterations",
          most,
          most,
          { n: most }
        ])
        assert.include(error.message, `all ${most} iterations are used up`)
      }
    }))

  it.effect("ends when its state stays the same", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endOf(at("AA")), ["stagnation", 1, 1])
      assert.deepStrictEqual(yield* endOf(at("ABCC")), ["stagnation", 3, 1])
      assert.deepStrictEqual(yield* endOf(at("ABCC"), { stagnation: { times: 4 } }), ["stagnation", 5, 1])
      assert.deepStrictEqual(yield* endOf(at("A"), { stagnation: false }), ["iterations", 20, undefined])
    }))

  it.effect("ends when its states come in turns, and says so", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endOf(at("ABABAB")), ["oscillation", 3, 2])
      assert.deepStrictEqual(yield* endOf(at("XABCABC")), ["oscillation", 6, 3])
      assert.deepStrictEqual(yield* endOf(at("ABABAB"), { stagnation: { times: 3 } }), ["oscillation", 5, 2])
      // A turn that is longer than what is looked for is none.
      assert.deepStrictEqual(yield* endOf(at("ABCABCABCXYZ"), { stagnation: { period: 2 } }), ["stagnation", 12, 1])
      assert.deepStrictEqual(yield* endOf(at("ABAC"), { maxIterations: 3 }), ["iterations", 3, undefined])
    }))

  it.effect("takes equal routes with another context for another state, unless a fingerprint says otherwise", () =>
    Effect.gen(function*() {
      const routes = Array.from({ length: 30 }, (_, n): State => ({ at: n % 2 === 0 ? "search" : "read", n }))
      assert.deepStrictEqual(yield* endOf(routes), ["iterations", 20, undefined])
      assert.deepStrictEqual(yield* endOf(routes, { stagnation: { fingerprint: ["at"] } }), ["oscillation", 3, 2])
      assert.deepStrictEqual(yield* endOf(routes, { stagnation: { fingerprint: ({ at }) => at } }), [
        "oscillation",
        3,
        2
      ])
    }))

  it.effect("that is done is done, also when its state has come in turns or there are no iterations left", () =>
    Effect.gen(function*() {
      const twice = through([{ at: "end" }])
      assert.strictEqual((yield* runOf(twice.stage))._tag, "Completed")
      assert.strictEqual(twice.calls(), 0)
      const last = through([...at("AB"), { at: "end" }], { maxIterations: 2 })
      assert.strictEqual((yield* runOf(last.stage))._tag, "Completed")
      assert.strictEqual(last.calls(), 2)
    }))

  it.effect("ends at its deadline, and interrupts the iteration that is going on", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const slow = Loop.until("stage", {
        state: () => ({ n: 0 }),
        body: ({ n }) =>
          Effect.as(Effect.sleep("3 seconds"), { n: n + 1 }).pipe(
            Effect.onInterrupt(() => Effect.sync(() => interrupted++))
          ),
        until: () => false,
        deadline: "10 seconds"
      })
      const fiber = yield* Effect.forkChild(errorOf(slow), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(fiber)
      assert(error instanceof Loop.LoopUnfinished)
      assert.deepStrictEqual([error.reason, error.iterations, interrupted], ["deadline", 3, 1])
      assert.deepStrictEqual(error.state, { n: 3 })
    }))
})
