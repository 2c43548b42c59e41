/**
 * Holds one attempt of one stage while it runs: what stands behind its StageContext.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Announcement, Heard, Hearer } from "../attempt/announcement.ts"
import { type Attempt, attemptIn, type Part } from "../attempt/attempt.ts"
import type { Outcome, StageEffect } from "../attempt/interceptor-model.ts"
import { immutable } from "../internal/immutable.ts"
import { LeftBehind } from "../internal/interruption.ts"
import type { Artifact, Settled } from "../internal/output-model.ts"
import type { Current, RunIdentity } from "../internal/snapshot-model.ts"
import { type Inputs, type Progress, StageContext, type Timer, UndeclaredInput } from "../StageContext.ts"
import type { Announcer } from "./announcer.ts"
import { readArtifact, readEmitted, readProgress } from "./handed-over.ts"
import type { Plan, PlannedStage } from "./plan.ts"
import type { RunRecord } from "./run-record.ts"
import type { RunStreams } from "./run-streams.ts"

/** What an execution asks of its run. */
export interface RunOfStage {
  readonly plan: Plan
  readonly snapshot: Current
  readonly identity: RunIdentity
  readonly record: RunRecord
  /** The id of the request, where the caller gave one to this run or to the one that it is inside of. */
  readonly requestId: string | undefined
  readonly announcer: Announcer | undefined
  readonly outputs: ReadonlyArray<Settled | undefined>
  /** The stage that the run is inside of. */
  readonly parent: StageExecution | undefined
  readonly elapsedMs: () => number
  /** Whether a stage is running, by its first attempt. */
  readonly isRunning: (first: StageExecution) => boolean
  /** The streams of the run, which has them once they are asked for. */
  readonly streamsNow: () => RunStreams
  readonly progressed: (planned: PlannedStage, progress: Progress) => void
  readonly attemptEnded: (
    execution: StageExecution,
    exit: Exit.Exit<Outcome, unknown>,
    delay: Duration.Duration
  ) => void
}

const noArtifacts: ReadonlyArray<Artifact> = []

/** The StageContext of one attempt of a stage. */
export class StageExecution implements Attempt {
  readonly run: RunOfStage
  readonly planned: PlannedStage
  readonly input: unknown
  readonly attempt: number
  /** When the attempt started, in milliseconds since the start of the run. */
  readonly startedMs: number
  /** The attempt that this one is inside of; the outermost is the stage itself. */
  private readonly outer: StageExecution | undefined
  /** The outermost attempt, which knows about all of them. */
  readonly first: StageExecution
  /** Of the outermost attempt: the one that is going on. */
  latest: StageExecution
  artifacts: Array<Artifact> | undefined = undefined
  /** Of the outermost attempt, while the stage waits for something: the fiber that it runs in. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Of the outermost attempt, once there was something to leave behind. */
  private ownLeftBehind: LeftBehind | undefined = undefined
  /** Of the outermost attempt, once somebody watches the stage: who does. */
  private hearers: Set<Hearer> | undefined = undefined
  /** Whether the attempt is over and the next one has not started. */
  hasEnded = false
  /** Whether this is a part of an attempt that is over. */
  private isOver = false
  /** How many attempts were made inside of this one: those before the last are over. */
  private generation = 0
  /** Which of the attempts inside of its outer one this is; attempts at the same time are one generation. */
  private readonly ofGeneration: number

  constructor(
    run: RunOfStage,
    planned: PlannedStage,
    input: unknown,
    startedMs: number,
    attempt = 1,
    outer: StageExecution | undefined = undefined
  ) {
    this.run = run
    this.planned = planned
    this.input = input
    this.startedMs = startedMs
    this.attempt = attempt
    this.outer = outer
    this.first = outer === undefined ? this : outer.first
    this.latest = this
    this.ofGeneration = outer === undefined ? 0 : outer.generation
  }

