import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { inverted } from "../../src/engine/packed-lists.ts"
import { PriorityQueue } from "../../src/engine/priority-queue.ts"

interface Graph {
  readonly priorities: ReadonlyArray<number>
  /** The stages before each stage that it waits for. */
  readonly dependencies: ReadonlyArray<ReadonlyArray<number>>
  /** How many stages run at once. */
  readonly limit: number
  /** Which of those that run ends next. */
  readonly ends: ReadonlyArray<number>
}

/** Numbers that look random, and are the same for each seed. */
const numbersFrom = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
}

const graphOf = (seed: number): Graph => {
  const number = numbersFrom(seed)
  const stages = Array.from({ length: 1 + number(40) }, (_, index) => index)
  return {
    priorities: stages.map(() => number(11) - 5),
    dependencies: stages.map((index) =>
      index === 0 ? [] : Array.from(new Set(Array.from({ length: number(3) }, () => number(index))))
    ),
    limit: 1 + number(4),
    ends: stages.map(() => number(4))
  }
}

const Seed = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 }))

/** Runs a graph: which stages start, in which order, is up to `take` and `release`. */
const startedIn = (
  { dependencies, ends, limit }: Graph,
  queue: { readonly isEmpty: boolean; readonly take: () => number; readonly release: (ended: number) => void }
): ReadonlyArray<number> => {
  const started: Array<number> = []
  const running: Array<number> = []
  for (let step = 0; started.length < dependencies.length || running.length > 0; step++) {
    while (running.length < limit && !queue.isEmpty) {
      const next = queue.take()
      started.push(next)
      running.push(next)
    }
    const [ended] = running.splice((ends[step % ends.length] ?? 0) % running.length, 1)
    queue.release(ended as number)
  }
  return started
}

/** The rule, said as plainly as possible: whoever waits is raised by one whenever another goes first. */
class Plainly {
  private readonly waiting: Array<{ readonly index: number; raised: number }> = []
  private readonly left: Array<number>
  private readonly graph: Graph
  constructor(graph: Graph) {
    this.graph = graph
    this.left = graph.dependencies.map(({ length }) => length)
    this.left.forEach((count, index) => count === 0 && this.add(index))
  }
  private add(index: number): void {
    this.waiting.push({ index, raised: this.graph.priorities[index] ?? 0 })
  }
  get isEmpty(): boolean {
    return this.waiting.length === 0
  }
  readonly take = (): number => {
    this.waiting.sort((one, other) => other.raised - one.raised || one.index - other.index)
    const first = this.waiting.shift()
    for (const other of this.waiting) other.raised++
    return first?.index ?? -1
  }
  readonly release = (ended: number): void => {
    this.graph.dependencies.forEach((before, index) => {
      if (!before.includes(ended)) return
      const left = (this.left[index] ?? 0) - 1
      this.left[index] = left
      if (left === 0) this.add(index)
    })
  }
}

const queueOf = ({ dependencies, priorities }: Graph, pick?: (count: number) => number) =>
  new PriorityQueue(
    Int32Array.from(dependencies, ({ length }) => length),
    inverted(dependencies),
    Float64Array.from(priorities),
    pick
  )

describe("the queue of stages with priorities", () => {
  it.prop("starts them as the rule says, whatever the graph", [Seed], ([seed]) => {
    const graph = graphOf(seed)
    assert.deepStrictEqual(startedIn(graph, queueOf(graph)), startedIn(graph, new Plainly(graph)))
  })

  it.prop("gives every stage once, whichever of those that stand alike is picked", [Seed], ([seed]) => {
    const graph = graphOf(seed)
    const started = startedIn(graph, queueOf(graph, numbersFrom(seed)))
    assert.deepStrictEqual(started.toSorted((a, b) => a - b), graph.priorities.map((_, index) => index))
  })

  it("picks only among those that stand alike", () => {
    const graph = { priorities: [0, 2, 2, 1, 2], dependencies: [[], [], [], [], []], limit: 1, ends: [0] }
    const orders = new Set(
      [0, 1, 2].map((choice) => startedIn(graph, queueOf(graph, (count) => Math.min(choice, count - 1))).join(""))
    )
    assert.deepStrictEqual(orders, new Set(["12430", "24130", "42130"]))
  })
})
