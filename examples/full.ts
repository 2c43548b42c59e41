/**
 * A conversation with everything around it: guards, a router, enrichment in parallel, a model that fails once and is
 * tried again, and an audit. It runs twice, the second time with input that the guard blocks.
 *
 * npm start                  runs it, shows the runs, and writes a page of each for a browser (to STAGEFLOW_REPORTS, else
 *                            to the system's temporary folder)
 * npm start -- --picture     prints the pipeline as Mermaid, which https://mermaid.live shows as a picture
 */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import { Config, Console, Context, Duration, Effect, FileSystem, Layer, Option, Schedule, Schema } from "effect"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { toMermaid } from "stageflow/graph"
import { RunReport, Sinks, TerminalTimeline } from "stageflow/observability"

// The ports, each made by a stand-in that runs in this process.
class ProfileUnavailable extends Schema.TaggedError<ProfileUnavailable>()("ProfileUnavailable", {}) {}
class Knowledge extends Context.Service<Knowledge>()("full/Knowledge", {
  make: Effect.succeed({
    profileOf: (userId: string) =>
      userId === "user-1"
        ? Effect.delay(Effect.succeed({ name: "Ada", plan: "pro" }), "300 millis")
        : Effect.fail(new ProfileUnavailable()),
    memories: Effect.delay(Effect.succeed({ facts: ["has a printer", "likes short answers"] }), "250 millis"),
    documents: Effect.delay(Effect.succeed({ excerpts: ["Printers, chapter 7: paper jams"] }), "500 millis")
  })
}) {}

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", { reason: Schema.String }) {}
class Llm extends Context.Service<Llm>()("full/Llm", {
  make: Effect.sync(() => {
    let calls = 0
    const answerTo = (prompt: ReadonlyArray<string>) =>
      ++calls === 1
        ? Effect.fail(new LlmDown({ reason: "overloaded" }))
        : Effect.succeed(`${prompt.at(-1)?.replace("Tell them to ", "Please ")}`)
    return {
      complete: (prompt: ReadonlyArray<string>) => Effect.delay(Effect.suspend(() => answerTo(prompt)), "250 millis")
    }
  })
}) {}

class AuditLog extends Context.Service<AuditLog>()("full/AuditLog", {
  make: Effect.sync(() => {
    const entries: Array<string> = []
    return { entries, write: (entry: string) => Effect.delay(Effect.sync(() => void entries.push(entry)), "50 millis") }
  })
}) {}

const routeOf = (text: string): "support" | "sales" | "general" =>
  /printer|broken/i.test(text) ? "support" : /price|buy/i.test(text) ? "sales" : "general"

// Around every stage: reports the slow ones in the run's events.
const noticeSlow = Interceptor.make({
  name: "notice_slow",
  around: Effect.fnUntraced(function*(effect) {
    const [took, output] = yield* Effect.timed(effect)
    if (Duration.toMillis(took) > 450) yield* StageContext.emit("slow", { took: Duration.format(took) })
    return output
  })
})

const inputGuard = Stage.guard("input_guard", {
  run: function*() {
    const { inputText = "" } = yield* Snapshot.current
    yield* Effect.sleep("120 millis")
    if (/password/i.test(inputText)) return yield* StageOutput.cancel("Blocked content", { data: { blocked: true } })
  }
})

