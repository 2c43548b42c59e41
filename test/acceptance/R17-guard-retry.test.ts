/**
 * A guard retry shows nobody a rejected draft, and whatever is no verdict accepts nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  EventSink,
  Interceptor,
  Pipeline,
  Run,
  Snapshot,
  Stage,
  StageContext,
  StageError,
  StageOutput
} from "stageflow"
import { GuardRetry, Subpipeline } from "stageflow/control"
import * as Guards from "stageflow/guards"
import * as Interceptors from "stageflow/interceptors"
import { announced } from "../support/announced.ts"

interface Draft {
  readonly text: string
}
type Revision = GuardRetry.Revision<Draft>

class JudgeDown extends Schema.TaggedError<JudgeDown>()("JudgeDown", {}) {}

/** Runs an Effect while the clock goes on. */
const during = <A, E, R>(effect: Effect.Effect<A, E, R>, time: "2 minutes") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const noted = ({ revision }: { readonly revision: Revision }) => Effect.succeed({ text: `draft ${revision.attempt}` })
const onlyThird = (draft: Draft) =>
  Effect.succeed(draft.text === "draft 3" ? GuardRetry.accept : GuardRetry.reject(`Not ${draft.text}`))

describe("R17 a guard retry shows nobody a rejected draft", () => {
  it.effect("its readers start when a draft was accepted, and get that one and nothing else", () =>
    Effect.gen(function*() {
      const read: Array<unknown> = []
      const pipeline = Pipeline.make("p")
        .add(GuardRetry.stage("answer", { draft: noted, guards: { third: onlyThird } }))
        .add(
          Stage.work("send", {
            run: (inputs: { readonly answer: Draft }) =>
              Effect.gen(function*() {
                const { inputs: untyped } = yield* StageContext.StageContext
                read.push(inputs, yield* untyped.getOutput("answer"))
              })
          }),
          { inputs: ["answer"] }
        )
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.answer.data, { text: "draft 3" })
      assert.strictEqual(read.length, 2)
      assert.deepStrictEqual(read[0], { answer: { text: "draft 3" } })
      assert.notMatch(JSON.stringify(read), /draft [12]/)
      assert.notMatch(JSON.stringify(result), /draft [12]/)
    }))

  it.effect("and neither do its events, which tell every attempt and every verdict", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(
        GuardRetry.stage("answer", {
          draft: noted,
          guards: { third: onlyThird, any: () => Effect.succeed(GuardRetry.accept) }
        })
      )
      yield* Pipeline.run(pipeline, Snapshot.make())
      const events = yield* (yield* EventSink.Memory).events
      const attempt = (draft: number) => ({ _tag: "DraftStarted", draft, of: 3 })
      const verdict = (draft: number, guard: string, accepted: boolean) => ({
        _tag: "GuardVerdict",
        guard,
        verdict: accepted ? "accepted" : "rejected",
        draft
      })
      assert.deepStrictEqual(announced(events), [
        ...[1, 2].flatMap((n) => [attempt(n), verdict(n, "third", false), verdict(n, "any", true)]),
        attempt(3),
        verdict(3, "third", true),
        verdict(3, "any", true),
        { _tag: "GuardRetryEnded", drafts: 3, ended: "accepted" }
      ])
      assert.notMatch(JSON.stringify(events), /draft [123]/)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("what was added for a rejected draft is dropped with it", () =>
    Effect.gen(function*() {
      const draft = ({ revision }: { readonly revision: Revision }) =>
        Effect.gen(function*() {
          yield* StageContext.addArtifact({ type: "chart", payload: revision.attempt })
          const artifacts = [{ type: "picture", payload: revision.attempt }]
          return StageOutput.ok({ text: `draft ${revision.attempt}` }, { artifacts })
        })
      const asStage = Stage.transform("draft", { run: draft })
      for (const [body, kept] of [[draft, ["chart", "picture"]], [asStage, ["picture", "chart"]]] as const) {
        const pipeline = Pipeline.make("p").add(
          GuardRetry.stage("answer", { draft: body as typeof draft, guards: { third: onlyThird } })
        )
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual(
          outputs.answer.artifacts.map(({ type }) => type).toSorted(),
          kept.toSorted()
        )
        assert.deepStrictEqual(outputs.answer.artifacts.map(({ payload }) => payload), [3, 3])
      }
    }))

  const neverAccepted: Record<string, { readonly guard: Effect.Effect<unknown, unknown>; readonly draft?: string }> = {
    "another guard skips": { guard: Effect.succeed(StageOutput.skip("nothing to say")) },
    "another guard fails": { guard: Effect.fail(new JudgeDown()) },
    "another guard dies": { guard: Effect.die(new Error("boom")) },
    "another guard cancels": { guard: Effect.succeed(StageOutput.cancel("spam")) },
    "the deadline passes": { guard: Effect.never },
    "it is the last attempt": { guard: Effect.succeed(GuardRetry.accept) },
    "the draft comes again": { guard: Effect.succeed(GuardRetry.accept), draft: "same" }
  }
  for (const [how, { draft: same, guard }] of Object.entries(neverAccepted)) {
    it.effect(`what was added for a draft that was never accepted is nowhere to be seen: ${how}`, () =>
      Effect.gen(function*() {
        const stage = GuardRetry.stage("answer", {
          draft: ({ revision }: { readonly revision: Revision }) =>
            Effect.as(StageContext.addArtifact({ type: "chart", payload: "SECRET" }), {
              text: same ?? `draft ${revision.attempt}`
            }),
          guards: {
            no: () => Effect.succeed(GuardRetry.reject("no")),
            other: () => Effect.andThen(Effect.sleep("1 second"), guard) as Effect.Effect<GuardRetry.Verdict>
          },
          deadline: "1 minute"
        })
        const exit = yield* during(
          Effect.exit(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())),
          "2 minutes"
        )
        const events = yield* (yield* EventSink.Memory).events
        assert.notInclude(JSON.stringify([exit, events]), "SECRET")
      }).pipe(Effect.provide(EventSink.layerMemory)))
  }

  it.effect("a guard cannot change the draft that others judge and that is accepted", () =>
    Effect.gen(function*() {
      const draft = { text: "mine", notes: { tone: "kind" } }
      const seen: Array<string> = []
      const pipeline = Pipeline.make("p").add(GuardRetry.stage("answer", {
        draft: () => Effect.succeed(draft),
        guards: {
          vandal: (given) =>
            Effect.sync(() => {
              Reflect.set(given.notes, "tone", "rude")
              return GuardRetry.accept
            }),
          reader: (given) =>
            Effect.sync(() => {
              seen.push(given.notes.tone)
              return GuardRetry.accept
            })
        }
      }))
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      draft.notes.tone = "changed"
      assert.deepStrictEqual(seen, ["kind"])
      assert.strictEqual(outputs.answer.data.notes.tone, "kind")
    }))
})

