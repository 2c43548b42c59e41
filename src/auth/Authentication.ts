/**
 * Authenticates runs, and lets stages require roles and scopes of the caller.
 *
 * The token is checked once for each run, before any stage starts. The identity it proves replaces whatever the caller
 * wrote into the snapshot.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type Gate, gatedKey } from "../attempt/gate.ts"
import { undeclaringFaults } from "../attempt/interceptor-model.ts"
import { combine, type FailsRun, type Interceptor, make } from "../Interceptor.ts"
import { orders } from "../interceptors/internal/orders.ts"
import * as options from "../internal/options.ts"
import { RefusalTypeId } from "../internal/refusal.ts"
import { ProvenIdentity } from "../Snapshot.ts"
import { InvalidOption, StageFault } from "../StageError.ts"
import { AuthContext } from "./AuthContext.ts"
import { BearerToken } from "./BearerToken.ts"
import { AuthenticationFailed, type Claims, TokenVerifier } from "./TokenVerifier.ts"

/**
 * The caller lacks a role or a scope that a stage asks for, so the stage did not run.
 */
export class AccessDenied extends Schema.TaggedError<AccessDenied>()("AccessDenied", {
  stage: Schema.String,
  missingRoles: Schema.Array(Schema.String),
  missingScopes: Schema.Array(Schema.String)
}) {
  readonly code = "ACCESS_DENIED"
  readonly [RefusalTypeId] = true
  override get message(): string {
    const missing = [
      ...this.missingRoles.map((role) => `role "${role}"`),
      ...this.missingScopes.map((scope) => `scope "${scope}"`)
    ]
    return `Stage "${this.stage}" did not run: the caller lacks ${missing.join(" and ")}`
  }
}

/** The stages that an `authentication` around them has let through: their annotations have been asked already. */
const Authorized = Context.Reference<string | undefined>("stageflow/auth/Authorized", { defaultValue: () => undefined })

/**
 * The gate that an annotation is. It asks also where no `authentication` of the pipeline's own looks at annotations: around
 * a child run, or one that a Layer installed. With no caller at all no stage of the run starts.
 */
const annotated = (
  deny: (stage: string, caller: AuthContext["Service"] | undefined) => AccessDenied | undefined
): Gate => ({
  name: "authorization",
  needs: AuthContext,
  around: (effect, { name }) =>
    Effect.gen(function*() {
      if ((yield* Authorized) === name) return yield* effect
      const denied = deny(name, Option.getOrUndefined(yield* Effect.serviceOption(AuthContext)))
      if (denied === undefined) return yield* effect
      const reason = { _tag: "InterceptorFailed", interceptor: "authorization", error: denied } as const
      return yield* new StageFault({ stage: name, reason })
    })
})

/**
 * The roles that a stage asks for, all of them: `stage.pipe(Stage.annotate(Auth.RequiredRoles, ["admin"]))`.
 *
 * A run whose caller is not authenticated does not start when one of its stages asks for any.
 */
export const RequiredRoles: Context.Reference<ReadonlyArray<string>> = gatedKey(
  Context.Reference<ReadonlyArray<string>>("stageflow/auth/RequiredRoles", { defaultValue: () => [] }),
  (given) => {
    const roles = options.names("RequiredRoles", given)
    return roles.length === 0 ? undefined : annotated((stage, caller) => denial(stage, caller, roles, []))
  }
)

/**
 * The scopes that a stage asks for, all of them.
 *
 * A run whose caller is not authenticated does not start when one of its stages asks for any.
 */
export const RequiredScopes: Context.Reference<ReadonlyArray<string>> = gatedKey(
  Context.Reference<ReadonlyArray<string>>("stageflow/auth/RequiredScopes", { defaultValue: () => [] }),
  (given) => {
    const scopes = options.names("RequiredScopes", given)
    return scopes.length === 0 ? undefined : annotated((stage, caller) => denial(stage, caller, [], scopes))
  }
)

const Text = Schema.String.check(Schema.isNonEmpty())

/** A list of words, or words in one text as OAuth writes its scopes. */
const Words = Schema.Union([Schema.String, Schema.Array(Schema.String)])

/** A claim that need not be there. What is there has to be what it should be. */
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullishOr(schema))

/** The claims as they are commonly named. */
const CommonClaims = Schema.Struct({
  sub: Text,
  sid: optional(Text),
  org_id: optional(Text),
  roles: optional(Words),
  scope: optional(Words),
  scp: optional(Words),
  email: optional(Text)
})

const readClaims = Schema.decodeUnknownEffect(CommonClaims)

const wordsOf = (words: typeof Words.Type | null | undefined): ReadonlyArray<string> =>
  typeof words === "string" ? words.split(" ").filter((word) => word !== "") : words ?? []

/** A claim of the wrong type is not taken for one that is missing: somebody without an organisation is somebody else. */
const identityOfClaims = (claims: Claims): Effect.Effect<AuthContext["Service"], AuthenticationFailed> =>
  Effect.mapBoth(readClaims(claims), {
    onFailure: () => new AuthenticationFailed({ reason: "claims" }),
    onSuccess: ({ email, org_id, roles, scope, scp, sid, sub }) => ({
      userId: sub,
      sessionId: sid ?? undefined,
      orgId: org_id ?? undefined,
      roles: wordsOf(roles),
      scopes: wordsOf(scope ?? scp),
      email: Predicate.isNullish(email) ? undefined : Redacted.make(email)
    })
  })

