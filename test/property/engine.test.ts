/**
 * The engine against a small reference model: random graphs, run in virtual time under random seeds and limits.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Fiber, Schema } from "effect"
import { OutputBag, Pipeline, RunResult, Snapshot, type StageOutput } from "stageflow"
import { Simulation } from "stageflow/testing"
import { Account, pipelineOf, shuffled } from "./build.ts"
import { type Graph, graphs, type Running, runnings } from "./graph.ts"
import { model, type Modelled, stops } from "./model.ts"
import { replay, type Replayed, type State } from "./replay.ts"

type Outputs = Readonly<Record<string, StageOutput.Settled>>
type Result = RunResult.RunResult<Outputs> | RunResult.StageFailed<unknown, Outputs>

const limitOf = ({ concurrency }: Running): number =>
  concurrency === "unbounded" ? Number.POSITIVE_INFINITY : concurrency

const namesIn = ({ states }: Replayed, ...wanted: ReadonlyArray<State>): ReadonlyArray<string> =>
  Array.from(states).filter(([, state]) => wanted.includes(state)).map(([name]) => name).toSorted()

const sorted = (names: ReadonlyArray<string>): ReadonlyArray<string> => names.toSorted()

/** The result of a run, or the failure that it failed with. */
const resultOf = (exit: Exit.Exit<unknown, unknown>): Result => {
  if (Exit.isSuccess(exit)) return exit.value as Result
  const error = Cause.squash(exit.cause)
  assert.instanceOf(error, RunResult.StageFailed, Cause.pretty(exit.cause))
  return error as Result
}

const checkOutputs = (outputs: Partial<Outputs>, modelled: ReadonlyArray<Modelled>, replayed: Replayed) => {
  assert.deepStrictEqual(sorted(Object.keys(outputs)), namesIn(replayed, "ok", "skipped"))
  for (const { fate, spec: { name } } of modelled) {
    const output = Object.hasOwn(outputs, name) ? outputs[name] : undefined
    if (output?._tag === "Ok") {
      assert(fate._tag === "Ok")
      assert.deepStrictEqual(output.data, fate.data ?? {}, `data of ${name}`)
      assert.isTrue(Object.isFrozen(output.data))
    }
    if (output?._tag === "Skip") {
      assert(fate._tag === "Skip")
      assert.deepStrictEqual([output.reason, output.origin], [fate.reason, fate.origin])
    }
  }
}

const errorName = (error: unknown): string => {
  const { _tag, reason } = error as { readonly _tag: string; readonly reason?: { readonly _tag: string } }
  return _tag === "StageFault" ? reason?._tag ?? "" : _tag
}

const failedFate = (modelled: ReadonlyArray<Modelled>, name: string) => {
  const one = modelled.find(({ spec }) => spec.name === name)
  assert(one?.fate._tag === "Failed", `${name} has failed`)
  return { error: one.fate.error, attempts: one.runs ? 1 : 0 }
}

const checkLeftBehind = (
  result: { readonly interrupted: ReadonlyArray<string>; readonly neverStarted: ReadonlyArray<string> } & {
    readonly abandoned: ReadonlyArray<string>
  },
  replayed: Replayed
) => {
  assert.deepStrictEqual(sorted(result.interrupted), namesIn(replayed, "interrupted"))
  assert.deepStrictEqual(sorted(result.neverStarted), namesIn(replayed, "waiting"))
  assert.deepStrictEqual(result.abandoned, [])
}

/** The result says what the events say, and what the model says. */
const checkResult = (result: Result, modelled: ReadonlyArray<Modelled>, replayed: Replayed, running: Running) => {
  checkOutputs(result.outputs, modelled, replayed)
  assert.strictEqual(result.durationMs, replayed.endedRunAt)
  assert.deepStrictEqual(
    sorted(result.bag.entries.map(({ stage }) => stage)),
    sorted(Array.from(replayed.startedAt.keys()))
  )
  for (const [name, startedMs] of replayed.startedAt) {
    const entries = OutputBag.attempts(result.bag, name)
    assert.deepStrictEqual(entries.map((entry) => [entry.startedMs, entry.endedMs]), [
      [startedMs, replayed.endedAt.get(name)]
    ])
  }
  switch (result._tag) {
    case "Completed":
      assert.deepStrictEqual(namesIn(replayed, "ok", "skipped").length, modelled.length)
      break
    case "Cancelled":
      assert.strictEqual(result.by, replayed.stopper?.name)
      assert.strictEqual(result.reason, `enough for ${result.by}`)
      checkLeftBehind(result, replayed)
      break
    case "StageFailed": {
      assert.strictEqual(running.failure, "fail-fast")
      assert.strictEqual(result.stage, replayed.stopper?.name)
      const { attempts, error } = failedFate(modelled, result.stage)
      assert.strictEqual(errorName(result.error), error)
      assert.strictEqual(result.attempts, attempts)
      assert.isAbove(result.cause.reasons.length, 0)
      checkLeftBehind(result, replayed)
      break
    }
    case "Incomplete": {
      assert.strictEqual(running.failure, "continue")
      assert.deepStrictEqual(sorted(result.ok), namesIn(replayed, "ok"))
      assert.deepStrictEqual(sorted(result.skipped), namesIn(replayed, "skipped"))
      assert.deepStrictEqual(sorted(result.failed), namesIn(replayed, "failed"))
      assert.deepStrictEqual(sorted(result.blocked), namesIn(replayed, "blocked"))
      const all = [...result.ok, ...result.skipped, ...result.failed, ...result.blocked]
      assert.deepStrictEqual(sorted(all), sorted(modelled.map(({ spec }) => spec.name)))
      assert.deepStrictEqual(result.failures.map(({ stage }) => stage), result.failed)
      for (const { attempts, error, stage } of result.failures) {
        assert.deepStrictEqual({ error: errorName(error), attempts }, failedFate(modelled, stage))
      }
      break
    }
  }
}

