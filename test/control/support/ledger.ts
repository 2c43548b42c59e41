/**
 * Notes what stages did and what was taken back, for tests of sagas.
 */
import { Effect } from "effect"
import { Pipeline, Stage } from "stageflow"
import { Saga } from "stageflow/control"

/** What was done and taken back, in order. */
export class Ledger {
  readonly lines: Array<string> = []

  /** A stage that does something, and says how that is taken back. */
  step<const Name extends string>(name: Name, body: Effect.Effect<unknown> = Effect.void) {
    return Stage.work(name, {
      run: Effect.map(body, () => {
        this.lines.push(name)
        return { id: name }
      })
    }).pipe(Saga.compensate(({ id }) => Effect.sync(() => void this.lines.push(`undo ${id}`))))
  }

  /** The lines that say what was taken back. */
  get undoLines(): ReadonlyArray<string> {
    return this.lines.filter((line) => line.startsWith("undo "))
  }

  /** What was taken back. */
  get undone(): ReadonlyArray<string> {
    return this.undoLines.map((line) => line.slice("undo ".length))
  }
}

export const saga = Pipeline.intercept(Saga.interceptor())

/** The stages that a report names, each with those that lead to it. */
export const paths = (items: ReadonlyArray<{ readonly path: ReadonlyArray<string> }> | undefined) =>
  items?.map(({ path }) => path.join(" > "))
