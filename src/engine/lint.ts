/**
 * Finds in a pipeline what is allowed and is most likely a mistake.
 *
 * A warning that is wrong costs more than one that is missing: what may well be meant is not told.
 */
import { internalsOf } from "../internal/source-model.ts"
import { inputName, type Plan, type PlannedStage } from "./plan.ts"
import { stagesOf, type Topology } from "./topology.ts"
import type { WiredStage } from "./wired-stage.ts"

/** Something in a pipeline that is most likely a mistake. */
export interface Warning {
  /**
   * - `IDLE_GUARD`: a guard that no stage waits for, beside stages that run whatever it says.
   * - `UNREAD_DATA`: data that no stage, condition or returned value reads.
   * - `END_MAY_SKIP`: a stage with which every answer is skipped that the pipeline ends with.
   * - `SIMILAR_NAMES`: names that differ in case only.
   */
  readonly code: "IDLE_GUARD" | "UNREAD_DATA" | "END_MAY_SKIP" | "SIMILAR_NAMES"
  readonly stage: string
  readonly message: string
  /** What to do about it. */
  readonly fix: string
}

/** So many stages are looked at to follow edges; a pipeline that takes more gets no more of these warnings. */
const stepLimit = 2_000_000

/** Names in a sentence: a few of them. */
const listed = (names: ReadonlyArray<string>): string => {
  const first = names.slice(0, 3).map((name) => `"${name}"`).join(", ")
  return names.length > 3 ? `${first} and ${names.length - 3} more` : first
}

class Linting {
  private readonly plan: Plan
  private readonly entries: ReadonlyArray<WiredStage>
  /** The stages whose data somebody reads, the returned value included. */
  private readonly read: ReadonlySet<string>
  private readonly leaves: ReadonlyArray<PlannedStage>
  /** How many stages are no guards. */
  private readonly guarded: number
  private steps = 0

  constructor(plan: Plan, entries: ReadonlyArray<WiredStage>) {
    this.plan = plan
    this.entries = entries
    this.read = new Set([
      ...plan.edges.flatMap(({ from, type }) => type === "order" ? [] : [from]),
      ...(plan.value === undefined ? [] : internalsOf(plan.value.source).uses.keys())
    ])
    this.leaves = plan.stages.filter((stage) => !this.isAwaited(stage))
    this.guarded = plan.stages.filter((stage) => !isGuard(stage)).length
  }

  warnings(): ReadonlyArray<Warning> {
    return [...this.idleGuards(), ...this.unreadData(), ...this.endsThatMaySkip(), ...this.similarNames()]
  }

  private isAwaited({ index }: PlannedStage): boolean {
    const { starts } = this.plan.successors
    return starts[index] !== starts[index + 1]
  }

  private idleGuards(): ReadonlyArray<Warning> {
    const guards = this.leaves.filter(isGuard)
    // Whatever ends beside a guard does not wait for it.
    const isBesideOthers = guards.length < this.leaves.length
    return guards.filter((guard) => isBesideOthers || !this.isBehindAll(guard)).map(idleGuard)
  }

  /** A guard of what everything else leads to may well be meant: it judges the answer. */
  private isBehindAll(guard: PlannedStage): boolean {
    const before = this.before(guard, ({ dependencies }) => dependencies)
    if (before === undefined) return true
    let guarded = 0
    for (const index of before) if (!isGuard(this.stage(index))) guarded++
    return guarded === this.guarded
  }

  private unreadData(): ReadonlyArray<Warning> {
    const isReturned = this.plan.value !== undefined
    // Without a returned value an answer may be what the run is for, and so may context when it is all there is.
    const endsInMore = isReturned || this.leaves.some(isResult)
    const isUnread = (stage: PlannedStage): boolean => {
      if (this.read.has(stage.name)) return false
      const { kind } = stage.info
      if (kind === "transform") return isReturned
      return (kind === "enrich" || kind === "route") && (this.isAwaited(stage) || endsInMore)
    }
    return this.plan.stages.filter(isUnread).map((stage) => unread(stage, this.isAwaited(stage)))
  }

  /** Who returns an Option, or ends in work, knows that there may be nothing to do. */
  private endsThatMaySkip(): ReadonlyArray<Warning> {
    const ends = this.plan.value === undefined ? this.leaves.filter(isAnswer) : []
    const needed = this.needed()
    const skippedWith = (stage: PlannedStage) => this.before(stage, ({ index }) => needed[index] ?? [])
    const [first, ...others] = ends.map(skippedWith)
    if (first === undefined) return []
    const skipping = this.skipping()
    const found = Array.from(first)
      .filter((index) => skipping.has(index) && others.every((other) => other?.has(index)))
      .toSorted((one, other) => one - other)
    // Of stages that are skipped with each other, the one that is the reason.
    return found
      .filter((index) => {
        const before = skippedWith(this.stage(index))
        return !found.some((other) => other !== index && before?.has(other))
      })
      .map((index) => endMaySkip(this.stage(index), ends))
  }

