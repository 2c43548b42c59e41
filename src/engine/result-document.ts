/**
 * Describes a result as JSON: which parts it has, and what must hold between them.
 *
 * What stages gave and failed with stands in it as JSON of its own, which only the stage's schemas can read. The rest is
 * checked here against the names of the stages, without them: a result that says one thing of a stage in one place and
 * another in the next is none.
 */
import * as Schema from "effect/Schema"
import { Compensation } from "../attempt/compensation.ts"
import { StreamSummary } from "../attempt/stream-summary.ts"
import { ErrorSummary } from "../Event.ts"
import type { FieldProblem } from "../internal/problems.ts"
import { RunIdentity } from "../Snapshot.ts"
import type { Plan } from "./plan.ts"

// ---------------------------------------------------------------------------------------------------------------------
// parts
// ---------------------------------------------------------------------------------------------------------------------

const Names = Schema.Array(Schema.String)
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** How an attempt ended. What a stage gave stands among the outputs, or here when it cancelled the run. */
const AttemptEnd = Schema.Union([
  Schema.TaggedStruct("Settled", { output: Schema.optionalKey(Schema.Unknown) }),
  Schema.TaggedStruct("Failed", { error: ErrorSummary }),
  Schema.TaggedStruct("RetryRequested", { reason: Schema.String }),
  Schema.TaggedStruct("Interrupted", { abandoned: Schema.Boolean })
])

const Entry = Schema.Struct({
  stage: Schema.String,
  attempt: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  end: AttemptEnd,
  startedMs: Schema.Finite,
  endedMs: Schema.Finite
})

const Lineage = Schema.Struct({
  runId: Schema.String,
  parentRunId: Schema.optionalKey(Schema.String),
  parentStage: Schema.optionalKey(Schema.String),
  correlationId: Schema.String
})

const summary = {
  pipeline: Schema.String,
  identity: RunIdentity,
  lineage: Lineage,
  durationMs: Schema.Finite,
  bag: Schema.Struct({ entries: Schema.Array(Entry) }),
  outputs: Schema.Record(Schema.String, Schema.Unknown),
  streams: Schema.optionalKey(Schema.Record(Schema.String, StreamSummary))
}

const takenBack = { compensation: Schema.optionalKey(Compensation) }

const leftBehind = { interrupted: Names, abandoned: Names, neverStarted: Names }

const failure = {
  stage: Schema.String,
  error: Schema.Unknown,
  attempts: Count,
  cause: Schema.Unknown,
  data: Schema.Unknown
}

const Failures = Schema.Array(Schema.Struct(failure))

const Result = Schema.Union([
  Schema.TaggedStruct("Completed", { ...summary, value: Schema.optionalKey(Schema.Unknown) }),
  Schema.TaggedStruct("Cancelled", {
    ...summary,
    ...leftBehind,
    ...takenBack,
    by: Schema.optionalKey(Schema.String),
    reason: Schema.String,
    data: Schema.Unknown,
    blocked: Names,
    failures: Failures
  }),
  Schema.TaggedStruct("Incomplete", {
    ...summary,
    ...takenBack,
    ok: Names,
    skipped: Names,
    failed: Names,
    blocked: Names,
    failures: Failures
  }),
  Schema.TaggedStruct("StageFailed", { ...summary, ...leftBehind, ...takenBack, ...failure })
])

/** The version of the shape that is written here. */
export const version = 1

/** A result as JSON. */
export const ResultDocument = Schema.Struct({ version: Schema.Literal(version), result: Result })

/** A result as JSON. */
export type ResultDocument = typeof ResultDocument.Type

/** What a run ended with, as JSON. */
export type Document = typeof Result.Type

/** One attempt of a stage, as JSON. */
export type EntryDocument = typeof Entry.Type

/** One stage's failure, as JSON. */
export type FailureDocument = typeof Failures.Type[number]

// ---------------------------------------------------------------------------------------------------------------------
// what must hold between them
// ---------------------------------------------------------------------------------------------------------------------

