import { Effect, type Option } from "effect"
import { Pipeline, Snapshot, Source, Stage, StageOutput } from "stageflow"

const text = Effect.succeed({ text: "" })

const profile = Stage.enrich("profile", {
  run: Effect.gen(function*() {
    const { userId } = yield* Snapshot.current
    if (userId === undefined) return StageOutput.skip("No user_id provided")
    return { name: userId }
  })
})

const llm = Stage.transform("llm", {
  run: (_: {
    readonly router: { readonly route: "support" | "sales" | "general" }
    readonly profile: Option.Option<{ readonly name: string }>
  }) => text
})

/** A small pipeline with every kind of edge. */
export const chat = Pipeline.make("chat")
  .add(Stage.guard("input_guard", { run: Effect.succeed({ validated: true }) }))
  .add(
    Stage.route("router", {
      run: Effect.succeed<{ readonly route: "support" | "sales" | "general" }>({ route: "sales" })
    }),
    { after: ["input_guard"] }
  )
  .add(profile)
  .add(Stage.transform("support", { run: text }), (s) => ({ when: s.router.is("support") }))
  .add(llm, { inputs: ["router", "profile?"] })
  .add(
    Stage.work("audit", { run: (_: { readonly who: { readonly name: string } }) => Effect.void }),
    (s) => ({ inputs: { who: s.profile.required } })
  )
  .add(
    Stage.transform("answer", { run: (_: { readonly text: { readonly text: string } }) => text }),
    (s) => ({ inputs: { text: Source.firstOf(s.support, s.llm) } })
  )
