/** The types of compensations: what they are given, what their stages need, and what pipelines need for their saga. */
import { Context, Effect, Layer, Schema } from "effect"
import { Pipeline, type RunResult, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { Saga } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Bank
  extends Context.Service<Bank, { readonly refund: (id: string) => Effect.Effect<void, Down> }>()("app/Bank")
{}
class Desk extends Context.Service<Desk, { readonly ask: (text: string) => Effect.Effect<void> }>()("app/Desk") {}

const charge = Stage.work("charge", {
  run: Effect.gen(function*() {
    const { inputText } = yield* Snapshot.current
    if (inputText === undefined) return yield* StageOutput.skip("Nothing to pay")
    return { payment: inputText }
  })
})

describe("Saga.compensate", () => {
  const compensated = charge.pipe(
    Saga.compensate((data, ending) =>
      Effect.gen(function*() {
        const { stage } = yield* StageContext.StageContext
        yield* (yield* Bank).refund(`${stage} ${data.payment} ${ending._tag}`)
      })
    )
  )

  test("gives the data of the stage at its place, and leaves its data, signals and errors as they are", () => {
    expect<Stage.DataOf<typeof compensated>>().type.toBe<{ payment: string }>()
    expect<Stage.Signals<typeof compensated>>().type.toBe<"skip">()
    expect<Stage.Error<typeof compensated>>().type.toBe<never>()
    charge.pipe(Saga.compensate((data, ending) => {
      expect(data).type.toBe<{ payment: string }>()
      expect(ending).type.toBe<Saga.RunEnding>()
      return Effect.void
    }))
    const mapped = charge.pipe(
      Stage.mapOutput(({ payment }) => ({ id: payment.length })),
      Saga.compensate((data) => {
        expect(data).type.toBe<{ id: number }>()
        return Effect.void
      }),
      Stage.mapOutput(({ id }) => ({ text: String(id) }))
    )
    expect<Stage.DataOf<typeof mapped>>().type.toBe<{ text: string }>()
  })

  test("adds what it needs to what the stage needs", () => {
    expect<Stage.Services<typeof compensated>>().type.toBe<Bank>()
    const first = Saga.compensate(charge, ({ payment }) => Effect.flatMap(Bank, ({ refund }) => refund(payment)))
    expect<Stage.Services<typeof first>>().type.toBe<Bank>()
    const provided = first.pipe(Stage.provide(Layer.succeed(Bank, { refund: () => Effect.void })))
    expect<Stage.Services<typeof provided>>().type.toBe<never>()
  })

  test("takes data of any shape that can hold something", () => {
    Saga.compensate(Stage.work("any", { run: Effect.succeed({} as Record<string, number>) }), (data) => {
      expect(data).type.toBe<Record<string, number>>()
      return Effect.void
    })
    Saga.compensate(Stage.work("either", { run: Effect.succeed({} as { a: 1 } | { b: 2 }) }), (data) => {
      expect(data).type.toBe<{ a: 1 } | { b: 2 }>()
      return Effect.void
    })
  })

  test("is put around stages of any kind by a function over stages", () => {
    const undoable = <Name extends string, In, D extends { readonly payment: string }, S, E, R>(
      stage: Stage.Stage<Name, In, D, S, E, R>
    ) => stage.pipe(Saga.compensate(({ payment }) => Effect.flatMap(Bank, ({ refund }) => refund(payment))))
    const made = undoable(charge)
    expect<Stage.DataOf<typeof made>>().type.toBe<{ payment: string }>()
    expect<Stage.Services<typeof made>>().type.toBe<Bank>()
  })
})

describe("Saga.interceptor", () => {
  const order = Pipeline.make("order").add(charge.pipe(
    Saga.compensate(({ payment }) => Effect.flatMap(Bank, ({ refund }) => refund(payment)))
  ))

  test("adds nothing to what a pipeline can fail with, and what its hook needs to what it needs", () => {
    const plain = Pipeline.run(order.pipe(Pipeline.intercept(Saga.interceptor())), Snapshot.make())
    expect<Effect.Services<typeof plain>>().type.toBe<Bank>()
    expect<Effect.Error<typeof plain>["error"]>().type.toBeAssignableTo<RunResult.StageFailed<never>["error"]>()
    const hearing = Saga.interceptor({
      onUncompensated: (uncompensated) => {
        expect(uncompensated).type.toBe<Saga.Uncompensated>()
        return Effect.flatMap(Desk, ({ ask }) => ask(uncompensated.stage))
      }
    })
    const heard = Pipeline.run(order.pipe(Pipeline.intercept(hearing)), Snapshot.make())
    expect<Effect.Services<typeof heard>>().type.toBe<Bank | Desk>()
    expect<Layer.Services<ReturnType<typeof layered>>>().type.toBe<Desk>()
  })
  const layered = () => Saga.layer({ onUncompensated: ({ stage }) => Effect.flatMap(Desk, ({ ask }) => ask(stage)) })
})
