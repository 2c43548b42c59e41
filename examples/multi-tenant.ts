/**
 * Many tenants, one pipeline: who is calling is proven by a token, and nobody sees anything of anybody else.
 *
 * npm run example examples/multi-tenant.ts
 */
import { Clock, Console, Context, Effect, Layer, Redacted, Schema } from "effect"
import { SignJWT } from "jose"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Interceptors from "stageflow/interceptors"

// ---------------------------------------------------------------------------------------------------------------------
// a store with documents of several organisations
// ---------------------------------------------------------------------------------------------------------------------

interface Document {
  readonly id: string
  readonly orgId: string
  readonly text: string
}

class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.String }) {}

class Documents extends Context.Service<Documents, {
  readonly get: (id: string) => Effect.Effect<Document, NotFound>
}>()("multi-tenant/Documents") {
  static readonly layer = Layer.succeed(Documents, {
    get: (id) => {
      const found = documents.find((document) => document.id === id)
      return found === undefined ? Effect.fail(new NotFound({ id })) : Effect.succeed(found)
    }
  })
}

const documents: ReadonlyArray<Document> = [
  { id: "plan", orgId: "acme", text: "Acme will build a rocket" },
  { id: "recipe", orgId: "globex", text: "Globex puts salt in it" }
]

// ---------------------------------------------------------------------------------------------------------------------
// the pipeline
// ---------------------------------------------------------------------------------------------------------------------

const document = Stage.enrich("document", {
  run: Effect.gen(function*() {
    const { inputText = "" } = yield* Snapshot.current
    const found = yield* (yield* Documents).get(inputText)
    // Only here is it known whose it is.
    yield* Interceptors.requireOrg(found.orgId)
    return { text: found.text }
  })
})

const shout = Stage.transform("shout", {
  run: Effect.fnUntraced(function*(inputs: { readonly document: { readonly text: string } }) {
    const loud = yield* Interceptors.hasFeature("loud")
    return { text: loud ? inputs.document.text.toUpperCase() : inputs.document.text }
  })
})

const forget = Stage.work("forget", {
  run: Effect.gen(function*() {
    const { userId } = yield* Auth.AuthContext
    return { forgottenBy: userId }
  })
}).pipe(Stage.annotate(Auth.RequiredRoles, ["admin"]))

const plans: Readonly<Record<string, { readonly planTier: string; readonly features: ReadonlyArray<string> }>> = {
  acme: { planTier: "pro", features: ["loud"] }
}

const tenant = Interceptors.tenant({
  lookUp: (orgId) => Effect.succeed(plans[orgId] ?? { planTier: "starter", features: [] })
})

const guarded = Pipeline.intercept(
  Auth.authentication(),
  tenant,
  Interceptors.rateLimit({ limit: 5, window: "1 minute", key: Interceptors.perTenant })
)

const reading = Pipeline.make("reading").add(document).add(shout, { inputs: ["document"] }).pipe(guarded)
const forgetting = Pipeline.make("forgetting").add(forget).pipe(guarded)

// ---------------------------------------------------------------------------------------------------------------------
// callers
// ---------------------------------------------------------------------------------------------------------------------

const secret = "a secret of the example, 32 bytes"
const issuer = "https://login.example"

const tokenFor = Effect.fnUntraced(function*(userId: string, orgId: string, roles: ReadonlyArray<string> = []) {
  const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
  return yield* Effect.promise(() =>
    new SignJWT({ org_id: orgId, roles })
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(userId)
      .setIssuer(issuer)
      .setAudience("stageflow")
      .setExpirationTime(now + 60)
      .sign(new TextEncoder().encode(secret))
  )
})

const say = (who: string, what: string) => Console.log(`${who.padEnd(22)} ${what}`)

/** What a caller is told of an error: its message, which names nobody else. */
const told = (error: { readonly message: string }) =>
  error instanceof RunResult.StageFailed ? error.error.message : error.message

const read = (who: string, id: string, token: string | undefined) =>
  // Whatever the caller writes into the snapshot about who they are, the token decides.
  Pipeline.run(reading, Snapshot.make({ inputText: id, userId: "root", orgId: "globex" })).pipe(
    Effect.flatMap(({ outputs }) => say(`${who} reads ${id}`, outputs.shout.data.text)),
    Effect.catch((error) => say(`${who} reads ${id}`, `no: ${told(error)}`)),
    Effect.provide(Auth.layerBearer(token))
  )

const forgetAs = (who: string, token: string) =>
  Pipeline.run(forgetting, Snapshot.make()).pipe(
    Effect.flatMap(({ outputs }) => say(`${who} forgets`, `done by ${outputs.forget.data.forgottenBy}`)),
    Effect.catch((error) => say(`${who} forgets`, `no: ${told(error)}`)),
    Effect.provide(Auth.layerBearer(token))
  )

const program = Effect.gen(function*() {
  const ada = yield* tokenFor("ada", "acme", ["admin"])
  const bob = yield* tokenFor("bob", "globex")
  yield* read("ada", "plan", ada)
  yield* read("bob", "recipe", bob)
  yield* read("bob", "plan", bob)
  yield* read("bob", "recipe", bob)
  yield* read("ada", "plan", ada)
  yield* read("nobody", "plan", undefined)
  yield* read("a forger", "plan", `${ada.slice(0, -3)}AAA`)
  yield* forgetAs("bob", bob)
  yield* forgetAs("ada", ada)
})

const layerVerifier = Auth.layerJwt({
  issuer,
  audience: "stageflow",
  key: { algorithm: "HS256", secret: Redacted.make(secret) }
})

await Effect.runPromise(Effect.provide(program, [Documents.layer, layerVerifier, Interceptors.RateLimits.layerMemory]))
