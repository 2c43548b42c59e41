/**
 * Turns schema failures into data: where, and what is wrong there. The rejected value itself is never part of it, so a
 * message made from it shows no secret.
 */
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/** One thing that is wrong with a value: the path to it and what was expected there. */
export const Problem = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Number])),
  message: Schema.String
})

export type Problem = typeof Problem.Type

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (key: unknown): string | number => {
  const value = typeof key === "object" && key !== null && "key" in key ? key.key : key
  return typeof value === "number" ? value : String(value)
}

export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<Problem> =>
  format(issue).issues.map(({ message, path }) => ({ path: (path ?? []).map(segment), message }))

/** `messages.0.role: Expected "user"` for each problem. */
export const describeProblems = (problems: ReadonlyArray<Problem>): string =>
  problems.map(({ message, path }) => path.length === 0 ? message : `${path.join(".")}: ${message}`).join("; ")
