/**
 * One stage: it reads the input of the run and gives it back.
 *
 * npm run example examples/simple.ts
 */
import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"

const simple = Pipeline.make("simple").transform("echo", {
  run: Effect.map(Snapshot.current, ({ inputText }) => ({ text: `You said: ${inputText}` }))
})

const result = await Effect.runPromise(Pipeline.run(simple, Snapshot.make({ inputText: "Hello, stageflow!" })))
console.log(result._tag)
console.log(result.outputs.echo.data.text)
