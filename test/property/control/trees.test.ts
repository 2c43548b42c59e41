/**
 * Constructs inside of each other against a small reference model: random trees, run in virtual time, left alone and
 * interrupted at any moment.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Effect, type Exit, Fiber, Option, Schema, Stream } from "effect"
import { Event, EventSink, Pipeline, Run, RunResult, Snapshot, type StageOutput } from "stageflow"
import { Simulation } from "stageflow/testing"
import { Account, Builder, said, seenIn } from "./build.ts"
import { Ambiguous, type Call, cut, model, type RunEnd, type RunMade, type RunTold } from "./model.ts"
import { type Given, rootName, type Sub, type Tree, trees } from "./tree.ts"

type Outputs = Readonly<Record<string, StageOutput.Settled>>

const rootInput = { n: 1 }

/** `TREES=2000 npx vitest run test/property/control` looks at many more. */
const runs = Number(process.env["TREES"] ?? 150)
const options = { arbitrary: { runs, size: 200, maxShrinks: 3000 }, timeout: 60_000 + runs * 200 }

// ---------------------------------------------------------------------------------------------------------------------
// events
// ---------------------------------------------------------------------------------------------------------------------

const endsOfRuns: { readonly [tag in Event.Event["_tag"]]?: RunEnd } = {
  RunCompleted: "completed",
  RunCancelled: "cancelled",
  RunFailed: "failed",
  RunIncomplete: "incomplete",
  RunInterrupted: "interrupted",
  RunRejected: "rejected"
}

type RunSeen = Omit<RunMade, "decidedAt" | "calls">

interface Seen {
  readonly path: string
  readonly running: Set<string>
  /** The runs that are running in its stages, by their ids, with the stage. */
  readonly inside: Map<string, string>
  readonly ended: Set<string>
  readonly start: number
  sequence: number
  last: Event.Event | undefined
}

