import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { HttpServerResponse } from "effect/http"
import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { Pipeline, Snapshot, Stage } from "stageflow"

/** A pipeline that streams words without end, how many it has given, and whether its stream is closed. */
const endless = () => {
  const closed = Deferred.makeUnsafe<void>()
  const counted = { given: 0 }
  const word = "word ".repeat(2_000)
  const answer = Stage.stream("answer", {
    run: Stream.forever(Stream.make(word)).pipe(
      Stream.rechunk(1),
      Stream.tap(() =>
        Effect.sync(() => {
          counted.given++
        })
      ),
      Stream.ensuring(Effect.sync(() => Deferred.doneUnsafe(closed, Effect.void)))
    ),
    collect: { initial: () => ({ count: 0 }), step: ({ count }) => ({ count: count + 1 }) }
  })
  const words = Pipeline.stream(Pipeline.make("chat").add(answer), Snapshot.make(), { chunks: ["answer"] }).pipe(
    Stream.filter((element) => element._tag === "Chunk"),
    Stream.map(({ chunk }) => `data: ${chunk}\n\n`)
  )
  return { closed, counted, words }
}

const turn = Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))

/** Waits until the number stays the same for many turns of the event loop. */
const settled = Effect.fnUntraced(function*(counted: { readonly given: number }) {
  let same = 0
  let last = -1
  while (same < 200) {
    same = counted.given === last && last > 0 ? same + 1 : 0
    last = counted.given
    yield* turn
  }
  return last
})

const write = (response: ServerResponse, text: string): Effect.Effect<void> =>
  Effect.suspend(() => response.write(text) ? Effect.void : Effect.promise(() => once(response, "drain")))

describe("R40 server-sent events", () => {
  it.live(
    "node:http: a client that reads slowly holds the stage up, one that hangs up stops it",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { closed, counted, words } = endless()
        const server = createServer((_request, response) => {
          response.writeHead(200, { "content-type": "text/event-stream" })
          const fiber = Effect.runFork(Stream.runForEach(words, (text) => write(response, text)))
          response.once("close", () => fiber.interruptUnsafe())
        })
        yield* Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening"))
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            server.closeAllConnections()
            server.close()
          })
        )
        const client = connect((server.address() as AddressInfo).port, "127.0.0.1")
        client.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        yield* Effect.promise(() => once(client, "readable"))
        const held = yield* settled(counted)
        // It reads some: as much more is given, and no more.
        client.resume()
        yield* Effect.promise(() => once(client, "data"))
        while (counted.given < held + 50) yield* turn
        client.pause()
        const later = yield* settled(counted)
        assert.isAbove(later, held)
        client.destroy()
        yield* Deferred.await(closed)
      })),
    20_000
  )

  it.live("effect/http: the same", () =>
    Effect.gen(function*() {
      const { closed, counted, words } = endless()
      const response = HttpServerResponse.stream(Stream.encodeText(words), { contentType: "text/event-stream" })
      const reader = (HttpServerResponse.toWeb(response).body as ReadableStream<Uint8Array>).getReader()
      const first = yield* Effect.promise(() => reader.read())
      assert.match(new TextDecoder().decode(first.value), /^data: word/)
      const held = yield* settled(counted)
      for (let count = 0; count < 100; count++) yield* Effect.promise(() => reader.read())
      const later = yield* settled(counted)
      assert.isAtLeast(later, held + 50)
      assert.isAtMost(later, held + 150)
      yield* Effect.promise(() => reader.cancel())
      yield* Deferred.await(closed)
    }), 20_000)
})
