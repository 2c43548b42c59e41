/**
 * What a run of a tree must come to, said as plainly as possible: each construct says what would become of it if nothing
 * from outside interrupted it, and what interrupts something cuts off what comes after that.
 */
import {
  accepts,
  type Body,
  type Each,
  endFor,
  type Failure,
  type GuardRetry,
  isInline,
  type Loop,
  mixed,
  msOf,
  type Part,
  type Race,
  reasonOf,
  type Route,
  routeFor,
  type Sub,
  type Tree
} from "./tree.ts"

/** One time that a leaf ran. */
export interface Call {
  readonly leaf: string
  readonly seen: number
  readonly start: number
  /** When it was done, or interrupted. */
  readonly end: number
  readonly isInterrupted: boolean
  /** How long its finalizer takes when it is interrupted, and when that was done. */
  readonly cleanMs: number
  readonly cleanedAt: number
}

export type RunEnd = "completed" | "cancelled" | "incomplete" | "failed" | "interrupted" | "rejected" | "any"

/** One run, and where in the tree it is: the names of pipelines and stages from the root on. */
export interface RunMade {
  readonly path: string
  readonly start: number
  /** When it was decided how it ends; what was in flight then still cleans up. */
  readonly decidedAt: number
  readonly end: number
  readonly how: RunEnd
  /** Everything that ran inside of it. */
  readonly calls: ReadonlyArray<Call>
}

export interface Failed {
  readonly _tag: "Failed"
  readonly error: string
  /** Whether somebody said no, which nobody tries again or stands in for. */
  readonly isRefused: boolean
  /** Whether there is a defect in its cause: nobody tries that again. */
  readonly hasDied: boolean
}

export type Outcome =
  | { readonly _tag: "Ok"; readonly seen: number }
  | { readonly _tag: "Skip"; readonly reason: string }
  | { readonly _tag: "Cancel"; readonly reason: string }
  | { readonly _tag: "Retry"; readonly reason: string }
  | Failed

/** The time in which a draft stands rejected and nothing has come of the next one. */
interface Standing {
  readonly from: number
  readonly to: number
}

/** What becomes of something that is run. */
export interface Told {
  readonly outcome: Outcome
  readonly start: number
  readonly end: number
  readonly calls: ReadonlyArray<Call>
  readonly runs: ReadonlyArray<RunMade>
  readonly rejected?: ReadonlyArray<Standing>
}

/** Two things happen in the same instant, and what comes of it depends on which is first. */
export class Ambiguous extends Error {}

/** Where something is run. */
interface Place {
  readonly now: number
  readonly attempt: number
  /** The names of runs and stages that it is in, its own stage included. */
  readonly path: string
  readonly depth: number
  readonly depthLimit: number
}

const failed = (error: string, more: Partial<Failed> = {}): Failed => ({
  _tag: "Failed",
  error,
  isRefused: false,
  hasDied: false,
  ...more
})

const ok = (seen: number): Outcome => ({ _tag: "Ok", seen })

// ---------------------------------------------------------------------------------------------------------------------
// interruption
// ---------------------------------------------------------------------------------------------------------------------

/** What is left of the times that leaves ran. What has begun ends then, and cleans up. */
const cutCalls = (calls: ReadonlyArray<Call>, at: number): ReadonlyArray<Call> =>
  calls.flatMap((call): ReadonlyArray<Call> => {
    if (call.start === at || call.end === at || call.cleanedAt === at) throw new Ambiguous()
    if (call.start > at) return []
    return call.end < at ? [call] : [{ ...call, end: at, isInterrupted: true, cleanedAt: at + call.cleanMs }]
  })

const cutRun = (run: RunMade, at: number): ReadonlyArray<RunMade> => {
  if (run.start === at || run.end === at || run.decidedAt === at) throw new Ambiguous()
  if (run.start > at) return []
  if (run.end < at) return [run]
  // While it only cleans up, it may be told of either way.
  if (run.decidedAt < at) return [{ ...run, how: "any" }]
  const calls = cutCalls(run.calls, at)
  return [{ ...run, calls, decidedAt: at, end: cleanedAt(calls, at), how: "interrupted" }]
}

const cleanedAt = (calls: ReadonlyArray<Call>, at: number): number =>
  Math.max(at, ...calls.map((call) => call.cleanedAt))

