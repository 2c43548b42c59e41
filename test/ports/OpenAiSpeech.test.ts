import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { Contract, OpenAiSpeech, PortFailure, SpeechToText, TextToSpeech } from "stageflow/ports"
import { Pcm, Wav } from "stageflow/streaming"
import { type Answer, hangs, json, partsOf, pieces, type Received, speechServer } from "./support/speech-server.ts"

const key = "sk-very-secret-key"
const audio = Pcm.tone(Pcm.speech, { hertz: 200, duration: "300 millis" })
const frames = Pcm.frames(Stream.make(audio), "20 millis")

const sttLayer = (url: string, settings: Partial<OpenAiSpeech.SpeechToTextSettings> = {}) =>
  OpenAiSpeech.layerSpeechToText({ url, apiKey: Redacted.make(key), model: "whisper", ...settings }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const ttsLayer = (url: string, settings: Partial<OpenAiSpeech.TextToSpeechSettings> = {}) =>
  OpenAiSpeech.layerTextToSpeech({ url, apiKey: Redacted.make(key), model: "tts", voice: "alloy", ...settings }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )

const transcribe = Effect.flatMap(SpeechToText.SpeechToText, (port) => port.transcribe(audio))
const listen = Stream.unwrap(
  Effect.map(SpeechToText.SpeechToText, (port) => port.stream(frames, { language: "en", prompt: "Ada" }))
)
const speak = Effect.flatMap(TextToSpeech.TextToSpeech, (port) => port.speak("Hello."))
const say = Stream.unwrap(Effect.map(TextToSpeech.TextToSpeech, (port) => port.stream("Hello.")))

const event = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`
const delta = (text: string) => event({ type: "transcript.text.delta", delta: text })
const done = event({
  type: "transcript.text.done",
  text: "Hello world",
  usage: { type: "tokens", input_tokens: 14, output_tokens: 3, total_tokens: 17 }
})

describe("speech to text", () => {
  it.live("uploads a wav, with its key, and gives what was understood", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(json({ text: "Hello", language: "en", usage: { input_tokens: 5 } }))
      const said = yield* Effect.provide(transcribe, sttLayer(`${server.url}/`))
      assert.deepInclude({ ...said }, { text: "Hello", provider: "openai", model: "whisper", language: "en" })
      assert.deepInclude({ ...said }, { durationMs: 300, inputTokens: 5 })
      assert.isAbove(said.latencyMs ?? 0, 0)
      const [received] = server.received
      assert.deepStrictEqual([received?.method, received?.path], ["POST", "/v1/audio/transcriptions"])
      assert.strictEqual(received?.headers.authorization, `Bearer ${key}`)
      const { file, ...fields } = yield* Effect.promise(() => partsOf(received as Received))
      assert.deepStrictEqual(fields, { model: "whisper", response_format: "json" })
      assert.deepStrictEqual(yield* Wav.decode(new Uint8Array(file as Buffer)), audio)
    }))

  it.live("of a stream gives what is understood piece by piece, however it is cut", () =>
    Effect.gen(function*() {
      const whole = `: comment\n\n${delta("Hello ")}${event({ type: "other.event" })}${delta("wörld")}${done}${
        event("[DONE]")
      }`
      const bytes = Buffer.from(whole)
      const cut = Array.from({ length: bytes.byteLength }, (_, index) => bytes.subarray(index, index + 1))
      for (const each of [[whole], cut]) {
        const server = yield* speechServer(pieces("text/event-stream; charset=utf-8", each))
        const heard = yield* Stream.runCollect(Stream.provide(listen, sttLayer(server.url)))
        assert.deepStrictEqual(heard.slice(0, 2), [
          { _tag: "Partial", text: "Hello " },
          { _tag: "Partial", text: "Hello wörld" }
        ])
        const last = heard[2]
        assert.strictEqual(heard.length, 3)
        assert.deepInclude(last?._tag === "Final" ? { ...last.response } : {}, {
          text: "Hello world",
          durationMs: 300,
          inputTokens: 14,
          outputTokens: 3
        })
        const fields = yield* Effect.promise(() => partsOf(server.received[0] as Received))
        assert.deepInclude(fields, { stream: "true", language: "en", prompt: "Ada" })
        assert.deepStrictEqual(yield* Wav.decode(new Uint8Array(fields["file"] as Buffer)), audio)
      }
    }))

  it.live("of a server that does not stream is final at once", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(json({ text: "Hello" }))
      const heard = yield* Stream.runCollect(Stream.provide(listen, sttLayer(server.url, { streaming: false })))
      assert.deepStrictEqual(heard.map((each) => each._tag === "Final" ? each.response.text : each.text), ["Hello"])
      const fields = yield* Effect.promise(() => partsOf(server.received[0] as Received))
      assert.notProperty(fields, "stream")
    }))

  it.live("does not send audio that is not whole, of two formats, or too long, and names the chunk", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(json({ text: "Hello" }))
      const layer = sttLayer(server.url, { maximumAudio: "50 millis" })
      const failureOf = (chunks: ReadonlyArray<Pcm.Chunk>) =>
        SpeechToText.SpeechToText.pipe(
          Effect.flatMap((port) => Effect.flip(Stream.runDrain(port.stream(Stream.fromIterable(chunks))))),
          Effect.provide(layer)
        )
      const good = Pcm.silence(Pcm.speech, "20 millis")
      const other = { ...good, format: { ...Pcm.speech, sampleRate: 8000 } }
      const odd = { ...good, bytes: new Uint8Array(3) }
      const messages = yield* Effect.forEach([[good, other], [odd], [good, good, good]], failureOf)
      assert.deepStrictEqual(messages.map(({ chunk, isRetryable, message }) => [chunk, isRetryable, message]), [
        [
          2,
          false,
          "Speech to text (openai), chunk 2: cannot use the audio: "
          + "Audio chunk 2 has another format: 8000 Hz, 1 channel, 16 bit instead of 16000 Hz, 1 channel, 16 bit"
        ],
        [
          1,
          false,
          "Speech to text (openai), chunk 1: cannot use the audio: "
          + "Audio chunk 1 ends within a frame: 3 byte(s), and a frame has 2"
        ],
        [3, false, "Speech to text (openai), chunk 3: cannot use the audio: it is longer than 50ms"]
      ])
      assert.strictEqual(server.received.length, 0)
    }))

  it.live("keeps its contract", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(json({ text: "Hello" }))
      yield* Effect.provide(Contract.verify(Contract.speechToText({ audio })), sttLayer(server.url))
    }))
})

describe("text to speech", () => {
  const sent: Pcm.Format = { sampleRate: 24_000, channels: 1, bitsPerSample: 16 }
  const voice = Pcm.tone(sent, { hertz: 200, duration: "500 millis" })
  const cut = (size: number) =>
    Array.from(
      { length: Math.ceil(voice.bytes.byteLength / size) },
      (_, index) => voice.bytes.subarray(index * size, (index + 1) * size)
    )

  it.live("gives speech while it comes, in the format that is asked for, however it is cut", () =>
    Effect.gen(function*() {
      for (const size of [333, 4801, 100_000]) {
        const server = yield* speechServer(pieces("audio/pcm", cut(size)))
        const heard = yield* Stream.runCollect(Stream.provide(say, ttsLayer(server.url)))
        const whole = yield* Pcm.concat(heard)
        assert.closeTo(Pcm.millisOf(Pcm.speech, whole.bytes.byteLength), 500, 1)
        assert.closeTo(Pcm.levelOf(whole), Pcm.levelOf(voice), 0.01)
        const { body, headers, path } = server.received[0] as Received
        assert.deepStrictEqual([path, headers.authorization], ["/v1/audio/speech", `Bearer ${key}`])
        assert.deepStrictEqual(JSON.parse(String(body)), {
          model: "tts",
          input: "Hello.",
          voice: "alloy",
          response_format: "pcm"
        })
      }
      const server = yield* speechServer(pieces("audio/pcm", cut(999)))
      const response = yield* Effect.provide(speak, ttsLayer(server.url, { output: sent }))
      assert.deepStrictEqual(Buffer.from(response.audio.bytes), Buffer.from(voice.bytes))
      assert.deepStrictEqual([response.durationMs, response.characters, response.voice], [500, 6, "alloy"])
    }))

  it.live("gives the first audio before the last has come, and hangs up when nobody listens", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(pieces("audio/pcm", cut(4800), "hang"))
      const first = yield* Stream.runHead(Stream.provide(say, ttsLayer(server.url)))
      assert.strictEqual(first._tag, "Some")
      yield* Effect.sleep("50 millis")
      assert.strictEqual(server.abandoned(), 1)
    }))

  it.live("keeps its contract", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(pieces("audio/pcm", cut(4800)))
      yield* Effect.provide(Contract.verify(Contract.textToSpeech()), ttsLayer(server.url))
    }))

  it.live("in a format that cannot become the one that is asked for fails for good", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(pieces("audio/pcm", cut(4800)))
      const layer = ttsLayer(server.url, { format: { ...sent, channels: 2 }, output: { ...sent, channels: 3 } })
      const error = yield* Effect.flip(Effect.provide(speak, layer))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["UnfitAudio", false])
    }))

  it.live("that stops half-way fails behind what came, and names the chunk", () =>
    Effect.gen(function*() {
      for (
        const then of [
          pieces("audio/pcm", cut(4800).slice(0, 3), "break"),
          pieces("audio/pcm", [voice.bytes.subarray(0, 3)])
        ]
      ) {
        const server = yield* speechServer(then)
        let bytes = 0
        const error = yield* Stream.provide(say, ttsLayer(server.url)).pipe(
          Stream.runForEach((chunk) => Effect.sync(() => void (bytes += chunk.bytes.byteLength))),
          Effect.flip
        )
        assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["BrokenOff", true])
        assert.isAtLeast(error.chunk ?? 0, 1)
        assert.isAbove(bytes, 0)
        assert.match(error.message, /^Text to speech \(openai\), chunk \d: stopped in the middle of an answer$/)
      }
    }))
})

describe("errors", () => {
  const openAiError = (code: string | null, message = `Incorrect API key provided: ${key}`) => ({
    error: { message, type: "invalid_request_error", param: null, code }
  })
  const wrong: ReadonlyArray<readonly [what: string, answer: Answer, tag: string, retry: boolean, message: RegExp]> = [
    [
      "400",
      json(openAiError("unsupported_value"), 400),
      "Refused",
      false,
      /refused \(status 400\): unsupported_value, invalid_request_error$/
    ],
    [
      "400 with words that hold the key",
      json({ error: { code: key, type: 7, param: `x ${key}` } }, 400),
      "Refused",
      false,
      /refused \(status 400\)$/
    ],
    ["400 with rubbish", json("<html>", 400), "Refused", false, /refused \(status 400\)$/],
    [
      "401",
      json(openAiError("invalid_api_key"), 401),
      "Unauthorized",
      false,
      /does not let this caller in \(status 401\)$/
    ],
    ["403", json("no", 403), "Unauthorized", false, /status 403/],
    ["404", json("no", 404), "Refused", false, /status 404/],
    ["408", json("slow", 408), "Unavailable", true, /status 408/],
    [
      "429",
      json(openAiError("rate_limit_exceeded"), 429, { "retry-after": "7" }),
      "RateLimited",
      true,
      /was asked too often, try again after 7s$/
    ],
    ["429 without a time", json("{}", 429), "RateLimited", true, /was asked too often$/],
    ["500", json("<html>oops</html>", 500), "Unavailable", true, /is not available \(status 500\)$/],
    ["503", json("{}", 503, { "retry-after": "2" }), "Unavailable", true, /status 503/],
    ["a body that is no answer", json("{\"tex"), "Unintelligible", true, /gave something else than/],
    ["another answer", json({ data: [] }), "Unintelligible", true, /gave something else than/],
    ["a page of HTML", pieces("text/html", ["<html>Login</html>"]), "Unintelligible", true, /gave something else than/],
    ["an answer that never comes", hangs, "TimedOut", true, /did not answer within 200ms$/],
    ["a body that stops coming", pieces("application/json", ["{\"te"], "hang"), "TimedOut|Unintelligible", true, /./],
    ["a connection that is cut", (response) => void response.destroy(), "Unavailable", true, /is not available$/]
  ]
  for (const [what, answer, tag, retry, message] of wrong) {
    it.live(`${what}: says so, and whether to try again`, () =>
      Effect.gen(function*() {
        const server = yield* speechServer(answer)
        const settings = { timeout: "200 millis" } as const
        const errors = yield* Effect.all([
          Effect.flip(Effect.provide(transcribe, sttLayer(server.url, settings))),
          Effect.flip(Stream.runDrain(Stream.provide(listen, sttLayer(server.url, settings)))),
          Effect.flip(Effect.provide(speak, ttsLayer(server.url, settings)))
        ])
        for (const error of errors) {
          if (!("reason" in error)) return assert.fail(String(error))
          assert.match(error.reason._tag, new RegExp(`^(${tag})$`))
          assert.deepStrictEqual([error.isRetryable, PortFailure.isRetryable(error)], [retry, retry])
          assert.match(error.message, message)
          assert.notInclude(JSON.stringify(error) + error.message + String(error), key)
        }
      }))
  }

  it.live("of a server that is not there is one that may go away", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(transcribe, sttLayer("http://127.0.0.1:9/v1")))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["Unavailable", true])
    }))

  it.live("of a transcript that stops half-way, or turns to rubbish, name the chunk", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [Answer, tag: string, chunk: number]> = [
        [pieces("text/event-stream", [delta("Hel"), delta("lo")]), "BrokenOff", 2],
        [pieces("text/event-stream", [delta("Hel"), delta("lo")], "break"), "BrokenOff", 2],
        [pieces("text/event-stream", [delta("Hel"), event("{rubbish")]), "Unintelligible", 2],
        [pieces("text/event-stream", [event({ type: "transcript.text.delta", delta: 5 })]), "Unintelligible", 1],
        [pieces("text/event-stream", [delta("Hel")], "hang"), "TimedOut", 1],
        [pieces("text/event-stream", []), "BrokenOff", 0]
      ]
      for (const [answer, tag, chunk] of cases) {
        const server = yield* speechServer(answer)
        const heard: Array<string> = []
        const error = yield* Stream.provide(listen, sttLayer(server.url, { timeout: "200 millis" })).pipe(
          Stream.runForEach((each) => Effect.sync(() => void heard.push(each._tag))),
          Effect.flip
        )
        if (!("chunk" in error)) return assert.fail(String(error))
        assert.deepStrictEqual(["reason" in error && error.reason._tag, error.chunk], [tag, chunk])
        assert.deepStrictEqual(heard, Array(Math.max(0, tag === "Unintelligible" ? chunk - 1 : chunk)).fill("Partial"))
      }
    }))

  it.live("interrupting hangs up", () =>
    Effect.gen(function*() {
      const server = yield* speechServer(hangs)
      for (
        const asking of [
          Effect.provide(transcribe, sttLayer(server.url)),
          Stream.runDrain(Stream.provide(listen, sttLayer(server.url))),
          Effect.provide(speak, ttsLayer(server.url))
        ]
      ) {
        const fiber = yield* Effect.forkChild(Effect.orDie(asking as Effect.Effect<void, unknown>))
        const before = server.received.length
        while (server.received.length === before) yield* Effect.sleep("5 millis")
        yield* Fiber.interrupt(fiber)
      }
      yield* Effect.sleep("50 millis")
      assert.strictEqual(server.abandoned(), 3)
    }))

  it.live("a policy waits as long as the server says, and tries again only what makes sense", () =>
    Effect.gen(function*() {
      const busy = json("{}", 429, { "retry-after": "0.1" })
      const server = yield* speechServer(busy, json("{}", 503), json({ text: "Hello" }))
      const stage = Stage.work("listen", { run: Effect.map(transcribe, ({ text }) => ({ text })) })
      const retried = Pipeline.make("p").add(stage.pipe(
        Stage.retry({ attempts: 5, schedule: undefined, while: PortFailure.isRetryable, cap: "1 second" })
      ))
      const { outputs } = yield* Effect.provide(Pipeline.run(retried, Snapshot.make()), sttLayer(server.url))
      assert.strictEqual(outputs.listen.data.text, "Hello")
      const refusing = yield* speechServer(json("{}", 401))
      yield* Effect.flip(Effect.provide(Pipeline.run(retried, Snapshot.make()), sttLayer(refusing.url)))
      assert.strictEqual(refusing.received.length, 1)
    }))

  it("settings that cannot be are refused", () => {
    const good = { url: "http://localhost/v1", model: "m" }
    for (
      const [settings, option] of [
        [{ ...good, url: "" }, "url"],
        [{ ...good, model: " " }, "model"],
        [{ ...good, timeout: 0 }, "timeout"],
        [{ ...good, maximumAudio: Number.NaN }, "maximumAudio"],
        [{ ...good, streaming: "yes" as unknown as boolean }, "streaming"],
        [Object.assign({ key: "x" }, good), "key"]
      ] as const
    ) assert.throws(() => OpenAiSpeech.layerSpeechToText(settings), new RegExp(`Invalid option "${option}"`))
    assert.throws(() => OpenAiSpeech.layerTextToSpeech({ ...good, voice: "" }), /Invalid option "voice"/)
  })

  it.effect("their reasons say how long to wait", () =>
    Effect.sync(() => {
      const retryAfter = Duration.seconds(3)
      const limited = new SpeechToText.SpeechToTextFailed({ service: "s", reason: { _tag: "RateLimited", retryAfter } })
      assert.deepStrictEqual(limited.retryAfter, retryAfter)
      assert.isFalse(PortFailure.isRetryable(new Error("other")))
      assert.isFalse(PortFailure.isRetryable(null))
    }))
})
