/**
 * Random graphs of stages as plain data: what the model reads and what pipelines are built from.
 */
import { Arbitrary, Schema } from "effect"

/** How a stage ends after it slept. */
export type End =
  | "ok"
  | "nothing"
  | "skip"
  | "yielded skip"
  | "cancel"
  | "fail"
  | "returned fail"
  | "die"
  | "retry"
  | "interrupt itself"
  | "invalid"

/**
 * How a stage depends on an earlier one.
 *
 * - `order`: after it, whatever it gives
 * - `data`: its data is required
 * - `optional`: its data as an Option
 * - `output`, `orElse`: how it ended; its data or a value instead. Read by name they are `optional`.
 * - `first`: one of those whose first is read. Read by name it is `data`.
 * - `is a`: runs only when it chose route a
 * - `chose`: the condition reads its data, which is required
 * - `throws`: the condition throws
 */
export type EdgeKind = "order" | "data" | "optional" | "output" | "orElse" | "first" | "is a" | "chose" | "throws"

export interface Edge {
  readonly from: number
  readonly kind: EdgeKind
}

export interface StageSpec {
  readonly name: string
  /** How long it sleeps before it ends; 0 for not at all. */
  readonly ms: number
  /** How long its finalizer takes when it is interrupted. */
  readonly cleanMs: number
  readonly end: End
  readonly route: "a" | "b"
  /** Whether its inputs are wired by name. */
  readonly byName: boolean
  readonly edges: ReadonlyArray<Edge>
}

export interface Graph {
  readonly stages: ReadonlyArray<StageSpec>
}

const ends: ReadonlyArray<End> = [
  ...Array<End>(20).fill("ok"),
  "nothing",
  "skip",
  "skip",
  "skip",
  "yielded skip",
  "cancel",
  "fail",
  "returned fail",
  "die",
  "retry",
  "interrupt itself",
  "invalid"
]

const kinds: ReadonlyArray<EdgeKind> = [
  "order",
  "order",
  "data",
  "data",
  "data",
  "optional",
  "optional",
  "optional",
  "output",
  "orElse",
  "orElse",
  "first",
  "first",
  "is a",
  "chose",
  "throws"
]

/** The names of the first 40 stages; some are those of properties that every object has. */
const names = ["__proto__", "constructor", "toString", ...Array.from({ length: 37 }, (_, index) => `s${index}`)]

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Raw = Schema.Struct({
  /** Whether no stage ends the run early: many of these graphs run to their end. */
  calm: Schema.Boolean,
  stages: Schema.Array(Schema.Struct({
    ms: between(0, 5),
    cleanMs: between(0, 3),
    end: between(0, ends.length - 1),
    route: Schema.Literals(["a", "b"]),
    byName: Schema.Boolean,
    edges: Schema.Array(Schema.Struct({
      from: between(0, 39),
      kind: between(0, kinds.length - 1)
    })).check(Schema.isMaxLength(4))
  })).check(Schema.isMinLength(1), Schema.isMaxLength(40))
})

const isInput = (kind: EdgeKind): boolean => !["order", "is a", "chose", "throws"].includes(kind)

const byNameKind = (kind: EdgeKind): EdgeKind =>
  kind === "output" || kind === "orElse" ? "optional" : kind === "first" ? "data" : kind

const calmEnd = (end: End): End => end === "ok" || end === "nothing" || end.includes("skip") ? end : "ok"

/** A stage reads an input of an earlier stage once; the other edges may repeat it. */
const edgesOf = (
  index: number,
  raw: ReadonlyArray<{ readonly from: number; readonly kind: number }>,
  byName: boolean,
  calm: boolean
): ReadonlyArray<Edge> => {
  if (index === 0) return []
  const seen = new Set<string>()
  return raw.flatMap((edge): ReadonlyArray<Edge> => {
    const given = kinds[edge.kind] as EdgeKind
    const from = edge.from % index
    const calmed = calm && given === "throws" ? "is a" : given
    const kind = byName ? byNameKind(calmed) : calmed
    const key = isInput(kind) ? `input ${from}` : `${kind} ${from}`
    if (seen.has(key)) return []
    seen.add(key)
    return [{ from, kind }]
  })
}

/** Graphs of 1 to 40 stages. */
export const graphs: Arbitrary.Arbitrary<Graph> = Arbitrary.map(Arbitrary.schema(Raw), ({ calm, stages }) => ({
  stages: stages.map(({ byName, cleanMs, edges, end, ms, route }, index): StageSpec => ({
    name: names[index] as string,
    ms,
    cleanMs,
    end: calm ? calmEnd(ends[end] as End) : ends[end] as End,
    route,
    byName,
    edges: edgesOf(index, edges, byName, calm)
  }))
}))

/** How a graph is run. */
export interface Running {
  readonly concurrency: number | "unbounded"
  readonly failure: "fail-fast" | "continue"
  readonly seed: number
  /** In which order the stages are declared. */
  readonly declared: number
}

export const runnings: Arbitrary.Arbitrary<Running> = Arbitrary.map(
  Arbitrary.schema(Schema.Struct({
    concurrency: between(0, 6),
    continues: Schema.Boolean,
    seed: between(1, 1_000_000),
    declared: between(0, 1_000_000)
  })),
  ({ concurrency, continues, declared, seed }): Running => ({
    concurrency: concurrency === 0 ? "unbounded" : concurrency,
    failure: continues ? "continue" : "fail-fast",
    seed,
    declared
  })
)
