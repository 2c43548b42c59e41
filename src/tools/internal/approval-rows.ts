/**
 * Defines how approvals are kept, whatever keeps them: each operation is atomic, and one settles a question once.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Diff } from "../Diff.ts"

/** How far an approval has come. */
export const Status = Schema.Literals(["pending", "approved", "denied", "expired", "cancelled"])

export type Status = typeof Status.Type

/** What a person is shown to decide on, and what came of it. */
export const ApprovalRequest = Schema.Struct({
  id: Schema.String,
  /** The action that waits for it. */
  actionId: Schema.String,
  tool: Schema.String,
  actionType: Schema.String,
  /** What the tool says about the question. */
  message: Schema.String,
  /** What the tool would be given, as a person reads it. Characters that nobody sees are written out. */
  parameters: Schema.Array(Schema.Struct({ name: Schema.String, value: Schema.String })),
  /** What would change, where the tool says so. */
  change: Schema.optionalKey(Diff),
  irreversible: Schema.Boolean,
  runId: Schema.String,
  correlationId: Schema.String,
  pipeline: Schema.String,
  stage: Schema.String,
  userId: Schema.optionalKey(Schema.String),
  orgId: Schema.optionalKey(Schema.String),
  /** Milliseconds since the epoch. */
  requestedAt: Schema.Number,
  /** When it is too late for a decision; absent when it never is. */
  expiresAt: Schema.optionalKey(Schema.Number),
  status: Status,
  settledAt: Schema.optionalKey(Schema.Number),
  /** Who decided. */
  by: Schema.optionalKey(Schema.String),
  comment: Schema.optionalKey(Schema.String)
})

export type ApprovalRequest = typeof ApprovalRequest.Type

/** How a question is settled. */
export interface Settlement {
  readonly status: Exclude<Status, "pending">
  readonly at: number
  readonly by: string | undefined
  readonly comment: string | undefined
}

/** Which approvals are asked for. */
export interface Filter {
  readonly status?: Status | undefined
  readonly runId?: string | undefined
  readonly orgId?: string | undefined
  readonly userId?: string | undefined
  readonly tool?: string | undefined
}

/** A question as it is kept, with all of what it is about. */
export interface Question {
  readonly request: ApprovalRequest
  /** The tool and its parameters, whole: a decision is on these and no others. */
  readonly about: string
}

export interface ApprovalRows<out E> {
  /** Keeps a question unless there is one of that id that somebody decided, or still may: then it gives that one. */
  readonly ask: (question: Question, now: number) => Effect.Effect<Question, E>
  /** Settles a question that is pending and, unless it expires, in time. Says whether it did. */
  readonly settle: (id: string, settlement: Settlement) => Effect.Effect<boolean, E>
  readonly find: (id: string) => Effect.Effect<ApprovalRequest | undefined, E>
  readonly list: (filter: Filter) => Effect.Effect<ReadonlyArray<ApprovalRequest>, E>
}

export const isOver = ({ expiresAt }: { readonly expiresAt?: number | undefined }, now: number): boolean =>
  expiresAt !== undefined && expiresAt <= now

/** A question as it is at a time: whether somebody has noticed yet or not, one whose time is over has expired. */
export const asOf = (request: ApprovalRequest, now: number): ApprovalRequest =>
  request.status === "pending" && isOver(request, now)
    ? { ...request, status: "expired", settledAt: request.expiresAt ?? now }
    : request

/** Whether a question can be asked again: nobody decided it, and nobody will. */
export const isOpenAgain = (request: ApprovalRequest, now: number): boolean => {
  const { status } = asOf(request, now)
  return status === "expired" || status === "cancelled"
}

/** Whether a settlement comes in time. */
export const isInTime = (request: ApprovalRequest, { at, status }: Settlement): boolean => {
  if (request.status !== "pending") return false
  if (status === "expired") return isOver(request, at)
  return !isOver(request, at)
}

export const settled = (request: ApprovalRequest, { at, by, comment, status }: Settlement): ApprovalRequest => ({
  ...request,
  status,
  settledAt: at,
  ...(by === undefined ? {} : { by }),
  ...(comment === undefined ? {} : { comment })
})

export const fits = (request: ApprovalRequest, filter: Filter): boolean =>
  (filter.status === undefined || request.status === filter.status)
  && (filter.runId === undefined || request.runId === filter.runId)
  && (filter.orgId === undefined || request.orgId === filter.orgId)
  && (filter.userId === undefined || request.userId === filter.userId)
  && (filter.tool === undefined || request.tool === filter.tool)