describe("R17 a guard retry fails closed", () => {
  const withGuard = <G extends GuardRetry.GuardBody<Draft, unknown>>(guard: G) =>
    Pipeline.make("p").add(GuardRetry.stage("answer", {
      draft: () => Effect.succeed({ text: "a" }),
      guards: { good: () => Effect.succeed(GuardRetry.accept), guard }
    }))
  const failed = (pipeline: Pipeline.Any) =>
    Effect.flip(
      Pipeline.run(
        pipeline as Pipeline.Pipeline<Pipeline.Node<"answer", Draft, never, unknown, never>>,
        Snapshot.make()
      )
    )

  it.effect("a guard that fails, dies or takes too long is no accept", () =>
    Effect.gen(function*() {
      const down = withGuard(() => Effect.fail(new JudgeDown()))
      assert.instanceOf((yield* failed(down)).error, JudgeDown)
      const dead = withGuard(() => Effect.die(new Error("boom")))
      assert.instanceOf((yield* failed(dead)).error, StageError.StageFault)
      const thrown = withGuard((): Effect.Effect<GuardRetry.Verdict> => {
        throw new Error("boom")
      })
      assert.instanceOf((yield* failed(thrown)).error, StageError.StageFault)
      const slow = Stage.guard("slow", {
        run: (_: Draft) => Effect.as(Effect.sleep("1 minute"), GuardRetry.accept)
      }).pipe(Stage.timeout("1 second"))
      const late = yield* Effect.forkChild(failed(withGuard(slow)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.instanceOf((yield* Fiber.join(late)).error, StageError.StageTimeout)
    }))

  it.effect("what is no verdict is no accept", () =>
    Effect.gen(function*() {
      for (const given of [undefined, true, {}, { _tag: "Reject" }, { _tag: "accept" }, [GuardRetry.accept], null]) {
        const { error } = yield* failed(withGuard(() => Effect.succeed(given) as Effect.Effect<GuardRetry.Verdict>))
        assert(error instanceof StageError.StageFault && error.reason._tag === "InvalidOutput")
        assert.match(error.message, /guards\.guard: Expected a verdict, GuardRetry\.accept or .*, got /)
      }
    }))

  it("guards that nobody would see are rejected with the others, and not left out", () => {
    class Checks {
      readonly kind = () => Effect.succeed(GuardRetry.accept)
      strict() {
        return Effect.succeed(GuardRetry.reject("no"))
      }
    }
    const accepting = { kind: () => Effect.succeed(GuardRetry.accept) }
    const strict = () => Effect.succeed(GuardRetry.reject("no"))
    const hiding: ReadonlyArray<Record<string, unknown>> = [
      Object.assign(Object.create({ strict }) as object, accepting),
      Object.assign(Object.create(Object.assign(Object.create(null) as object, { strict })) as object, accepting),
      Object.defineProperty({ ...accepting }, "strict", { value: strict }),
      { ...accepting, [Symbol("strict")]: strict } as never,
      new Checks() as never
    ]
    for (const guards of hiding) {
      const make = () => GuardRetry.stage("answer", { draft: noted, guards: guards as typeof accepting })
      assert.throws(make, /Invalid option "guards".*strict/)
    }
    const withoutPrototype = Object.assign(Object.create(null) as object, accepting) as typeof accepting
    for (const guards of [accepting, withoutPrototype]) GuardRetry.stage("answer", { draft: noted, guards })
  })

  it.effect("a draft that is no data fails where it is made, and is judged by nobody", () =>
    Effect.gen(function*() {
      let judged = 0
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.succeed(5 as unknown as Draft),
        guards: {
          any: () =>
            Effect.sync(() => {
              judged++
              return GuardRetry.accept
            })
        }
      })
      const { error } = yield* failed(Pipeline.make("p").add(stage))
      assert.match((error as Error).message, /draft: Expected an object, got a number/)
      assert.strictEqual(judged, 0)
    }))

  it.effect("a guard that is skipped skips the stage, and one that cancels cancels the run", () =>
    Effect.gen(function*() {
      const bodies = (output: StageOutput.Skip | StageOutput.Cancel) => {
        const stage = Stage.guard("inner", { run: (_: Draft) => Effect.succeed(output) })
        const pipeline = Pipeline.make("inner", { input: Schema.Struct({ text: Schema.String }) })
          .guard("inner", { inputs: ["input"], run: () => Effect.succeed(output) })
          .returns((s) => s.inner.option)
        return [() => Effect.succeed(output), () => output, stage, ...(output._tag === "Cancel" ? [pipeline] : [])]
      }
      for (const body of bodies(StageOutput.skip("nothing to check", { data: { why: 1 } }))) {
        const result = yield* Pipeline.run(withGuard(body as () => Effect.Effect<StageOutput.Skip>), Snapshot.make())
        assert(result.outputs.answer._tag === "Skip")
        assert.strictEqual(result.outputs.answer.reason, "nothing to check")
      }
      for (const body of bodies(StageOutput.cancel("spam", { data: { why: 1 } }))) {
        const result = yield* Pipeline.run(withGuard(body as () => Effect.Effect<StageOutput.Cancel>), Snapshot.make())
        assert(result._tag === "Cancelled")
        assert.deepStrictEqual([result.reason, result.data], ["spam", { why: 1 }])
      }
    }))

  it.effect("the other guards are interrupted then, and waited for", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.succeed({ text: "a" }),
        guards: {
          slow: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push("slow"))),
          down: () => Effect.andThen(Effect.yieldNow, Effect.fail(new JudgeDown()))
        }
      })
      assert.instanceOf((yield* failed(Pipeline.make("p").add(stage))).error, JudgeDown)
      assert.deepStrictEqual(log, ["slow"])
    }))

  it.effect("nothing stands in for a draft that guards rejected", () =>
    Effect.gen(function*() {
      let drafts = 0
      const rejected = GuardRetry.stage("answer", {
        draft: () => Effect.sync(() => ({ text: `draft ${++drafts}` })),
        guards: { no: () => Effect.succeed(GuardRetry.reject("no")) },
        maxAttempts: 2
      })
      const around = rejected.pipe(
        Stage.retry({ schedule: Schedule.recurs(3) }),
        Interceptors.fallbackTo(() => Effect.succeed({ text: "fallback" }))
      )
      const { error } = yield* failed(Pipeline.make("p").add(around))
      assert.instanceOf(error, GuardRetry.NoDraftAccepted)
      assert.strictEqual(drafts, 2)
    }))

  it.effect("the error says nothing of the drafts", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.succeed({ text: "SECRET draft" }),
        guards: { no: (draft) => Effect.succeed(GuardRetry.reject(`SECRET: ${draft.text}`)) }
      })
      const failure = yield* failed(Pipeline.make("p").add(stage))
      assert.notInclude(`${failure.message} ${failure.error} ${JSON.stringify(failure.error)}`, "SECRET")
      const events = yield* (yield* EventSink.Memory).events
      assert.notInclude(JSON.stringify(events), "SECRET")
    }).pipe(Effect.provide(EventSink.layerMemory)))
})

