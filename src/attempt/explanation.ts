/**
 * Explains to a developer why a stage failed: everything that is known of it, messages of defects included.
 */
import * as Cause from "effect/Cause"
import * as Formatter from "effect/Formatter"
import * as Result from "effect/Result"
import { formatFrame, framesOf } from "../internal/stack-frames.ts"
import type { Compensation } from "./compensation.ts"
import { errorSummaryOf } from "./error-summary.ts"

/** One attempt of a stage, as the run's bag has it. */
interface ToldAttempt {
  readonly stage: string
  readonly attempt: number
  readonly startedMs: number
  readonly endedMs: number
  readonly end:
    | { readonly _tag: "Settled"; readonly output: { readonly _tag: string } }
    | { readonly _tag: "Failed"; readonly error: { readonly tag: string; readonly message: string } }
    | { readonly _tag: "RetryRequested"; readonly reason: string }
    | { readonly _tag: "Interrupted"; readonly abandoned: boolean }
}

/** What is known of one stage's failure. */
export interface ExplainedFailure {
  readonly stage: string
  readonly error: unknown
  readonly attempts: number
  readonly cause: Cause.Cause<unknown>
}

/** Errors inside of errors are shown as deep as this. */
const deepest = 5

const indented = (lines: ReadonlyArray<string>): ReadonlyArray<string> => lines.map((line) => `  ${line}`)

/** The title of an error: its tag, its code and its message. */
const titleOf = (error: unknown): string => {
  if (typeof error !== "object" || error === null) return Formatter.format(error)
  const { code, message, tag } = errorSummaryOf(error)
  return `${tag}${code === undefined ? "" : ` (${code})`}${message === "" ? "" : `: ${message}`}`
}

const shownElsewhere = new Set(["_tag", "name", "message", "stack", "cause", "code", "reason", "stage"])

/** What an error holds besides. Redacted values stay redacted. */
const fieldsOf = (error: unknown): ReadonlyArray<string> => {
  if (typeof error !== "object" || error === null) return []
  return Object.keys(error).filter((key) => !shownElsewhere.has(key)).flatMap((key) => {
    // A getter may throw: then there is nothing to show.
    const value = Result.try(() => Formatter.format(Reflect.get(error, key)))
    return Result.isSuccess(value) ? [`${key}: ${value.success}`] : []
  })
}

const causeIn = (error: unknown): unknown =>
  error instanceof Error ? Result.getOrUndefined(Result.try((): unknown => error.cause)) : undefined

/** Whether it is the failure of a run inside of this one. */
const isFailureOfRun = (error: unknown): error is ExplainedRun =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "StageFailed"

/** An error with what it holds, where it was thrown and what it was caused by. */
const errorLines = (error: unknown, depth = 0): ReadonlyArray<string> => {
  if (isFailureOfRun(error)) return explainRun(error, depth + 1)
  const frames = framesOf(error).map((frame) => `at ${formatFrame(frame)}`)
  const cause = causeIn(error)
  return [
    ...titleOf(error).split("\n"),
    ...indented([...fieldsOf(error), ...frames]),
    ...(cause === undefined || Cause.isCause(cause) || depth >= deepest
      ? []
      : indented(headed("caused by", errorLines(cause, depth + 1))))
  ]
}

const headed = (head: string, [first = "", ...rest]: ReadonlyArray<string>): ReadonlyArray<string> => [
  `${head}: ${first}`,
  ...rest
]

const errorsIn = ({ reasons }: Cause.Cause<unknown>): ReadonlyArray<unknown> =>
  reasons.flatMap((reason) =>
    Cause.isFailReason(reason) ? [reason.error] : Cause.isDieReason(reason) ? [reason.defect] : []
  )

const endOf = ({ end }: ToldAttempt): string => {
  switch (end._tag) {
    case "Settled":
      return end.output._tag
    case "Failed":
      return `failed: ${end.error.tag}${end.error.message === "" ? "" : `: ${end.error.message}`}`
    case "RetryRequested":
      return `asked for another: ${end.reason}`
    case "Interrupted":
      return end.abandoned ? "interrupted, and abandoned" : "interrupted"
  }
}