/** What is left of something that is interrupted at a time. */
export const cut = <T extends Pick<Told, "calls" | "runs" | "end" | "rejected">>(told: T, at: number): T => {
  const calls = cutCalls(told.calls, at)
  const runs = told.runs.flatMap((run) => cutRun(run, at))
  return { ...told, end: cleanedAt(calls, at), calls, runs, rejected: cutRejected(told, at) }
}

/** What stands rejected when it is cut off stays so. */
const cutRejected = ({ rejected = [] }: Pick<Told, "rejected">, at: number): ReadonlyArray<Standing> =>
  rejected.flatMap(({ from, to }) => from > at ? [] : [{ from, to: to < at ? to : Number.POSITIVE_INFINITY }])

/** Several things at once, of which some decide at a time how it all ends: the others are interrupted then. */
const stoppedAt = (
  all: ReadonlyArray<Told>,
  decisive: Told,
  outcome: Outcome
): Omit<Told, "start"> => {
  const at = decisive.end
  const kept = all.map((told) => {
    if (told === decisive) return told
    if (told.start === at || told.end === at) throw new Ambiguous()
    return told.end < at ? told : cut(told, at)
  }).filter(({ start }) => start <= at)
  return { outcome, ...together(kept), end: Math.max(at, ...kept.map(({ end }) => end)) }
}

const together = (all: ReadonlyArray<Told>): Pick<Told, "calls" | "runs" | "rejected"> => ({
  calls: all.flatMap(({ calls }) => calls),
  runs: all.flatMap(({ runs }) => runs),
  rejected: all.flatMap(({ rejected = [] }) => rejected)
})

const endOf = (start: number, all: ReadonlyArray<Told>): number => Math.max(start, ...all.map(({ end }) => end))

const firstToEnd = (all: ReadonlyArray<Told>): Told | undefined => all.toSorted((a, b) => a.end - b.end)[0]

// ---------------------------------------------------------------------------------------------------------------------
// stages
// ---------------------------------------------------------------------------------------------------------------------

const again = (outcome: Outcome): boolean =>
  outcome._tag === "Retry" || (outcome._tag === "Failed" && !outcome.isRefused && !outcome.hasDied)

/** A stage of a run, with what it is wrapped in. */
const stage = (tree: Tree, seen: number, place: Place): Told => {
  const inside = { ...place, path: `${place.path}/${tree.name}` }
  const attempts: Array<Told> = []
  for (;;) {
    const now = endOf(place.now, attempts)
    const attempt = attempts.length + 1
    const told = inTime(tree, construct(tree, seen, { ...inside, now, attempt }))
    attempts.push(told)
    if (again(told.outcome) && attempt <= (tree.retries ?? 0)) continue
    const outcome = told.outcome._tag === "Retry" ? failed("RetryExhausted") : told.outcome
    return { outcome, start: place.now, end: told.end, ...together(attempts) }
  }
}

const inTime = ({ timeoutMs = Number.POSITIVE_INFINITY }: Tree, told: Told): Told => {
  const at = told.start + timeoutMs
  if (told.end === at) throw new Ambiguous()
  if (told.end < at) return told
  const { rejected = [] } = told
  if (rejected.some(({ from, to }) => from === at || to === at)) throw new Ambiguous()
  // Somebody said no to what was made last: nobody tries that again.
  const isRefused = rejected.some(({ from, to }) => from < at && at < to)
  return { ...cut(told, at), outcome: failed("StageTimeout", { isRefused }) }
}

const construct = (tree: Tree, seen: number, place: Place): Told => {
  const told = (): Omit<Told, "start"> => {
    switch (tree.kind) {
      case "leaf":
        return leaf(tree, seen, place)
      case "sub":
        return subpipeline(tree, tree.name, seen, place)
      case "each":
        return forEach(tree, tree.name, seen, place)
      case "route":
        return route(tree, seen, place)
      case "loop":
        return loop(tree, seen, place)
      case "guard":
        return guardRetry(tree, seen, place)
      case "race":
        return race(tree, seen, place)
    }
  }
  return { ...told(), start: place.now }
}

