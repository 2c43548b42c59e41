/**
 * Defines what of a pipeline it takes to run it, and what its runs end with.
 */
import type * as Layer from "effect/Layer"
import type { Any as AnyInterceptor } from "../attempt/interceptor-model.ts"
import type { LayerFailed, StageFailed } from "../RunResult.ts"
import type { Conclusion } from "./conclusion.ts"
import type { Planned } from "./plan.ts"

/** What of a pipeline it takes to run it. */
export interface Runnable extends Planned {
  readonly name: string
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
  readonly interceptors: ReadonlyArray<AnyInterceptor>
}

/** What a run ends with. */
export type Ended = Exclude<Conclusion, StageFailed>
/** What a run fails with. */
export type Failed = StageFailed<unknown, unknown> | LayerFailed
