/**
 * Many tenants, one pipeline: who is calling is proven by a token, and nobody sees anything of anybody else.
 *
 * npm run example examples/multi-tenant.ts
 */
import { Console, Context, Effect, Redacted, Schema } from "effect"
import { SignJWT } from "jose"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import * as Auth from "stageflow/auth"
import * as Interceptors from "stageflow/interceptors"

// A store with documents of several organisations.
class NotFound extends Schema.TaggedError<NotFound>()("NotFound", { id: Schema.String }) {}
class Documents extends Context.Service<Documents, {
  readonly get: (id: string) => Effect.Effect<{ readonly orgId: string; readonly text: string }, NotFound>
}>()("multi-tenant/Documents") {}

const documents = new Map([
  ["plan", { orgId: "acme", text: "Acme will build a rocket" }],
  ["recipe", { orgId: "globex", text: "Globex puts salt in it" }]
])

const guarded = Pipeline.intercept(
  Auth.authentication(),
  Interceptors.tenant({
    lookUp: (orgId) =>
      Effect.succeed(
        orgId === "acme" ? { planTier: "pro", features: ["loud"] } : { planTier: "starter", features: [] }
      )
  }),
  Interceptors.rateLimit({ limit: 5, window: "1 minute", key: Interceptors.perTenant })
)

const reading = Pipeline.make("reading", { input: Schema.String })
  .enrich("document", {
    inputs: ["input"],
    run: function*({ input }) {
      const { orgId, text } = yield* (yield* Documents).get(input)
      // Only here is it known whose it is.
      yield* Interceptors.requireOrg(orgId)
      return { text: (yield* Interceptors.hasFeature("loud")) ? text.toUpperCase() : text }
    }
  })
  .returns((s) => s.document.map(({ text }) => text))
  .pipe(guarded)

const forgetting = Pipeline.make("forgetting")
  .work("forget", {
    run: function*() {
      return { forgottenBy: (yield* Auth.AuthContext).userId }
    },
    wrap: Stage.annotate(Auth.RequiredRoles, ["admin"])
  })
  .returns((s) => s.forget.map(({ forgottenBy }) => `done by ${forgottenBy}`))
  .pipe(guarded)
// The callers.
const secret = "a secret of the example, 32 bytes"
const expected = { issuer: "https://login.example", audience: "stageflow" }

const tokenOf = (userId: string, orgId: string, roles: ReadonlyArray<string> = []) =>
  new SignJWT({ org_id: orgId, roles, sub: userId, iss: expected.issuer, aud: expected.audience })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1 minute")
    .sign(new TextEncoder().encode(secret))

/** What a caller is told of an error: its message, which names nobody else. */
const told = (error: { readonly message: string }) =>
  `no: ${error instanceof RunResult.StageFailed ? error.error.message : error.message}`

const call = <E extends { readonly message: string }, R>(
  what: string,
  token: string | undefined,
  run: Effect.Effect<{ readonly value: string }, E, R>
) =>
  Effect.match(run, { onFailure: told, onSuccess: ({ value }) => value }).pipe(
    Effect.flatMap((said) => Console.log(`${what.padEnd(22)} ${said}`)),
    Effect.provide(Auth.layerBearer(token))
  )

// Whatever the caller writes into the snapshot about who they are, the token decides.
const read = (who: string, id: string, token: string | undefined) =>
  call(
    `${who} reads ${id}`,
    token,
    Pipeline.run(reading, Snapshot.make({ input: id, userId: "root", orgId: "globex" }))
  )

const forget = (who: string, token: string) => call(`${who} forgets`, token, Pipeline.run(forgetting, Snapshot.make()))

const ada = await tokenOf("ada", "acme", ["admin"])
const bob = await tokenOf("bob", "globex")
const program = Effect.all([
  read("ada", "plan", ada),
  read("bob", "recipe", bob),
  read("bob", "plan", bob),
  read("bob", "recipe", bob),
  read("ada", "plan", ada),
  read("nobody", "plan", undefined),
  read("a forger", "plan", `${ada.slice(0, -3)}AAA`),
  forget("bob", bob),
  forget("ada", ada)
])

const layerVerifier = Auth.layerJwt({ ...expected, key: { algorithm: "HS256", secret: Redacted.make(secret) } })
await Effect.runPromise(program.pipe(
  Effect.provide([layerVerifier, Interceptors.RateLimits.layerMemory]),
  Effect.provideService(Documents, {
    get: (id) => Effect.mapError(Effect.fromNullishOr(documents.get(id)), () => new NotFound({ id }))
  })
))
