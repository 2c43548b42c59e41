/**
 * Shows a draft and its guards as a small pipeline in a loop, for descriptions and pictures.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { Held } from "../../attempt/held-codec.ts"
import * as Pipeline from "../../Pipeline.ts"
import * as Stage from "../../Stage.ts"
import type { Body } from "./body.ts"

/** What a body shows of what it runs; a function has nothing to look into. */
const contentOf = (body: Body): Pipeline.Content => {
  if (Pipeline.isPipeline(body)) return { pipelines: [{ pipeline: body }] }
  return Stage.isStage(body) ? Context.get(body.annotations, Pipeline.Inside) : { pipelines: [] }
}

/** A stage that is looked at and never run. It has the schemas of a stage, and says what is in that. */
const shown = (name: string, kind: Stage.Kind, body: Body) => {
  const { error, output } = Stage.isStage(body) ? body : { error: undefined, output: undefined }
  // It never gives or fails with anything.
  const schemas = { output, error } as {
    output: Schema.Codec<object> | undefined
    error: Schema.Codec<never> | undefined
  }
  const made = Stage.make(Stage.isStage(body) ? body.kind : kind, name, { run: Effect.succeed({}), ...schemas }).pipe(
    Stage.annotate(Pipeline.Inside, contentOf(body))
  )
  return Stage.isStage(body) ? Stage.annotate(made, Held, Context.get(body.annotations, Held)) : made
}

/** What the draft is called where it is shown: not like one of its guards. */
const draftName = (body: Body, guards: ReadonlyArray<{ readonly name: string }>): string => {
  let name = typeof body === "function" ? "draft" : body.name
  while (guards.some((guard) => guard.name === name)) name = `${name} draft`
  return name
}

/** What is inside of a stage that drafts until its guards accept. */
export const shownLoop = (
  draft: Body,
  guards: ReadonlyArray<{ readonly name: string; readonly body: Body }>
): Pipeline.Content => {
  const name = draftName(draft, guards)
  let pipeline: Pipeline.Any = Pipeline.make("drafts").add(shown(name, "transform", draft))
  for (const guard of guards) {
    // The names are not known to the compiler, and what is only shown needs no types.
    const drafts = pipeline as Pipeline.Pipeline<never>
    pipeline = drafts.add(shown(guard.name, "guard", guard.body) as never, { inputs: [name] } as never)
  }
  return { pipelines: [{ pipeline }], repeats: "loop" }
}
