/** A collector of OpenTelemetry logs, on a port of its own, that keeps what it is sent. */
import { Effect } from "effect"
import { once } from "node:events"
import { createServer, type IncomingHttpHeaders } from "node:http"
import { buffer } from "node:stream/consumers"

export interface Received {
  readonly url: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Answer {
  readonly status: number
  readonly body?: string
}

/** It answers the first request with the first of `answers`, and so on; those after the last with 200. */
export const collector = (answers: ReadonlyArray<Answer> = []) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<Received> = []
      const server = createServer((request, response) => {
        void buffer(request).then((body) => {
          const { body: answer = "{}", status } = answers[received.length] ?? { status: 200 }
          received.push({ url: request.url, headers: request.headers, body })
          response.writeHead(status, { "content-type": "application/json" }).end(answer)
        })
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      const address = server.address()
      const port = typeof address === "object" ? address?.port : undefined
      return { server, received, url: `http://127.0.0.1:${port}/v1/logs` }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((done) => server.close(done))
      })
  )