const authenticated = (
  read: (claims: Claims) => Effect.Effect<AuthContext["Service"], AuthenticationFailed>
): Effect.Effect<AuthContext["Service"], AuthenticationFailed, TokenVerifier | BearerToken> =>
  Effect.gen(function*() {
    const token = yield* BearerToken
    if (token === undefined) return yield* new AuthenticationFailed({ reason: "missing" })
    const verifier = yield* TokenVerifier
    return yield* read(yield* verifier.verify(token))
  }).pipe(
    // A verifier that breaks, or interrupts itself, lets nobody in.
    Effect.catchCause((cause) =>
      Effect.fail(
        Option.getOrElse(Cause.findErrorOption(cause), () => new AuthenticationFailed({ reason: "verifier" }))
      )
    )
  )

const proven = ({ orgId, sessionId, userId }: AuthContext["Service"]) => ({
  userId,
  ...(sessionId === undefined ? {} : { sessionId }),
  ...(orgId === undefined ? {} : { orgId })
})

/** What the caller lacks, as an error, when they lack anything. */
const denial = (
  stage: string,
  caller: AuthContext["Service"] | undefined,
  roles: ReadonlyArray<string>,
  scopes: ReadonlyArray<string>
): AccessDenied | undefined => {
  const missingRoles = roles.filter((role) => caller?.roles.includes(role) !== true)
  const missingScopes = scopes.filter((scope) => caller?.scopes.includes(scope) !== true)
  return missingRoles.length === 0 && missingScopes.length === 0
    ? undefined
    : new AccessDenied({ stage, missingRoles, missingScopes })
}

const authorization = make({
  name: "authorization",
  gate: true,
  around: (effect, { annotations, name }) => {
    const roles = Context.get(annotations, RequiredRoles)
    const scopes = Context.get(annotations, RequiredScopes)
    if (roles.length === 0 && scopes.length === 0) return effect
    return Effect.gen(function*() {
      const denied = denial(name, Option.getOrUndefined(yield* Effect.serviceOption(AuthContext)), roles, scopes)
      return denied === undefined ? yield* Effect.provideService(effect, Authorized, name) : yield* denied
    })
  }
})

/**
 * What a caller has to have: roles, scopes or both, all of them.
 */
export type Requirement =
  | { readonly roles: ReadonlyArray<string>; readonly scopes?: ReadonlyArray<string> | undefined }
  | { readonly roles?: ReadonlyArray<string> | undefined; readonly scopes: ReadonlyArray<string> }

/**
 * Lets a stage run only for a caller with all of these roles and scopes: `Stage.intercept(Auth.require({ roles: ["admin"] }))`.
 *
 * It needs the `AuthContext`, so a pipeline with such a stage and without `authentication` does not compile. It is asked
 * before anything that could answer for the stage, a cache or a fallback around the pipeline for one. The annotations
 * `RequiredRoles` and `RequiredScopes` say the same without a type.
 */
const require_ = (needed: Requirement): Interceptor<AccessDenied, AuthContext> => {
  const given = options.fields<Requirement>("needed", ["roles", "scopes"], needed)
  const roles = required("roles", given.roles)
  const scopes = required("scopes", given.scopes)
  if (roles.length === 0 && scopes.length === 0) {
    throw new InvalidOption({ option: "needed", expected: "roles or scopes", given: "neither" })
  }
  return make({
    name: "require",
    gate: true,
    around: (effect, { name }) =>
      Effect.gen(function*() {
        const denied = denial(name, yield* AuthContext, roles, scopes)
        return denied === undefined ? yield* effect : yield* denied
      })
  })
}

/** What has to be there is named: an empty list would let everybody pass. */
const required = (option: string, given: ReadonlyArray<string> | undefined): ReadonlyArray<string> => {
  if (given === undefined) return []
  const names = options.names(option, given)
  if (names.length > 0) return names
  throw new InvalidOption({ option, expected: "one name at least", given: "none" })
}

export {
  /**
   * Lets a stage run only for a caller with all of these roles and scopes.
   */
  require_ as require
}

/**
 * Authenticates each run by its `BearerToken`, and gives stages the `AuthContext`.
 *
 * A token that is not accepted fails the run with `AuthenticationFailed` before any stage starts. Stages annotated with
 * `RequiredRoles` or `RequiredScopes` fail with `AccessDenied` when the caller lacks one. `claims` reads the identity from
 * a token whose claims are named differently.
 */
export const authentication = (settings?: {
  readonly claims?: ((claims: Claims) => Effect.Effect<AuthContext["Service"], AuthenticationFailed>) | undefined
}): Interceptor<
  FailsRun<AuthenticationFailed> | AccessDenied,
  TokenVerifier | BearerToken,
  AuthContext
> => {
  options.onlyIfGiven(["claims"], settings)
  const claims = options.callable("claims", settings?.claims ?? identityOfClaims)
  return combine(
    undeclaringFaults<FailsRun<AuthenticationFailed>, TokenVerifier | BearerToken, AuthContext>(make({
      name: "authentication",
      order: orders.authentication,
      provides: [AuthContext],
      aroundRun: (effect) =>
        Effect.gen(function*() {
          const caller = yield* authenticated(claims)
          return yield* effect.pipe(
            Effect.provideService(AuthContext, caller),
            Effect.provideService(ProvenIdentity, proven(caller))
          )
        })
    })),
    authorization
  )
}
