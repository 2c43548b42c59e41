/**
 * Random trees of constructs as plain data: what the model interprets and what pipelines are built from.
 *
 * Every stage of a tree takes and gives data of which a number is made, `seenIn`: what it does depends on that number, so
 * the items of a for-each, the iterations of a loop and the attempts of a draft go different ways.
 */
import { Arbitrary, Schema } from "effect"
import { digest } from "../model.ts"

/** How a leaf ends after it slept. */
export type End = "ok" | "skip" | "cancel" | "fail" | "die" | "retry"

export interface Leaf {
  readonly kind: "leaf"
  /** By the number that it sees. */
  readonly ends: readonly [End, End, End]
  /** Attempts up to this one fail, whatever the number is. */
  readonly flaky: number
  /** Whether it yields its outcome, and does not return it. */
  readonly yields: boolean
  /** How long its finalizer takes when it is interrupted. */
  readonly cleanMs: number
}

/** What a construct runs, and as what. A function of a leaf runs it in the stage of the construct. */
export interface Body {
  readonly as: "function" | "stage" | "pipeline" | "run"
  readonly tree: Tree
}

/** A stage of a pipeline: it takes what the pipeline takes, or the data of an earlier one. */
export interface Part {
  readonly tree: Tree
  readonly reads: number | undefined
}

export type Failure = "fail-fast" | "continue"

export interface Sub {
  readonly kind: "sub"
  readonly parts: ReadonlyArray<Part>
  readonly failure: Failure
  readonly onCancel: "cancel" | "skip" | "fail"
}

export interface Each {
  readonly kind: "each"
  readonly count: number
  readonly concurrency: number
  readonly failure: Failure | number
  readonly body: Body
}

export interface Route {
  readonly kind: "route"
  readonly a: Body
  readonly b: Body
  /** Without it, a third of the numbers have no branch. */
  readonly otherwise: Body | undefined
}

export interface Loop {
  readonly kind: "loop"
  readonly iterations: number
  readonly maxIterations: number
  readonly unfinished: "fail" | "return"
  readonly body: Body
}

export interface GuardRetry {
  readonly kind: "guard"
  readonly maxAttempts: number
  readonly draft: Body
  readonly guards: ReadonlyArray<Body>
}

export interface Race {
  readonly kind: "race"
  readonly contestants: ReadonlyArray<Body>
}

export type Tree = (Leaf | Sub | Each | Route | Loop | GuardRetry | Race) & {
  readonly name: string
  /** How often it is tried again; `undefined` when it carries no policy. */
  readonly retries: number | undefined
  readonly timeoutMs: number | undefined
}

export type Kind = Tree["kind"]

// ---------------------------------------------------------------------------------------------------------------------
// what stages see and say
// ---------------------------------------------------------------------------------------------------------------------

/** A number of several things with names. */
export const mixed = (what: string, entries: ReadonlyArray<readonly [string, number | string]>): number =>
  digest(what, entries)

/** How long a leaf takes: so different from any other time that two things hardly ever happen in the same instant. */
export const msOf = (name: string, seen: number): number => 1 + mixed(`${name} takes`, [["seen", seen]]) % 4999

export const endFor = ({ ends, flaky }: Leaf, seen: number, attempt: number): End =>
  attempt <= flaky ? (seen % 2 === 0 ? "retry" : "fail") : ends[seen % 3] as End

export const routeFor = (seen: number): "a" | "b" | "c" => (["a", "b", "c"] as const)[seen % 3] ?? "c"

/** Whether a guard accepts a draft, by what it made of it. */
export const accepts = (seen: number): boolean => seen % 3 !== 0

export const reasonOf = (end: End, name: string): string => `${end} of ${name}`

// ---------------------------------------------------------------------------------------------------------------------
// trees of genes
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Reads a tree from a list of small numbers. When they are used up the rest is leaves that succeed, so a shorter list and
 * smaller numbers are a smaller tree.
 */
class Genes {
  private next = 0
  private named = 0
  private readonly genes: ReadonlyArray<number>
  private readonly deepest: number
  private readonly calm: boolean

  constructor(genes: ReadonlyArray<number>, deepest: number, calm: boolean) {
    this.genes = genes
    this.deepest = deepest
    this.calm = calm
  }

  private take(count: number): number {
    return (this.genes[this.next++] ?? 0) % count
  }

  private oneOf<A>(first: A, ...others: ReadonlyArray<A>): A {
    const all = [first, ...others]
    return all[this.take(all.length)] as A
  }

