/** What the same small chat is given in every library: its ports, and the functions that know nothing of any of them. */
import { Context, Effect, Layer, Schema } from "effect"

export class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
export class Llm extends Context.Service<Llm, {
  readonly ask: (prompt: string) => Effect.Effect<string, LlmDown>
}>()("chat/Llm") {}
export class Profiles extends Context.Service<Profiles, {
  readonly nameOf: (userId: string) => Effect.Effect<string>
}>()("chat/Profiles") {}
export class Memories extends Context.Service<Memories, {
  readonly recall: (userId: string | undefined) => Effect.Effect<{ readonly facts: ReadonlyArray<string> }>
}>()("chat/Memories") {}

export const isBlocked = (text: string) => text.includes("password")
export const routeOf = (text: string): "support" | "general" => text.includes("broken") ? "support" : "general"
export const promptOf = (route: string, name: string, facts: ReadonlyArray<string>) =>
  `[${route}] ${name}: ${facts.join(", ")}`

/** Stand-ins that answer at once. */
export const layerPorts = Layer.mergeAll(
  Layer.succeed(Llm, { ask: Effect.succeed }),
  Layer.succeed(Profiles, { nameOf: Effect.succeed }),
  Layer.succeed(Memories, { recall: () => Effect.succeed({ facts: ["has a printer"] }) })
)
