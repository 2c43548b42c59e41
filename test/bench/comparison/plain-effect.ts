import { Effect, Schema } from "effect"
import { isBlocked, Llm, Memories, Profiles, promptOf, routeOf } from "./ports.ts"

export class Blocked extends Schema.TaggedError<Blocked>()("Blocked", { reason: Schema.String }) {}

export const chat = Effect.fnUntraced(function*(text: string, userId?: string) {
  if (isBlocked(text)) return yield* new Blocked({ reason: "Blocked content" })
  const [route, name, { facts }] = yield* Effect.all([
    Effect.sync(() => routeOf(text)),
    userId === undefined ? Effect.succeed("stranger") : Profiles.use((profiles) => profiles.nameOf(userId)),
    Memories.use((memories) => memories.recall(userId))
  ], { concurrency: "unbounded" })
  return yield* Effect.timeout(Llm.use((llm) => llm.ask(promptOf(route, name, facts))), "30 seconds")
})
