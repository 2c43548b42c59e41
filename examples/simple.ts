/**
 * One stage: it reads the input of the run and gives it back.
 *
 * npm run example examples/simple.ts
 */
import { Console, Effect } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"

const echo = Stage.transform("echo", {
  run: Effect.gen(function*() {
    const { inputText } = yield* Snapshot.current
    return { text: `You said: ${inputText}` }
  })
})

const simple = Pipeline.make("simple").add(echo)

const program = Effect.gen(function*() {
  const result = yield* Pipeline.run(simple, Snapshot.make({ inputText: "Hello, stageflow!" }))
  yield* Console.log(result._tag)
  yield* Console.log(result.outputs.echo.data.text)
})

Effect.runPromise(program)
