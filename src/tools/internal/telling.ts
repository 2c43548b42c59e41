/**
 * Tells of what tools do, in the events of the stage that they are called from.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Announcement } from "../../attempt/announcement.ts"
import { announce } from "../../attempt/attempt.ts"
import { StageContext } from "../../StageContext.ts"

type ToolTag = `Tool${string}` | `Approval${string}`

/** What is told of tools. */
export type Told = Extract<Announcement, { readonly _tag: ToolTag }>

export const tell = (context: StageContext["Service"], told: Told): Effect.Effect<void> =>
  Effect.sync(() => announce(context, told))

/** Tells it where there is a stage to tell it. */
export const tellIfInStage = (told: Told): Effect.Effect<void> =>
  Effect.flatMap(
    Effect.serviceOption(StageContext),
    (context) => Option.isSome(context) ? tell(context.value, told) : Effect.void
  )
