/**
 * From a graph as data to a pipeline whose stages do what the data says, and keep account of it.
 */
import { Effect, Exit, Option, Schema } from "effect"
import { Pipeline, Source, Stage, StageOutput } from "stageflow"
import type { Graph, StageSpec } from "./graph.ts"
import { digest, type Seen } from "./model.ts"

export class Down extends Schema.TaggedError<Down>()("Down", { stage: Schema.String }) {}

/** What really happened inside the stages, written down by themselves. */
export class Account {
  readonly begun: Array<string> = []
  readonly finalized: Array<string> = []
  running = 0
  most = 0

  enter(name: string): void {
    this.begun.push(name)
    this.running++
    this.most = Math.max(this.most, this.running)
  }

  leave(name: string): void {
    this.finalized.push(name)
    this.running--
  }
}

interface Data {
  readonly route: "a" | "b"
  readonly value: number
}

const isData = (value: unknown): value is Data => typeof value === "object" && value !== null && "value" in value

/** An input as the digest sees it: the value of the data, or why there is none. */
const seenOf = (input: unknown): Seen => {
  if (Option.isOption(input)) return Option.isNone(input) ? "none" : seenOf(input.value)
  if (StageOutput.isStageOutput(input)) return input._tag === "Ok" ? seenOf(input.data) : `skip ${skipOf(input)}`
  return isData(input) ? input.value : typeof input === "string" ? input : "empty"
}

const skipOf = (output: StageOutput.StageOutput): string => output._tag === "Skip" ? output.reason : output._tag

type Ended = object | void | StageOutput.Skip | StageOutput.Cancel | StageOutput.Retry | StageOutput.Fail<Down>

const endOf = (spec: StageSpec, data: Data): Effect.Effect<Ended, Down, StageOutput.InStage<"skip">> => {
  switch (spec.end) {
    case "ok":
      return Effect.succeed(data)
    case "nothing":
      return Effect.void
    case "skip":
      return Effect.succeed(StageOutput.skip(`nothing for ${spec.name}`))
    case "yielded skip":
      return StageOutput.skip(`nothing for ${spec.name}`)
    case "cancel":
      return Effect.succeed(StageOutput.cancel(`enough for ${spec.name}`))
    case "fail":
      return Effect.fail(new Down({ stage: spec.name }))
    case "returned fail":
      return Effect.succeed(StageOutput.fail(new Down({ stage: spec.name })))
    case "die":
      return Effect.die(`defect of ${spec.name}`)
    case "retry":
      return Effect.succeed(StageOutput.retry("again"))
    case "interrupt itself":
      return Effect.interrupt
    case "invalid":
      return Effect.succeed("no output" as never)
  }
}

const inputsByKey = (inputs: unknown): ReadonlyArray<readonly [string, Seen]> =>
  Object.entries((inputs ?? {}) as object).map(([key, value]) => [key, seenOf(value)] as const)

const stageOf = (spec: StageSpec, account: Account) =>
  Stage.transform(spec.name, {
    run: (inputs: unknown) =>
      Effect.suspend(() => {
        account.enter(spec.name)
        let isDone = false
        const data = { route: spec.route, value: digest(spec.name, inputsByKey(inputs)) }
        const ending = Effect.suspend(() => {
          isDone = true
          return endOf(spec, data)
        })
        const body = spec.ms === 0 ? ending : Effect.andThen(Effect.sleep(spec.ms), ending)
        const cleanUp = (exit: Exit.Exit<unknown, unknown>) =>
          Exit.isFailure(exit) && !isDone && spec.cleanMs > 0 ? Effect.sleep(spec.cleanMs) : Effect.void
        return Effect.onExit(
          body,
          (exit) => Effect.andThen(cleanUp(exit), Effect.sync(() => account.leave(spec.name)))
        )
      })
  })

const conditionOf = ({ stages }: Graph, { edges }: StageSpec): Source.Source<boolean> | undefined => {
  const conditions = edges.flatMap(
    ({ from, kind }, position): ReadonlyArray<readonly [string, Source.Source<boolean>]> => {
      const source = Source.stage((stages[from] as StageSpec).name)
      const key = `condition ${position}`
      switch (kind) {
        case "is a":
          return [[key, source.is("a")]]
        case "chose":
          return [[key, source.required.map((data) => isData(data) && data.route === "a")]]
        case "throws":
          return [
            [
              key,
              source.option.map((): boolean => {
                throw new Error("condition")
              })
            ] as const
          ]
        default:
          return []
      }
    }
  )
  if (conditions.length === 0) return undefined
  return Source.all(Object.fromEntries(conditions)).map((holds) => Object.values(holds).every(Boolean))
}

const sourcesOf = ({ stages }: Graph, { edges }: StageSpec): Readonly<Record<string, Source.Any>> => {
  const sources: Array<readonly [string, Source.Any]> = []
  const firsts: Array<Source.StageData<string, unknown>> = []
  for (const { from, kind } of edges) {
    const { name } = stages[from] as StageSpec
    const source = Source.stage(name)
    if (kind === "data") sources.push([name, source.required])
    if (kind === "optional") sources.push([name, source.option])
    if (kind === "output") sources.push([name, source.output])
    if (kind === "orElse") sources.push([name, source.orElse(() => "instead")])
    if (kind === "first") firsts.push(source)
  }
  const [first, ...others] = firsts
  if (first !== undefined) sources.push(["first of", Source.firstOf(first, ...others)])
  return Object.fromEntries(sources)
}

const namesOf = ({ stages }: Graph, { edges }: StageSpec): ReadonlyArray<string> =>
  edges.flatMap(({ from, kind }) => {
    const { name } = stages[from] as StageSpec
    return kind === "data" ? [name] : kind === "optional" ? [`${name}?`] : []
  })

/** The same elements in another order, for each number another one. */
export const shuffled = <A>(elements: ReadonlyArray<A>, number: number): ReadonlyArray<A> => {
  const result = elements.slice()
  let state = number
  for (let index = result.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    const other = state % (index + 1)
    const element = result[index] as A
    result[index] = result[other] as A
    result[other] = element
  }
  return result
}

/** The pipeline of a graph, its stages declared in the order that the number stands for. */
export const pipelineOf = (graph: Graph, declared: number, account: Account) =>
  Pipeline.fromSpecs(
    "graph",
    shuffled(graph.stages, declared).map((spec) => {
      const when = conditionOf(graph, spec)
      return {
        stage: stageOf(spec, account),
        inputs: spec.byName ? namesOf(graph, spec) : sourcesOf(graph, spec),
        after: spec.edges.filter(({ kind }) => kind === "order").map(({ from }) =>
          (graph.stages[from] as StageSpec).name
        ),
        ...(when === undefined ? {} : { when })
      }
    })
  )
