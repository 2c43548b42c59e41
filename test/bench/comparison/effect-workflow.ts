import { Effect, Schema } from "effect"
import { Activity, Workflow } from "effect/workflow"
import { isBlocked, Llm, LlmDown, Memories, Profiles, promptOf, routeOf } from "./ports.ts"

export class Blocked extends Schema.TaggedError<Blocked>()("Blocked", { reason: Schema.String }) {}

export const Chat = Workflow.make("Chat", {
  payload: { id: Schema.String, text: Schema.String, userId: Schema.optional(Schema.String) },
  success: Schema.String,
  error: Schema.Union([Blocked, LlmDown]),
  idempotencyKey: ({ id }) => id
})
export const layerChat = Chat.toLayer(Effect.fnUntraced(function*({ text, userId }) {
  if (isBlocked(text)) return yield* new Blocked({ reason: "Blocked content" })
  const [route, name, { facts }] = yield* Effect.all([
    Effect.sync(() => routeOf(text)),
    Activity.make({
      name: "profile",
      success: Schema.String,
      execute: userId === undefined
        ? Effect.succeed("stranger")
        : Profiles.use((profiles) => profiles.nameOf(userId))
    }),
    Activity.make({
      name: "memory",
      success: Schema.Struct({ facts: Schema.Array(Schema.String) }),
      execute: Memories.use((memories) => memories.recall(userId))
    })
  ], { concurrency: "unbounded" })
  return yield* Activity.make({
    name: "llm",
    success: Schema.String,
    error: LlmDown,
    execute: Llm.use((llm) => llm.ask(promptOf(route, name, facts))).pipe(
      Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.fail(new LlmDown()) })
    )
  })
}))
