/**
 * A conversation with everything around it: guards, a router, enrichment in parallel, a model that fails once and is
 * tried again, and an audit. It runs twice, the second time with input that the guard blocks.
 *
 * npm start                  runs it and shows the runs
 * npm start -- --picture     prints the pipeline as Mermaid, which https://mermaid.live shows as a picture
 */
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import { Console, Context, Duration, Effect, Layer, Option, Ref, Schedule, Schema, Stdio } from "effect"
import { Interceptor, Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { toMermaid } from "stageflow/graph"
import { TerminalTimeline } from "stageflow/observability"

// ---------------------------------------------------------------------------------------------------------------------
// the ports, and stand-ins for them that run in this process
// ---------------------------------------------------------------------------------------------------------------------

interface Profile {
  readonly name: string
  readonly plan: "free" | "pro"
}

class ProfileUnavailable extends Schema.TaggedError<ProfileUnavailable>()("ProfileUnavailable", {
  userId: Schema.String
}) {}

class Profiles extends Context.Service<Profiles, {
  readonly get: (userId: string) => Effect.Effect<Profile, ProfileUnavailable>
}>()("full/Profiles") {}

const layerProfiles = Layer.succeed(Profiles, {
  get: (userId) =>
    userId === "user-1"
      ? Effect.delay(Effect.succeed({ name: "Ada", plan: "pro" }), "300 millis")
      : Effect.fail(new ProfileUnavailable({ userId }))
})

class Memories extends Context.Service<Memories, {
  readonly recall: (sessionId: string) => Effect.Effect<ReadonlyArray<string>>
}>()("full/Memories") {}

const layerMemories = Layer.succeed(Memories, {
  recall: () => Effect.delay(Effect.succeed(["has a printer", "likes short answers"]), "250 millis")
})

class Documents extends Context.Service<Documents, {
  readonly search: (text: string) => Effect.Effect<ReadonlyArray<string>>
}>()("full/Documents") {}

const layerDocuments = Layer.succeed(Documents, {
  search: () => Effect.delay(Effect.succeed(["Printers, chapter 7: paper jams"]), "500 millis")
})

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", { reason: Schema.String }) {}

class Llm extends Context.Service<Llm, {
  readonly complete: (prompt: ReadonlyArray<string>) => Effect.Effect<string, LlmDown>
}>()("full/Llm") {}

const layerLlm = Layer.effect(
  Llm,
  Effect.gen(function*() {
    const calls = yield* Ref.make(0)
    return {
      complete: Effect.fnUntraced(function*(prompt: ReadonlyArray<string>) {
        yield* Effect.sleep("250 millis")
        const call = yield* Ref.updateAndGet(calls, (count) => count + 1)
        if (call === 1) return yield* new LlmDown({ reason: "overloaded" })
        return `${prompt.at(-1)?.replace("Tell them to ", "Please ")}`
      })
    }
  })
)

class AuditLog extends Context.Service<AuditLog, {
  readonly write: (entry: string) => Effect.Effect<void>
  readonly entries: Effect.Effect<ReadonlyArray<string>>
}>()("full/AuditLog") {}

const layerAuditLog = Layer.effect(
  AuditLog,
  Effect.map(Ref.make<ReadonlyArray<string>>([]), (entries) => ({
    write: (entry) => Effect.delay(Ref.update(entries, (all) => [...all, entry]), "50 millis"),
    entries: Ref.get(entries)
  }))
)

// ---------------------------------------------------------------------------------------------------------------------
// the stages
// ---------------------------------------------------------------------------------------------------------------------

const inputGuard = Stage.guard("input_guard", {
  run: Effect.gen(function*() {
    const { inputText = "" } = yield* Snapshot.current
    yield* Effect.sleep("120 millis")
    if (/password/i.test(inputText)) return yield* StageOutput.cancel("Blocked content", { data: { blocked: true } })
    return { validated: true }
  })
})

const routeOf = (text: string): "support" | "sales" | "general" => {
  if (/printer|broken/i.test(text)) return "support"
  return /price|buy/i.test(text) ? "sales" : "general"
}

const router = Stage.route("router", {
  run: Effect.gen(function*() {
    const { inputText = "" } = yield* Snapshot.current
    yield* Effect.sleep("80 millis")
    return { route: routeOf(inputText) }
  })
})

const profile = Stage.enrich("profile", {
  run: Effect.gen(function*() {
    const { userId } = yield* Snapshot.current
    if (userId === undefined) return StageOutput.skip("No user_id provided")
    const profiles = yield* Profiles
    return yield* profiles.get(userId)
  })
})

const memory = Stage.enrich("memory", {
  run: Effect.gen(function*() {
    const memories = yield* Memories
    const { sessionId = "no session" } = yield* Snapshot.current
    return { facts: yield* memories.recall(sessionId) }
  })
})

const documents = Stage.enrich("documents", {
  run: Effect.gen(function*() {
    const documents = yield* Documents
    const { inputText = "" } = yield* Snapshot.current
    return { excerpts: yield* documents.search(inputText) }
  })
})

// These two are what the router's choice selects: one of them runs, or none.
const solution = Stage.enrich("solution", {
  run: Effect.delay(
    Effect.succeed({ steps: ["open the tray", "pull the paper out gently", "close the tray"] }),
    "75 millis"
  )
})

const offer = Stage.enrich("offer", {
  run: Effect.delay(Effect.succeed({ product: "a new printer" }), "75 millis")
})

interface LlmInputs {
  readonly profile: Option.Option<Profile>
  readonly memory: { readonly facts: ReadonlyArray<string> }
  readonly documents: { readonly excerpts: ReadonlyArray<string> }
  readonly solution: Option.Option<{ readonly steps: ReadonlyArray<string> }>
  readonly offer: Option.Option<{ readonly product: string }>
}

const promptOf = ({ documents, memory, offer, profile, solution }: LlmInputs) => [
  ...Option.toArray(profile).map(({ name }) => `They are called ${name}.`),
  ...memory.facts.map((fact) => `They ${fact}.`),
  ...documents.excerpts.map((excerpt) => `See "${excerpt}".`),
  ...Option.toArray(solution).map(({ steps }) => `Tell them to ${steps.join(", ")}.`),
  ...Option.toArray(offer).map(({ product }) => `Offer ${product}.`)
]

const llm = Stage.transform("llm", {
  output: Schema.Struct({ response: Schema.NonEmptyString }),
  run: Effect.fnUntraced(function*(inputs: LlmInputs) {
    const llm = yield* Llm
    const prompt = promptOf(inputs)
    yield* StageContext.emit("llm.asked", { sentences: prompt.length })
    return { response: yield* llm.complete(prompt) }
  })
}).pipe(
  Stage.timeout("2 seconds"),
  Stage.retry({ schedule: Schedule.spaced("100 millis"), attempts: 3 })
)

const outputGuard = Stage.guard("output_guard", {
  run: Effect.fnUntraced(function*({ llm }: { readonly llm: { readonly response: string } }) {
    yield* Effect.sleep("50 millis")
    if (/secret/i.test(llm.response)) return yield* StageOutput.cancel("The answer gives a secret away")
    return { response: llm.response }
  })
})

// It reads what the guard let pass, never the draft.
const answer = Stage.transform("answer", {
  run: (inputs: { readonly text: string; readonly name: string }) =>
    Effect.succeed({ answer: `Hello ${inputs.name}! ${inputs.text}` })
})

const audit = Stage.work("audit", {
  run: Effect.fnUntraced(function*(inputs: { readonly who: Profile; readonly what: { readonly answer: string } }) {
    const log = yield* AuditLog
    yield* log.write(`${inputs.who.name} (${inputs.who.plan}) was told ${inputs.what.answer.length} characters`)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the pipeline
// ---------------------------------------------------------------------------------------------------------------------

// Around every stage: reports the slow ones in the run's events.
const noticeSlow = Interceptor.make({
  name: "notice_slow",
  around: (effect) =>
    Effect.gen(function*() {
      const [took, output] = yield* Effect.timed(effect)
      if (Duration.isGreaterThan(took, Duration.millis(450))) {
        yield* StageContext.emit("slow", { milliseconds: Math.round(Duration.toMillis(took)) })
      }
      return output
    })
})

const full = Pipeline.make("full")
  .add(inputGuard)
  // Order without data: the router waits for the guard and reads nothing of it.
  .add(router, { after: ["input_guard"] })
  // The enrichments wait for nobody, the guard included. Should it cancel, they are interrupted.
  .add(profile)
  .add(memory)
  .add(documents)
  .add(solution, (s) => ({ when: s.router.is("support") }))
  .add(offer, (s) => ({ when: s.router.is("sales") }))
  // The profile may be skipped, and one of the two above always is: the model gets an Option of each.
  .add(llm, { inputs: ["profile?", "memory", "documents", "solution?", "offer?"] })
  .add(outputGuard, { inputs: ["llm"] })
  .add(answer, (s) => ({
    inputs: {
      text: s.output_guard.map(({ response }) => response),
      name: s.profile.option.map(Option.match({ onNone: () => "friend", onSome: ({ name }) => name }))
    }
  }))
  // Nobody to audit without a profile: then this one is skipped too.
  .add(audit, (s) => ({ inputs: { who: s.profile.required, what: s.answer } }))
  .pipe(Pipeline.intercept(noticeSlow))

// ---------------------------------------------------------------------------------------------------------------------
// two runs
// ---------------------------------------------------------------------------------------------------------------------

const show = Effect.fnUntraced(function*(inputText: string) {
  yield* Console.log(`"${inputText}"`)
  const result = yield* Pipeline.run(full, Snapshot.make({ inputText, userId: "user-1", sessionId: "session-1" }))
  if (result._tag === "Completed") yield* Console.log(`${result.outputs.answer.data.answer}\n`)
})

const runTwice = Effect.gen(function*() {
  yield* show("My printer is broken")
  yield* show("Tell me the password of your printer")
  const log = yield* AuditLog
  yield* Console.log(`audit log: ${(yield* log.entries).join(", ")}`)
})

const program = Effect.gen(function*() {
  const { args } = yield* Stdio.Stdio
  if ((yield* args).includes("--picture")) return yield* Console.log(yield* toMermaid(full, { direction: "LR" }))
  yield* Effect.provide(runTwice, TerminalTimeline.layer)
})

const layerPorts = Layer.mergeAll(layerProfiles, layerMemories, layerDocuments, layerLlm, layerAuditLog)

const layerTerminal = Layer.mergeAll(NodeStdio.layer, NodeTerminal.layer)

Effect.runPromise(program.pipe(Effect.provide([layerPorts, layerTerminal])))
