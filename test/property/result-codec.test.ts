/**
 * Results of random graphs, whose stages give and fail with random things, through JSON and back: equal, or refused with
 * the path to what JSON cannot carry.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, Exit, Schema } from "effect"
import { Pipeline, ResultCodec, type RunResult, Snapshot, Stage, StageOutput } from "stageflow"
import { Simulation } from "stageflow/testing"
// Unlike chai's it tells prototypes, symbols and -0 apart.
import { deepStrictEqual } from "node:assert/strict"
import { type Graph, graphs, type Running, runnings, type StageSpec } from "./graph.ts"
import { Dice, plain, plainRecord, type Typed, typedError, typedRecord } from "./values.ts"

/** What a stage gives and fails with, and which of it has a schema. */
interface Contents {
  readonly output: Typed | undefined
  readonly error: Typed | undefined
  readonly dice: Dice
  readonly odd: boolean
}

const contentsOf = (seed: number, index: number): Contents => {
  const dice = new Dice(seed + 7_919 * index)
  const odd = seed % 2 === 0
  return {
    dice,
    odd,
    output: dice.roll(2) === 0 ? undefined : typedRecord(dice, odd),
    error: dice.roll(3) === 0 ? undefined : typedError(dice, odd)
  }
}

const details = ({ dice, odd }: Contents) => ({
  artifacts: dice.list(2, () => ({ type: "t", payload: plain(dice, odd) })),
  events: dice.list(2, () => ({ type: "t", data: plain(dice, odd) })),
  ...dice.pick([{}, { version: "2" }])
})

const endOf = (spec: StageSpec, contents: Contents): Effect.Effect<unknown, unknown> => {
  const { dice, error, odd, output } = contents
  const data = () => output === undefined ? plainRecord(dice, odd) : output.value as object
  const failure = () => error === undefined ? plain(dice, odd) : error.value
  const beside = () => ({ ...details(contents), data: plainRecord(dice, odd) })
  switch (spec.end) {
    case "ok":
    case "nothing":
      return Effect.sync(() => StageOutput.ok(data(), details(contents)))
    case "skip":
    case "yielded skip":
      return Effect.sync(() => StageOutput.skip("nothing", beside()))
    case "cancel":
      return Effect.sync(() => StageOutput.cancel("enough", beside()))
    case "fail":
      return Effect.suspend(() => Effect.fail(failure()))
    case "returned fail":
      return Effect.sync(() => StageOutput.fail(failure(), beside()))
    case "die":
      return Effect.die(`defect of ${spec.name}`)
    case "retry":
      return Effect.succeed(StageOutput.retry("again"))
    case "interrupt itself":
      return Effect.interrupt
    case "invalid":
      return Effect.succeed("no output")
  }
}

const pipelineOf = (graph: Graph, seed: number) =>
  Pipeline.fromSpecs(
    "random",
    graph.stages.map((spec, index) => {
      const contents = contentsOf(seed, index)
      const name = (from: number) => (graph.stages[from] as StageSpec).name
      return {
        stage: Stage.work(spec.name, {
          // What it gives and fails with is as random as its schemas.
          run: Effect.andThen(Effect.sleep(spec.ms), endOf(spec, contents)) as Effect.Effect<object>,
          output: contents.output?.schema as never,
          error: contents.error?.schema as never
        }),
        inputs: spec.edges.filter(({ kind }) => kind === "data" || kind === "optional")
          .map(({ from, kind }) => `${name(from)}${kind === "optional" ? "?" : ""}`),
        after: spec.edges.map(({ from }) => name(from))
      }
    })
  )

type Result = RunResult.RunResult<unknown> | RunResult.StageFailed

const resultOf = (exit: Exit.Exit<unknown, unknown>): Result =>
  (Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause)) as Result

/** A cause without what a result does not keep of it: stack traces and spans. */
const reasonsOf = ({ reasons }: Cause.Cause<unknown>) =>
  reasons.map((reason) => {
    switch (reason._tag) {
      case "Fail":
        return { _tag: reason._tag, error: reason.error }
      case "Die":
        return { _tag: reason._tag, defect: reason.defect }
      case "Interrupt":
        return { _tag: reason._tag, fiberId: reason.fiberId }
    }
  })

/** Everything in a result, in objects that can be compared. */
const shown = (result: Result) => {
  const { bag, ...fields } = { ...result }
  const failures = "failures" in result
    ? result.failures.map(({ cause, ...failure }) => ({ ...failure, cause: reasonsOf(cause) }))
    : []
  return {
    ...fields,
    ...(result._tag === "StageFailed" ? { message: result.message, cause: reasonsOf(result.cause) } : {}),
    failures,
    entries: bag.entries
  }
}