/** Reads the events of all runs one after the other, checks that each may happen, and gives the runs. */
const runsIn = (events: ReadonlyArray<Event.Event>): ReadonlyArray<RunSeen> => {
  const seen = new Map<string, Seen>()
  for (const event of events) {
    const { at, correlationId, parentRunId, parentStage, pipeline, runId, sequence } = event
    const parent = parentRunId === undefined ? undefined : seen.get(parentRunId)
    if (event._tag === "RunStarted") {
      assert.isFalse(seen.has(runId), "a run starts once")
      if (seen.size === 0) assert.isUndefined(parentRunId, "the first is the root")
      else {
        assert(parent !== undefined && parentStage !== undefined, `the parent of ${pipeline} has started`)
        assert.isTrue(
          parent.running.has(parentStage),
          `the stage ${parentStage} that ${pipeline} is inside of is running`
        )
        parent.inside.set(runId, parentStage)
      }
      const path = parent === undefined ? pipeline : `${parent.path}/${parentStage}/${pipeline}`
      seen.set(runId, {
        path,
        running: new Set(),
        inside: new Map(),
        ended: new Set(),
        start: at,
        sequence: 0,
        last: undefined
      })
    }
    const run = seen.get(runId)
    assert(run !== undefined, `${event._tag} of a run that has not started`)
    assert.strictEqual(correlationId, events[0]?.correlationId)
    assert.strictEqual(sequence, run.sequence + 1, `no gaps in ${run.path}`)
    run.sequence = sequence
    assert.isUndefined(run.last, `${event._tag} in ${run.path} after its end`)
    if (event._tag === "StageStarted") {
      assert.isFalse(run.running.has(event.stage) || run.ended.has(event.stage), `${event.stage} starts once`)
      run.running.add(event.stage)
    } else if (Event.isStageEnd(event)) {
      assert.strictEqual(run.running.delete(event.stage), event.attempt > 0, `${event._tag} of ${event.stage}`)
      assert.isFalse(run.ended.has(event.stage), `${event.stage} ends once`)
      run.ended.add(event.stage)
      assert.notInclude(Array.from(run.inside.values()), event.stage, `${event.stage} ends after the runs inside of it`)
    } else if (Event.isRunEnd(event)) {
      assert.deepStrictEqual(Array.from(run.running), [], `${run.path} ends after its stages`)
      run.last = event
      parent?.inside.delete(runId)
    }
  }
  return Array.from(seen.values(), ({ last, path, start }) => {
    assert(last !== undefined, `${path} has an end`)
    return { path, start, end: last.at, how: endsOfRuns[last._tag] ?? "any" }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// comparing
// ---------------------------------------------------------------------------------------------------------------------

const inOrder = <A>(all: ReadonlyArray<A>, key: (one: A) => string): ReadonlyArray<A> =>
  all.toSorted((a, b) => key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0)

const callsInOrder = (calls: ReadonlyArray<Call>) =>
  inOrder(calls, ({ leaf, seen, start }) => `${String(start).padStart(12)} ${leaf} ${seen}`)
    .map(({ cleanMs, cleanedAt, end, isInterrupted, leaf, seen, start }) => (
      { leaf, seen, start, end, isInterrupted, cleanMs, cleanedAt }
    ))

/** They are the same; where they are not, the first difference is told. */
const checkSame = (actual: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>, what: string) => {
  const [ours, theirs] = [actual, expected].map((all) => all.map((one) => JSON.stringify(one)))
  const first = Array.from({ length: Math.max(actual.length, expected.length) }, (_, index) => index)
    .find((index) => ours?.[index] !== theirs?.[index])
  if (first === undefined) return
  assert.fail(`${what}: number ${first} is ${ours?.[first]}, and the model says ${theirs?.[first]}`)
}

const checkCalls = (account: Account, told: { readonly calls: ReadonlyArray<Call> }) =>
  checkSame(callsInOrder(account.calls), callsInOrder(told.calls), "which leaves ran, and when")

const checkRuns = (made: ReadonlyArray<RunSeen>, told: { readonly runs: ReadonlyArray<RunMade> }) => {
  const key = ({ end, path, start }: RunSeen) => `${String(start).padStart(12)} ${path} ${end}`
  const modelled = inOrder(told.runs, key)
  const actual = inOrder(made, key)
  checkSame(
    actual.map(({ end, how, path, start }, index) => ({
      path,
      start,
      end,
      how: modelled[index]?.how === "any" ? "any" : how
    })),
    modelled.map(({ end, how, path, start }) => ({ path, start, end, how })),
    "which runs there were, where, and how they ended"
  )
}

/** How the run of the root ended, in the words of the model. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  if (exit._tag === "Failure") {
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    assert.instanceOf(error, RunResult.StageFailed, Cause.pretty(exit.cause))
    return { _tag: "Failed", said: said(error) }
  }
  const result = exit.value as RunResult.RunResult<Outputs>
  if (result._tag === "Cancelled") return { _tag: "Cancelled", reason: result.reason }
  const ends = new Map(
    Object.entries(result.outputs as Outputs).map(([name, output]) => [
      name,
      output._tag === "Ok" ? { _tag: "Ok", seen: seenIn(output.data) } : { _tag: "Skip" }
    ])
  )
  if (result._tag === "Incomplete") {
    for (const name of result.failed) ends.set(name, { _tag: "Failed" })
    for (const name of result.blocked) ends.set(name, { _tag: "Blocked" })
  }
  return { _tag: result._tag, parts: inOrder(Array.from(ends), ([name]) => name) }
}

const modelledOutcome = ({ outcome }: RunTold): unknown =>
  outcome._tag === "Failed"
    ? { _tag: "Failed", said: `${outcome.stage}: ${outcome.failure.error}` }
    : outcome._tag === "Cancelled"
    ? outcome
    : { _tag: outcome._tag, parts: inOrder(outcome.parts, ([name]) => name) }

/** What the model says, unless it depends on which of two things in one instant is first. */
const unlessAmbiguous = <A>(modelled: () => A): A | undefined => {
  try {
    return modelled()
  } catch (error) {
    if (error instanceof Ambiguous) return undefined
    throw error
  }
}

const modelOf = ({ depthLimit, root }: Given): RunTold | undefined =>
  unlessAmbiguous(() => model(root, rootName, root.failure, rootInput.n, depthLimit))

/** Whatever happened: nothing is left running, and every finalizer ran. */
const checkNothingLeft = (account: Account) => {
  assert.strictEqual(account.running, 0)
  for (const call of account.calls) assert.isAtLeast(call.cleanedAt, call.end, `${call.leaf} was finalized`)
}

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/** A root that takes a number, as it is run. */
interface Root extends Pipeline.Any {}

const start = Pipeline.start as unknown as (
  root: Root,
  snapshot: Snapshot.Snapshot,
  options: Run.WatchOptions
) => Effect.Effect<Run.Run<unknown, unknown>, never, never>

const runRoot = Pipeline.run as unknown as (
  root: Root,
  snapshot: Snapshot.Snapshot,
  options: Run.RunOptions
) => Effect.Effect<unknown, unknown>

const given = Snapshot.make({ input: rootInput })

const build = ({ root }: Given) => {
  const account = new Account()
  return { account, pipeline: new Builder(account).pipeline(rootName, root.parts) }
}

/** So long that whatever was left behind would be seen. */
const later = Effect.sleep("1 hour")

/** Runs a program in virtual time, and shows that nothing happens any more when it has ended. */
const simulate = <A>(tree: Given, account: Account, program: Effect.Effect<A, never, EventSink.EventSink>) =>
  Effect.gen(function*() {
    const events: Array<Event.Event> = []
    const counts = () => [events.length, account.calls.length, account.running]
    const { exit } = yield* Simulation.simulate(
      Effect.gen(function*() {
        const ended = yield* Effect.exit(program)
        const then = counts()
        yield* later
        assert.deepStrictEqual(counts(), then, "nothing happens after the end")
        return ended
      }).pipe(
        Effect.provideService(Run.DepthLimit, tree.depthLimit),
        Effect.provideService(EventSink.EventSink, { offer: (event) => events.push(event) })
      ),
      { seed: tree.seed, limit: "30 days" }
    )
    const ended = yield* exit
    return { events, value: yield* ended }
  })

describe("trees of constructs against the model", () => {
  it.effect.prop(
    "outcomes, leaves, times, runs and lineage are what the model says",
    [trees],
    ([tree]) =>
      Effect.gen(function*() {
        const { account, pipeline } = build(tree)
        const { failure } = tree.root
        const { events, value } = yield* simulate(
          tree,
          account,
          Effect.scoped(Effect.gen(function*() {
            const handle = yield* start(pipeline, given, { failure, events: "all" })
            const exit = yield* Effect.exit(handle.await)
            const heard = yield* Stream.runCollect(handle.events)
            return { exit, heard, tree: yield* handle.tree }
          }))
        )
        assert.deepStrictEqual(Array.from(value.heard), events, "the handle hears what the sink hears")
        const made = runsIn(events)
        checkNothingLeft(account)
        assert.strictEqual(value.tree.descendants.length, made.length - 1)
        assert.deepStrictEqual(
          value.tree.descendants.map(({ depth, pipeline, status }) => `${depth} ${pipeline} ${status}`).toSorted(),
          made.slice(1).map(({ how, path }) => `${(path.split("/").length - 1) / 2} ${path.split("/").at(-1)} ${how}`)
            .toSorted()
        )
        const modelled = modelOf(tree)
        if (modelled === undefined) return
        checkCalls(account, modelled)
        checkRuns(made, modelled)
        assert.deepStrictEqual(outcomeOf(value.exit), modelledOutcome(modelled))
      }),
    options
  )

  it.effect.prop(
    "interrupted at any time: what is in flight is cut off there, cleans up, and nothing else happens",
    [trees, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 })), Schema.Literals(["cancel", "interrupt"])],
    ([tree, permille, how]) =>
      Effect.gen(function*() {
        const { account, pipeline } = build(tree)
        const { failure } = tree.root
        const modelled = modelOf(tree)
        // Between two milliseconds, where nothing else happens.
        const at = Math.floor((modelled?.end ?? 5000) * permille / 1000) + 0.5
        const { events } = yield* simulate(
          tree,
          account,
          how === "cancel"
            ? Effect.scoped(Effect.gen(function*() {
              const handle = yield* start(pipeline, given, { failure })
              yield* Effect.sleep(at)
              yield* handle.cancel("enough")
            }))
            : Effect.gen(function*() {
              const fiber = yield* Effect.forkChild(runRoot(pipeline, given, { failure }), { startImmediately: true })
              yield* Effect.sleep(at)
              yield* Fiber.interrupt(fiber)
            })
        )
        const made = runsIn(events)
        checkNothingLeft(account)
        if (modelled === undefined) return
        const told = unlessAmbiguous(() => cut(modelled, at))
        if (told === undefined) return
        const runs = told.runs.map((run) =>
          how === "cancel" && run.path === rootName && run.how === "interrupted"
            ? { ...run, how: "cancelled" as const }
            : run
        )
        checkCalls(account, told)
        checkRuns(made, { runs })
      }),
    options
  )

  it.effect.prop(
    "interrupted at any step: nothing runs afterwards, every finalizer ran, every run has one end",
    [trees, Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 200 }))],
    ([tree, step]) =>
      Effect.gen(function*() {
        const { account, pipeline } = build(tree)
        const { failure } = tree.root
        let fiber: Fiber.Fiber<unknown, unknown> | undefined
        const interrupting = (seen: number) => {
          if (seen === step) fiber?.interruptUnsafe()
        }
        let seen = 0
        const { events } = yield* simulate(
          tree,
          account,
          Effect.gen(function*() {
            const sink = yield* EventSink.EventSink
            const running = runRoot(pipeline, given, { failure }).pipe(
              Effect.provideService(EventSink.EventSink, {
                offer: (event) => {
                  sink.offer(event)
                  interrupting(++seen)
                }
              })
            )
            fiber = yield* Effect.forkChild(running)
            yield* Fiber.await(fiber)
          })
        )
        runsIn(events)
        checkNothingLeft(account)
      }),
    options
  )
})

