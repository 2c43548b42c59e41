/**
 * Names the ways in which a run can end, as its last event tells them.
 */
export const runEndings = [
  "completed",
  "cancelled",
  "failed",
  "timed_out",
  "incomplete",
  "denied",
  "rejected",
  "interrupted"
] as const
