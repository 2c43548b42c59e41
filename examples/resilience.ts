/**
 * A flaky provider, and every interceptor at work around it.
 *
 * The provider outside of the pipeline is slow at times, fails at times, and is down for a while. The stages know nothing
 * of that; what is done about it is around them.
 *
 * npm run example examples/resilience.ts
 */
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import { Console, Context, Effect, Layer, Ref, References, Schema } from "effect"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { TerminalTimeline } from "stageflow/observability"

// ---------------------------------------------------------------------------------------------------------------------
// a provider that misbehaves as it is told
// ---------------------------------------------------------------------------------------------------------------------

class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { what: Schema.String }) {
  override get message() {
    return `${this.what} is not available`
  }
}

/** How the provider answers its next calls; when the list is empty it answers at once. */
type Mood = "quick" | "slow" | "fails" | "hangs"

class Provider extends Context.Service<Provider, {
  readonly behave: (what: string, ...moods: ReadonlyArray<Mood>) => Effect.Effect<void>
  readonly ask: (what: string) => Effect.Effect<string, Unavailable>
  readonly calls: Effect.Effect<number>
}>()("resilience/Provider") {
  static readonly layer = Layer.effect(
    Provider,
    Effect.gen(function*() {
      const moods = yield* Ref.make<Readonly<Record<string, ReadonlyArray<Mood>>>>({})
      const calls = yield* Ref.make(0)
      const next = (what: string) =>
        Ref.modify(moods, (known) => {
          const [mood = "quick", ...rest] = known[what] ?? []
          return [mood, { ...known, [what]: rest }] as const
        })
      return {
        behave: (what, ...given) => Ref.update(moods, (known) => ({ ...known, [what]: given })),
        calls: Ref.get(calls),
        ask: (what) =>
          Effect.gen(function*() {
            yield* Ref.update(calls, (count) => count + 1)
            switch (yield* next(what)) {
              case "quick":
                yield* Effect.sleep("20 millis")
                return `${what}!`
              case "slow":
                yield* Effect.sleep("900 millis")
                return `${what}, late`
              case "fails":
                yield* Effect.sleep("20 millis")
                return yield* new Unavailable({ what })
              case "hangs":
                return yield* Effect.never
            }
          })
      }
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// stages that know nothing of it
// ---------------------------------------------------------------------------------------------------------------------

const asking = <const Name extends string>(name: Name) =>
  Stage.enrich(name, {
    run: Effect.gen(function*() {
      const provider = yield* Provider
      return { text: yield* provider.ask(name) }
    })
  })

const weather = asking("weather")
const news = asking("news").pipe(Stage.intercept(Interceptors.hedge({ after: "300 millis" })))
const traffic = asking("traffic").pipe(
  Interceptors.fallbackTo(() => Effect.succeed({ text: "traffic as usual" }))
)
const digest = Stage.transform("digest", {
  run: (inputs: { readonly [K in "weather" | "news" | "traffic"]: { readonly text: string } }) =>
    Effect.succeed({ text: [inputs.weather.text, inputs.news.text, inputs.traffic.text].join(" | ") })
})

// ---------------------------------------------------------------------------------------------------------------------
// and what is done about it
// ---------------------------------------------------------------------------------------------------------------------

const briefing = Pipeline.make("briefing")
  .add(weather)
  .add(news)
  .add(traffic)
  .add(digest, { inputs: ["weather", "news", "traffic"] })
  .pipe(Pipeline.intercept(
    Interceptors.deadline("5 seconds"),
    Interceptors.rateLimit({ limit: 20, window: "1 second" }),
    Interceptors.bulkhead({ name: "provider", permits: 10 }),
    Interceptors.circuitBreaker({ failures: 2, openFor: "1 second" }),
    Interceptors.retryWithinBudget(Interceptors.exponential({ attempts: 3, base: "50 millis", jitter: "none" })),
    Interceptors.timeout("600 millis"),
    Interceptors.tracing(),
    Interceptors.metrics(),
    Interceptors.logging()
  ))

const layerState = Layer.mergeAll(
  Interceptors.RateLimits.layerMemory,
  Interceptors.Bulkheads.layerMemory,
  Interceptors.CircuitBreakers.layerMemory,
  Interceptors.RetryBudget.layerMemory()
)

/** Runs it once and says what came out. */
const run = Effect.fnUntraced(function*(title: string) {
  yield* Console.log(title)
  const provider = yield* Provider
  const before = yield* provider.calls
  const ended = yield* Effect.result(Pipeline.run(briefing, Snapshot.make()))
  const calls = (yield* provider.calls) - before
  if (ended._tag === "Success" && ended.success._tag === "Completed") {
    const { digest, traffic } = ended.success.outputs
    const note = Interceptors.usedFallback(traffic) ? " (traffic is a fallback)" : ""
    yield* Console.log(`digest  ${digest.data.text}${note}`)
  } else if (ended._tag === "Failure" && ended.failure instanceof RunResult.StageFailed) {
    yield* Console.log(`failed  ${ended.failure.stage}: ${ended.failure.error._tag}`)
  }
  yield* Console.log(`calls   ${calls}\n`)
})

const program = Effect.gen(function*() {
  const provider = yield* Provider
  yield* run("All is well")

  yield* provider.behave("weather", "fails", "hangs", "quick")
  yield* provider.behave("news", "slow", "quick")
  yield* provider.behave("traffic", "fails", "fails", "fails")
  yield* run("weather fails, hangs, then answers; news is slow; traffic is down")

  const down = ["fails", "fails", "fails"] as const
  yield* provider.behave("weather", ...down, ...down)
  yield* run("weather is down")
  yield* run("weather is down, for the second time: its circuit opens")
  yield* run("the circuit is open: nobody asks for the weather")

  yield* Effect.sleep("1100 millis")
  yield* run("a while later, one probe gets through")
})

await Effect.runPromise(program.pipe(
  Effect.provide([Provider.layer, layerState, TerminalTimeline.layer]),
  Effect.provide(Layer.mergeAll(NodeStdio.layer, NodeTerminal.layer)),
  // The logging interceptor warns of every failed attempt; here the timeline shows them.
  Effect.provideService(References.MinimumLogLevel, "Error")
))
