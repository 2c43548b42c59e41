import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Event,
  EventSink,
  Interceptor,
  Pipeline,
  RunResult,
  Snapshot,
  Stage,
  StageContext,
  StageError,
  StageOutput
} from "stageflow"
import { Saga, Subpipeline } from "stageflow/control"

class Broken extends Schema.TaggedError<Broken>()("Broken", { what: Schema.String }) {
  override get message(): string {
    return `${this.what} is broken`
  }
}

/** What was done and taken back, in order. */
class Ledger {
  readonly lines: Array<string> = []

  /** A stage that does something, and says how that is taken back. */
  step<const Name extends string>(name: Name, body: Effect.Effect<unknown> = Effect.void) {
    return Stage.work(name, {
      run: Effect.map(body, () => {
        this.lines.push(name)
        return { id: name }
      })
    }).pipe(Saga.compensate(({ id }) => Effect.sync(() => void this.lines.push(`undo ${id}`))))
  }

  get undone(): ReadonlyArray<string> {
    return this.lines.filter((line) => line.startsWith("undo "))
  }
}

const broken = Stage.work("broken", { run: Effect.fail(new Broken({ what: "It" })) })
const saga = Pipeline.intercept(Saga.interceptor())

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

const paths = (items: ReadonlyArray<{ readonly path: ReadonlyArray<string> }> | undefined) =>
  items?.map(({ path }) => path.join(" > "))

describe("Saga", () => {
  it.effect("takes back what has completed, the last first, when a stage fails", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const pipeline = Pipeline.make("order")
        .add(ledger.step("one"))
        .add(ledger.step("two"), { after: ["one"] })
        .add(Stage.work("plain", { run: Effect.void }), { after: ["two"] })
        .add(broken, { after: ["plain"] })
        .add(ledger.step("never"), { after: ["broken"] })
        .pipe(saga)
      const failed = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(ledger.lines, ["one", "two", "undo two", "undo one"])
      assert.instanceOf(failed.error, Broken)
      const { compensation, lineage: { runId } } = failed
      assert.deepStrictEqual(compensation, {
        compensated: [
          { stage: "two", path: ["two"], runId, durationMs: 0 },
          { stage: "one", path: ["one"], runId, durationMs: 0 }
        ],
        failed: [],
        notReached: []
      })
    }))

  it.effect("takes nothing back of a run that completes, and nothing without a saga", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const steps = Pipeline.make("order").add(ledger.step("one")).add(ledger.step("two"), { after: ["one"] })
      const completed = yield* Pipeline.run(steps.pipe(saga), Snapshot.make())
      assert.strictEqual(completed._tag, "Completed")
      const failed = yield* failureOf(Pipeline.run(steps.add(broken, { after: ["two"] }), Snapshot.make()))
      assert.notProperty(failed, "compensation")
      assert.deepStrictEqual(ledger.undone, [])
    }))
})