const leaf = (tree: Tree, seen: number, { attempt, now }: Place): Told => {
  if (tree.kind !== "leaf") throw new Error("a leaf")
  const { cleanMs, name } = tree
  const end = now + msOf(name, seen)
  const outcome = (): Outcome => {
    const how = endFor(tree, seen, attempt)
    const reason = reasonOf(how, name)
    switch (how) {
      case "ok":
        return ok(mixed(name, [["seen", seen]]))
      case "skip":
        return { _tag: "Skip", reason }
      case "cancel":
        return { _tag: "Cancel", reason }
      case "retry":
        return { _tag: "Retry", reason }
      case "fail":
        return failed(reason)
      case "die":
        return failed("Defect", { hasDied: true })
    }
  }
  const call: Call = { leaf: name, seen, start: now, end, isInterrupted: false, cleanMs, cleanedAt: end }
  return { outcome: outcome(), start: now, end, calls: [call], runs: [] }
}

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

export type PartFate =
  | { readonly _tag: "Ok"; readonly seen: number }
  | { readonly _tag: "Skip" | "Failed" | "Blocked" | "Ends" }

/** How a run ends. */
export type RunOutcome =
  | { readonly _tag: "Completed" | "Incomplete"; readonly parts: ReadonlyArray<readonly [string, PartFate]> }
  | { readonly _tag: "Cancelled"; readonly reason: string }
  | { readonly _tag: "Failed"; readonly stage: string; readonly failure: Failed }

export interface RunTold extends Omit<Told, "outcome"> {
  readonly outcome: RunOutcome
  /** Of a run that lets failures be: the first of its stages that was refused, for whoever stands around the run. */
  readonly refused: { readonly stage: string; readonly failure: Failed } | undefined
}

const endsOfRuns: Readonly<Record<RunOutcome["_tag"], RunEnd>> = {
  Completed: "completed",
  Incomplete: "incomplete",
  Cancelled: "cancelled",
  Failed: "failed"
}

/** What the data of the stages of a run comes to. */
export const seenOfParts = (parts: ReadonlyArray<readonly [string, PartFate]>): number =>
  mixed("data", parts.flatMap(([name, fate]) => fate._tag === "Ok" ? [[name, fate.seen] as const] : []))

const refusalOf = ({ outcome }: Told): Failed | undefined =>
  outcome._tag === "Failed" && outcome.isRefused ? outcome : undefined

/** A run of a pipeline, as the part that `place` says. */
const run = (
  name: string,
  parts: ReadonlyArray<Part>,
  failure: Failure,
  seen: number,
  place: Place
): RunTold => {
  const start = place.now
  const path = place.path === "" ? name : `${place.path}/${name}`
  const fates: Array<PartFate> = []
  const tolds: Array<Told | undefined> = []
  parts.forEach(({ reads, tree }, index) => {
    const read = reads === undefined ? ok(seen) : fates[reads] as PartFate
    const now = reads === undefined ? start : tolds[reads]?.end ?? start
    if (read._tag !== "Ok") {
      fates[index] = read._tag === "Failed" ? { _tag: "Blocked" } : read as PartFate
      // It ends when what it reads does.
      tolds[index] = tolds[reads ?? 0] === undefined
        ? undefined
        : { outcome: ok(0), start: now, end: now, calls: [], runs: [] }
      return
    }
    const told = stage(tree, read.seen, { ...place, now, path })
    tolds[index] = told
    const { _tag } = told.outcome
    const ends = _tag === "Cancel" || (_tag === "Failed" && failure === "fail-fast")
    fates[index] = told.outcome._tag === "Ok"
      ? { _tag: "Ok", seen: told.outcome.seen }
      : { _tag: ends ? "Ends" : _tag === "Skip" ? "Skip" : "Failed" }
  })
  const ran = tolds.flatMap((told, index) => {
    const { reads } = parts[index] as Part
    const isRun = reads === undefined || fates[reads]?._tag === "Ok"
    return told !== undefined && isRun
      ? [{ told, fate: fates[index] as PartFate, name: parts[index]?.tree.name ?? "" }]
      : []
  })
  const decisive = firstToEnd(ran.filter(({ fate }) => fate._tag === "Ends").map(({ told }) => told))
  // A place for compensation: the stages of `ran` that ended as Ok before `decisive` did are those that are compensated, the
  // last to end first, before this run ends; those of the runs inside of it have been compensated by then.
  const refusedBefore = (at: number): RunTold["refused"] => {
    const found = ran.find(({ fate, told }) => fate._tag === "Failed" && told.end < at && refusalOf(told) !== undefined)
    const failure = found === undefined ? undefined : refusalOf(found.told)
    return found === undefined || failure === undefined ? undefined : { stage: found.name, failure }
  }
  const concluded = (): Omit<RunTold, "start"> => {
    if (decisive === undefined) {
      const named = parts.map(({ tree }, index) => [tree.name, fates[index] as PartFate] as const)
      const isComplete = fates.every(({ _tag }) => _tag === "Ok" || _tag === "Skip")
      const all = ran.map(({ told }) => told)
      return {
        outcome: { _tag: isComplete ? "Completed" : "Incomplete", parts: named },
        end: endOf(start, all),
        refused: refusedBefore(Number.POSITIVE_INFINITY),
        ...together(all)
      }
    }
    const stopped = stoppedAt(ran.map(({ told }) => told), decisive, decisive.outcome)
    const stage = ran.find(({ told }) => told === decisive)?.name ?? ""
    const { outcome } = decisive
    return {
      ...stopped,
      refused: outcome._tag === "Cancel" ? refusedBefore(decisive.end) : undefined,
      outcome: outcome._tag === "Cancel"
        ? { _tag: "Cancelled", reason: outcome.reason }
        : { _tag: "Failed", stage, failure: outcome as Failed }
    }
  }
  const told = concluded()
  const made: RunMade = {
    path,
    start,
    decidedAt: decisive?.end ?? told.end,
    end: told.end,
    how: endsOfRuns[told.outcome._tag],
    calls: told.calls
  }
  return { ...told, start, runs: [made, ...told.runs] }
}