  /** What each stage needs: it is skipped with any of these. */
  private needed(): ReadonlyArray<ReadonlyArray<number>> {
    const needed: ReadonlyArray<Array<number>> = this.plan.stages.map(() => [])
    for (const { from, optional, to, type } of this.plan.edges) {
      if (type !== "order" && !optional) needed[this.indexOf(to)]?.push(this.indexOf(from))
    }
    return needed
  }

  /** The stages that may be skipped, as far as their wiring and that of their readers says so. */
  private skipping(): ReadonlySet<number> {
    const skipping = new Set<number>()
    this.entries.forEach(({ wiring: { inputs, when } }, index) => {
      if (when !== undefined) skipping.add(index)
      const sources = Array.isArray(inputs) || inputs === undefined ? [] : Object.values(inputs)
      for (const source of when === undefined ? sources : [when, ...sources]) {
        for (const [name, use] of internalsOf(source).uses) if (use === "skips") skipping.add(this.indexOf(name))
      }
    })
    return skipping
  }

  private similarNames(): ReadonlyArray<Warning> {
    const known = new Map<string, string>(this.plan.input === undefined ? [] : [[inputName, inputName]])
    return this.plan.names.flatMap((name) => {
      const folded = name.toLowerCase()
      const other = known.get(folded)
      if (other === undefined) known.set(folded, name)
      return other === undefined ? [] : [similarName(name, other)]
    })
  }

  private indexOf(name: string): number {
    return this.plan.indexOf.get(name) as number // the plan was compiled of these names
  }

  private stage(index: number): PlannedStage {
    return this.plan.stages[index] as PlannedStage
  }

  /** All that comes before a stage, itself left out; `undefined` when that takes too long to find out. */
  private before(
    stage: PlannedStage,
    next: (stage: PlannedStage) => ReadonlyArray<number>
  ): ReadonlySet<number> | undefined {
    const found = new Set<number>()
    const rest = Array.from(next(stage))
    for (let index = rest.pop(); index !== undefined; index = rest.pop()) {
      if (found.has(index)) continue
      if (++this.steps > stepLimit) return undefined
      found.add(index)
      for (const another of next(this.stage(index))) rest.push(another)
    }
    return found
  }
}

const isGuard = ({ info: { kind } }: PlannedStage): boolean => kind === "guard"

/** Whether what a stage gives is an answer. */
const isAnswer = ({ info: { kind } }: PlannedStage): boolean => kind === "transform" || kind === "agent"

/** Whether a stage does something with context and routes. */
const isResult = (stage: PlannedStage): boolean => isAnswer(stage) || stage.info.kind === "work"

const idleGuard = ({ name }: PlannedStage): Warning => ({
  code: "IDLE_GUARD",
  stage: name,
  message: `The guard "${name}" guards nothing: no stage waits for it, so others run before it has answered.`,
  fix: `Add it with gate, before the stages that it guards, or name it in their after.`
})

const unread = ({ info: { kind }, name }: PlannedStage, isAwaited: boolean): Warning => ({
  code: "UNREAD_DATA",
  stage: name,
  message: isAwaited
    ? `Stages wait for the ${kind} stage "${name}", and none of them reads its data.`
    : `Nothing reads the data of the ${kind} stage "${name}".`,
  fix: kind === "route"
    ? `Ask for its route, as in when: (s) => s.${name}.is(route), or remove it.`
    : `Read it (inputs: ["${name}"]), make it a work stage if it is there for what it does, or remove it.`
})

const endMaySkip = ({ name }: PlannedStage, ends: ReadonlyArray<PlannedStage>): Warning => ({
  code: "END_MAY_SKIP",
  stage: name,
  message: `When "${name}" is skipped, so is every answer that the pipeline ends with: ${
    listed(ends.map((end) => end.name))
  }.`,
  fix: `Read it as an Option ("${name}?" or .option), with .orElse, or join the branches with Source.firstOf.`
})

const similarName = (name: string, other: string): Warning => ({
  code: "SIMILAR_NAMES",
  stage: name,
  message: `"${name}" and "${other}" differ in case only.`,
  fix: "Rename one of them with Stage.as."
})

/** What is most likely a mistake in a pipeline that can run. */
export const lint = (plan: Plan, topology: Topology): ReadonlyArray<Warning> =>
  new Linting(plan, stagesOf(topology)).warnings()
