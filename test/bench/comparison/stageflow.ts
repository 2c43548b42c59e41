import { Effect, Option } from "effect"
import { Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { isBlocked, Llm, Memories, Profiles, promptOf, routeOf } from "./ports.ts"

const guard = Stage.guard("guard", {
  run: function*() {
    if (isBlocked((yield* Snapshot.current).inputText ?? "")) yield* StageOutput.cancel("Blocked content")
  }
})
export const chat = Pipeline.make("chat")
  .gate(guard)
  .route("router", { run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ route: routeOf(inputText) })) })
  .enrich("profile", {
    run: function*() {
      const userId = (yield* Snapshot.current).userId ?? (yield* StageOutput.skip("nobody is signed in"))
      return { name: yield* (yield* Profiles).nameOf(userId) }
    }
  })
  .enrich("memory", { run: Effect.flatMap(Snapshot.current, ({ userId }) => Memories.use((it) => it.recall(userId))) })
  .transform("llm", {
    inputs: ["router", "profile?", "memory"],
    run: function*({ memory, profile, router }) {
      const name = Option.match(profile, { onNone: () => "stranger", onSome: ({ name }) => name })
      return { text: yield* (yield* Llm).ask(promptOf(router.route, name, memory.facts)) }
    },
    wrap: Stage.timeout("30 seconds")
  })
  .returns((s) => s.llm.map(({ text }) => text))
