/**
 * Says what became of the chunks of a stage, as plain data.
 */
import * as Schema from "effect/Schema"

/**
 * What became of the chunks of a stage that streamed.
 */
export const StreamSummary = Schema.Struct({
  /** How many it streamed, in its last attempt. */
  chunks: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /**
   * - `all`: it streamed to its end;
   * - `stopped`: it was stopped, since nobody read it any more; its data is what was collected until then;
   * - `failed`: it failed half-way;
   * - `interrupted`: the run ended first;
   * - `not-streamed`: its output was not made of chunks: it came from a cache, or a fallback.
   */
  end: Schema.Literals(["all", "stopped", "failed", "interrupted", "not-streamed"]),
  /** What was collected of the chunks before a stage failed or was interrupted, where there is anything. */
  collected: Schema.optionalKey(Schema.Unknown)
})

/**
 * What became of the chunks of a stage that streamed.
 */
export type StreamSummary = typeof StreamSummary.Type
