/**
 * Reads the events of a run one after the other and checks each against the model: may this happen now, is it what must
 * come of the stage, and has nothing been left undone that could have been done?
 */
import { assert } from "@effect/vitest"
import { type Event as Events } from "stageflow"
import { type Modelled, stops } from "./model.ts"

type Event = Events.Event
type Of<Tag extends Event["_tag"]> = Events.Of<Tag>

export interface Rules {
  readonly concurrency: number
  readonly failure: "fail-fast" | "continue"
}

/** Where the events leave a stage. */
export type State = "waiting" | "running" | "ok" | "skipped" | "cancelled" | "failed" | "blocked" | "interrupted"

export interface Replayed {
  readonly states: ReadonlyMap<string, State>
  readonly startedAt: ReadonlyMap<string, number>
  readonly endedAt: ReadonlyMap<string, number>
  /** The stage that ended the run, and when; without it when no stage did. */
  readonly stopper: { readonly name: string; readonly at: number } | undefined
  readonly mostRunning: number
  readonly endedRunAt: number
}

/** When something outside of the run ended it. */
export type StoppedFromOutside = { readonly at: number } | undefined

export const replay = (
  events: ReadonlyArray<Event>,
  modelled: ReadonlyArray<Modelled>,
  { concurrency, failure }: Rules,
  outside: StoppedFromOutside = undefined
): Replayed => {
  const byName = new Map(modelled.map((one) => [one.spec.name, one]))
  const states = new Map<string, State>(modelled.map(({ spec }) => [spec.name, "waiting"]))
  const startedAt = new Map<string, number>()
  const endedAt = new Map<string, number>()
  let stopper: Replayed["stopper"]
  let running = 0
  let mostRunning = 0
  let now = events[0]?.at ?? 0
  let isOver = false

  const stateOf = (index: number): State => states.get((modelled[index] as Modelled).spec.name) as State
  const hasEnded = (index: number): boolean => stateOf(index) !== "waiting" && stateOf(index) !== "running"
  const isReady = ({ dependencies, spec }: Modelled): boolean =>
    states.get(spec.name) === "waiting" && dependencies.every(hasEnded)
  const stoppedAt = (): number | undefined => stopper?.at ?? outside?.at

  /** Before time passes, everything that is ready has started, unless the limit is reached. */
  const nothingLeftUndone = (event: Event) => {
    if (stopper !== undefined || (outside !== undefined && now >= outside.at)) return
    const left = modelled.filter(isReady).map(({ spec }) => spec.name)
    if (running < concurrency) {
      assert.deepStrictEqual(left, [], `ready before #${event.sequence}, and nothing was in the way`)
    }
  }

  const end = (name: string, state: State, at: number) => {
    states.set(name, state)
    endedAt.set(name, at)
  }

  /** The end of a stage whose body ran to its end. */
  const endOfBody = (one: Modelled, event: Event & { readonly durationMs: number }, state: State) => {
    const { name } = one.spec
    assert.strictEqual(states.get(name), "running", `${event._tag} of ${name}, which is not running`)
    assert.strictEqual(event.durationMs, one.spec.ms, `duration of ${name}`)
    assert.strictEqual(event.at, (startedAt.get(name) as number) + one.spec.ms, `end of ${name}`)
    running--
    end(name, state, event.at)
  }

  /** The end of a stage that never started. */
  const endOfWiring = (one: Modelled, event: Event & { readonly attempt: number }, state: State) => {
    assert.isTrue(isReady(one), `${event._tag} of ${one.spec.name} before what it depends on has ended`)
    assert.isUndefined(stopper, `${event._tag} of ${one.spec.name} after the run was stopped`)
    assert.strictEqual(event.attempt, 0)
    assert.isFalse(one.runs, `${one.spec.name} has to run`)
    end(one.spec.name, state, event.at)
  }

  /** A stage that was ready before it started had to wait for a place: see `nothingLeftUndone`. */
  const checkWait = ({ dependencies }: Modelled, event: Of<"StageStarted">) => {
    const ends = dependencies.map((index) => endedAt.get((modelled[index] as Modelled).spec.name) as number)
    const waited = event.at - Math.max(events[0]?.at ?? 0, ...ends)
    assert.strictEqual(event.queuedMs, waited > 0 ? waited : undefined, `how long ${event.stage} was ready before`)
  }

  events.forEach((event, index) => {
    assert.strictEqual(event.sequence, index + 1, "the sequence has no gaps")
    assert.strictEqual(event.runId, events[0]?.runId)
    assert.isAtLeast(event.at, now)
    assert.isFalse(isOver, `${event._tag} after the run has ended`)
    if (event.at > now) nothingLeftUndone(event)
    now = event.at
    const one = "stage" in event ? byName.get(event.stage) as Modelled : undefined
    const tag = one?.fate._tag
    switch (event._tag) {
      case "RunStarted":
        assert.strictEqual(index, 0)
        assert.strictEqual(event.stages, modelled.length)
        break
      case "StageStarted":
        assert(one !== undefined)
        assert.isTrue(isReady(one), `${event.stage} started before what it depends on had ended`)
        assert.isTrue(one.runs, `${event.stage} started, but its wiring does not let it: ${tag}`)
        assert.isUndefined(stopper, `${event.stage} started after the run was stopped`)
        assert.strictEqual(event.attempt, 1)
        checkWait(one, event)
        states.set(event.stage, "running")
        startedAt.set(event.stage, event.at)
        running++
        mostRunning = Math.max(mostRunning, running)
        assert.isAtMost(running, concurrency)
        break
      case "StageCompleted":
        assert(one !== undefined)
        endOfBody(one, event, "ok")
        assert.strictEqual(tag, "Ok", `${event.stage} completed`)
        break
      case "StageSkipped":
        assert(one?.fate._tag === "Skip", `${event.stage} was skipped, not ${tag}`)
        assert.strictEqual(event.reason, one.fate.reason)
        if (event.attempt === 0) endOfWiring(one, event, "skipped")
        else endOfBody(one, event, "skipped")
        break
      case "StageCancelled":
        assert(one?.fate._tag === "Cancel", `${event.stage} cancelled, not ${tag}`)
        assert.strictEqual(event.reason, one.fate.reason)
        endOfBody(one, event, "cancelled")
        stopper ??= { name: event.stage, at: event.at }
        break
      case "StageFailed":
        assert(one?.fate._tag === "Failed", `${event.stage} failed, not ${tag}`)
        if (event.attempt === 0) {
          assert.isTrue(isReady(one))
          end(event.stage, "failed", event.at)
        } else {
          endOfBody(one, event, "failed")
        }
        if (stops(one.fate, failure)) stopper ??= { name: event.stage, at: event.at }
        break
      case "StageBlocked":
        assert(one?.fate._tag === "Blocked", `${event.stage} was blocked, not ${tag}`)
        assert.strictEqual(event.by, one.fate.by)
        endOfWiring(one, event, "blocked")
        break
      case "StageInterrupted": {
        assert(one !== undefined)
        const at = stoppedAt()
        assert(at !== undefined, `${event.stage} was interrupted in a run that goes on`)
        assert.strictEqual(states.get(event.stage), "running")
        assert.isFalse(event.abandoned)
        const started = startedAt.get(event.stage) as number
        // One that interrupts itself in the instant of the stop looks like one that the stop interrupted.
        const endsAt = started + one.spec.ms
        if (one.spec.end === "interrupt itself") assert.isAtLeast(endsAt, at)
        else assert.isAbove(endsAt, at, `${event.stage} ended before or in the same instant`)
        assert.isTrue(event.at === at || event.at === at + one.spec.cleanMs, `end of ${event.stage}`)
        running--
        end(event.stage, "interrupted", event.at)
        break
      }
      case "RunCompleted":
      case "RunFailed":
      case "RunCancelled":
      case "RunIncomplete":
      case "RunInterrupted":
        assert.strictEqual(running, 0, "a run ends after its stages")
        if (stoppedAt() === undefined) assert.deepStrictEqual(modelled.filter(isReady), [])
        isOver = true
        break
      default:
        assert.fail(`Unexpected event ${event._tag}`)
    }
  })
  assert.isTrue(isOver, "the run has a last event")
  return { states, startedAt, endedAt, stopper, mostRunning, endedRunAt: now }
}
