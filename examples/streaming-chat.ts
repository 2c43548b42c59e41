/**
 * Streams between stages: a model's tokens reach the terminal while it still speaks. With `--page`, a browser page shows them.
 *
 * npm run example examples/streaming-chat.ts
 * npm run example examples/streaming-chat.ts -- --page
 */
import { Console, Effect, Stream } from "effect"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { Pipeline, Snapshot, Stage, type StageError } from "stageflow"

type Words = Stream.Stream<string, StageError.StreamFailed>

const text = "Open the tray. Pull the paper out gently. Close the tray."

/** Stands in for a language model: a word every 30 milliseconds. */
const model = Stage.stream("model", {
  run: Stream.fromIterable(text.split(/(?<= )/)).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sleep("30 millis"))),
  collect: { initial: () => ({ text: "" }), step: ({ text }, word) => ({ text: text + word }) }
})

/** Makes sentences of words, as soon as one is whole. */
const sentences = Stage.stream("sentences", {
  run: (inputs: { readonly words: Words }) =>
    inputs.words.pipe(
      Stream.mapAccum(() => "", (begun, word) => {
        const sentence = begun + word
        return sentence.trimEnd().endsWith(".") ? ["", [sentence.trim()]] : [sentence, []]
      })
    ),
  collect: { initial: () => ({ count: 0 }), step: ({ count }) => ({ count: count + 1 }) }
})

const show = Stage.work("show", {
  run: (inputs: { readonly sentences: Words }) =>
    Stream.runForEach(inputs.sentences, (sentence) => Console.log(`> ${sentence}`))
})

const chat = Pipeline.make("streaming_chat")
  .add(model)
  .add(sentences, (s) => ({ inputs: { words: s.model.stream } }))
  .add(show, (s) => ({ inputs: { sentences: s.sentences.stream } }))
  .work("audit", {
    inputs: ["model"],
    run: ({ model }) => Console.log(`audit: ${model.text.length} characters, when all had been said`)
  })

const inTerminal = Effect.gen(function*() {
  const { streams } = yield* Pipeline.run(chat, Snapshot.make())
  yield* Console.log(`${streams?.["model"]?.chunks} words, ${streams?.["sentences"]?.chunks} sentences`)
})

const html = `<!doctype html><title>Streaming chat</title><p id="answer"></p><script>
const events = new EventSource("/words")
events.onmessage = ({ data }) => { document.getElementById("answer").textContent += JSON.parse(data) }
events.addEventListener("end", () => events.close())
</script>`

const send = (response: ServerResponse, text: string): Effect.Effect<void> =>
  Effect.suspend(() => response.write(text) ? Effect.void : Effect.promise(() => once(response, "drain")))

const words = (response: ServerResponse) =>
  Pipeline.stream(chat, Snapshot.make(), { chunks: ["model"] }).pipe(
    Stream.filter((element) => element._tag === "Chunk"),
    Stream.runForEach(({ chunk }) => send(response, `data: ${JSON.stringify(chunk)}\n\n`)),
    Effect.andThen(Effect.sync(() => response.end("event: end\ndata:\n\n")))
  )

const onPage = Effect.gen(function*() {
  const server = createServer((request, response) => {
    const isStream = request.url === "/words"
    response.writeHead(200, { "content-type": isStream ? "text/event-stream" : "text/html" })
    if (!isStream) {
      response.end(html)
      return
    }
    const fiber = Effect.runFork(words(response))
    // Whoever closes the page stops the model.
    response.once("close", () => fiber.interruptUnsafe())
  })
  yield* Effect.promise(() => once(server.listen(8080, "127.0.0.1"), "listening"))
  yield* Console.log("http://127.0.0.1:8080")
  return yield* Effect.never
})

await Effect.runPromise(process.argv.includes("--page") ? onPage : inTerminal)
