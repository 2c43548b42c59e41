/**
 * Tells of a stage that has to wait in a queue: that it begins to, and how long it took.
 */
import type { Attempt } from "../../attempt/attempt.ts"
import { elapsedMillisIn } from "../../internal/clock.ts"

type Clocked = Parameters<typeof elapsedMillisIn>[0]

/** The wait of one stage in one queue. One that does not have to wait is not told of. */
export class Waiting {
  private readonly queue: string
  private readonly attempt: Attempt
  private readonly fiber: Clocked
  private since: number | undefined = undefined

  constructor(queue: string, attempt: Attempt, fiber: Clocked) {
    this.queue = queue
    this.attempt = attempt
    this.fiber = fiber
  }

  /** It has to wait. */
  readonly begin = (): void => {
    if (this.since !== undefined) return
    this.since = elapsedMillisIn(this.fiber)
    this.attempt.announce({ _tag: "StageQueued", queue: this.queue })
  }

  /** It does not wait any more. Only the first one counts. */
  end(admitted: boolean): void {
    const { queue, since } = this
    if (since === undefined) return
    this.since = undefined
    const waitedMs = elapsedMillisIn(this.fiber) - since
    this.attempt.announce({ _tag: "StageDequeued", queue, waitedMs, admitted })
  }
}