const endedStates: Readonly<Record<string, State>> = {
  Ok: "ok",
  Skip: "skipped",
  Cancel: "cancelled",
  Failed: "failed",
  Blocked: "blocked"
}

/** With no limit everything happens exactly when the model says; in the instant of the stop both orders are right. */
const checkTimes = (modelled: ReadonlyArray<Modelled>, replayed: Replayed, { failure }: Running) => {
  const stopAt = Math.min(...modelled.filter(({ fate }) => stops(fate, failure)).map(({ endsAt }) => endsAt))
  assert.strictEqual(replayed.stopper?.at ?? Number.POSITIVE_INFINITY, stopAt)
  for (const { endsAt, fate, runs, spec: { name }, startsAt } of modelled) {
    const state = replayed.states.get(name)
    if (endsAt < stopAt) {
      assert.strictEqual(state, endedStates[fate._tag], name)
      assert.strictEqual(replayed.endedAt.get(name), endsAt)
      if (runs) assert.strictEqual(replayed.startedAt.get(name), startsAt)
    } else if (startsAt > stopAt) {
      assert.strictEqual(state, "waiting", name)
    } else if (startsAt < stopAt && endsAt > stopAt) {
      assert.strictEqual(state, "interrupted", name)
    }
  }
}

const checkAccount = (account: Account, started: ReadonlyArray<string>, limit: number) => {
  assert.deepStrictEqual(sorted(account.begun), sorted(started), "the bodies that ran are the stages that started")
  assert.deepStrictEqual(sorted(account.finalized), sorted(account.begun), "every finalizer ran, once")
  assert.strictEqual(account.running, 0)
  assert.isAtMost(account.most, limit)
}

const simulate = (graph: Graph, running: Running) =>
  Effect.gen(function*() {
    const account = new Account()
    const pipeline = yield* pipelineOf(graph, running.declared, account)
    const { concurrency, failure, seed } = running
    const simulated = yield* Simulation.run(pipeline, Snapshot.make(), { concurrency, failure, seed })
    return { account, simulated }
  })

/** What does not depend on who came first: how every stage ended, and with what. */
const essence = (result: Result) => ({
  tag: result._tag,
  outputs: Object.entries(result.outputs as Outputs).map(([name, output]) => [
    name,
    output._tag,
    output.data,
    output._tag === "Ok" ? undefined : output.reason
  ]).toSorted(([a], [b]) => String(a).localeCompare(String(b))),
  failures: result._tag === "Incomplete"
    ? result.failures.map(({ error, stage }) => [stage, errorName(error)]).toSorted()
    : [],
  blocked: result._tag === "Incomplete" ? result.blocked.toSorted() : []
})

const options = { arbitrary: { runs: 300, size: 40, maxShrinks: 2000 } }

