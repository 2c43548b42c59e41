/**
 * Tells stages who is calling, as a verified token proves it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"

/**
 * Who is calling, as a verified token says. Stages get it from the `authentication` interceptor.
 *
 * The e-mail address is redacted: it does not show in logs, spans or error messages.
 */
export class AuthContext extends Context.Service<AuthContext, {
  readonly userId: string
  readonly sessionId?: string | undefined
  readonly orgId?: string | undefined
  readonly roles: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly email?: Redacted.Redacted<string> | undefined
}>()("stageflow/auth/AuthContext") {}

/**
 * Whether the caller has a role.
 */
export const hasRole = (role: string): Effect.Effect<boolean, never, AuthContext> =>
  Effect.map(AuthContext, ({ roles }) => roles.includes(role))

/**
 * Whether the caller has a scope.
 */
export const hasScope = (scope: string): Effect.Effect<boolean, never, AuthContext> =>
  Effect.map(AuthContext, ({ scopes }) => scopes.includes(scope))
