/**
 * Gives each run its organisation, and keeps stages from touching another organisation's data.
 *
 * `tenant` makes sure that a run belongs to an organisation and gives its stages an `OrgContext`. Inside a stage,
 * `requireOrg` compares it with the owner of what the stage is about to touch: only there is the owner known.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type FailsRun, type Interceptor, make } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { RefusalTypeId } from "../internal/refusal.ts"
import { ProvenIdentity } from "../Snapshot.ts"
import type { RunRejected } from "../StageError.ts"
import { orders } from "./internal/orders.ts"

/**
 * The organisation that a run belongs to.
 */
export class OrgContext extends Context.Service<OrgContext, {
  readonly orgId: string
  /** Its plan, when somebody looks it up. */
  readonly planTier?: string | undefined
  /** What it may use. */
  readonly features: ReadonlyArray<string>
}>()("stageflow/interceptors/OrgContext") {}

/**
 * A run belongs to no organisation, so no stage started.
 */
export class TenantMissing extends Schema.TaggedError<TenantMissing>()("TenantMissing", {
  pipeline: Schema.String
}) {
  readonly code = "TENANT_MISSING"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `A run of pipeline "${this.pipeline}" belongs to no organisation: give the snapshot an orgId, or authenticate`
  }
}

/**
 * A stage was about to touch something that belongs to another organisation.
 *
 * It names the organisation that asked, never the one that owns: an error of one tenant tells nothing of another.
 */
export class CrossTenantAccess extends Schema.TaggedError<CrossTenantAccess>()("CrossTenantAccess", {
  orgId: Schema.String
}) {
  readonly code = "CROSS_TENANT_ACCESS"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Organisation "${this.orgId}" has no access to this resource`
  }
}

/**
 * Gives stages the `OrgContext` of their run, once for each run. A run without an organisation fails with
 * `TenantMissing` before any stage starts.
 *
 * The organisation is the one that an authentication proved, or else the snapshot's. `lookUp` finds its plan and features;
 * when it fails, the run does.
 */
export const tenant = <E = never, R = never>(settings?: {
  readonly lookUp?: (orgId: string) => Effect.Effect<Omit<OrgContext["Service"], "orgId">, E, R>
}): Interceptor<FailsRun<TenantMissing | E | RunRejected>, R, OrgContext> => {
  options.onlyIfGiven(["lookUp"], settings)
  if (settings?.lookUp !== undefined) options.callable("lookUp", settings.lookUp)
  return make({
    name: "tenant",
    order: orders.tenant,
    provides: [OrgContext],
    aroundRun: (effect, { pipeline, snapshot }) =>
      Effect.gen(function*() {
        const { orgId } = (yield* ProvenIdentity) ?? snapshot
        if (orgId === undefined) return yield* new TenantMissing({ pipeline })
        const known = settings?.lookUp === undefined ? { features: [] } : yield* settings.lookUp(orgId)
        return yield* Effect.provideService(effect, OrgContext, { ...known, orgId })
      })
    // The errors of `lookUp` are E, which `make` cannot tell from the placeholders it takes out.
  }) as Interceptor<FailsRun<TenantMissing | E | RunRejected>, R, OrgContext>
}

/**
 * Fails with `CrossTenantAccess` unless the resource belongs to the run's organisation.
 */
export const requireOrg = (resourceOrgId: string): Effect.Effect<void, CrossTenantAccess, OrgContext> =>
  Effect.flatMap(
    OrgContext,
    ({ orgId }) => orgId === resourceOrgId ? Effect.void : Effect.fail(new CrossTenantAccess({ orgId }))
  )

/**
 * Says whether the run's organisation may use a feature.
 */
export const hasFeature = (feature: string): Effect.Effect<boolean, never, OrgContext> =>
  Effect.map(OrgContext, ({ features }) => features.includes(feature))
