/**
 * Tools that note what they did, and ways to run them, for tests.
 */
import { Effect, type Exit, Layer, Schema } from "effect"
import { type Event, EventSink, Pipeline, Snapshot, Stage, type StageContext } from "stageflow"
import { Approvals, Tool, UndoStore } from "stageflow/tools"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {
  override get message() {
    return this.why
  }
}

export const Amount = Schema.Struct({ amount: Schema.Finite })

/** What tools did, outside of the library. */
export class Book {
  readonly lines: Array<string> = []
  note(line: string) {
    return Effect.sync(() => void this.lines.push(line))
  }

  /** A tool that books an amount and can take that back. */
  pay<W extends "never" | "always" = "never">(needsApproval?: W) {
    return Tool.make("pay", {
      description: "Pays an amount",
      actionType: "PAYMENT",
      parameters: Amount,
      success: Schema.Struct({ receipt: Schema.String }),
      failure: Refused,
      run: ({ amount }) =>
        amount < 0
          ? Effect.fail(new Refused({ why: "Less than nothing" }))
          : Effect.as(this.note(`pay ${amount}`), { receipt: `r${amount}` }),
      ...(needsApproval === undefined ? {} : { needsApproval }),
      undo: ({ receipt }, { amount }) => this.note(`undo ${receipt} of ${amount}`)
    })
  }
}

/** Runs an Effect in the stage "agent" of a run, and gives how it ended and the events of that run. */
export const inStage = <A, E, R>(effect: Effect.Effect<A, E, R>, snapshot: Snapshot.Snapshot = Snapshot.make()) =>
  Effect.gen(function*() {
    let exit: Exit.Exit<A, E> | undefined
    const run = Effect.map(Effect.exit(effect), (ended) => {
      exit = ended
      return {}
    })
    const stage = Stage.agent("agent", { run: run as Effect.Effect<{}, never, Exclude<R, StageContext.StageContext>> })
    yield* Pipeline.run(Pipeline.make("chat").add(stage as Stage.Stage<"agent", unknown, {}>), snapshot)
    const events = yield* (yield* EventSink.Memory).events
    return { exit: exit as Exit.Exit<A, E>, events: events.filter(({ pipeline }) => pipeline === "chat") }
  }).pipe(Effect.orDie, Effect.provide(EventSink.layerMemory)) as Effect.Effect<
    { readonly exit: Exit.Exit<A, E>; readonly events: ReadonlyArray<Event.Event> },
    never,
    Exclude<R, StageContext.StageContext>
  >

/** The same for what does not fail: what it gave. */
export const given = <A, R>(effect: Effect.Effect<A, never, R>, snapshot?: Snapshot.Snapshot) =>
  Effect.flatMap(inStage(effect, snapshot), ({ exit }) => exit)

export const announced = (events: ReadonlyArray<Event.Event>) =>
  events.filter(({ _tag }) => _tag.startsWith("Tool") || _tag.startsWith("Approval")).map(({ _tag }) => _tag)

export const everything = Layer.mergeAll(Approvals.Approvals.layerMemory(), UndoStore.layerMemory())

export const openAi = (name: string, args: unknown, id = "c1") => ({
  id,
  type: "function",
  function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args) }
})
