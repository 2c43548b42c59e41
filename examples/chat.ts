/**
 * A conversation: a router decides who answers, and the stages that answer need a model, a port of their own.
 *
 * The model here is a stand-in that runs in this process. Another Layer puts a real one, or a test's, in its place; the
 * pipeline does not change.
 *
 * npm run example examples/chat.ts
 */
import { Console, Context, Effect, Layer, Schema } from "effect"
import { Pipeline, Snapshot, Source, Stage } from "stageflow"

// ---------------------------------------------------------------------------------------------------------------------
// the port
// ---------------------------------------------------------------------------------------------------------------------

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", { reason: Schema.String }) {
  override get message() {
    return `The model does not answer: ${this.reason}`
  }
}

class Llm extends Context.Service<Llm, {
  readonly complete: (system: string, prompt: string) => Effect.Effect<string, LlmDown>
}>()("chat/Llm") {}

const layerScripted = Layer.succeed(Llm, {
  complete: (system, prompt) =>
    Effect.delay(Effect.succeed(`[${system}] "${prompt}"? Of course, let me see.`), "40 millis")
})

// ---------------------------------------------------------------------------------------------------------------------
// the stages
// ---------------------------------------------------------------------------------------------------------------------

type Route = "support" | "sales" | "general"

const routeOf = (text: string): Route => {
  if (/broken|error|help/i.test(text)) return "support"
  return /price|buy|plan/i.test(text) ? "sales" : "general"
}

const router = Stage.route("router", {
  run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ route: routeOf(inputText) }))
})

// The same behaviour under three names, each with its own instructions.
const answering = <const Name extends string>(name: Name, system: string) =>
  Stage.transform(name, {
    run: Effect.gen(function*() {
      const llm = yield* Llm
      const { inputText = "" } = yield* Snapshot.current
      return { text: yield* llm.complete(system, inputText) }
    })
  })

const answer = Stage.transform("answer", {
  run: (inputs: { readonly chosen: { readonly text: string } }) => Effect.succeed({ response: inputs.chosen.text })
})

// ---------------------------------------------------------------------------------------------------------------------
// the pipeline
// ---------------------------------------------------------------------------------------------------------------------

const chat = Pipeline.make("chat")
  .add(router)
  .add(answering("support", "You fix things"), (s) => ({ when: s.router.is("support") }))
  .add(answering("sales", "You sell things"), (s) => ({ when: s.router.is("sales") }))
  .add(answering("general", "You chat"), (s) => ({ when: s.router.is("general") }))
  // Two of the three are skipped; the answer comes from the one that ran.
  .add(answer, (s) => ({ inputs: { chosen: Source.firstOf(s.support, s.sales, s.general) } }))

const ask = Effect.fnUntraced(function*(inputText: string) {
  const { outputs } = yield* Pipeline.run(chat, Snapshot.make({ inputText }))
  yield* Console.log(`user      ${inputText}`)
  yield* Console.log(`route     ${outputs.router.data.route}`)
  const skipped = Object.entries(outputs).filter(([, output]) => output._tag === "Skip").map(([name]) => name)
  yield* Console.log(`skipped   ${skipped.join(", ")}`)
  if (outputs.answer._tag === "Ok") yield* Console.log(`assistant ${outputs.answer.data.response}`)
  yield* Console.log("")
})

const program = Effect.forEach(
  [
    "My printer is broken",
    "What does the big plan cost?",
    "How are you today?"
  ],
  ask,
  { discard: true }
)

Effect.runPromise(program.pipe(Effect.provide(layerScripted)))