const tagOf = (json: unknown): unknown =>
  typeof json === "object" && json !== null && Object.hasOwn(json, "_tag") ? Reflect.get(json, "_tag") : undefined

type Path = ReadonlyArray<string | number>

/** Goes through a result once and keeps account of what it says of each stage. */
class Inspection {
  private readonly problems: Array<FieldProblem> = []
  private readonly result: Document
  private readonly plan: Plan
  private readonly entries = new Map<string, Array<EntryDocument>>()
  /** The stages whose last attempt gave a `Cancel`. */
  private readonly cancelling = new Set<string>()
  /** What a stage is counted as. It can be one thing only. */
  private readonly counted = new Map<string, string>()

  constructor(result: Document, plan: Plan) {
    this.result = result
    this.plan = plan
  }

  inspect(): ReadonlyArray<FieldProblem> {
    const { result } = this
    if (result.pipeline !== this.plan.pipeline) this.problem(["pipeline"], `Expected "${this.plan.pipeline}"`)
    result.bag.entries.forEach((entry, index) => this.inspectEntry(entry, ["bag", "entries", index]))
    this.inspectOutputs()
    for (const stage of Object.keys(result.streams ?? {})) this.isKnown(stage, ["streams", stage])
    if (result._tag !== "Completed") this.inspectCompensation(result.compensation)
    switch (result._tag) {
      case "Completed":
        this.everyStageIsIn("outputs")
        break
      case "Cancelled":
        this.inspectLeftBehind(result)
        this.inspectFailures(result.failures)
        this.inspectNames("blocked", result.blocked)
        this.inspectBy(result.by)
        this.everyStageIsIn("neverStarted")
        break
      case "Incomplete":
        this.inspectFailures(result.failures)
        this.inspectNames("blocked", result.blocked)
        this.inspectLists(result)
        this.everyStageIsIn("blocked")
        break
      case "StageFailed":
        this.inspectLeftBehind(result)
        this.inspectFailure(result, [])
    }
    return this.problems
  }

  private problem(path: Path, message: string): void {
    this.problems.push({ path, message })
  }

  private isKnown(stage: string, path: Path): boolean {
    if (this.plan.indexOf.has(stage)) return true
    this.problem(path, "Expected a stage of the pipeline")
    return false
  }

  private outputOf(stage: string): unknown {
    const { outputs } = this.result
    return Object.hasOwn(outputs, stage) ? outputs[stage] : undefined
  }

  private inspectEntry(entry: EntryDocument, path: Path): void {
    const { end, stage } = entry
    if (!this.isKnown(stage, [...path, "stage"])) return
    if (end._tag === "Settled") this.inspectOutput(stage, end.output, path)
    const known = this.entries.get(stage)
    if (known === undefined) this.entries.set(stage, [entry])
    else known.push(entry)
  }

  private inspectOutput(stage: string, output: unknown, path: Path): void {
    if (this.hasSettled(stage)) this.problem([...path, "end"], "Expected one attempt only that gave its stage's output")
    if (this.outputOf(stage) !== undefined) {
      if (output !== undefined) this.problem([...path, "end", "output"], "Expected it among the outputs only")
    } else if (output === undefined) {
      this.problem([...path, "end"], "Expected an output of its stage")
    } else if (this.result._tag === "Completed" || this.result._tag === "Incomplete" || tagOf(output) !== "Cancel") {
      this.problem([...path, "end", "output"], "Expected it among the outputs")
    } else {
      this.cancelling.add(stage)
      this.count(stage, "cancelled", [...path, "stage"])
    }
  }

  private hasSettled(stage: string): boolean {
    return this.entries.get(stage)?.some(({ end }) => end._tag === "Settled") === true
  }

