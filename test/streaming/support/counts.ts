/** Shapes of traffic through a queue: how many, how fast, and when somebody is interrupted. */
import { Effect } from "effect"

export interface Traffic {
  readonly capacity: number
  readonly overflow: "block" | "drop-oldest" | "drop-newest"
  readonly producers: number
  readonly consumers: number
  readonly chunks: number
  readonly interrupt: number
}

/** A sequence that is the same every time, or another with STAGEFLOW_SEED in the environment. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % below
  }
}

/** Checks a property for many kinds of traffic. */
export const forCounts = <E>(property: (traffic: Traffic) => Effect.Effect<void, E>): Effect.Effect<void, E> => {
  const next = numbers(Number(process.env["STAGEFLOW_SEED"] ?? 7))
  const traffic = Array.from({ length: 60 }, (): Traffic => ({
    capacity: 1 + next(6),
    overflow: (["block", "drop-oldest", "drop-newest"] as const)[next(3)] ?? "block",
    producers: 1 + next(4),
    consumers: next(4),
    chunks: next(30),
    interrupt: next(40)
  }))
  return Effect.forEach(traffic, property, { discard: true })
}