/** A run that is too deep ends before anything of it starts. */
const rejected = (name: string, error: string, { now, path }: Place): Told => {
  const made: RunMade = { path: `${path}/${name}`, start: now, decidedAt: now, end: now, how: "rejected", calls: [] }
  return { outcome: failed(error), start: now, end: now, calls: [], runs: [made] }
}

/** A run inside of a stage; `undefined` when it would be too deep. */
const child = (
  name: string,
  parts: ReadonlyArray<Part>,
  failure: Failure,
  seen: number,
  place: Place
): RunTold | undefined =>
  place.depth >= place.depthLimit ? undefined : run(name, parts, failure, seen, { ...place, depth: place.depth + 1 })

const subpipeline = (
  { failure, onCancel, parts }: Sub,
  name: string,
  seen: number,
  place: Place
): Omit<Told, "start"> => {
  const told = child(`${name}-p`, parts, failure, seen, place)
  if (told === undefined) return rejected(`${name}-p`, "sub DepthExceeded", place)
  const outcome = (): Outcome => {
    const ended = told.outcome
    if (told.refused !== undefined) {
      return failed(`sub ${told.refused.stage}: ${told.refused.failure.error}`, { isRefused: true })
    }
    switch (ended._tag) {
      case "Completed":
      case "Incomplete":
        return ok(seenOfParts(ended.parts))
      case "Cancelled":
        return onCancel === "fail"
          ? failed(`SubpipelineCancelled ${ended.reason}`, { isRefused: true })
          : { _tag: onCancel === "skip" ? "Skip" : "Cancel", reason: ended.reason }
      case "Failed":
        return failed(`sub ${ended.stage}: ${ended.failure.error}`, { isRefused: ended.failure.isRefused })
    }
  }
  return { ...told, outcome: outcome() }
}

/** What a construct runs. */
const bodyOf = (body: Body, seen: number, place: Place): Told => {
  const { tree } = body
  if (isInline(body)) return leaf(tree, seen, place)
  const isAlone = body.as === "stage" || tree.kind !== "sub"
  const parts: ReadonlyArray<Part> = isAlone ? [{ tree, reads: undefined }] : tree.parts
  const name = body.as === "stage" ? tree.name : `${tree.name}-p`
  const told = child(name, parts, "fail-fast", seen, place)
  if (told === undefined) return rejected(name, body.as === "stage" ? "DepthExceeded" : "sub DepthExceeded", place)
  const outcome = (): Outcome => {
    const ended = told.outcome
    switch (ended._tag) {
      case "Cancelled":
        return { _tag: "Cancel", reason: ended.reason }
      case "Failed":
        return body.as === "stage"
          ? ended.failure
          : failed(`sub ${ended.stage}: ${ended.failure.error}`, { isRefused: ended.failure.isRefused })
      default: {
        if (body.as !== "stage") return ok(seenOfParts(ended.parts))
        const fate = ended.parts[0]?.[1]
        return fate?._tag === "Ok" ? ok(fate.seen) : { _tag: "Skip", reason: "of a stage" }
      }
    }
  }
  return { ...told, outcome: outcome() }
}

