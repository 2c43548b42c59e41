/**
 * Carries the token that a run is made with.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"

/**
 * The token that a run is made with, or `undefined` when the caller brought none.
 *
 * Provide it for each run, from the request that the run answers: `Effect.provide(Auth.layerBearer(header))`.
 */
export class BearerToken extends Context.Service<BearerToken, Redacted.Redacted<string> | undefined>()(
  "stageflow/auth/BearerToken"
) {}

const scheme = /^bearer(?: +|$)/i

/**
 * Reads the token of an `Authorization` header (`Bearer ...`), or takes a bare token.
 */
export const bearer = (header: string | undefined): Redacted.Redacted<string> | undefined => {
  const token = header?.trim().replace(scheme, "") ?? ""
  return token === "" ? undefined : Redacted.make(token)
}

/**
 * Makes a Layer of the token of an `Authorization` header.
 */
export const layerBearer = (header: string | undefined): Layer.Layer<BearerToken> =>
  Layer.succeed(BearerToken, bearer(header))
