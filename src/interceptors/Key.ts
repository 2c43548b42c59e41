/**
 * Makes the keys under which interceptors keep their state.
 *
 * Interceptors that remember something (breakers, limits, caches) keep it under a key, made from the context of the stage
 * that runs. The default is one key per tenant, pipeline and stage: tenants share nothing unless you say so.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { StageContext } from "../StageContext.ts"

/**
 * Makes a key from the context of a running stage.
 */
export type Key = (context: StageContext["Service"]) => string

/** Parts that cannot run into each other, whatever they contain. */
const joined = (...parts: ReadonlyArray<string | undefined>): string =>
  JSON.stringify(parts.map((part) => part ?? null))

/**
 * One key for each tenant, pipeline and stage: the default.
 */
export const perStage: Key = ({ identity, pipeline, stage }) => joined("stage", identity.orgId, pipeline, stage)

/**
 * One key for each tenant: all its stages together.
 */
export const perTenant: Key = ({ identity }) => joined("tenant", identity.orgId)

/**
 * One key for each stage of each pipeline, all tenants together.
 */
export const shared: Key = ({ pipeline, stage }) => joined("shared", pipeline, stage)

/**
 * One key for everything that names it: several stages or pipelines that use one provider. All tenants together.
 */
export const named = (name: string): Key => () => joined("named", name)

/**
 * One key for each tenant and name: several stages or pipelines that use one provider, each tenant for itself.
 */
export const namedPerTenant = (name: string): Key => ({ identity }) => joined("named per tenant", identity.orgId, name)

/**
 * A key function threw or gave no text, so what it protects did not run.
 */
export class KeyFailed extends Schema.TaggedError<KeyFailed>()("KeyFailed", {
  interceptor: Schema.String,
  stage: Schema.String,
  defect: Schema.Defect()
}) {
  readonly code = "KEY_FAILED"
  override get message(): string {
    return `Stage "${this.stage}" did not run: the interceptor "${this.interceptor}" could not compute its key `
      + `(see \`defect\`)`
  }
}

/**
 * Computes the key of the running stage, for interceptors of your own. A function that throws or gives no text denies:
 * nothing runs under a wrong key.
 */
export const keyOf = (interceptor: string, key: Key): Effect.Effect<string, KeyFailed, StageContext> =>
  Effect.flatMap(StageContext, (context) =>
    Effect.try({
      try: () => checked(key(context)),
      catch: (defect) => new KeyFailed({ interceptor, stage: context.stage, defect })
    }))

// A key that is not text would be the same for everyone whose key is not text.
const checked = (key: unknown): string => {
  if (typeof key === "string") return key
  throw new TypeError(`A key must be text, not ${key === null ? "null" : `a value of type ${typeof key}`}`)
}