// ---------------------------------------------------------------------------------------------------------------------
// constructs
// ---------------------------------------------------------------------------------------------------------------------

const isBad = ({ outcome }: Told): boolean => outcome._tag === "Failed" || outcome._tag === "Retry"

/** A function of a for-each that asks for a retry which nobody grants has failed. */
const failureOf = ({ outcome }: Told): Failed => outcome._tag === "Failed" ? outcome : failed("RetryExhausted")

const forEach = (each: Each, name: string, seen: number, place: Place): Omit<Told, "start"> => {
  const { body, concurrency, count, failure } = each
  const tolerated = failure === "fail-fast" ? 0 : failure === "continue" ? Number.POSITIVE_INFINITY : failure
  // Whoever is free first takes the next item.
  const free = Array<number>(concurrency).fill(place.now)
  const items = Array.from({ length: count }, (_, index) => {
    const now = Math.min(...free)
    const told = bodyOf(body, seen + index, { ...place, now })
    free[free.indexOf(now)] = told.end
    return told
  })
  const byEnd = items.toSorted((a, b) => a.end - b.end)
  const lastStraw = byEnd.filter(isBad)[tolerated]
  const cancelled = firstToEnd(items.filter(({ outcome }) => outcome._tag === "Cancel"))
  // Nobody goes on from a refusal, whatever is tolerated.
  const refused = firstToEnd(items.filter((told) => isBad(told) && failureOf(told).isRefused))
  const decisive = firstToEnd([lastStraw, cancelled, refused].flatMap((told) => told ?? []))
  if (decisive === undefined) {
    const entries = items.flatMap((told, index): ReadonlyArray<readonly [string, number | string]> =>
      told.outcome._tag === "Ok"
        ? [[`ok ${index}`, told.outcome.seen]]
        : isBad(told)
        ? [[`failed ${index}`, failureOf(told).error]]
        : [[`skipped ${index}`, ""]]
    )
    return { outcome: ok(mixed(name, entries)), end: endOf(place.now, items), ...together(items) }
  }
  const at = decisive.end
  // What would begin when it is decided does not: there is nobody who takes it.
  const begun = items.filter((told) => told === decisive || told.start < at || at === place.now)
  const outcome = (): Outcome => {
    if (decisive.outcome._tag === "Cancel") return decisive.outcome
    if (failure === "fail-fast" || failureOf(decisive).isRefused) {
      const wrong = failureOf(decisive)
      if (wrong.error === "Defect") return wrong
      return { ...wrong, error: `item ${items.indexOf(decisive)}: ${wrong.error}` }
    }
    const wrong = begun.filter((told) => isBad(told) && told.end <= at)
    const errors = wrong.map((told) => `${items.indexOf(told)}: ${failureOf(told).error}`)
    return failed(`items ${errors.join(", ")}`, { isRefused: wrong.some((told) => failureOf(told).isRefused) })
  }
  return stoppedAt(begun, decisive, outcome())
}

const route = (routes: Route, seen: number, place: Place): Omit<Told, "start"> => {
  const chosen = routeFor(seen)
  const body = chosen === "c" ? routes.otherwise : routes[chosen]
  return body === undefined
    ? { outcome: failed("NoBranch"), end: place.now, calls: [], runs: [] }
    : bodyOf(body, seen, place)
}

