/**
 * An order that takes back what it did: when no courier goes there, the charge is refunded and the stock is released.
 *
 * npm run example examples/order-saga.ts
 */
import { Console, Context, Effect, Layer, Ref, Schema } from "effect"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import { Saga } from "stageflow/control"

const Order = Schema.Struct({ item: Schema.String, count: Schema.Int, price: Schema.Int, to: Schema.String })

// What is outside of the program, here in memory.
class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String, left: Schema.Int }) {
  override get message() {
    return `${this.left} of "${this.item}" are left`
  }
}

class Stock extends Context.Service<Stock, {
  readonly reserve: (item: string, count: number) => Effect.Effect<void, OutOfStock>
  readonly release: (item: string, count: number) => Effect.Effect<void>
}>()("order/Stock") {
  static readonly layer = Layer.effect(
    Stock,
    Effect.gen(function*() {
      const left = yield* Ref.make(4)
      const tell = (what: string) => Effect.flatMap(Ref.get(left), (n) => Console.log(`  stock     ${what}, ${n} left`))
      return {
        reserve: Effect.fnUntraced(function*(item: string, count: number) {
          const known = yield* Ref.get(left)
          if (known < count) return yield* new OutOfStock({ item, left: known })
          yield* Ref.update(left, (n) => n - count)
          yield* tell(`${count} ${item} reserved`)
        }),
        release: Effect.fnUntraced(function*(item: string, count: number) {
          yield* Ref.update(left, (n) => n + count)
          yield* tell(`${count} ${item} released`)
        })
      }
    })
  )
}

class Bank extends Context.Service<Bank, {
  readonly charge: (amount: number) => Effect.Effect<string>
  readonly refund: (payment: string) => Effect.Effect<void>
}>()("order/Bank") {
  static readonly layer = Layer.sync(Bank, () => {
    const payments = new Map<string, number>()
    return {
      charge: (amount) =>
        Effect.suspend(() => {
          const payment = `payment ${payments.size + 1}`
          payments.set(payment, amount)
          return Effect.as(Console.log(`  bank      ${payment}: ${amount} charged`), payment)
        }),
      refund: (payment) => Console.log(`  bank      ${payment}: ${payments.get(payment) ?? 0} refunded`)
    }
  })
}

class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", { to: Schema.String }) {
  override get message() {
    return `nobody delivers to ${this.to}`
  }
}

class Couriers extends Context.Service<Couriers, {
  readonly book: (to: string) => Effect.Effect<void, NoCourier>
}>()("order/Couriers") {
  static readonly layer = Layer.succeed(Couriers, {
    book: (to) => to === "Lisbon" ? Console.log(`  courier   booked to ${to}`) : Effect.fail(new NoCourier({ to }))
  })
}

// Each stage says how what it did is taken back, of the data that it gives.
type Input = { readonly input: typeof Order.Type }

const reserve = Stage.work("reserve", {
  *run({ input: { count, item } }: Input) {
    yield* (yield* Stock).reserve(item, count)
    return { item, count }
  }
}).pipe(Saga.compensate(({ count, item }) => Effect.flatMap(Stock, ({ release }) => release(item, count))))

const charge = Stage.work("charge", {
  *run({ input: { count, price } }: Input) {
    return { payment: yield* (yield* Bank).charge(count * price) }
  }
}).pipe(Saga.compensate(({ payment }) => Effect.flatMap(Bank, ({ refund }) => refund(payment))))

const courier = Stage.work("courier", {
  *run({ input: { to } }: Input) {
    yield* (yield* Couriers).book(to)
  }
})

const order = Pipeline.make("order", { input: Order })
  .add(reserve, { inputs: ["input"] })
  .add(charge, { inputs: ["input"], after: ["reserve"] })
  .add(courier, { inputs: ["input"], after: ["charge"] })
  .pipe(Pipeline.intercept(Saga.interceptor({ limit: "5 seconds" })))

const namesOf = (stages: ReadonlyArray<{ readonly stage: string }> = []) => stages.map(({ stage }) => stage).join(", ")

const place = Effect.fnUntraced(function*(count: number, to: string) {
  yield* Console.log(`${count} chairs to ${to}`)
  yield* Pipeline.run(order, Snapshot.make({ input: { item: "chairs", count, price: 120, to } })).pipe(
    Effect.flatMap(({ _tag }) => Console.log(`  ${_tag}`)),
    Effect.catchIf(
      (failed) => failed instanceof RunResult.StageFailed,
      ({ compensation, error, stage }) =>
        Effect.andThen(
          Console.log(`  ${stage} failed: ${error.message}`),
          Console.log(`  compensated: ${namesOf(compensation?.compensated) || "nothing"}`)
        )
    )
  )
})

const program = Effect.gen(function*() {
  yield* place(2, "Lisbon")
  yield* place(2, "Atlantis")
  yield* place(3, "Lisbon")
})

await Effect.runPromise(Effect.provide(program, Layer.mergeAll(Stock.layer, Bank.layer, Couriers.layer)))
