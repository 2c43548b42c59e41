/** A program whose run fails and that handles nothing: what its process prints is what a user sees. */
import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"

const totalOf = (order: { readonly total?: { readonly cents: number } }): number => {
  if (order.total === undefined) throw new RangeError("hunter2 is the password")
  return order.total.cents
}

const checkout = Pipeline.make("checkout")
  .work("stock", { run: Effect.never })
  .work("charge", { run: Effect.sync(() => ({ cents: totalOf({}) })) })
  .work("ship", { after: ["charge"], run: Effect.void })

await Effect.runPromise(Pipeline.run(checkout, Snapshot.make()))
