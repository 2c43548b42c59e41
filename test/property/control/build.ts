/**
 * From a tree as data to a pipeline of constructs whose leaves do what the data says, and keep account of it.
 */
import { Clock, Effect, Predicate, Schedule, Schema } from "effect"
import { Pipeline, RunResult, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import type { Call } from "./model.ts"
import { seenOfDraft } from "./model.ts"
import {
  accepts,
  type Body,
  type Each,
  endFor,
  type GuardRetry as Guarded,
  isInline,
  type Leaf,
  type Loop as Looped,
  mixed,
  msOf,
  type Part,
  type Race,
  reasonOf,
  type Route as Routed,
  routeFor,
  type Tree
} from "./tree.ts"

export class Down extends Schema.TaggedError<Down>()("Down", { why: Schema.String }) {}

// ---------------------------------------------------------------------------------------------------------------------
// what really happened
// ---------------------------------------------------------------------------------------------------------------------

type Running = {
  -readonly [K in keyof Call]: Call[K]
}

/** What the leaves write down of themselves. */
export class Account {
  readonly calls: Array<Running> = []
  running = 0

  enter(leaf: string, seen: number, cleanMs: number, start: number): Running {
    const call = { leaf, seen, cleanMs, start, end: -1, isInterrupted: false, cleanedAt: -1 }
    this.calls.push(call)
    this.running++
    return call
  }

  leave(call: Running, cleanedAt: number): void {
    call.cleanedAt = cleanedAt
    this.running--
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// what is seen of data, and said of errors
// ---------------------------------------------------------------------------------------------------------------------

const isN = Schema.is(Schema.Struct({ n: Schema.Finite }))

/** The number that a stage makes of what it is given: its own number, or that of the data of several stages by name. */
export const seenIn = (data: unknown): number => {
  if (Predicate.hasProperty(data, "revision") && Predicate.hasProperty(data, "n")) {
    return seenOfDraft(data.n as number, (data.revision as GuardRetry.Revision<unknown>).attempt)
  }
  if (isN(data)) return data.n
  return mixed("data", Object.entries(data as object).map(([name, value]) => [name, seenIn(value)] as const))
}

const n = (number: number) => ({ n: number })

/** An error in words, as the model says it. */
export const said = (error: unknown): string => {
  if (error instanceof Down) return error.why
  if (error instanceof RunResult.StageFailed) return `${error.stage}: ${said(error.error)}`
  if (error instanceof Subpipeline.SubpipelineFailed) return `sub ${said(error.error)}`
  if (error instanceof Subpipeline.SubpipelineCancelled) return `SubpipelineCancelled ${error.reason}`
  if (error instanceof StageError.StageFault) return error.reason._tag
  if (error instanceof ForEach.ItemFailed) return `item ${error.index}: ${said(error.error)}`
  if (error instanceof ForEach.TooManyFailed) {
    return `items ${error.failed.map(({ error, index }) => `${index}: ${said(error)}`).join(", ")}`
  }
  if (error instanceof Shapes.RaceLost) {
    return `race ${error.failures.map(({ contestant, error }) => `${contestant.slice(1)}: ${said(error)}`).join(", ")}`
  }
  if (error instanceof Loop.LoopUnfinished || error instanceof GuardRetry.NoDraftAccepted) {
    return `${error._tag} ${error.reason}`
  }
  return Predicate.hasProperty(error, "_tag") ? String(error._tag) : String(error)
}

// ---------------------------------------------------------------------------------------------------------------------
// stages
// ---------------------------------------------------------------------------------------------------------------------

/** Builds everything of one tree for one account. Types are those of the data: a number in, a number out. */
export class Builder {
  private readonly account: Account

  constructor(account: Account) {
    this.account = account
  }

  /** A leaf, run by whoever has a stage. */
  private leaf(tree: Leaf & { readonly name: string }, input: unknown) {
    const { cleanMs, name, yields } = tree
    return Effect.gen({ self: this }, function*() {
      const clock = yield* Clock.Clock
      const { attempt } = yield* StageContext.StageContext
      const now = () => clock.currentTimeMillisUnsafe()
      const seen = seenIn(input)
      return yield* Effect.suspend(() => {
        const call = this.account.enter(name, seen, cleanMs, now())
        const ending = Effect.suspend(() => {
          call.end = now()
          return endOf(tree, seen, attempt)
        })
        return Effect.onExit(Effect.andThen(Effect.sleep(msOf(name, seen)), ending), () =>
          Effect.suspend(() => {
            call.isInterrupted = call.end === -1
            if (call.isInterrupted) call.end = now()
            const cleaning = call.isInterrupted && cleanMs > 0 ? Effect.sleep(cleanMs) : Effect.void
            return Effect.andThen(cleaning, Effect.sync(() => this.account.leave(call, now())))
          }))
      })
    }).pipe(
      Effect.flatMap((output) => yields && StageOutput.isStageOutput(output) ? output as never : Effect.succeed(output))
    )
  }

  stage(tree: Tree): Stage.Any {
    let made = Stage.mapInput(this.construct(tree) as AnyStage, (input: unknown) => n(seenIn(input)))
    if (tree.timeoutMs !== undefined) made = Stage.timeout(made, tree.timeoutMs) as AnyStage
    if (tree.retries !== undefined) made = Stage.retry(made, Schedule.recurs(tree.retries))
    return made
  }

  private construct(tree: Tree): Stage.Any {
    switch (tree.kind) {
      case "leaf":
        return Stage.transform(tree.name, { run: (input: unknown) => this.leaf(tree, input) })
      case "sub":
        return Subpipeline.stage(tree.name, this.pipeline(`${tree.name}-p`, tree.parts) as never, {
          run: { failure: tree.failure },
          onCancel: tree.onCancel,
          output: (ended: never) => n(seenIn(dataOf(ended)))
        } as never) as never
      case "each":
        return this.each(tree.name, tree)
      case "route":
        return this.route(tree.name, tree)
      case "loop":
        return this.loop(tree.name, tree)
      case "guard":
        return this.guard(tree.name, tree)
      case "race":
        return this.race(tree.name, tree)
    }
  }

  /** A pipeline of parts. It takes whatever it is given. */
  pipeline(name: string, parts: ReadonlyArray<Part>): Pipeline.Any {
    let made = Pipeline.make(name, { input: Schema.Unknown }) as unknown as Adding
    for (const { reads, tree } of parts) {
      const read = reads === undefined ? "input" : (parts[reads] as Part).tree.name
      const taking = Stage.mapInput(
        this.stage(tree) as AnyStage,
        (inputs: Readonly<Record<string, unknown>>) => inputs[read]
      )
      made = made.add(taking, { inputs: [read] })
    }
    return made as unknown as Pipeline.Any
  }

  /** What a construct runs. The signatures cannot know it. */
  private body(body: Body): never {
    const { as, tree } = body
    if (tree.kind === "leaf" && isInline(body)) return ((input: unknown) => this.leaf(tree, input)) as never
    if (as === "stage") return this.stage(tree) as never
    const parts = tree.kind === "sub" ? tree.parts : [{ tree, reads: undefined }]
    const pipeline = this.pipeline(`${tree.name}-p`, parts)
    if (as === "pipeline") return pipeline as never
    return ((input: unknown) => Effect.map(Subpipeline.run(pipeline as never, { input } as never), dataOf)) as never
  }

  private each(name: string, { body, concurrency, count, failure }: Each): Stage.Any {
    const made = ForEach.stage(name, {
      items: (inputs: { readonly n: number }) => Array.from({ length: count }, (_, index) => n(inputs.n + index)),
      each: this.body(body),
      concurrency,
      events: "all",
      failure: (typeof failure === "number" ? { tolerate: failure } : failure) as ForEach.Failure
    })
    return Stage.mapOutput(
      made as unknown as Stage.Stage<string, unknown, EachData>,
      (data) => n(mixed(name, entriesOf(data, count)))
    )
  }

  private route(name: string, { a, b, otherwise }: Routed): Stage.Any {
    const made = Route.match(
      name,
      (inputs: { readonly n: number }) => ({ route: routeFor(inputs.n) }),
      { a: this.body(a), b: this.body(b) } as never,
      (otherwise === undefined ? {} : { otherwise: this.body(otherwise) }) as never
    )
    return numbered(made)
  }

  private loop(name: string, { body, iterations, maxIterations, unfinished }: Looped): Stage.Any {
    const made = Loop.until(name, {
      state: (inputs: { readonly n: number }) => inputs,
      body: this.body(body),
      until: (_: unknown, done: number) => done >= iterations,
      maxIterations,
      unfinished,
      stagnation: false
    } as never) as unknown as Stage.Stage<string, unknown, Loop.Ended<object>>
    return Stage.mapOutput(
      made,
      ({ ended, iterations, state }) =>
        n(mixed("loop", [["state", seenIn(state)], ["iterations", iterations], ["ended", ended]]))
    )
  }

  private guard(name: string, { draft, guards, maxAttempts }: Guarded): Stage.Any {
    const made = GuardRetry.stage(name, {
      draft: this.body(draft),
      guards: Object.fromEntries(guards.map((guard, index) => [`g${index}`, this.verdict(guard)])),
      maxAttempts,
      stagnation: false
    } as never)
    return numbered(made)
  }

  private verdict(body: Body): unknown {
    const made: unknown = this.body(body)
    if (Stage.isStage(made)) return Stage.mapOutput(made as AnyStage, verdictOf)
    const run = made as (draft: unknown) => Effect.Effect<unknown>
    return (draft: unknown) =>
      Effect.map(run(draft), (data) => StageOutput.isStageOutput(data) ? data : verdictOf(data))
  }

  private race(name: string, { contestants }: Race): Stage.Any {
    const bodies = contestants.map((contestant, index) => [`c${index}`, this.body(contestant)] as const)
    return numbered(Shapes.race(name, Object.fromEntries(bodies) as never))
  }
}

type AnyStage = Stage.Stage<string, unknown, object>

interface Adding {
  readonly add: (stage: Stage.Any, wiring: { readonly inputs: ReadonlyArray<string> }) => Adding
}

type Ended = { readonly n: number } | StageOutput.StageOutput

const endOf = (tree: Leaf & { readonly name: string }, seen: number, attempt: number): Effect.Effect<Ended, Down> => {
  const how = endFor(tree, seen, attempt)
  const reason = reasonOf(how, tree.name)
  switch (how) {
    case "ok":
      return Effect.succeed(n(mixed(tree.name, [["seen", seen]])))
    case "skip":
      return Effect.succeed(StageOutput.skip(reason))
    case "cancel":
      return Effect.succeed(StageOutput.cancel(reason))
    case "retry":
      return Effect.succeed(StageOutput.retry(reason))
    case "fail":
      return Effect.fail(new Down({ why: reason }))
    case "die":
      return Effect.die(new Error(reason))
  }
}

const numbered = (made: unknown): Stage.Any =>
  Stage.mapOutput(made as Stage.Stage<string, unknown, object>, (data) => n(seenIn(data)))

const verdictOf = (data: unknown) => accepts(seenIn(data)) ? GuardRetry.accept : GuardRetry.reject(seenIn(data))

/** The data of the stages of a run by their names. */
const dataOf = ({ outputs }: { readonly outputs: Readonly<Record<string, StageOutput.Settled>> }): object =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, output]) => output._tag === "Ok" ? [[name, output.data]] : [])
  )

type EachData = ForEach.Results<object> | ForEach.Outcomes<object, unknown>

const entriesOf = (data: EachData, count: number): ReadonlyArray<readonly [string, number | string]> => {
  const skipped = data.skipped.map(({ index }) => [`skipped ${index}`, ""] as const)
  if ("ok" in data) {
    return [
      ...data.ok.map(({ index, value }) => [`ok ${index}`, seenIn(value)] as const),
      ...data.failed.map(({ error, index }) => [`failed ${index}`, said(error)] as const),
      ...skipped
    ]
  }
  const left = new Set(data.skipped.map(({ index }) => index))
  const indices = Array.from({ length: count }, (_, index) => index).filter((index) => !left.has(index))
  return [...data.results.map((value, position) => [`ok ${indices[position]}`, seenIn(value)] as const), ...skipped]
}