  tree(depth: number): Tree {
    const name = `s${this.named++}`
    const construct = depth >= this.deepest ? this.leaf() : this.construct(depth)
    const wrapped = this.take(8)
    return {
      name,
      ...construct,
      retries: wrapped === 1 || wrapped === 2 ? this.take(3) : undefined,
      timeoutMs: !this.calm && (wrapped === 2 || wrapped === 3) ? 500 + this.take(64) * 211 : undefined
    }
  }

  private construct(depth: number): Leaf | Sub | Each | Route | Loop | GuardRetry | Race {
    switch (this.oneOf<Kind>("leaf", "sub", "each", "route", "loop", "guard", "race")) {
      case "leaf":
        return this.leaf()
      case "sub":
        return this.sub(depth)
      case "each":
        return {
          kind: "each",
          count: this.take(4),
          concurrency: 1 + this.take(3),
          failure: this.oneOf<Each["failure"]>("fail-fast", "continue", 0, 1),
          body: this.body(depth)
        }
      case "route":
        return {
          kind: "route",
          a: this.body(depth),
          b: this.body(depth),
          otherwise: this.take(3) === 1 && !this.calm ? undefined : this.body(depth)
        }
      case "loop":
        return {
          kind: "loop",
          iterations: this.take(4),
          maxIterations: 1 + this.take(4),
          unfinished: this.oneOf("fail", "return"),
          body: this.body(depth)
        }
      case "guard":
        return {
          kind: "guard",
          maxAttempts: 1 + this.take(3),
          draft: this.body(depth),
          // A pipeline gives its stages by name, and no verdict.
          guards: this.several(depth).map((body) => body.as === "stage" ? body : { as: "function", tree: body.tree })
        }
      case "race":
        return { kind: "race", contestants: this.several(depth) }
    }
  }

  private several(depth: number): ReadonlyArray<Body> {
    return Array.from({ length: 1 + this.take(3) }, () => this.body(depth))
  }

  sub(depth: number): Sub {
    const count = 1 + this.take(4)
    return {
      kind: "sub",
      parts: Array.from({ length: count }, (_, index) => {
        const from = this.take(index + 1)
        return { tree: this.tree(depth + 1), reads: from === 0 ? undefined : from - 1 }
      }),
      failure: this.oneOf("fail-fast", "continue"),
      onCancel: this.oneOf("cancel", "skip", "fail")
    }
  }

  private body(depth: number): Body {
    return { as: this.oneOf<Body["as"]>("function", "stage", "pipeline", "run"), tree: this.tree(depth + 1) }
  }

  private leaf(): Leaf {
    const drawn = this.oneOf<End>("ok", "ok", "ok", "ok", "skip", "skip", "cancel", "fail", "fail", "die", "retry")
    const other = this.calm && drawn !== "skip" ? "ok" : drawn
    const ends = this.oneOf<Leaf["ends"]>(["ok", "ok", other], ["ok", other, other], [other, other, other])
    return {
      kind: "leaf",
      ends,
      flaky: this.calm ? 0 : this.oneOf(0, 0, 0, 0, 1, 2),
      yields: this.take(2) === 1,
      cleanMs: this.take(4)
    }
  }
}

/** A function runs one leaf; what else is a function runs its pipeline by `Subpipeline.run`. */
export const isInline = ({ as, tree }: Body): boolean => as === "function" && tree.kind === "leaf"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A root, and how it is run. */
export interface Given {
  readonly root: Sub
  readonly depthLimit: number
  readonly seed: number
}

export const rootName = "root"

/** Roots of 1 to 4 stages with up to 5 constructs inside of each other. */
export const trees: Arbitrary.Arbitrary<Given> = Arbitrary.map(
  Arbitrary.schema(Schema.Struct({
    genes: Schema.Array(between(0, 9_999)).check(Schema.isMinLength(80), Schema.isMaxLength(240)),
    deepest: between(2, 6),
    /** Whether hardly any leaf ends more than itself: most of these trees run to their end. */
    calm: Schema.Boolean,
    depthLimit: between(0, 9),
    seed: between(1, 1_000_000)
  })),
  ({ calm, deepest, depthLimit, genes, seed }): Given => ({
    root: new Genes(genes, deepest, calm).sub(0),
    // Some are too deep, most are not.
    depthLimit: depthLimit === 0 ? 2 : depthLimit === 1 ? 5 : 30,
    seed
  })
)
