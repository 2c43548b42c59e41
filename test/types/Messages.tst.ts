/**
 * The sentences of `messages.test.ts` as the TypeScript before says them.
 */
import { Effect, Schema } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { describe, test } from "tstyche"
import { audit, base, count, greet, llm, router, skilled, support } from "./fixtures/world.ts"

describe("messages of TypeScript 6", () => {
  test("settings and what is no stage", () => {
    // @ts-expect-error "'5 secs' is no duration; write a number, a space and a unit, such as '5 seconds'"
    support.pipe(Stage.timeout("5 secs"))
    // @ts-expect-error "a retry policy has no 'times'; write attempts, which counts the first one, too"
    support.pipe(Stage.retry({ times: 3 }))
    // @ts-expect-error "this is no stage; the stages of a pipeline are added with pipeline.merge(that), or .extend(that)"
    base.add(Pipeline.make("more").add(support))
  })

  test("a stage that is not there", () => {
    // @ts-expect-error "stage 'llm', input 'profil': no stage before it has that name"
    base.add(llm, { inputs: ["router", "profil"] })
    // @ts-expect-error "stage 'support', after 'guard': no stage before it has that name"
    base.add(support, { after: ["guard"] })
    // @ts-expect-error Property 'profil' does not exist on type 'StagesBefore<"look", Stages>'. Did you mean 'profile'?
    base.add(Stage.work("look", { run: Effect.void }), (s) => ({ when: s.profil.is("a") }))
  })

  test("data that does not fit", () => {
    // @ts-expect-error "stage 'count', input 'router': stage 'router' gives 'route' as a string, and not a number"
    base.add(count, { inputs: ["router"] })
    // @ts-expect-error "stage 'audit', input 'who': stage 'router' gives no 'profile'"
    base.add(audit, (s) => ({ inputs: { who: s.router } }))
  })

  test("a stage that may skip", () => {
    // @ts-expect-error "stage 'greet', input 'profile': stage 'profile' may skip; write 'profile?' for an Option
    base.add(greet, { inputs: ["profile"] })
    // @ts-expect-error "stage 'audit', input 'who': stage 'profile' may skip; read it with .option
    base.add(audit, (s) => ({ inputs: { who: s.profile } }))
  })

  test("routes", () => {
    // @ts-expect-error stage 'router' has no route 'suport', only
    base.add(support, (s) => ({ when: s.router.is("suport") }))
    // @ts-expect-error "stage 'input_guard' gives no 'route'"
    base.add(support, (s) => ({ when: s.input_guard.is("support") }))
  })

  test("names and wiring", () => {
    // @ts-expect-error "this pipeline already has a stage 'router'; Stage.as gives this one another name"
    base.add(router)
    // @ts-expect-error "stage 'llm', input 'router': say where it comes from"
    base.add(llm)
    // @ts-expect-error "stage 'llm', input 'profile': say where it comes from"
    base.add(llm, { inputs: ["router"] })
    // @ts-expect-error "stage 'support' has no input 'router'"
    base.add(support, { inputs: ["router"] })
  })

  test("what a stage gives", () => {
    // @ts-expect-error "stage 'answer': run gives a number; data must be an object"
    Stage.transform("answer", { run: Effect.succeed(42) })
    // @ts-expect-error "stage 'answer', output 'text': run gives it with another type"
    Stage.transform("answer", { output: Schema.Struct({ text: Schema.String }), run: Effect.succeed({ text: 42 }) })
  })

  test("a run", () => {
    // @ts-expect-error "the snapshot lacks the extension 'skills'; add it with Snapshot.extend"
    void Pipeline.run(base.add(skilled), Snapshot.make())
    // @ts-expect-error "this pipeline has no stages"
    void Pipeline.run(Pipeline.make("nothing"), Snapshot.make())
  })
})