/** Every stage of a tree, however deep. */
const stagesIn = (tree: Sub | Tree): ReadonlyArray<Tree> => {
  const inside = (): ReadonlyArray<Tree> => {
    switch (tree.kind) {
      case "leaf":
        return []
      case "sub":
        return tree.parts.map((part) => part.tree)
      case "each":
      case "loop":
        return [tree.body.tree]
      case "route":
        return [tree.a, tree.b, tree.otherwise].flatMap((body) => body?.tree ?? [])
      case "guard":
        return [tree.draft, ...tree.guards].map((body) => body.tree)
      case "race":
        return tree.contestants.map((body) => body.tree)
    }
  }
  return inside().flatMap((stage) => [stage, ...stagesIn(stage)])
}

describe("what is generated", () => {
  it.effect("covers what it is to cover", () =>
    Effect.gen(function*() {
      const samples = yield* Arbitrary.sampleEffect(trees, { count: 400, size: 200, seed: 1 })
      const seen = new Map<string, number>()
      const count = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)
      for (const sample of samples) {
        const modelled = modelOf(sample)
        if (modelled === undefined) {
          count("ambiguous")
          continue
        }
        count(modelled.outcome._tag)
        count(sample.root.failure)
        if (modelled.calls.some(({ isInterrupted }) => isInterrupted)) count("interrupts leaves")
        if (modelled.runs.some(({ path }) => path.split("/").length > 8)) count("four deep")
        if (modelled.calls.length > 20) count("many leaves")
        for (const how of new Set(modelled.runs.map((run) => run.how))) count(how)
        for (const kind of new Set(stagesIn(sample.root).map((tree) => tree.kind))) count(kind)
        const { outcome } = modelled
        const words = outcome._tag === "Failed" ? outcome.failure.error.split(/[^A-Za-z]+/) : []
        for (const word of new Set(words)) count(word)
      }
      assert.isAtMost(seen.get("ambiguous") ?? 0, 80)
      const kinds = ["leaf", "sub", "each", "route", "loop", "guard", "race"]
      const ends = ["Completed", "Failed", "Incomplete", "completed", "failed", "incomplete", "interrupted"]
      for (const what of [...kinds, ...ends, "continue", "fail-fast", "interrupts leaves", "four deep"]) {
        assert.isAtLeast(seen.get(what) ?? 0, 20, what)
      }
      const errors = ["StageTimeout", "RetryExhausted", "LoopUnfinished", "NoDraftAccepted", "item", "items", "Defect"]
      for (const what of [...errors, "Cancelled", "rejected", "many leaves", "NoBranch"]) {
        assert.isAtLeast(seen.get(what) ?? 0, 1, what)
      }
    }))
})
