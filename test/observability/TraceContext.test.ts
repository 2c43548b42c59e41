import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, References, Tracer } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { once } from "node:events"
import { createServer } from "node:http"
import { buffer } from "node:stream/consumers"
import { Interceptor, Pipeline, Snapshot } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { TraceContext } from "stageflow/observability"
import { logged } from "./support/events.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"
const traceparent = `00-${traceId}-${spanId}-01`

const recording = () => {
  const spans: Array<Tracer.Span> = []
  const layer = Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  )
  return { spans, layer }
}

const named = (spans: ReadonlyArray<Tracer.Span>, name: string): Tracer.Span => {
  const found = spans.filter((span) => span.name === name)
  assert.strictEqual(found.length, 1, `${name} of ${spans.map((span) => span.name)}`)
  return found[0] as Tracer.Span
}

const parentOf = (span: Tracer.Span) => Option.getOrUndefined(span.parent)

describe("fromHeaders", () => {
  it("reads what the W3C has of a trace, whatever the case of the names", () => {
    const incoming = TraceContext.fromHeaders({
      TraceParent: traceparent,
      tracestate: "vendor=a:b , tenant@system=1",
      Baggage: "tenant=acme, name=Ad%C3%A1;secret=no , empty="
    })
    assert.deepInclude(Option.getOrThrow(incoming.parent), { traceId, spanId, sampled: true })
    assert.strictEqual(incoming.traceState, "vendor=a:b,tenant@system=1")
    assert.deepStrictEqual([...incoming.baggage], [["tenant", "acme"], ["name", "Adá"], ["empty", ""]])
    assert.deepStrictEqual(incoming.problems, [])
  })

  const parents: ReadonlyArray<readonly [string, boolean | undefined]> = [
    [traceparent, true],
    [`00-${traceId}-${spanId}-00`, false],
    // Of a version to come, what is known of it is read.
    [`01-${traceId}-${spanId}-01-more-to-come`, true],
    [`cc-${traceId}-${spanId}-03`, true],
    [`ff-${traceId}-${spanId}-01`, undefined],
    [`00-${traceId}-${spanId}-01-more`, undefined],
    [`01-${traceId}-${spanId}-01more`, undefined],
    [`00-${traceId.toUpperCase()}-${spanId}-01`, undefined],
    [`00-${"0".repeat(32)}-${spanId}-01`, undefined],
    [`00-${traceId}-${"0".repeat(16)}-01`, undefined],
    [`00-${traceId}-${spanId}`, undefined],
    [`00-${traceId}-${spanId}-1`, undefined],
    [` ${traceparent}`, undefined],
    [`${traceparent}, ${traceparent}`, undefined],
    ["", undefined],
    ["x".repeat(1_000_000), undefined]
  ]
  for (const [text, sampled] of parents) {
    it(`reads traceparent strictly: ${text.slice(0, 70)}`, () => {
      const { parent, problems, traceState } = TraceContext.fromHeaders({ traceparent: text, tracestate: "a=b" })
      assert.strictEqual(Option.getOrUndefined(parent)?.sampled, sampled)
      assert.deepStrictEqual(problems.map(({ header }) => header), sampled === undefined ? ["traceparent"] : [])
      assert.strictEqual(traceState, sampled === undefined ? "" : "a=b")
    })
  }

  const states: ReadonlyArray<readonly [text: string, isGood: boolean]> = [
    ["a=1,b=2", true],
    ["a=1,,b=2", true],
    ["a=1,a=2", false],
    ["A=1", false],
    ["a=", false],
    ["a", false],
    ["a=b=c", false],
    ["a=ü", false],
    [Array.from({ length: 32 }, (_, index) => `k${index}=1`).join(","), true],
    [Array.from({ length: 33 }, (_, index) => `k${index}=1`).join(","), false],
    [`a=${"x".repeat(520)}`, false]
  ]
  for (const [text, isGood] of states) {
    it(`reads tracestate strictly: ${text.slice(0, 40)}`, () => {
      const { parent, problems, traceState } = TraceContext.fromHeaders({ traceparent, tracestate: text })
      assert.isTrue(Option.isSome(parent))
      assert.strictEqual(traceState !== "", isGood)
      assert.deepStrictEqual(problems.map(({ header }) => header), isGood ? [] : ["tracestate"])
    })
  }

  it("leaves out of the baggage what is malformed, and says so without its content", () => {
    const { baggage, problems } = TraceContext.fromHeaders({ baggage: "ok=1,bad key=2,half=%E0%A4%A,=3,__proto__=x" })
    assert.deepStrictEqual([...baggage], [["ok", "1"], ["__proto__", "x"]])
    assert.deepStrictEqual(problems, [{ header: "baggage", problem: "3 member(s) are not a key and a value" }])
    const many = Array.from({ length: 65 }, (_, index) => `k${index}=1`).join(",")
    for (const text of [many, `k=${"x".repeat(9_000)}`]) {
      assert.strictEqual(TraceContext.fromHeaders({ baggage: text }).baggage.size, 0)
    }
  })

  it("reads B3 where there is no traceparent", () => {
    const b3 = `${traceId}-${spanId}-1`
    assert.strictEqual(Option.getOrUndefined(TraceContext.fromHeaders({ b3 }).parent)?.spanId, spanId)
    assert.isTrue(Option.isNone(TraceContext.fromHeaders({ b3, traceparent: "malformed" }).parent))
    assert.isTrue(Option.isNone(TraceContext.fromHeaders({}).parent))
  })

  const wrongB3: ReadonlyArray<Record<string, string>> = [
    { b3: `${"0".repeat(32)}-${spanId}-1` },
    { b3: `${"0".repeat(16)}-${spanId}-1` },
    { b3: `${traceId}-${"0".repeat(16)}-1` },
    { b3: "evil" },
    { b3: "zz-yy-1" },
    { "x-b3-traceid": "<script>", "x-b3-spanid": spanId },
    { "x-b3-traceid": traceId },
    { "x-b3-traceid": "0".repeat(32), "x-b3-spanid": spanId }
  ]
  for (const headers of wrongB3) {
    it(`reads B3 strictly: ${JSON.stringify(headers)}`, () => {
      const { parent, problems } = TraceContext.fromHeaders(headers)
      assert.isTrue(Option.isNone(parent))
      assert.deepStrictEqual(problems, [{ header: "b3", problem: "It is no trace id and span id" }])
    })
  }

  it("widens the short trace ids of B3, and takes a mere decision for no problem", () => {
    const short = "8448eb211c80319c"
    for (const headers of [{ b3: `${short}-${spanId}-1` }, { "x-b3-traceid": short, "x-b3-spanid": spanId }]) {
      assert.strictEqual(
        Option.getOrUndefined(TraceContext.fromHeaders(headers).parent)?.traceId,
        short.padStart(32, "0")
      )
    }
    assert.deepStrictEqual(TraceContext.fromHeaders({ b3: "0" }).problems, [])
  })
})

