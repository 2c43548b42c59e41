/**
 * Hands a running tool what it may know of its call, past the interceptors that wrap it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** What a tool is told of its call. */
export interface Invocation {
  /** The action: by this id it can be taken back. */
  readonly actionId: string
  /** The id that the model gave to its call. */
  readonly callId: string | undefined
  /** Tells whoever watches the run how far the tool has come. */
  readonly update: (data: unknown) => Effect.Effect<void>
}

/** A call that is going on. */
export interface Ongoing extends Invocation {
  /** The tool has done its work: what it gave is kept before anything can interrupt that. */
  readonly done: (value: unknown) => Effect.Effect<void>
}

export const CurrentCall = Context.Reference<Ongoing | undefined>("stageflow/tools/CurrentCall", {
  defaultValue: () => undefined
})

/** The call that a tool runs in. Nobody runs a tool outside of one. */
export const currentCall: Effect.Effect<Ongoing> = Effect.flatMap(
  CurrentCall,
  (call) => call === undefined ? Effect.die(new Error("A tool runs in a call, and nowhere else")) : Effect.succeed(call)
)