const loop = (given: Loop, first: number, place: Place): Omit<Told, "start"> => {
  const { body, iterations, maxIterations, unfinished } = given
  const done: Array<Told> = []
  let seen = first
  while (done.length < Math.min(iterations, maxIterations)) {
    const told = bodyOf(body, seen, { ...place, now: endOf(place.now, done) })
    done.push(told)
    if (told.outcome._tag !== "Ok") return { ...told, ...together(done) }
    seen = told.outcome.seen
  }
  const ended = done.length === iterations ? "until" : "iterations"
  const outcome = ended === "iterations" && unfinished === "fail"
    ? failed("LoopUnfinished iterations")
    : ok(mixed("loop", [["state", seen], ["iterations", done.length], ["ended", ended]]))
  return { outcome, end: endOf(place.now, done), ...together(done) }
}

/** What a draft sees of its inputs. */
export const seenOfDraft = (seen: number, attempt: number): number =>
  mixed("draft", [["n", seen], ["attempt", attempt]])

const guardRetry = (given: GuardRetry, seen: number, place: Place): Omit<Told, "start"> => {
  const { rejections, ...told } = drafted(given, seen, place)
  const [from] = rejections
  if (from === undefined) return told
  const { outcome } = told
  return {
    ...told,
    // Without an accepted draft it is a refusal, whatever came in between.
    outcome: outcome._tag === "Failed" && from < told.end ? { ...outcome, isRefused: true } : outcome,
    rejected: [...told.rejected ?? [], { from, to: told.end }]
  }
}

/** What becomes of the drafts, and when each was rejected. */
const drafted = (
  { draft, guards, maxAttempts }: GuardRetry,
  seen: number,
  place: Place
): Omit<Told, "start"> & { readonly rejections: ReadonlyArray<number> } => {
  const rejections: Array<number> = []
  const done: Array<Told> = []
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const made = bodyOf(draft, seenOfDraft(seen, attempt), { ...place, now: endOf(place.now, done) })
    done.push(made)
    if (made.outcome._tag !== "Ok") return { ...made, ...together(done), rejections }
    const text = made.outcome.seen
    const judged = guards.map((guard) => bodyOf(guard, text, { ...place, now: made.end }))
    const rejecting = judged.filter(({ outcome }) => outcome._tag === "Ok" && !accepts(outcome.seen))
    rejections.push(...rejecting.map(({ end }) => end).toSorted((a, b) => a - b))
    const decisive = firstToEnd(judged.filter(({ outcome }) => outcome._tag !== "Ok"))
    if (decisive !== undefined) {
      const stopped = stoppedAt(judged, decisive, decisive.outcome)
      return { ...stopped, ...together([...done, { start: made.end, ...stopped }]), rejections }
    }
    done.push(...judged)
    if (rejecting.length === 0) {
      return { outcome: ok(text), end: endOf(place.now, done), ...together(done), rejections }
    }
  }
  const outcome = failed("NoDraftAccepted attempts", { isRefused: true })
  return { outcome, end: endOf(place.now, done), ...together(done), rejections }
}

const race = ({ contestants }: Race, seen: number, place: Place): Omit<Told, "start"> => {
  const all = contestants.map((body) => bodyOf(body, seen, place))
  const decides = ({ outcome }: Told): boolean =>
    outcome._tag === "Ok" || outcome._tag === "Cancel" || (outcome._tag === "Failed" && outcome.isRefused)
  const decisive = firstToEnd(all.filter(decides))
  const lost = (until: number): Failed => {
    const losers = all.flatMap((told, index) =>
      isBad(told) && told.end <= until ? [{ index, wrong: failureOf(told) }] : []
    )
    const errors = losers.map(({ index, wrong }) => `${index}: ${wrong.error}`)
    return failed(`race ${errors.join(", ")}`, {
      isRefused: losers.some(({ wrong }) => wrong.isRefused),
      hasDied: losers.some(({ wrong }) => wrong.hasDied)
    })
  }
  if (decisive !== undefined) {
    return stoppedAt(all, decisive, decisive.outcome._tag === "Failed" ? lost(decisive.end) : decisive.outcome)
  }
  const end = endOf(place.now, all)
  const [first] = all
  const outcome = all.every((told) => told.outcome._tag === "Skip") && first !== undefined ? first.outcome : lost(end)
  return { outcome, end, ...together(all) }
}

/** What becomes of a run of the root, if nothing interrupts it. */
export const model = (root: Sub, name: string, failure: Failure, seen: number, depthLimit: number): RunTold =>
  run(name, root.parts, failure, seen, { now: 0, attempt: 1, path: "", depth: 0, depthLimit })
