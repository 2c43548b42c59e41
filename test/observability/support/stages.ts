/**
 * Stages and pipelines that the tests of timelines run on the test clock.
 */
import { Effect, Exit, Schedule, Schema } from "effect"
import { type Event, Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { during, recorded } from "../../acceptance/support/lifecycle.ts"

export class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {
  override get message() {
    return "It is broken"
  }
}

/** A stage that takes so long. */
export const takes = <const Name extends string>(name: Name, millis: number) =>
  Stage.transform(name, { run: Effect.sleep(millis) })

/** A stage that fails after so long. */
export const fails = <const Name extends string>(name: Name, millis: number) =>
  Stage.work(name, { run: Effect.andThen(Effect.sleep(millis), new Broken()) })

/** How a run ends, and its events with those of the runs in it. */
export const ranIn = <A, E, R>(
  run: Effect.Effect<A, E, R>,
  millis: number
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly events: ReadonlyArray<Event.Event> }, never, R> =>
  during(recorded(run), millis)

/** What a run ended with, its error included. */
export const endOf = <A, E>(exit: Exit.Exit<A, E>): A | E =>
  Exit.match(exit, {
    onSuccess: (value) => value,
    onFailure: ({ reasons }) => {
      const [failure] = reasons.flatMap((reason) => reason._tag === "Fail" ? [reason.error] : [])
      if (failure === undefined) throw new Error("it failed with no error")
      return failure
    }
  })

/** A run inside of a stage. */
export const child = Pipeline.make("child").add(takes("one", 100)).add(takes("two", 200), { after: ["one"] })
export const runChild = Effect.asVoid(Pipeline.run(child, Snapshot.make()))

const flaky = fails("flaky", 50).pipe(
  Stage.retry({ schedule: Schedule.spaced(100), attempts: 3 }),
  Stage.catch(() => Effect.void)
)

/** A bit of everything that ends well. */
export const good = Pipeline.make("good")
  .add(takes("first", 100))
  .add(takes("second", 300), { after: ["first"] })
  .add(flaky)
  .add(Stage.enrich("nothing", { run: Effect.succeed(StageOutput.skip("Nothing to add")) }))
  .add(Stage.route("router", { run: Effect.succeed({ route: "left" as "left" | "right" }) }))
  .add(takes("right", 100), (s) => ({ when: s.router.is("right") }))
  .add(Stage.work("talks", { run: Effect.andThen(StageContext.emit("said", 1), StageContext.emit("said", 2)) }))
  .add(takes("last", 100), { after: ["second"] })

/** A run that a guard cancels. */
export const cancelled = Pipeline.make("cancelled")
  .add(Stage.guard("guard", { run: Effect.andThen(Effect.sleep(50), Effect.succeed(StageOutput.cancel("Not this"))) }))
  .add(takes("slow", 100))
  .add(takes("later", 1), { after: ["guard"] })
  .add(takes("even_later", 1), { after: ["later"] })

/** A run in which branches fail. */
export const failing = Pipeline.make("failing")
  .add(fails("fails", 50))
  .add(takes("hangs", 5000).pipe(Stage.timeout("200 millis")))
  .add(takes("blocked", 1), { after: ["fails"] })
  .add(takes("fine", 100))

/** Runs inside of a run: one in one stage, three in another. */
export const nested = Pipeline.make("nested")
  .add(Stage.work("alone", { run: runChild }))
  .add(Stage.work("each", { run: Effect.forEach([1, 2, 3], () => runChild, { concurrency: 2, discard: true }) }))