const roundTrip = (graph: Graph, running: Running) =>
  Effect.gen(function*() {
    const { concurrency, failure, seed } = running
    const pipeline = yield* pipelineOf(graph, seed)
    const { exit } = yield* Simulation.run(pipeline, Snapshot.make({ userId: "u" }), { concurrency, failure, seed })
    const result = resultOf(exit)
    const json = yield* Effect.result(ResultCodec.encode(pipeline, result as never))
    if (json._tag === "Failure") return { pipeline, result, refused: json.failure }
    const text = JSON.stringify(json.success)
    const back = (yield* ResultCodec.decode(pipeline, JSON.parse(text))) as Result
    const again = yield* ResultCodec.encode(pipeline, back as never)
    return { pipeline, result, back, text, again: JSON.stringify(again) }
  })

/** The same JSON with one thing in it gone, or another. */
const tampered = (json: unknown, dice: Dice): unknown => {
  const places: Array<readonly [container: object, key: string]> = []
  const visit = (value: unknown) => {
    if (typeof value !== "object" || value === null) return
    for (const key of Object.keys(value)) {
      places.push([value, key])
      visit(Reflect.get(value, key))
    }
  }
  visit(json)
  const [container, key] = dice.pick(places)
  const [other, otherKey] = dice.pick(places)
  switch (dice.roll(4)) {
    case 0:
      Reflect.deleteProperty(container, key)
      break
    case 1:
      Reflect.set(container, key, structuredClone(Reflect.get(other, otherKey)))
      break
    case 2:
      Reflect.set(container, dice.pick(["nobody", "__proto__", otherKey]), Reflect.get(container, key))
      break
    default:
      Reflect.set(
        container,
        key,
        dice.pick([null, "x", -1, {}, [], { "~": "undefined" }, { "~": "bare", of: {} }, true])
      )
  }
  return json
}

const options = { arbitrary: { runs: 300, size: 20, maxShrinks: 500 } }

describe("results of random graphs", () => {
  it.effect.prop(
    "come back equal, or are refused with the path to what JSON cannot carry",
    [graphs, runnings],
    ([graph, running]) =>
      Effect.gen(function*() {
        const { again, back, refused, result, text } = yield* roundTrip(graph, running)
        if (refused !== undefined) {
          assert(refused instanceof ResultCodec.ResultInvalid)
          assert.strictEqual(refused.code, "RESULT_NOT_ENCODABLE")
          for (const { path } of refused.problems) {
            // Nothing but what stages gave and failed with is ever refused.
            assert.match(path.join("."), /^result\.(outputs|bag\.entries|failures|error|cause|data)/, refused.message)
          }
          return
        }
        deepStrictEqual(shown(back), shown(result))
        assert.strictEqual(again, text)
      }),
    options
  )

  it.effect.prop(
    "tampered with anywhere are refused, or are results that can be read to their end",
    [graphs, runnings, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))],
    ([graph, running, seed]) =>
      Effect.gen(function*() {
        const { pipeline, text } = yield* roundTrip(graph, { ...running, seed: running.seed | 1 })
        if (text === undefined) return
        const json = tampered(JSON.parse(text), new Dice(seed))
        const decoded = yield* Effect.result(ResultCodec.decode(pipeline, json))
        if (decoded._tag === "Failure") {
          assert(decoded.failure instanceof ResultCodec.ResultInvalid)
          assert.isNotEmpty(decoded.failure.problems)
          return
        }
        const result = decoded.success as Result
        // An output that is none would crash whoever looks at it.
        for (const { end } of result.bag.entries) {
          if (end._tag === "Settled") assert.isTrue(StageOutput.isStageOutput(end.output))
        }
        for (const output of Object.values(result.outputs as object)) assert.isTrue(StageOutput.isStageOutput(output))
        assert.isString(JSON.stringify(yield* ResultCodec.encode(pipeline, result as never)))
      }),
    options
  )

  it.effect("are of every kind, equal and refused", () =>
    Effect.gen(function*() {
      const samples = yield* Arbitrary.sampleEffect(Arbitrary.all([graphs, runnings]), {
        count: 300,
        size: 20,
        seed: 3
      })
      const seen: Record<string, number> = {}
      for (const [graph, running] of samples) {
        const { refused, result } = yield* roundTrip(graph, running)
        const what = `${result._tag} ${refused === undefined ? "equal" : "refused"}`
        seen[what] = (seen[what] ?? 0) + 1
      }
      for (const tag of ["Completed", "Cancelled", "Incomplete", "StageFailed"]) {
        assert.isAtLeast(seen[`${tag} equal`] ?? 0, 10, tag)
        assert.isAtLeast(seen[`${tag} refused`] ?? 0, 2, tag)
      }
    }))
})