  private inspectOutputs(): void {
    for (const [stage, output] of Object.entries(this.result.outputs)) {
      const path = ["outputs", stage]
      if (!this.isKnown(stage, path)) continue
      const tag = tagOf(output)
      if (tag !== "Ok" && tag !== "Skip") this.problem(path, "Expected Ok or Skip")
      // A stage that its wiring skipped has made no attempt.
      else if (!this.hasSettled(stage) && (tag === "Ok" || this.entries.has(stage))) {
        this.problem(path, "Expected the attempt that gave it among the entries of the bag")
      }
      this.count(stage, tag === "Ok" ? "ok" : "skipped", path)
    }
  }

  private count(stage: string, as: string, path: Path): void {
    const known = this.counted.get(stage)
    if (known !== undefined) this.problem(path, `Expected a stage that is not ${known === as ? "there twice" : known}`)
    else this.counted.set(stage, as)
  }

  private inspectLeftBehind(left: Extract<Document, { readonly interrupted: unknown }>): void {
    this.inspectNames("interrupted", left.interrupted)
    this.inspectNames("neverStarted", left.neverStarted)
    const interrupted = new Set(left.interrupted)
    left.abandoned.forEach((stage, index) => {
      // What is there twice is no longer there the second time.
      if (!interrupted.delete(stage)) this.problem(["abandoned", index], "Expected a stage that was interrupted, once")
    })
  }

  private inspectNames(list: "interrupted" | "neverStarted" | "blocked", stages: ReadonlyArray<string>): void {
    stages.forEach((stage, index) => {
      const path = [list, index]
      if (!this.isKnown(stage, path)) return
      this.count(stage, list, path)
      if (list !== "interrupted" && this.entries.has(stage)) {
        this.problem(path, "Expected a stage without entries in the bag")
      }
    })
  }

  private inspectFailures(failures: ReadonlyArray<FailureDocument>): void {
    failures.forEach((failure, index) => this.inspectFailure(failure, ["failures", index]))
  }

  private inspectFailure({ attempts, stage }: FailureDocument, path: Path): void {
    if (!this.isKnown(stage, [...path, "stage"])) return
    this.count(stage, "failed", [...path, "stage"])
    const entries = this.entries.get(stage) ?? []
    // A stage that its wiring failed has made no attempt.
    if (attempts === 0 ? entries.length > 0 : !entries.some(({ attempt }) => attempt === attempts)) {
      this.problem([...path, "attempts"], "Expected the number of its last attempt in the bag")
    }
  }

  /** What was taken back was done by stages of the pipeline, or in runs inside of them. */
  private inspectCompensation(compensation: Compensation | undefined): void {
    for (const list of ["compensated", "failed", "notReached"] as const) {
      compensation?.[list].forEach(({ path: [first], stage, path: stages }, index) => {
        const path = ["compensation", list, index]
        if (first === undefined || stages.at(-1) !== stage) {
          this.problem([...path, "path"], "Expected a path to the stage")
        } else this.isKnown(first, [...path, "path", 0])
      })
    }
  }

  private inspectBy(by: string | undefined): void {
    if (by !== undefined && this.isKnown(by, ["by"]) && !this.cancelling.has(by)) {
      this.problem(["by"], "Expected a stage whose entry in the bag is a Cancel")
    }
  }

  private inspectLists(result: Extract<Document, { readonly _tag: "Incomplete" }>): void {
    for (const list of ["ok", "skipped", "failed"] as const) {
      const listed = new Set<string>()
      result[list].forEach((stage, index) => {
        if (this.counted.get(stage) !== list || listed.has(stage)) {
          this.problem([list, index], `Expected a stage that is ${list}, once`)
        }
        listed.add(stage)
      })
      for (const [stage, as] of this.counted) {
        if (as === list && !listed.has(stage)) this.problem([list], `Expected "${stage}" in it`)
      }
    }
  }

  private everyStageIsIn(list: string): void {
    for (const name of this.plan.names) {
      if (!this.counted.has(name)) this.problem([list], `Expected "${name}" in it`)
    }
  }
}

/** What a result says of the stages of a pipeline that cannot be, whatever these gave. */
export const contradictions = (result: Document, plan: Plan): ReadonlyArray<FieldProblem> =>
  new Inspection(result, plan).inspect()