  get attempts(): number {
    return this.first.latest.attempt
  }
  get output() {
    return this.planned.definition.output
  }
  get snapshot() {
    return this.run.snapshot
  }
  get identity() {
    return this.run.identity
  }
  get lineage() {
    return this.run.record.lineage
  }
  get pipeline(): string {
    return this.run.plan.pipeline
  }
  get stage(): string {
    return this.planned.name
  }
  get channel() {
    return this.run.streamsNow().channelOf(this.planned.index)
  }
  get timer(): Timer {
    const { first: { startedMs }, run } = this
    return {
      run: Effect.sync(() => Duration.millis(run.elapsedMs())),
      stage: Effect.sync(() => Duration.millis(run.elapsedMs() - startedMs))
    }
  }
  get inputs(): Inputs {
    return inputsOf(this)
  }
  get emit() {
    return (type: string, data: unknown): Effect.Effect<void> => Effect.sync(() => this.tell(type, data))
  }
  tell(type: string, data: unknown): void {
    // Read whether anybody listens or not: what cannot be read makes the stage die in either case.
    const emitted = readEmitted(type, data)
    if (this.isHeard) this.run.announcer?.stageEmitted(this.speaker, emitted)
  }
  get announce() {
    return (announcement: Announcement): void => {
      const { announcer } = this.run
      if ((announcer === undefined && this.first.hearers === undefined) || !this.isHeard) return
      const { speaker } = this
      const said = immutable(announcement)
      announcer?.stageAnnounced(speaker, said)
      speaker.tellHearers(said)
    }
  }
  get hear() {
    return (hearer: Hearer): () => void => {
      const hearers = this.first.hearers ??= new Set()
      hearers.add(hearer)
      return () => {
        hearers.delete(hearer)
      }
    }
  }
  /** Tells who watches the stage of something that this attempt said. An observer changes nothing. */
  tellHearers(heard: Heard): void {
    const { hearers } = this.first
    if (hearers === undefined) return
    for (const hearer of hearers) Result.try(() => hearer(heard, this.attempt))
  }
  get addArtifact() {
    return (artifact: Artifact): Effect.Effect<void> => Effect.sync(() => this.keepArtifact(artifact))
  }
  keepArtifact(artifact: Artifact): void {
    ;(this.artifacts ??= []).push(readArtifact(artifact))
  }
  get addedArtifacts(): ReadonlyArray<Artifact> {
    return this.artifacts ?? noArtifacts
  }
  get dropAddedArtifacts() {
    return (): void => {
      this.artifacts = undefined
    }
  }

  get progress() {
    return (progress: Progress): Effect.Effect<void> => Effect.sync(() => this.reportProgress(readProgress(progress)))
  }
  reportProgress(progress: Progress): void {
    if (this.isHeard) this.run.progressed(this.planned, progress)
  }

  /** What of the stage was interrupted and not waited for any longer. */
  get leftBehind(): LeftBehind {
    return this.first.ownLeftBehind ??= new LeftBehind(this.run.parent?.leftBehind)
  }

  /** Whether something of the stage was interrupted and goes on all the same. */
  get hasLeftBehind(): boolean {
    const { ownLeftBehind } = this.first
    return ownLeftBehind !== undefined && ownLeftBehind.fibers.size > 0
  }

  /** What the stage adds when it ends now: what this attempt and those around it have added. */
  get allArtifacts(): ReadonlyArray<Artifact> | undefined {
    const around = this.outer?.allArtifacts
    if (around === undefined) return this.artifacts
    return this.artifacts === undefined ? around : [...around, ...this.artifacts]
  }

  /** Whether what the attempt says is part of the run: not when it is over, or the stage has ended or was left behind. */
  private get isHeard(): boolean {
    if (this.isOver) return false
    if (this.outer === undefined) return this.run.isRunning(this)
    return this.ofGeneration === this.outer.generation && this.outer.isHeard
  }

  /** The attempt that is told of when this one says something: what is around several attempts speaks during the last. */
  private get speaker(): StageExecution {
    return this.generation === 0 ? this : this.first.latest
  }

  get firstAttempt() {
    return (effect: StageEffect): StageEffect =>
      Effect.suspend(() => {
        this.generation++
        return this.inside(effect, this.attempts, this.startedMs, true)
      })
  }

  get nextAttempt() {
    return (exit: Exit.Exit<Outcome, unknown>, delay: Duration.Duration): (effect: StageEffect) => StageEffect => {
      const ended = this.first.latest
      ended.hasEnded = true
      this.generation++
      this.run.attemptEnded(ended, exit, delay)
      return (effect) => Effect.suspend(() => this.inside(effect, ended.attempt + 1, this.run.elapsedMs(), true))
    }
  }