describe("R17 the guards of stageflow/guards judge drafts", () => {
  const texts = ["Ask ada@example.com for the lottery", "Ask ada@example.com", "Ask Ada"]
  type Feedback = GuardRetry.FeedbackOf

  const told = <G extends Readonly<Record<string, GuardRetry.GuardBody<Draft, unknown>>>>(guards: G) =>
    Effect.gen(function*() {
      const feedback: Array<ReadonlyArray<Feedback>> = []
      const stage = GuardRetry.stage("answer", {
        draft: ({ revision }: { readonly revision: Revision }) =>
          Effect.sync(() => {
            feedback.push(revision.feedback)
            return { text: texts[revision.attempt - 1] ?? "" }
          }),
        guards
      } as never) as Stage.Stage<"answer", unknown, Draft, "cancel", unknown>
      const result = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      return { feedback, result }
    })

  it.effect("their errors are feedback, and so is what they would mask", () =>
    Effect.gen(function*() {
      const { feedback, result } = yield* told({
        pii: GuardRetry.fromGuard(Guards.personalData("pii", { from: "input", action: "fail" })),
        masks: GuardRetry.fromGuard(Guards.personalData("masks", { from: "input" })),
        words: GuardRetry.fromGuard(
          Guards.contentFilter("words", { from: "input", words: ["lottery"], action: "fail" })
        )
      })
      assert(result._tag === "Completed")
      assert.deepStrictEqual(result.outputs.answer.data, { text: "Ask Ada" })
      const kinds = feedback.map((all) =>
        all.map((
          { feedback, guard }
        ) => [guard, (feedback as { readonly findings: ReadonlyArray<unknown> }).findings.length])
      )
      assert.deepStrictEqual(kinds, [[], [["pii", 1], ["masks", 1], ["words", 1]], [["pii", 1], ["masks", 1]]])
      assert.instanceOf(feedback[1]?.[0]?.feedback, Guards.PersonalDataFound)
    }))

  it.effect("one that cancels cancels the run", () =>
    Effect.gen(function*() {
      const { result } = yield* told({
        words: GuardRetry.fromGuard(Guards.contentFilter("words", { from: "input", words: ["lottery"] }))
      })
      assert.strictEqual(result._tag, "Cancelled")
    }))

  it.effect("one that gives verdicts is not taken for one that has let pass", () =>
    Effect.gen(function*() {
      const pii = Guards.personalData("pii", { from: "input", action: "fail" })
      const verdicts = Stage.guard("verdicts", { run: (draft: Draft) => onlyThird(draft) })
      for (const guard of [GuardRetry.fromGuard(GuardRetry.fromGuard(pii)), GuardRetry.fromGuard(verdicts)]) {
        const failure = yield* Effect.flip(
          told({ guard, no: () => Effect.succeed(GuardRetry.accept) }).pipe(
            Effect.flatMap(({ feedback }) => Effect.fail(feedback.length))
          )
        )
        assert.notStrictEqual(failure, 1, "the first draft is no draft that it accepts")
      }
    }))

  it.effect("what one says that it found, and is no list, accepts nothing", () =>
    Effect.gen(function*() {
      for (const findings of [new Set(["a"]), "a", 3, { length: 1, 0: "a" }]) {
        // Without types: the compiler refuses such a guard.
        const odd = Stage.guard("odd", { run: (_: Draft) => Effect.succeed({ findings }) }) as unknown as Stage.Stage<
          "odd",
          Draft,
          { readonly findings: ReadonlyArray<string> }
        >
        const stage = GuardRetry.stage("answer", {
          draft: noted,
          guards: { odd: GuardRetry.fromGuard(odd) }
        })
        const { error } = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
        assert.instanceOf(error, StageError.StageFault)
      }
    }))

  it("what is no stage is rejected where it is given", () => {
    for (const given of [null, () => Effect.void, Pipeline.make("p")]) {
      assert.throws(() => GuardRetry.fromGuard(given as never), StageError.InvalidOption)
    }
  })

  it.effect("a denial or a timeout around one is no feedback", () =>
    Effect.gen(function*() {
      const slow = Stage.guard("slow", { run: (_: Draft) => Effect.never }).pipe(Stage.timeout("1 second"))
      const fiber = yield* Effect.forkChild(Effect.flip(told({ slow: GuardRetry.fromGuard(slow) })), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).error instanceof StageError.StageTimeout, true)
    }))
})