describe("random graphs against the model", () => {
  it.effect.prop(
    "outcomes, order, conditions, limits, interruption, events and results are what the model says",
    [graphs, runnings],
    ([graph, running]) =>
      Effect.gen(function*() {
        const { account, simulated: { events, exit, started } } = yield* simulate(graph, running)
        const modelled = model(graph, running.failure)
        const limit = limitOf(running)
        const replayed = replay(events, modelled, { concurrency: limit, failure: running.failure })
        checkResult(resultOf(exit), modelled, replayed, running)
        checkAccount(account, started, limit)
        if (running.concurrency === "unbounded") checkTimes(modelled, replayed, running)
      }),
    options
  )

  it.effect.prop(
    "a run that no stage ends depends on no seed, no limit and no order of declaration",
    [graphs, runnings, runnings],
    ([graph, running, other]) =>
      Effect.gen(function*() {
        const { failure } = running
        if (model(graph, failure).some(({ fate }) => stops(fate, failure))) return
        const first = yield* simulate(graph, running)
        const second = yield* simulate(graph, { ...other, failure })
        assert.deepStrictEqual(essence(resultOf(second.simulated.exit)), essence(resultOf(first.simulated.exit)))
      }),
    options
  )

  it.effect.prop(
    "the same seed gives the same events",
    [graphs, runnings],
    ([graph, running]) =>
      Effect.gen(function*() {
        const { simulated: first } = yield* simulate(graph, running)
        const { simulated: second } = yield* simulate(graph, running)
        assert.deepStrictEqual(second.events, first.events)
      }),
    options
  )

  it.effect.prop(
    "a run that is ended from outside: everything in flight is interrupted, nothing starts any more",
    [
      graphs,
      runnings,
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })),
      Schema.Literals(["cancel", "interrupt", "timeout"])
    ],
    ([graph, running, at, how]) =>
      Effect.gen(function*() {
        const account = new Account()
        const pipeline = yield* pipelineOf(graph, running.declared, account)
        const { concurrency, failure, seed } = running
        // Half a millisecond between the stages' ends: which of two things in one instant is first is another question.
        const moment = Effect.sleep(at + 0.5)
        const started = { concurrency, failure } as const
        const program = Effect.scoped(Effect.gen(function*() {
          if (how === "timeout") {
            return yield* Effect.exit(
              Effect.timeoutOption(Pipeline.run(pipeline, Snapshot.make(), started), at + 0.5)
            )
          }
          if (how === "cancel") {
            const run = yield* Pipeline.start(pipeline, Snapshot.make(), started)
            yield* moment
            yield* run.cancel("enough from outside")
            return yield* Effect.exit(run.await)
          }
          const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), started), {
            startImmediately: true
          })
          yield* moment
          yield* Fiber.interrupt(fiber)
          return yield* Fiber.await(fiber)
        }))
        const simulated = yield* Simulation.simulate(program, { seed })
        const modelled = model(graph, failure)
        const limit = limitOf(running)
        const replayed = replay(simulated.events, modelled, { concurrency: limit, failure }, { at: at + 0.5 })
        checkAccount(account, simulated.started, limit)
        const last = simulated.events.at(-1)
        assert(last !== undefined)
        const isStopped = last._tag === "RunInterrupted" || (last._tag === "RunCancelled" && last.by === undefined)
        if (isStopped) {
          assert.strictEqual(last._tag, how === "cancel" ? "RunCancelled" : "RunInterrupted")
          assert.isUndefined(replayed.stopper)
          const result = yield* simulated.exit
          if (how === "cancel") {
            const cancelled = resultOf(result as Exit.Exit<unknown, unknown>)
            assert(cancelled._tag === "Cancelled")
            assert.isUndefined(cancelled.by)
            checkLeftBehind(cancelled, replayed)
            checkOutputs(cancelled.outputs, modelled, replayed)
          }
        } else {
          assert.isAtMost(replayed.stopper?.at ?? replayed.endedRunAt, at + 0.5)
        }
      }),
    options
  )
})

describe("what is generated", () => {
  it.effect("covers what it is to cover", () =>
    Effect.gen(function*() {
      const samples = yield* Arbitrary.sampleEffect(Arbitrary.all([graphs, runnings]), {
        count: 400,
        size: 40,
        seed: 1
      })
      const seen = new Map<string, number>()
      const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
      let largest = 0
      for (const [graph, running] of samples) {
        largest = Math.max(largest, graph.stages.length)
        const modelled = model(graph, running.failure)
        for (const one of modelled) count(`${one.fate._tag}${one.runs ? "" : " without running"}`)
        count(modelled.some(({ fate }) => stops(fate, running.failure)) ? "stops" : "goes to its end")
        count(running.failure)
        count(running.concurrency === "unbounded" ? "unbounded" : "limited")
        if (modelled.some(({ fate }) => fate._tag === "Failed" && running.failure === "continue")) count("incomplete")
      }
      assert.isAtLeast(largest, 30)
      for (
        const what of [
          "Ok",
          "Skip",
          "Skip without running",
          "Cancel",
          "Failed",
          "Failed without running",
          "Blocked without running",
          "Never without running",
          "stops",
          "goes to its end",
          "fail-fast",
          "continue",
          "unbounded",
          "limited",
          "incomplete"
        ]
      ) {
        assert.isAtLeast(seen.get(what) ?? 0, 20, what)
      }
      assert.deepStrictEqual(shuffled([1, 2, 3, 4], 7).toSorted(), [1, 2, 3, 4])
    }))
})
