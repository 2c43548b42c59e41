/**
 * Remembers of each run of a tree where it stands and how it ended, for whoever holds the handle of a run above it.
 *
 * A record holds nothing of what its run works with. Records are linked below a run that was started with a handle, and
 * nowhere else: without one nobody can ask.
 */
import type { RunEntry, RunStatus, RunTree } from "../Run.ts"
import type { Lineage } from "../StageContext.ts"

/** How many runs that have ended a tree keeps. Of more it forgets those that ended first. */
export const mostEnded = 10_000

/** What the records below one handle share. */
class Keeper {
  /** In the order in which they ended. */
  private readonly ended = new Set<RunRecord>()
  forgotten = 0

  add(record: RunRecord): void {
    this.ended.add(record)
    if (this.ended.size <= mostEnded) return
    const [first] = this.ended
    if (first === undefined) return
    this.ended.delete(first)
    first.forget()
    this.forgotten++
  }
}

export class RunRecord {
  readonly lineage: Lineage
  /** The stages that the run is inside of, from the outermost run on. */
  readonly path: ReadonlyArray<string>
  private readonly pipeline: string
  private readonly parent: RunRecord | undefined
  private readonly keeper: Keeper | undefined
  private status: RunStatus = "running"
  /** In the order in which they started; `undefined` while there are none. */
  private children: Set<RunRecord> | undefined = undefined

  constructor(pipeline: string, lineage: Lineage, parent: RunRecord | undefined, hasHandle: boolean) {
    const { parentStage } = lineage
    this.parent = parent
    this.pipeline = pipeline
    this.lineage = lineage
    this.path = parentStage === undefined ? [] : [...parent?.path ?? [], parentStage]
    this.keeper = parent?.keeper ?? (hasHandle ? new Keeper() : undefined)
  }

  start(): void {
    if (this.parent?.keeper !== undefined) (this.parent.children ??= new Set()).add(this)
  }

  end(status: RunStatus): void {
    if (this.keeper === undefined) return
    this.status = status
    if (this.parent?.keeper !== undefined) this.keeper.add(this)
  }

  forget(): void {
    this.parent?.children?.delete(this)
  }

  private get entry(): RunEntry {
    const { lineage: { parentRunId, parentStage, runId }, path, pipeline, status } = this
    return { runId, pipeline, parentRunId, parentStage, depth: path.length, status }
  }

  /** The runs that this one is inside of, from the innermost on. */
  private get ancestors(): ReadonlyArray<RunRecord> {
    const ancestors: Array<RunRecord> = []
    for (let above = this.parent; above !== undefined; above = above.parent) ancestors.push(above)
    return ancestors
  }

  /** Each run before those inside of it, in the order in which they started. */
  private get descendants(): ReadonlyArray<RunRecord> {
    const descendants: Array<RunRecord> = []
    const rest = Array.from(this.children ?? []).toReversed()
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      descendants.push(next)
      for (const child of Array.from(next.children ?? []).toReversed()) rest.push(child)
    }
    return descendants
  }

  /** The tree of runs as it is now, as this run sees it. */
  get tree(): RunTree {
    const { ancestors } = this
    return {
      run: this.entry,
      parent: ancestors[0]?.entry,
      root: (ancestors.at(-1) ?? this).entry,
      children: Array.from(this.children ?? [], (child) => child.entry),
      descendants: this.descendants.map(({ entry }) => entry),
      forgotten: this.keeper?.forgotten ?? 0
    }
  }
}
