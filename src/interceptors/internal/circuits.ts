/**
 * Keeps circuits in memory: closed, open and half open, by a clock that nobody sets. What says nothing any more is
 * forgotten: a healthy circuit soon after its last stage, any other when nobody has used it for an hour.
 */
import * as Duration from "effect/Duration"
import * as options from "../../internal/options.ts"
import { Forgetful } from "./forgetful.ts"

export type CircuitState = "closed" | "open" | "half-open"

/** What a circuit is used with. Two breakers of one key are one circuit: it cannot have two thresholds. */
export interface CircuitSettings {
  readonly key: string
  /** After how many in a row it opens. */
  readonly failures: number
  readonly openFor: Duration.Duration
}

/** What became of a circuit. */
export interface Transition {
  readonly key: string
  readonly to: CircuitState
}

interface Circuit {
  readonly settings: CircuitSettings
  state: CircuitState
  /** Changes with the state: what was let in before says nothing about what is now. */
  generation: number
  /** How many in a row have failed. */
  failures: number
  openUntil: number
  isProbing: boolean
  /** How many stages are inside. */
  running: number
  usedAt: number
}

/** A stage that was let in. */
export interface Admission {
  readonly circuit: Circuit
  readonly generation: number
  readonly transition: Transition | undefined
}

/** A stage that was not let in, and when it is worth trying again, in milliseconds. */
export interface Rejection {
  readonly state: "open" | "half-open"
  readonly retryAfter: number
}

const minute = 60_000
const hour = 3_600_000

export class Circuits {
  /** Circuits with something to remember: with stages inside, failures, or open. */
  private readonly busy = new Map<string, Circuit>()
  /** The others. They are as good as new, but know what they are used with. */
  private readonly healthy = new Forgetful<Circuit>(minute)
  private sweptAt = 0

  /** Lets a stage in, or does not. */
  admit(settings: CircuitSettings, now: number): Admission | Rejection {
    this.sweep(now)
    const circuit = this.busy.get(settings.key) ?? this.healthy.of(settings.key, now, () => made(settings))
    checkSame(settings, circuit.settings)
    circuit.usedAt = now
    if (circuit.state === "open" && now < circuit.openUntil) {
      // Whole milliseconds, and never less than it takes.
      return { state: "open", retryAfter: Math.ceil(circuit.openUntil - now) }
    }
    if (circuit.isProbing) return { state: "half-open", retryAfter: Duration.toMillis(settings.openFor) }
    const transition = circuit.state === "open" ? turn(circuit, "half-open") : undefined
    circuit.isProbing = circuit.state === "half-open"
    if (circuit.isProbing) circuit.generation++
    circuit.running++
    this.busy.set(settings.key, circuit)
    return { circuit, generation: circuit.generation, transition }
  }

  /** A stage that was let in has ended. */
  record({ circuit, generation }: Admission, outcome: "success" | "failure" | "ignored", now: number) {
    circuit.running--
    circuit.usedAt = now
    const transition = circuit.generation === generation ? after(circuit, outcome, now) : undefined
    if (circuit.running === 0 && circuit.state === "closed" && circuit.failures === 0) {
      const { key } = circuit.settings
      this.busy.delete(key)
      this.healthy.of(key, now, () => circuit)
    }
    return transition
  }

  state(key: string): CircuitState {
    return this.busy.get(key)?.state ?? "closed"
  }

  private sweep(now: number): void {
    if (now - this.sweptAt < hour) return
    this.sweptAt = now
    for (const [key, { openUntil, running, usedAt }] of this.busy) {
      if (running === 0 && now - Math.max(usedAt, openUntil) >= hour) this.busy.delete(key)
    }
  }
}

const made = (settings: CircuitSettings): Circuit => ({
  settings,
  state: "closed",
  generation: 0,
  failures: 0,
  openUntil: 0,
  isProbing: false,
  running: 0,
  usedAt: 0
})

const turn = (circuit: Circuit, to: CircuitState): Transition => {
  circuit.state = to
  circuit.generation++
  circuit.failures = 0
  circuit.isProbing = false
  return { key: circuit.settings.key, to }
}

const open = (circuit: Circuit, now: number): Transition => {
  circuit.openUntil = now + Duration.toMillis(circuit.settings.openFor)
  return turn(circuit, "open")
}

/** What an outcome makes of the circuit that it counts for. */
const after = (circuit: Circuit, outcome: "success" | "failure" | "ignored", now: number): Transition | undefined => {
  if (circuit.state === "half-open") {
    if (outcome === "success") return turn(circuit, "closed")
    if (outcome === "failure") return open(circuit, now)
    circuit.isProbing = false
    return undefined
  }
  if (outcome === "ignored") return undefined
  circuit.failures = outcome === "failure" ? circuit.failures + 1 : 0
  return circuit.failures >= circuit.settings.failures ? open(circuit, now) : undefined
}

/** Refuses other settings than those that a circuit is used with already. */
export const checkSame = (given: CircuitSettings, known: CircuitSettings): void => {
  // Nearly always it is what the same breaker made before.
  if (given === known) return
  options.same(`failures of circuit ${given.key}`, given.failures, known.failures)
  options.same(
    `openFor of circuit ${given.key}, in milliseconds`,
    Duration.toMillis(given.openFor),
    Duration.toMillis(known.openFor)
  )
}
