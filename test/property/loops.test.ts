/**
 * Guard retries and loops against small models: random verdicts and states, and what they must come to.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { GuardRetry, Loop } from "stageflow/control"

const small = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** What each attempt drafts, which guards accept it, and the limits. */
const Drafting = Schema.Struct({
  drafts: Schema.NonEmptyArray(
    Schema.Struct({ text: small(0, 4), verdicts: Schema.Tuple([Schema.Boolean, Schema.Boolean]) })
  ),
  maxAttempts: small(1, 6),
  times: Schema.Literals([2, 3, false])
})
type Drafting = typeof Drafting.Type

interface Came {
  readonly ended: string
  readonly attempts: number
  readonly judged: number
  readonly history: ReadonlyArray<unknown>
}

const at = <A>(all: readonly [A, ...ReadonlyArray<A>], index: number): A =>
  all[Math.min(index, all.length - 1)] ?? all[0]

const entry = (attempt: number, text: number, verdicts: ReadonlyArray<boolean>) => [attempt, text, verdicts]

const modelOfDrafts = ({ drafts, maxAttempts, times }: Drafting): Came => {
  const seen: Array<number> = []
  const history: Array<unknown> = []
  for (let attempts = 1; attempts <= maxAttempts; attempts++) {
    const { text, verdicts } = at(drafts, attempts - 1)
    seen.push(text)
    if (times !== false && seen.filter((other) => other === text).length === times) {
      return { ended: "stagnation", attempts, judged: attempts - 1, history: [...history, entry(attempts, text, [])] }
    }
    history.push(entry(attempts, text, verdicts))
    if (verdicts[0] && verdicts[1]) return { ended: "accepted", attempts, judged: attempts, history }
  }
  return { ended: "attempts", attempts: maxAttempts, judged: maxAttempts, history }
}

const historyOf = (history: ReadonlyArray<GuardRetry.Attempt<{ readonly text: number }>>) =>
  history.map(({ attempt, draft, verdicts }) =>
    entry(attempt, draft.text, verdicts.map(({ verdict }) => verdict._tag === "Accept"))
  )

const draftsOf = ({ drafts, maxAttempts, times }: Drafting) =>
  Effect.gen(function*() {
    let attempts = 0
    const judged = [0, 0]
    const guard = (index: 0 | 1) => (_: { readonly text: number }) =>
      Effect.gen(function*() {
        const accepts = at(drafts, attempts - 1).verdicts[index]
        judged[index]!++
        for (let turns = 0; turns < (index * 7 + attempts) % 3; turns++) yield* Effect.yieldNow
        return accepts ? GuardRetry.accept : GuardRetry.reject(index)
      })
    const stage = GuardRetry.stage("stage", {
      draft: () => Effect.sync(() => ({ text: at(drafts, attempts++).text })),
      guards: { first: guard(0), second: Stage.guard("second", { run: guard(1) }) },
      maxAttempts,
      stagnation: times === false ? false : { times },
      output: (accepted) => accepted
    })
    const result = yield* Effect.result(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
    assert.strictEqual(judged[0], judged[1])
    const common = { attempts, judged: judged[0] ?? 0 }
    if (result._tag === "Success") {
      const { attempt, draft, history } = result.success.outputs.stage.data
      assert.deepStrictEqual([attempt, draft], [attempts, history.at(-1)?.draft])
      return { ended: "accepted", ...common, history: historyOf(history) }
    }
    const { error } = result.failure
    assert(error instanceof GuardRetry.NoDraftAccepted)
    assert.strictEqual(error.attempts, attempts)
    return { ended: error.reason, ...common, history: historyOf(error.history as never) }
  })

/** The states that a loop goes through, when it is done, and its limits. */
const Looping = Schema.Struct({
  states: Schema.NonEmptyArray(small(0, 3)),
  doneAt: small(0, 12),
  maxIterations: small(1, 12),
  times: small(2, 3),
  period: small(1, 3),
  kept: small(0, 5)
})
type Looping = typeof Looping.Type

/** How long the turn is that ends a list, when the same one was there so many times in a row. */
const turnOf = (states: ReadonlyArray<number>, times: number, longest: number): number | undefined => {
  for (let period = 1; period <= longest; period++) {
    const turn = states.slice(-period)
    const expected = Array.from({ length: times }, () => turn).flat()
    const last = states.slice(-period * times)
    if (last.length === expected.length && last.every((state, index) => state === expected[index])) return period
  }
  return undefined
}

const modelOfLoop = ({ doneAt, kept, maxIterations, period, states, times }: Looping) => {
  const passed = [states[0]]
  for (let iterations = 0;; iterations++) {
    const turn = turnOf(passed, times, period)
    const came = (ended: string) => ({
      ended,
      iterations,
      history: passed.map((n, iteration) => ({ iteration, state: { n } })).slice(kept === 0 ? passed.length : -kept)
    })
    if (iterations === doneAt) return came("until")
    if (turn !== undefined) return came(turn === 1 ? "stagnation" : "oscillation")
    if (iterations === maxIterations) return came("iterations")
    passed.push(at(states, iterations + 1))
  }
}

const options = { arbitrary: { runs: 300 } }

describe("against small models", () => {
  it.effect.prop(
    "guard retries make the attempts, ask the guards and end as they must",
    [Arbitrary.schema(Drafting)],
    ([drafting]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* draftsOf(drafting), modelOfDrafts(drafting))
      }),
    options
  )

  it.effect.prop(
    "loops make the iterations and end as they must",
    [Arbitrary.schema(Looping)],
    ([looping]) =>
      Effect.gen(function*() {
        const { doneAt, kept, maxIterations, period, states, times } = looping
        let iterations = 0
        const stage = Loop.until("stage", {
          state: () => ({ n: states[0] }),
          body: () => Effect.sync(() => ({ n: at(states, ++iterations) })),
          until: (_, iterations) => iterations === doneAt,
          maxIterations,
          stagnation: { times, period },
          history: kept,
          unfinished: "return"
        })
        const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
        const { state, ...came } = outputs.stage.data
        assert.deepStrictEqual<unknown>(came, modelOfLoop(looping))
        assert.strictEqual(came.iterations, iterations)
        assert.deepStrictEqual(state, { n: at(states, iterations) })
      }),
    options
  )
})