describe("R17 fromGuard fails closed", () => {
  class Found extends Schema.TaggedError<Found>()("Found", {}) {}
  const attemptsWith = (guard: unknown) => {
    let drafts = 0
    const stage = GuardRetry.stage("answer", {
      draft: () => Effect.sync(() => ({ text: `draft ${++drafts}` })),
      guards: { g: GuardRetry.fromGuard(guard as never) },
      maxAttempts: 2
    } as never) as Stage.Stage<"answer", unknown, Draft, never, unknown>
    return Effect.map(Effect.result(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())), (ended) => {
      if (ended._tag === "Success") return { drafts, error: undefined, feedback: undefined }
      const { error } = ended.failure as { readonly error: unknown }
      const feedback = error instanceof GuardRetry.NoDraftAccepted ? error.feedback[0]?.feedback : undefined
      return { drafts, error, feedback }
    })
  }
  const giving = (data: object) => Stage.guard("g", { run: () => Effect.succeed(data) })

  it.effect("a verdict stays what it is, however often it is made a guard of drafts", () =>
    Effect.gen(function*() {
      const no = giving(GuardRetry.reject("no"))
      assert.strictEqual((yield* attemptsWith(no)).feedback, "no")
      assert.strictEqual((yield* attemptsWith(GuardRetry.fromGuard(no as never))).feedback, "no")
      assert.strictEqual((yield* attemptsWith(giving(GuardRetry.accept))).error, undefined)
      const pii = Guards.personalData("pii", { from: "input", kinds: ["email"] })
      const twice = GuardRetry.fromGuard(GuardRetry.fromGuard(pii)).pipe(
        Stage.mapInput(() => ({ text: "ada@example.com" }))
      )
      assert.property((yield* attemptsWith(twice)).feedback, "findings")
    }))

  it.effect("findings that are no list, and data that could say no, accept nothing", () =>
    Effect.gen(function*() {
      for (
        const data of [
          { ok: false },
          { text: "masked" },
          { _tag: "Reject" },
          { findings: new Set([1]) },
          { findings: { length: 1, 0: "x" } },
          { findings: 3 },
          new Map([["verdict", "no"]])
        ]
      ) {
        const { drafts, error } = yield* attemptsWith(giving(data))
        assert.instanceOf(error, StageError.StageFault)
        assert.strictEqual(drafts, 1)
      }
      assert.strictEqual((yield* attemptsWith(giving({}))).error, undefined)
      assert.strictEqual((yield* attemptsWith(giving({ text: "as it is", findings: [] }))).error, undefined)
    }))

  it.effect("what is around the guard says nothing of the draft", () =>
    Effect.gen(function*() {
      const limited = Stage.guard("g", { run: Effect.fail(new Found()) }).pipe(
        Stage.intercept(Interceptors.rateLimit({ limit: 1, window: "1 hour" }))
      )
      const rated = yield* Effect.provide(attemptsWith(limited), Interceptors.RateLimits.layerMemory)
      assert.instanceOf(rated.error, Interceptors.RateLimited)
      assert.strictEqual(rated.drafts, 2)
      const large = yield* attemptsWith(
        giving({ findings: [], text: "long enough" }).pipe(Stage.intercept(Interceptors.outputSize({ maxBytes: 1 })))
      )
      assert.instanceOf(large.error, Interceptors.OutputTooLarge)
      assert.strictEqual(large.drafts, 1)
      const own = Interceptor.make({ name: "own", around: () => Effect.fail(new Found()) })
      const denied = yield* attemptsWith(giving({}).pipe(Stage.intercept(own)))
      assert.instanceOf(denied.error, Found)
      assert.strictEqual(denied.drafts, 1)
    }))

  it.effect("its own error is a rejection, also when it is tried again or is made another", () =>
    Effect.gen(function*() {
      class Other extends Schema.TaggedError<Other>()("Other", {}) {}
      const failing = Stage.guard("g", { run: Effect.fail(new Found()) })
      assert.instanceOf((yield* attemptsWith(failing)).feedback, Found)
      assert.instanceOf(
        (yield* attemptsWith(Stage.catch(failing, () => Effect.fail(new Other())))).feedback,
        Other
      )
    }))

  it("takes stages, and says so", () => {
    for (const given of [null, 5, () => Effect.void, GuardRetry.accept, Pipeline.make("p")]) {
      assert.throws(() => GuardRetry.fromGuard(given as never), StageError.InvalidOption)
    }
  })
})