const traced = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provide(effect, Interceptor.layer(Interceptors.tracing()))

describe("continueFrom and headers", () => {
  it.effect("a trace that begins inside does not take the tracestate along", () =>
    Effect.gen(function*() {
      const sent = yield* Effect.all({
        same: Effect.withSpan(TraceContext.headers, "same"),
        another: Effect.withSpan(TraceContext.headers, "another", { root: true })
      }).pipe(TraceContext.continueFrom({ traceparent, tracestate: "vendor=1" }))
      assert.deepStrictEqual([sent.same["tracestate"], sent.another["tracestate"]], ["vendor=1", undefined])
    }))

  it.effect("make a run part of a trace, and hand it on from inside of it", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      let sent: Readonly<Record<string, string>> = {}
      const pipeline = Pipeline.make("p").work("call", {
        run: Effect.map(TraceContext.headers, (headers) => {
          sent = { ...headers }
        })
      })
      yield* traced(Pipeline.run(pipeline, Snapshot.make())).pipe(
        TraceContext.continueFrom({ traceparent, tracestate: "vendor=1", baggage: "tenant=acme" }),
        Effect.provide(layer)
      )
      const run = named(spans, "pipeline p")
      assert.deepInclude(parentOf(run), { _tag: "ExternalSpan", traceId, spanId })
      assert.isTrue(spans.every((span) => span.traceId === traceId))
      assert.deepStrictEqual(sent, {
        traceparent: `00-${traceId}-${named(spans, "attempt 1 of call").spanId}-01`,
        tracestate: "vendor=1",
        baggage: "tenant=acme"
      })
      assert.deepStrictEqual(TraceContext.fromHeaders(sent).problems, [])
    }))

  it.effect("write baggage so that it can be read again, and leave out what cannot be", () =>
    Effect.gen(function*() {
      const baggage = new Map([["a", "ä, ;=\"\n"], ["bad key", "x"], ["half", "\ud800"], ["long", "x".repeat(9_000)]])
      const headers = yield* Effect.provideService(TraceContext.headers, TraceContext.Baggage, baggage)
      assert.deepStrictEqual([...TraceContext.fromHeaders(headers).baggage], [["a", "ä, ;=\"\n"], ["half", "\ufffd"]])
      assert.deepStrictEqual({ ...yield* TraceContext.headers }, {})
    }))

  it.effect("a malformed traceparent starts a new trace, and a log at Debug says so", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const lines: Array<string> = []
      const pipeline = Pipeline.make("p").work("stage", { run: Effect.void })
      yield* traced(Pipeline.run(pipeline, Snapshot.make())).pipe(
        TraceContext.continueFrom({ traceparent: "00-secret", tracestate: "a=b" }),
        Effect.provide(layer),
        logged(lines),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      const run = named(spans, "pipeline p")
      assert.isUndefined(parentOf(run))
      assert.notStrictEqual(run.traceId, traceId)
      assert.deepStrictEqual(lines, [
        "Debug: Malformed header \"traceparent\": It is no version, trace id, span id and flags. A new trace is started"
      ])
    }))
})

