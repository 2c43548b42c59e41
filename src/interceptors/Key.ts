/**
 * Makes the keys under which interceptors keep their state.
 *
 * Interceptors that remember something (breakers, limits, caches) keep it under a key, made from the context of the stage
 * that runs. The default is one key per tenant, pipeline and stage: tenants share nothing unless you say so.
 */
import * as Effect from "effect/Effect"
import { StageContext } from "../StageContext.ts"
import { type Key, KeyFailed, keyOfPlace, keyReader } from "./internal/keys.ts"

export { type Key, KeyFailed }

/** Parts that cannot run into each other, whatever they contain. */
const joined = (...parts: ReadonlyArray<string | undefined>): string =>
  JSON.stringify(parts.map((part) => part ?? null))

/**
 * One key for each tenant, pipeline and stage: the default.
 */
export const perStage: Key = keyOfPlace(({ identity, pipeline, stage }) =>
  joined("stage", identity.orgId, pipeline, stage)
)

/**
 * One key for each tenant: all its stages together.
 */
export const perTenant: Key = keyOfPlace(({ identity }) => joined("tenant", identity.orgId))

/**
 * One key for each stage of each pipeline, all tenants together.
 */
export const shared: Key = keyOfPlace(({ pipeline, stage }) => joined("shared", pipeline, stage))

/**
 * One key for everything that names it: several stages or pipelines that use one provider. All tenants together.
 */
export const named = (name: string): Key => keyOfPlace(() => joined("named", name))

/**
 * One key for each tenant and name: several stages or pipelines that use one provider, each tenant for itself.
 */
export const namedPerTenant = (name: string): Key =>
  keyOfPlace(({ identity }) => joined("named per tenant", identity.orgId, name))

/**
 * Computes the key of the running stage, for interceptors of your own. A function that throws or gives no text denies:
 * nothing runs under a wrong key.
 */
export const keyOf = (interceptor: string, key: Key): Effect.Effect<string, KeyFailed, StageContext> =>
  Effect.flatMap(StageContext, (context) => {
    const read = keyReader(interceptor, key)(context)
    return read instanceof KeyFailed ? Effect.fail(read) : Effect.succeed(read)
  })
