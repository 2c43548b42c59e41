/**
 * A conversation: a router decides who answers, and the stages that answer need a model, a port of their own.
 *
 * The model here is a stand-in that runs in this process. Another Layer puts a real one, or a test's, in its place; the
 * pipeline does not change.
 *
 * npm run example examples/chat.ts
 */
import { Console, Context, Effect, Schema } from "effect"
import { Pipeline, Snapshot, Source } from "stageflow"

// The port.
class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", { reason: Schema.String }) {}
class Llm extends Context.Service<Llm, {
  readonly complete: (system: string, prompt: string) => Effect.Effect<string, LlmDown>
}>()("chat/Llm") {}

const routeOf = (text: string): "support" | "sales" | "general" =>
  /broken|error|help/i.test(text) ? "support" : /price|buy|plan/i.test(text) ? "sales" : "general"

// What three stages run, each with instructions of its own.
const answering = (system: string) =>
  function*() {
    const { inputText = "" } = yield* Snapshot.current
    return { text: yield* (yield* Llm).complete(system, inputText) }
  }

const chat = Pipeline.make("chat")
  .route("router", { run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ route: routeOf(inputText) })) })
  .transform("support", { when: (s) => s.router.is("support"), run: answering("You fix things") })
  .transform("sales", { when: (s) => s.router.is("sales"), run: answering("You sell things") })
  .transform("general", { when: (s) => s.router.is("general"), run: answering("You chat") })
  // Two of the three are skipped; the answer comes from the one that ran.
  .transform("answer", {
    inputs: (s) => ({ chosen: Source.firstOf(s.support, s.sales, s.general) }),
    run: ({ chosen }) => Effect.succeed({ response: chosen.text })
  })

const ask = Effect.fnUntraced(function*(inputText: string) {
  const { outputs } = yield* Pipeline.run(chat, Snapshot.make({ inputText }))
  const skipped = Object.entries(outputs).filter(([, output]) => output._tag === "Skip").map(([name]) => name)
  yield* Console.log(`user      ${inputText}\nroute     ${outputs.router.data.route}`)
  yield* Console.log(`skipped   ${skipped.join(", ")}`)
  if (outputs.answer._tag === "Ok") yield* Console.log(`assistant ${outputs.answer.data.response}\n`)
})

const questions = ["My printer is broken", "What does the big plan cost?", "How are you today?"]
const program = Effect.forEach(questions, ask, { discard: true })
await Effect.runPromise(Effect.provideService(program, Llm, {
  complete: (system, prompt) => Effect.succeed(`[${system}] "${prompt}"? Of course, let me see.`)
}))
