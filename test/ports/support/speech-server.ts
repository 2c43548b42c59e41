/** A server of OpenAI's kind, on a port of its own, that keeps what it is sent and answers what it is told to. */
import { Effect } from "effect"
import { once } from "node:events"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import { buffer } from "node:stream/consumers"

export interface Received {
  readonly method: string | undefined
  readonly path: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export type Answer = (response: ServerResponse, received: Received) => void

/** The parts of a form that was uploaded. */
export const partsOf = async ({ body, headers }: Received): Promise<Readonly<Record<string, string | Buffer>>> => {
  const form = await new Response(new Uint8Array(body), {
    headers: { "content-type": headers["content-type"] ?? "" }
  }).formData()
  const parts = Array.from(form, async ([name, value]): Promise<readonly [string, string | Buffer]> => [
    name,
    typeof value === "string" ? value : Buffer.from(await value.arrayBuffer())
  ])
  return Object.fromEntries(await Promise.all(parts))
}

export const json =
  (value: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer => (response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(
      typeof value === "string" ? value : JSON.stringify(value)
    )

/** Writes these pieces one after the other, and then ends, breaks off or hangs. */
export const pieces = (
  type: string,
  all: ReadonlyArray<string | Uint8Array>,
  then: "end" | "break" | "hang" = "end"
): Answer =>
(response) => {
  response.writeHead(200, { "content-type": type })
  const next = (index: number): void => {
    const piece = all[index]
    if (piece !== undefined) {
      response.write(piece)
      setImmediate(() => setImmediate(() => next(index + 1)))
    } else if (then === "end") response.end()
    else if (then === "break") setTimeout(() => response.destroy(), 20)
  }
  next(0)
}

export const hangs: Answer = () => {}

export interface SpeechServer {
  readonly url: string
  readonly received: ReadonlyArray<Received>
  /** Connections whose client went away before the answer had ended. */
  readonly abandoned: () => number
}

/** It answers the first request with the first answer, and so on; those after the last with the last. */
export const speechServer = (...answers: ReadonlyArray<Answer>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Received> = []
      let abandoned = 0
      const handle = (request: IncomingMessage, response: ServerResponse) => {
        void buffer(request).then((body) => {
          const { headers, method, url: path } = request
          const answer = answers[Math.min(received.length, answers.length - 1)]
          const each: Received = { method, path, headers, body }
          received.push(each)
          response.on("close", () => void (abandoned += response.writableFinished ? 0 : 1))
          answer?.(response, each)
        }, () => {})
      }
      const server = createServer(handle)
      await once(server.listen(0, "127.0.0.1"), "listening")
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/v1`
      return { server, url, received, abandoned: () => abandoned }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((done) => server.close(done))
      })
  )