describe("R5 guard retries under a limit", () => {
  const inner = Pipeline.make("draft", {
    input: Schema.Struct({ revision: GuardRetry.revision(Schema.Struct({ text: Schema.String }), Schema.Unknown) })
  })
    .transform("write", {
      inputs: ["input"],
      run: ({ input }) => Effect.as(Effect.yieldNow, { text: `draft ${input.revision.attempt}` })
    })
    .returns((s) => s.write)
  const judge = (name: string) =>
    Stage.guard(name, { run: (draft: Draft) => Effect.andThen(Effect.yieldNow, onlyThird(draft)) })
  const nested = GuardRetry.stage("answer", { draft: inner, guards: { one: judge("one"), two: judge("two") } })

  it.effect("a limit of 1 never waits for itself, with guard retries in sub-pipelines and side by side", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(nested).add(Stage.as(nested, "other"))
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child)).add(nested)
      for (const concurrency of [1, 2] as const) {
        const result = yield* Pipeline.run(parent, Snapshot.make(), { concurrency })
        assert.deepStrictEqual(result.outputs.answer.data, { text: "draft 3" })
        assert.deepStrictEqual(result.outputs.child.data.other, { text: "draft 3" })
      }
    }))

  it.effect("all guards judge at the same time, and all verdicts are in before the next draft", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const slow = (name: string, duration: "1 second" | "5 seconds") => (draft: Draft) =>
        Effect.gen(function*() {
          log.push(`${name} starts ${draft.text}`)
          yield* Effect.sleep(duration)
          log.push(`${name} ends ${draft.text}`)
          return yield* onlyThird(draft)
        })
      const stage = GuardRetry.stage("answer", {
        draft: ({ revision }: { readonly revision: Revision }) =>
          Effect.sync(() => {
            log.push(`draft ${revision.attempt}`)
            return { text: `draft ${revision.attempt}` }
          }),
        guards: { quick: slow("quick", "1 second"), slow: slow("slow", "5 seconds") }
      })
      const fiber = yield* Effect.forkChild(
        Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make(), { concurrency: 1 }),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust("15 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        log,
        ["draft 1", "draft 2", "draft 3"].flatMap((draft) => [
          draft,
          `quick starts ${draft}`,
          `slow starts ${draft}`,
          `quick ends ${draft}`,
          `slow ends ${draft}`
        ])
      )
    }))
})

