/**
 * Checks, in a linter, what the compiler cannot see: an outcome that nobody yields or returns. A plugin for oxlint and
 * ESLint.
 *
 * ```json
 * { "jsPlugins": ["stageflow/lint"], "rules": { "stageflow/yielded-outcome": "error" } }
 * ```
 *
 * An Effect in the same place is found by the diagnostic `floatingEffect` of `@effect/tsgo`, which takes an outcome for
 * data.
 */

/** As much of a syntax tree as the rule looks at. */
interface Tree {
  readonly type: string
  readonly expression?: Tree
  readonly callee?: Tree
  readonly object?: Tree
  readonly property?: Tree
  readonly name?: string
}

/** What a linter gives a rule. */
interface RuleContext {
  readonly report: (problem: { readonly node: never; readonly message: string }) => void
}

const outcomes: ReadonlySet<string | undefined> = new Set(["skip", "cancel", "fail", "retry"])

/** The outcome that a call makes: `skip` of `StageOutput.skip("nobody")`. */
const outcomeOf = (call: Tree | undefined): string | undefined => {
  if (call?.type !== "CallExpression" || call.callee?.type !== "MemberExpression") return undefined
  const { object, property } = call.callee
  return object?.name === "StageOutput" && outcomes.has(property?.name) ? property?.name : undefined
}

/** Finds `StageOutput.skip(...)`, `cancel`, `fail` and `retry` as a statement: without `yield*` or `return` they do nothing. */
const yieldedOutcome = {
  meta: { type: "problem" },
  create: (context: RuleContext) => ({
    ExpressionStatement: (statement: Tree): void => {
      const outcome = outcomeOf(statement.expression)
      if (outcome === undefined) return
      context.report({
        node: statement as never, // the linter's own
        message: `StageOutput.${outcome}(...) does nothing here: write yield* before it, or return it`
      })
    }
  })
} as const

/** The rules, by their names. */
export const rules = { "yielded-outcome": yieldedOutcome } as const

/** Names the plugin to the linter. */
export const meta = { name: "stageflow" } as const

/** The plugin, as linters load it. */
const plugin = { meta, rules }

export default plugin
