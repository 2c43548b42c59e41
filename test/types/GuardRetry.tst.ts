/** The types of stages that draft until their guards accept: what they take, give, need and can fail with. */
import { Context, Effect, Schema } from "effect"
import { Pipeline, Stage, type StageError, StageOutput } from "stageflow"
import { GuardRetry } from "stageflow/control"
import * as Guards from "stageflow/guards"
import { rateLimit, type RateLimited } from "stageflow/interceptors"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Llm extends Context.Service<Llm, { readonly write: Effect.Effect<string, Down> }>()("app/Llm") {}

interface Draft {
  readonly text: string
}
interface Question {
  readonly question: { readonly text: string }
}
const draft = Effect.fnUntraced(
  function*(_: Question & { readonly revision: GuardRetry.Revision<Draft, string | number> }) {
    return { text: yield* (yield* Llm).write }
  }
)
const brief = (draft: Draft) => Effect.succeed(draft.text === "" ? GuardRetry.accept : GuardRetry.reject("long"))
const odd = Stage.guard("odd", {
  run: (draft: Draft) => Effect.succeed(draft.text === "" ? GuardRetry.accept : GuardRetry.reject(draft.text.length))
})

describe("GuardRetry.stage", () => {
  const stage = GuardRetry.stage("answer", { draft, guards: { brief, odd } })

  test("takes what its draft takes besides the revision, and gives the draft", () => {
    expect<Stage.Input<typeof stage>>().type.toBe<Question>()
    expect<Stage.DataOf<typeof stage>>().type.toBe<{ text: string }>()
    expect<Stage.Signals<typeof stage>>().type.toBe<never>()
    const alone = GuardRetry.stage("answer", { draft: () => Effect.succeed({ text: "" }), guards: { brief } })
    expect<Stage.Input<typeof alone>>().type.toBe<unknown>()
  })

  test("needs and fails with what its draft and its guards do, and fails when no draft is accepted", () => {
    expect<Stage.Services<typeof stage>>().type.toBe<Llm>()
    type Judged = GuardRetry.Judged<"brief", string> | GuardRetry.Judged<"odd", number>
    expect<Stage.Error<typeof stage>>().type.toBe<
      Down | StageError.DepthExceeded | GuardRetry.NoDraftAccepted<{ text: string }, Judged>
    >()
    type Failure = Extract<Stage.Error<typeof stage>, GuardRetry.NoDraftAccepted<unknown, unknown>>
    expect<Failure["feedback"][number]>().type.toBe<
      GuardRetry.FeedbackOf<"brief", string> | GuardRetry.FeedbackOf<"odd", number>
    >()
  })

  test("gives what `output` gives", () => {
    const whole = GuardRetry.stage("answer", {
      draft,
      guards: { brief },
      output: ({ attempt, draft, history }) =>
        attempt === 1
          ? StageOutput.skip("soon")
          : { text: draft.text, guards: history.map((h) => h.verdicts[0]?.guard) }
    })
    expect<Stage.DataOf<typeof whole>>().type.toBe<{ text: string; guards: Array<"brief"> }>()
    expect<Stage.Signals<typeof whole>>().type.toBe<"skip">()
  })

  test("may skip or cancel when its draft or a guard may", () => {
    const stage = GuardRetry.stage("answer", {
      draft: () => Effect.succeed(StageOutput.skip("nothing") as StageOutput.Skip | StageOutput.Ok<Draft>),
      guards: { words: GuardRetry.fromGuard(Guards.contentFilter("words", { from: "input", words: ["no"] })) }
    })
    expect<Stage.Signals<typeof stage>>().type.toBe<"skip" | "cancel">()
  })

  test("tells guards what they judge", () => {
    GuardRetry.stage("answer", {
      draft,
      guards: {
        typed: (draft, { attempt, inputs }) => {
          expect(draft).type.toBe<{ text: string }>()
          expect(attempt).type.toBe<number>()
          expect(inputs).type.toBe<Question>()
          return Effect.succeed(GuardRetry.accept)
        }
      }
    })
  })
})

describe("GuardRetry.fromGuard", () => {
  test("says what the guard fails with, and what it would mask", () => {
    const guard = GuardRetry.fromGuard(Guards.personalData("pii", { from: "input", kinds: ["email"], action: "fail" }))
    expect<Stage.DataOf<typeof guard>>().type.toBe<
      GuardRetry.Verdict<
        Guards.TextMissing | Guards.PersonalDataFound | GuardRetry.Found<Guards.Finding.Finding<"email">>
      >
    >()
    expect<Stage.Error<typeof guard>>().type.toBe<never>()
  })

  test("leaves timeouts what they are", () => {
    const guard = GuardRetry.fromGuard(
      Stage.guard("tone", { run: (_: Draft) => Effect.fail(new Down()) }).pipe(Stage.timeout("1 second"))
    )
    expect<Stage.Error<typeof guard>>().type.toBe<StageError.StageTimeout>()
  })
})

describe("GuardRetry.fromGuard of guards that could say anything", () => {
  test("keeps verdicts, leaves errors of interceptors what they are, and takes no other data", () => {
    const no = Stage.guard("no", { run: (_: Draft) => Effect.succeed(GuardRetry.reject("no")) })
    const kept = GuardRetry.fromGuard(no)
    expect<Stage.DataOf<typeof kept>>().type.toBe<GuardRetry.Verdict<string>>()
    const limited = GuardRetry.fromGuard(no.pipe(Stage.intercept(rateLimit({ limit: 1, window: "1 second" }))))
    expect<Extract<Stage.Error<typeof limited>, RateLimited>>().type.toBe<RateLimited>()
    expect<Stage.DataOf<typeof limited>>().type.toBe<GuardRetry.Verdict<string>>()
    const silent = GuardRetry.fromGuard(Stage.guard("silent", { run: (_: Draft) => Effect.void }))
    expect<Stage.DataOf<typeof silent>>().type.toBe<GuardRetry.Verdict<never>>()
    expect(GuardRetry.fromGuard).type.not.toBeCallableWith(
      Stage.guard("odd", { run: (_: Draft) => Effect.succeed({ ok: false }) })
    )
  })
})

describe("GuardRetry.revision", () => {
  test("is the schema of what a draft is told", () => {
    const schema = GuardRetry.revision(Schema.Struct({ text: Schema.String }), Schema.String)
    expect<typeof schema.Type>().type.toBeAssignableTo<GuardRetry.Revision<Draft, string>>()
    expect<GuardRetry.Revision<Draft, string>>().type.toBeAssignableTo<typeof schema.Type>()
    const pipeline = Pipeline.make("writing", { input: Schema.Struct({ revision: schema }) })
      .transform("write", {
        inputs: ["input"],
        run: ({ input }) => Effect.succeed({ text: `${input.revision.attempt}` })
      })
      .returns((s) => s.write)
    const stage = GuardRetry.stage("answer", { draft: pipeline, guards: { brief } })
    expect<Stage.Input<typeof stage>>().type.toBe<unknown>()
    expect<Stage.DataOf<typeof stage>>().type.toBe<{ text: string }>()
  })
})