/** A server that hands its requests to a handler of the web. */
const listening = (handler: (request: Request) => Promise<Response>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((request, response) => {
        void (async () => {
          const body = await buffer(request)
          const headers = Object.entries(request.headers).map(([key, value]) =>
            [key, String(value)] as [string, string]
          )
          const method = request.method ?? "GET"
          const answer = await handler(
            new Request(`http://localhost${request.url}`, { method, headers, ...(body.length > 0 ? { body } : {}) })
          )
          response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
        })()
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      const address = server.address()
      return { server, url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}` }
    }),
    ({ server }) =>
      Effect.promise(async () => {
        server.closeAllConnections()
        await new Promise((done) => server.close(done))
      })
  )

describe("an HTTP request", () => {
  it.live("is one trace with the run that answers it and with what the run's stages call", () =>
    Effect.scoped(Effect.gen(function*() {
      const { layer, spans } = recording()
      // A service that says what it was sent.
      const tool = yield* listening((request) =>
        Promise.resolve(Response.json({
          traceparent: request.headers.get("traceparent"),
          tracestate: request.headers.get("tracestate"),
          baggage: request.headers.get("baggage")
        }))
      )
      const pipeline = Pipeline.make("chat").work("call", {
        run: Effect.gen(function*() {
          const client = TraceContext.propagate(yield* HttpClient.HttpClient)
          const response = yield* client.get(tool.url)
          return { sent: yield* response.json }
        }).pipe(Effect.orDie)
      })
      const ask = Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(
          TraceContext.continueFrom(request.headers),
          Effect.orDie
        )
        return HttpServerResponse.jsonUnsafe(outputs.call.data.sent)
      })
      const app = HttpRouter.toWebHandler(
        HttpRouter.add("POST", "/ask", ask).pipe(
          Layer.provideMerge(
            Layer.mergeAll(
              layer,
              FetchHttpClient.layer,
              Interceptor.layer(Interceptors.tracing()),
              HttpServer.layerServices
            )
          )
        ),
        { disableLogger: true }
      )
      const server = yield* listening(app.handler)
      const answer = yield* Effect.promise(async () => {
        const headers = { traceparent, tracestate: "vendor=1", baggage: "tenant=acme" }
        return (await fetch(`${server.url}/ask`, { method: "POST", headers })).json()
      })
      yield* Effect.promise(() => app.dispose())
      const served = spans.find(({ kind }) => kind === "server")
      const client = spans.find(({ kind }) => kind === "client")
      assert(client !== undefined && served !== undefined)
      assert.deepInclude(parentOf(served), { traceId, spanId })
      assert.strictEqual(parentOf(named(spans, "pipeline chat")), served)
      assert.strictEqual(parentOf(client), named(spans, "attempt 1 of call"))
      assert.isTrue(spans.every((span) => span.traceId === traceId))
      assert.deepStrictEqual(answer, {
        traceparent: `00-${traceId}-${client.spanId}-01`,
        tracestate: "vendor=1",
        baggage: "tenant=acme"
      })
    })))
})