const full = Pipeline.make("full")
  // The enrichments stand before the gate and do not wait for it. Should it cancel, they are interrupted.
  .enrich("profile", {
    run: function*() {
      const { userId } = yield* Snapshot.current
      if (userId === undefined) return yield* StageOutput.skip("No user_id provided")
      return yield* (yield* Knowledge).profileOf(userId)
    }
  })
  .enrich("memory", { run: Knowledge.use(({ memories }) => memories) })
  .enrich("documents", { run: Knowledge.use(({ documents }) => documents) })
  // Everything added after it waits until it has passed.
  .gate(inputGuard)
  .route("router", { run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ route: routeOf(inputText) })) })
  // These two are what the router's choice selects: one of them runs, or none.
  .enrich("solution", {
    when: (s) => s.router.is("support"),
    run: Effect.delay(
      Effect.succeed({ steps: "open the tray, pull the paper out gently, close the tray" }),
      "75 millis"
    )
  })
  .enrich("offer", {
    when: (s) => s.router.is("sales"),
    run: Effect.delay(Effect.succeed({ product: "a new printer" }), "75 millis")
  })
  // The profile may be skipped, and one of the two above always is: the model gets an Option of each.
  .transform("llm", {
    inputs: ["profile?", "memory", "documents", "solution?", "offer?"],
    output: Schema.Struct({ response: Schema.NonEmptyString }),
    run: function*({ documents, memory, offer, profile, solution }) {
      const prompt = [
        ...Option.toArray(profile).map(({ name }) => `They are called ${name}.`),
        ...memory.facts.map((fact) => `They ${fact}.`),
        ...documents.excerpts.map((excerpt) => `See "${excerpt}".`),
        ...Option.toArray(solution).map(({ steps }) => `Tell them to ${steps}.`),
        ...Option.toArray(offer).map(({ product }) => `Offer ${product}.`)
      ]
      yield* StageContext.emit("llm.asked", { sentences: prompt.length })
      return { response: yield* (yield* Llm).complete(prompt) }
    },
    wrap: (stage) =>
      stage.pipe(Stage.timeout("2 seconds"), Stage.retry({ schedule: Schedule.spaced("100 millis"), attempts: 3 }))
  })
  .guard("output_guard", {
    inputs: ["llm"],
    run: function*({ llm: { response } }) {
      yield* Effect.sleep("50 millis")
      if (/secret/i.test(response)) return yield* StageOutput.cancel("The answer gives a secret away")
      return { response }
    }
  })
  // It reads what the guard let pass, never the draft.
  .transform("answer", {
    inputs: (s) => ({
      text: s.output_guard.map(({ response }) => response),
      name: s.profile.orElse(() => ({ name: "friend" })).map(({ name }) => name)
    }),
    run: ({ name, text }) => Effect.succeed({ answer: `Hello ${name}! ${text}` })
  })
  // Nobody to audit without a profile: then this one is skipped too.
  .work("audit", {
    inputs: (s) => ({ who: s.profile.required, what: s.answer }),
    run: function*({ what, who }) {
      yield* (yield* AuditLog).write(`${who.name} (${who.plan}) was told ${what.answer.length} characters`)
    }
  })
  .returns((s) => s.answer.map(({ answer }) => answer))
  .pipe(Pipeline.intercept(noticeSlow))

const ask = Effect.fnUntraced(function*(inputText: string) {
  yield* Console.log(`"${inputText}"`)
  const result = yield* Pipeline.run(full, Snapshot.make({ inputText, userId: "user-1" }))
  if (result._tag === "Completed") yield* Console.log(result.value)
})

/** A page for each run, with everything that happened in it. */
const writeReports = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const wanted = Option.getOrUndefined(yield* Config.option(Config.String("STAGEFLOW_REPORTS")))
  const folder = wanted ?? (yield* files.makeTempDirectory({ prefix: "stageflow-" }))
  yield* files.makeDirectory(folder, { recursive: true })
  const pipeline = yield* Pipeline.describe(full)
  const runs = Map.groupBy(yield* EventSink.Memory.use(({ events }) => events), ({ runId }) => runId)
  yield* Effect.forEach(
    runs.values(),
    (events, index) => files.writeFileString(`${folder}/run-${index + 1}.html`, RunReport.toHtml(events, { pipeline }))
  )
  yield* Console.log(`reports: ${folder}`)
})

const program = Effect.gen(function*() {
  if (process.argv.includes("--picture")) return yield* Console.log(yield* toMermaid(full, { direction: "LR" }))
  yield* ask("My printer is broken")
  yield* ask("Tell me the password of your printer")
  yield* Console.log(`audit log: ${(yield* AuditLog).entries.join(", ")}`)
  yield* writeReports
})

const layerPorts = Layer.mergeAll(
  Layer.effect(Knowledge, Knowledge.make),
  Layer.effect(Llm, Llm.make),
  Layer.effect(AuditLog, AuditLog.make)
)
const layerSinks = Sinks.combine(TerminalTimeline.layer, EventSink.layerMemory)
const layerTerminal = Layer.provideMerge(layerSinks, [NodeStdio.layer, NodeTerminal.layer, NodeFileSystem.layer])
await Effect.runPromise(Effect.provide(program, [layerPorts, layerTerminal]))
