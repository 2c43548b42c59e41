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
import { Console, Context, Effect, Layer, References, Schema } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { TerminalTimeline } from "stageflow/observability"

class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", { what: Schema.String }) {
  override get message() {
    return `${this.what} is not available`
  }
}

/** How the provider answers its next calls, each in turn; after them it answers at once. */
const moods = {
  quick: (what: string) => Effect.delay(Effect.succeed(`${what}!`), "20 millis"),
  slow: (what: string) => Effect.delay(Effect.succeed(`${what}, late`), "900 millis"),
  fails: (what: string) => Effect.delay(Effect.fail(new Unavailable({ what })), "20 millis"),
  hangs: (_: string) => Effect.never
}
type Mood = keyof typeof moods

// A provider that misbehaves as it is told.
class Provider extends Context.Service<Provider>()("resilience/Provider", {
  make: Effect.sync(() => {
    const planned = new Map<string, Array<Mood>>()
    let calls = 0
    return {
      behave: (what: string, ...given: Array<Mood>) => void planned.set(what, given),
      calls: () => calls,
      ask: (what: string) =>
        Effect.suspend(() => {
          calls++
          return moods[planned.get(what)?.shift() ?? "quick"](what)
        })
    }
  })
}) {}

// Stages that know nothing of it.
const asking = (what: string) =>
  function*() {
    return { text: yield* (yield* Provider).ask(what) }
  }

// And what is done about it.
const briefing = Pipeline.make("briefing")
  .enrich("weather", { run: asking("weather") })
  .enrich("news", { run: asking("news"), wrap: Stage.intercept(Interceptors.hedge({ after: "300 millis" })) })
  .enrich("traffic", {
    run: asking("traffic"),
    wrap: Interceptors.fallbackTo(() => Effect.succeed({ text: "traffic as usual" }))
  })
  .transform("digest", {
    inputs: ["weather", "news", "traffic"],
    run: ({ news, traffic, weather }) =>
      Effect.succeed({ text: [weather, news, traffic].map(({ text }) => text).join(" | ") })
  })
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
  const before = provider.calls()
  const said = yield* Pipeline.run(briefing, Snapshot.make()).pipe(
    Effect.map(({ outputs: { digest, traffic } }) =>
      `digest  ${digest.data.text}${Interceptors.usedFallback(traffic) ? " (traffic is a fallback)" : ""}`
    ),
    Effect.catchTag("StageFailed", ({ error, stage }) => Effect.succeed(`failed  ${stage}: ${error._tag}`))
  )
  yield* Console.log(`${said}\ncalls   ${provider.calls() - before}\n`)
})

const program = Effect.gen(function*() {
  const provider = yield* Provider
  yield* run("All is well")

  provider.behave("weather", "fails", "hangs", "quick")
  provider.behave("news", "slow", "quick")
  provider.behave("traffic", "fails", "fails", "fails")
  yield* run("weather fails, hangs, then answers; news is slow; traffic is down")

  provider.behave("weather", "fails", "fails", "fails", "fails", "fails", "fails")
  yield* run("weather is down")
  yield* run("weather is down, for the second time: its circuit opens")
  yield* run("the circuit is open: nobody asks for the weather")

  yield* Effect.sleep("1100 millis")
  yield* run("a while later, one probe gets through")
})

await Effect.runPromise(program.pipe(
  Effect.provide([Layer.effect(Provider, Provider.make), layerState, TerminalTimeline.layer]),
  Effect.provide(Layer.mergeAll(NodeStdio.layer, NodeTerminal.layer)),
  // The logging interceptor warns of every failed attempt; here the timeline shows them.
  Effect.provideService(References.MinimumLogLevel, "Error")
))
