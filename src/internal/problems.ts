/**
 * Turns schema failures into data: where, and what is wrong there. The rejected value itself is never part of it, so a
 * message made from it shows no secret.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/** One thing that is wrong with a value: the path to it and what was expected there. */
export const FieldProblem = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Number])),
  message: Schema.String
})

export type FieldProblem = typeof FieldProblem.Type

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (key: unknown): string | number => {
  const value = typeof key === "object" && key !== null && "key" in key ? key.key : key
  return typeof value === "number" ? value : String(value)
}

export const problemsOf = (issue: SchemaIssue.Issue): ReadonlyArray<FieldProblem> =>
  format(issue).issues.map(({ message, path }) => ({ path: (path ?? []).map(segment), message }))

/** `messages.0.role: Expected "user"` for each problem. */
export const describeProblems = (problems: ReadonlyArray<FieldProblem>): string =>
  problems.map(({ message, path }) => path.length === 0 ? message : `${path.join(".")}: ${message}`).join("; ")

/** The same problems, of a part that is at `path` in its whole. */
export const problemsUnder = (
  path: ReadonlyArray<string | number>,
  problems: ReadonlyArray<FieldProblem>
): ReadonlyArray<FieldProblem> => problems.map((problem) => ({ ...problem, path: [...path, ...problem.path] }))

/** What makes a part that is at `path` in its whole. */
export const under = <A>(
  path: ReadonlyArray<string | number>,
  effect: Effect.Effect<A, ReadonlyArray<FieldProblem>>
): Effect.Effect<A, ReadonlyArray<FieldProblem>> => Effect.mapError(effect, (problems) => problemsUnder(path, problems))

/** Collects what is wrong with the parts of a whole, so that all of it is told at once. */
export class ProblemsOfParts {
  private readonly all: Array<FieldProblem> = []

  /** What makes a part, where the others go on when it fails. */
  part<A>(
    path: ReadonlyArray<string | number>,
    effect: Effect.Effect<A, ReadonlyArray<FieldProblem>>
  ): Effect.Effect<A> {
    return Effect.catch(under(path, effect), (problems) => {
      for (const problem of problems) this.all.push(problem)
      // Nobody looks at it: the whole fails.
      return Effect.succeed(undefined as A)
    })
  }

  /** The whole, unless one of its parts failed. */
  whole<A>(make: () => A): Effect.Effect<A, ReadonlyArray<FieldProblem>> {
    return Effect.suspend(() => this.all.length === 0 ? Effect.succeed(make()) : Effect.fail(this.all))
  }
}
