/**
 * Pipelines in pipelines: ten stages nested five deep, and the same fifty stages flat.
 */
import { Effect } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { Subpipeline } from "stageflow/control"

export const nestings = ["flat", "nested"] as const

export type Nesting = (typeof nestings)[number]

const depth = 5
const stagesPerPipeline = 10

type Step = Stage.Stage<string, unknown, object, never, unknown>

const step = (name: string): Step => Stage.transform(name, { run: () => Effect.sync(() => ({ done: true })) })

const steps = (count: number): ReadonlyArray<Step> => Array.from({ length: count }, (_, index) => step(`stage${index}`))

/** Stages one behind the other. */
const chainOf = (name: string, stages: ReadonlyArray<Step>) =>
  Effect.orDie(Pipeline.fromSpecs(
    name,
    stages.map((stage, index) => ({ stage, after: index === 0 ? [] : [stages[index - 1]?.name ?? ""] }))
  ))

/** Ten stages, the last of which runs a pipeline of the same kind, and so on. */
const nestedAt = (level: number): ReturnType<typeof chainOf> =>
  level === depth ? chainOf(`level${level}`, steps(stagesPerPipeline)) : Effect.flatMap(
    nestedAt(level + 1),
    (inner) => {
      const child: Step = Subpipeline.stage("child", inner, { output: () => ({ done: true }) })
      return chainOf(`level${level}`, [...steps(stagesPerPipeline - 1), child])
    }
  )

/** A run of each. */
export const nestingRuns: Effect.Effect<Readonly<Record<Nesting, Effect.Effect<unknown>>>> = Effect.gen(function*() {
  const flat = yield* chainOf("flat", steps(depth * stagesPerPipeline))
  const nested = yield* nestedAt(1)
  return {
    flat: Effect.orDie(Pipeline.run(flat, Snapshot.make())),
    nested: Effect.orDie(Pipeline.run(nested, Snapshot.make()))
  }
})