  get parallelAttempt() {
    return (effect: StageEffect): StageEffect =>
      Effect.suspend(() => this.inside(effect, this.attempts + 1, this.run.elapsedMs(), false))
  }

  private inside(effect: StageEffect, attempt: number, startedMs: number, isLatest: boolean): StageEffect {
    const inner = new StageExecution(this.run, this.planned, this.input, startedMs, attempt, this)
    if (isLatest) this.first.latest = inner
    return Effect.map(Effect.provideService(effect, StageContext, inner), (outcome) => {
      if (outcome._tag !== "Retry") this.adopt(inner)
      return outcome
    })
  }

  get part() {
    return (): Part => {
      const inner = new StageExecution(this.run, this.planned, this.input, this.startedMs, this.attempt, this)
      return {
        run: Effect.provideService(StageContext, inner),
        keep: () => {
          if (inner.isOver) return
          if (inner.artifacts !== undefined) this.artifacts = [...this.addedArtifacts, ...inner.artifacts]
          inner.end()
        },
        drop: () => inner.end()
      }
    }
  }

  /** Of a part of an attempt: nobody hears it any more. */
  private end(): void {
    this.isOver = true
    this.artifacts = undefined
  }

  private isInside(other: StageExecution): boolean {
    return this === other || this.outer?.isInside(other) === true
  }

  /** An attempt inside of this one succeeded: what it added is this one's. */
  private adopt(inner: StageExecution): void {
    // Another that ran at the same time has succeeded before, and this one is over.
    if (inner.ofGeneration !== this.generation) return
    this.generation++
    if (!this.first.latest.isInside(inner)) this.first.latest = inner
    if (inner.artifacts !== undefined) this.artifacts = [...this.addedArtifacts, ...inner.artifacts]
    inner.artifacts = undefined
  }
}

/** The execution that a fiber is part of. */
export const executionIn = (fiber: Fiber.Fiber<unknown, unknown>): StageExecution =>
  // Every attempt of a stage is one of these.
  attemptIn(fiber) as StageExecution

/** The execution behind a StageContext; one that a test makes is of no run. */
export const executionOf = (context: StageContext["Service"] | undefined): StageExecution | undefined =>
  context instanceof StageExecution ? context : undefined

/** What was left behind in the stage that a fiber is part of. */
export const leftBehindIn = (fiber: Fiber.Fiber<unknown, unknown>): LeftBehind | undefined =>
  executionOf(Option.getOrUndefined(Context.getOption(fiber.context, StageContext)))?.leftBehind

const inputsOf = ({ planned, run }: StageExecution): Inputs => {
  // Outputs are frozen where a stage gets hold of them; what they hold is frozen already.
  const settledAt = (index: number): Settled | undefined => Object.freeze(run.outputs[index])
  const nameAt = (index: number): string => run.plan.names[index] as string
  const lookUp = (name: string): Effect.Effect<Settled | undefined, UndeclaredInput> => {
    const index = planned.dependencies.find((dependency) => nameAt(dependency) === name)
    return index === undefined
      ? Effect.fail(
        new UndeclaredInput({ stage: planned.name, wanted: name, declared: planned.dependencies.map(nameAt) })
      )
      : Effect.succeed(settledAt(index))
  }
  return {
    get: (key) => {
      for (const dependency of planned.dependencies) {
        const found = valueUnder(settledAt(dependency), key)
        if (Option.isSome(found)) return found
      }
      return Option.none()
    },
    getFrom: (stage, key) => Effect.map(lookUp(stage), (output) => valueUnder(output, key)),
    hasOutput: (stage) => Effect.map(lookUp(stage), (output) => output?._tag === "Ok"),
    getOutput: (stage) => Effect.map(lookUp(stage), Option.fromUndefinedOr)
  }
}

const valueUnder = (output: Settled | undefined, key: string): Option.Option<unknown> => {
  if (output?._tag !== "Ok") return Option.none()
  // The data of an Ok is an object; see `endingOfExit`.
  const data = output.data as Record<string, unknown>
  return Object.hasOwn(data, key) ? Option.some(data[key]) : Option.none()
}
