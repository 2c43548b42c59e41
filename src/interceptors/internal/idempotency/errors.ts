/**
 * Defines what `idempotency` can fail with.
 */
import * as Schema from "effect/Schema"
import { AroundStageTypeId } from "../../../internal/around-stage.ts"
import { describeProblems, FieldProblem } from "../../../internal/problems.ts"
import { RefusalTypeId } from "../../../internal/refusal.ts"

/**
 * A stage that may only run with an idempotency key has none, so it did not run.
 */
export class IdempotencyKeyMissing extends Schema.TaggedError<IdempotencyKeyMissing>()("IdempotencyKeyMissing", {
  stage: Schema.String
}) {
  readonly code = "IDEMPOTENCY_KEY_MISSING"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: it needs an idempotency key, such as \`metadata.idempotencyKey\``
  }
}

/**
 * An idempotency key came back with other parameters, so the stage did not run and nothing was replayed.
 */
export class IdempotencyMismatch extends Schema.TaggedError<IdempotencyMismatch>()("IdempotencyMismatch", {
  stage: Schema.String,
  key: Schema.String
}) {
  readonly code = "IDEMPOTENCY_MISMATCH"
  readonly [AroundStageTypeId] = true
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: its idempotency key was used with other parameters. `
      + `Use a new key for a new request.`
  }
}

const consequences = {
  claim: "did not run",
  renew: "was interrupted, because somebody else could have taken over",
  keep: "ran, but a duplicate may run it again when its lease is over"
} as const

/**
 * The store of idempotent results could not be read or written, or took too long to answer.
 *
 * `operation` says when: a `claim` fails before the stage runs, `renew` while it runs and `keep` after it has run.
 */
export class IdempotencyUnavailable extends Schema.TaggedError<IdempotencyUnavailable>()("IdempotencyUnavailable", {
  stage: Schema.String,
  operation: Schema.Literals(["claim", "renew", "keep"]),
  defect: Schema.Defect()
}) {
  readonly code = "IDEMPOTENCY_UNAVAILABLE"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" ${consequences[this.operation]}: `
      + `its idempotency store is not available (see \`defect\`)`
  }
}

const invalidities = {
  claim: ["did not run, because what it gives cannot be kept", "Give it an output schema that encodes it."],
  keep: ["ran, but what it gave cannot be kept", "Give it an output schema that encodes it."],
  replay: ["did not run, and what was kept of it cannot be read", "Was its schema changed?"]
} as const

/**
 * A result cannot be kept, or one that was kept cannot be read any more.
 *
 * Data goes through the `output` schema of its stage. Without one it has to be JSON, and so have artifacts and events.
 * `operation` says when: at the `claim` the schema says that nothing it describes can be kept, and the stage did not run; at
 * `keep` the stage ran, in this run or in an earlier one with the same key, and does not run again; at `replay` it did not
 * run.
 */
export class IdempotencyResultInvalid
  extends Schema.TaggedError<IdempotencyResultInvalid>()("IdempotencyResultInvalid", {
    stage: Schema.String,
    operation: Schema.Literals(["claim", "keep", "replay"]),
    problems: Schema.Array(FieldProblem)
  })
{
  readonly code = "IDEMPOTENCY_RESULT_INVALID"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    const [what, hint] = invalidities[this.operation]
    return `Stage "${this.stage}" ${what}: ${describeProblems(this.problems)}. ${hint}`
  }
}

/**
 * So many owners of an idempotency key let their lease run out that the stage was given up: it does not run again under
 * this key. It may have run as often as that.
 *
 * An owner loses its claim when its process dies or does not come to renew it, because the stage's own work blocks it.
 */
export class IdempotencyLost extends Schema.TaggedError<IdempotencyLost>()("IdempotencyLost", {
  stage: Schema.String,
  key: Schema.String,
  losses: Schema.Int
}) {
  readonly code = "IDEMPOTENCY_LOST"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" was given up: ${this.losses} owners of its idempotency key let their lease run out while it `
      + `ran. Does it block or end its process? Use a longer lease, and a new key.`
  }
}