const milliseconds = (value: number): string => `${Math.round(value * 10) / 10} ms`

/** One failed stage: its error, its attempts when there were several, and everything else in its cause. */
export const explainFailure = (
  { attempts, cause, error, stage }: ExplainedFailure,
  entries: ReadonlyArray<ToldAttempt>,
  depth = 0
): ReadonlyArray<string> => {
  const made = attempts > 1 ? entries.filter((entry) => entry.stage === stage) : []
  return [
    ...(depth > deepest ? [titleOf(error)] : errorLines(error, depth)),
    ...made.map((entry) =>
      `attempt ${entry.attempt} (+${milliseconds(entry.startedMs)} to +${milliseconds(entry.endedMs)}) ${endOf(entry)}`
    ),
    ...errorsIn(cause).filter((other) => other !== error).flatMap((other) =>
      headed("in the cause", depth > deepest ? [titleOf(other)] : errorLines(other, depth))
    )
  ]
}

/** What is known of a run that a stage failed. */
export interface ExplainedRun extends ExplainedFailure {
  readonly pipeline: string
  readonly outputs: unknown
  readonly interrupted: ReadonlyArray<string>
  readonly abandoned: ReadonlyArray<string>
  readonly neverStarted: ReadonlyArray<string>
  readonly durationMs: number
  readonly lineage: { readonly runId: string }
  readonly bag: { readonly entries: ReadonlyArray<ToldAttempt> }
  readonly compensation?: Compensation | undefined
}

const list = (head: string, names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.length === 0 ? [] : [`${head}: ${names.join(", ")}`]

/** What became of the other stages. */
export const othersOf = (
  { abandoned, interrupted, neverStarted }: Pick<ExplainedRun, "abandoned" | "interrupted" | "neverStarted">
): ReadonlyArray<string> => [
  ...list("interrupted", interrupted),
  ...list("abandoned", abandoned),
  ...list("never started", neverStarted)
]

const pathOf = ({ path }: { readonly path: ReadonlyArray<string> }): string => path.join(" > ")

/** What was taken back of what the stages had done. */
export const takenBack = (compensation: Compensation | undefined): ReadonlyArray<string> =>
  compensation === undefined ? [] : [
    ...list("compensated", compensation.compensated.map(pathOf)),
    ...compensation.failed.map((failed) => `not compensated: ${pathOf(failed)}: ${failed.error.message}`),
    ...list("compensation not reached", compensation.notReached.map(pathOf))
  ]

/** The failure of a run, and what became of its stages. */
export const explainRun = (failed: ExplainedRun, depth = 0): ReadonlyArray<string> => {
  const { attempts, bag, durationMs, lineage, outputs, pipeline, stage } = failed
  const often = attempts > 1 ? ` after ${attempts} attempts` : ""
  return [
    `Stage "${stage}" of pipeline "${pipeline}" failed${often}`,
    ...indented([
      ...explainFailure(failed, bag.entries, depth),
      ...list("ended before", Object.keys(outputs as object)), // by name
      ...othersOf(failed),
      ...takenBack(failed.compensation),
      `run ${lineage.runId}, ${milliseconds(durationMs)}`
    ])
  ]
}

/**
 * What a run's failure shows as its stack: what became of the other stages, and where in the program its stage failed. What
 * prints an error that nobody handled begins with this; where in the engine the error was made helps nobody.
 */
export const stackOf = (failed: ExplainedRun & { readonly message: string }): string => {
  const frames = [failed.error, ...errorsIn(failed.cause)].map(framesOf).find((found) => found.length > 0) ?? []
  return [
    `StageFailed: ${failed.message}`,
    ...indented(othersOf(failed)),
    ...frames.map((frame) => `    at ${formatFrame(frame)}`)
  ].join("\n")
}