describe("R19 a guard retry is interrupted whole", () => {
  for (const where of ["draft", "guard"] as const) {
    it.effect(`in its ${where}, as a stage of its own, and its finalizers are waited for`, () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const cleaningUp = yield* Deferred.make<void>()
        const log: Array<string> = []
        const waiting = Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
          Effect.onInterrupt(() =>
            Effect.gen(function*() {
              yield* Deferred.succeed(cleaningUp, undefined)
              yield* Effect.sleep("1 second")
              log.push("clean")
            })
          )
        )
        const stage = GuardRetry.stage("answer", {
          draft: Stage.transform("draft", {
            run: Effect.as(where === "draft" ? waiting : Effect.void, { text: "a" })
          }),
          guards: {
            guard: Stage.guard("guard", {
              run: (_: Draft) => Effect.as(where === "guard" ? waiting : Effect.void, GuardRetry.accept)
            })
          }
        })
        const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
        yield* Deferred.await(started)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
        yield* Deferred.await(cleaningUp)
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(interrupting.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(interrupting)
        assert.deepStrictEqual(log, ["clean"])
      }))
  }
})

describe("R30 drafts and guards in runs of their own", () => {
  it.effect("are counted by the depth limit, and belong to the run of the stage", () =>
    Effect.gen(function*() {
      const where = Stage.transform("where", {
        run: Effect.map(StageContext.StageContext, ({ lineage }) => ({ text: "draft 3", lineage }))
      })
      const pipeline = Pipeline.make("p").add(
        GuardRetry.stage("answer", { draft: where, guards: { third: onlyThird } })
      )
      const { lineage, outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(outputs.answer.data.lineage.parentRunId, lineage.runId)
      assert.strictEqual(outputs.answer.data.lineage.parentStage, "answer")
      const outer = Pipeline.make("outer").add(Subpipeline.stage("inner", pipeline))
      const tooDeep = yield* Effect.flip(Effect.provideService(Pipeline.run(outer, Snapshot.make()), Run.DepthLimit, 1))
      assert.match(tooDeep.message, /DepthExceeded/)
    }))
})
