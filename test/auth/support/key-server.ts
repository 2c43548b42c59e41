import { Effect, type Scope } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** How many requests came before this one. */
  readonly before: number
}

export interface KeyServer {
  readonly url: string
  readonly requests: () => number
  /** Ends when this many requests have come in. */
  readonly asked: (times: number) => Effect.Effect<void>
}

/** A server on 127.0.0.1 that answers as the test says, and is gone when the scope closes. */
export const keyServer = (answer: (exchange: Exchange) => void): Effect.Effect<KeyServer, never, Scope.Scope> =>
  Effect.gen(function*() {
    let requests = 0
    const waiting = new Set<() => void>()
    const server = createServer((request, response) => {
      const before = requests++
      response.on("error", () => {})
      answer({ request, response, before })
      for (const check of waiting) check()
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, "127.0.0.1", () => resume(Effect.void))
      }),
      () =>
        Effect.sync(() => {
          server.closeAllConnections()
          server.close()
        })
    )
    // A server that listens on a port has an address with one.
    const { port } = server.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}/jwks`,
      requests: () => requests,
      asked: (times) =>
        Effect.callback<void>((resume) => {
          const check = () => {
            if (requests < times) return
            waiting.delete(check)
            resume(Effect.void)
          }
          waiting.add(check)
          check()
          return Effect.sync(() => waiting.delete(check))
        })
    }
  })

/** Answers with this as JSON. */
export const json = ({ response }: Exchange, body: unknown): void => {
  response.setHeader("content-type", "application/json")
  response.end(JSON.stringify(body))
}

/** Answers with this status and text. */
export const plain = ({ response }: Exchange, status: number, body: string): void => {
  response.statusCode = status
  response.end(body)
}
