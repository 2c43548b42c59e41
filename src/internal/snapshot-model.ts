/**
 * Defines the data of a snapshot and of the identity of a run: what `Snapshot` makes and `StageContext` shows.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"

const Id = Schema.String.check(Schema.isNonEmpty())
export const JsonRecord = Schema.Record(Schema.String, Schema.Json)

const identityFields = {
  sessionId: Schema.optionalKey(Id),
  userId: Schema.optionalKey(Id),
  orgId: Schema.optionalKey(Id)
}

/**
 * Who and what a run belongs to, complete: the ids that the caller did not give are generated when the run starts.
 *
 * `sessionId`, `userId` and `orgId` are the caller's to know; nobody can generate them.
 */
export class RunIdentity extends Schema.Class<RunIdentity>("stageflow/RunIdentity")({
  pipelineRunId: Id,
  requestId: Id,
  interactionId: Id,
  ...identityFields
}) {}

/**
 * One message of a conversation.
 */
export const Message = Schema.Struct({
  role: Schema.Literals(["system", "user", "assistant", "tool"]),
  content: Schema.String,
  timestamp: Schema.optionalKey(Schema.DateTimeUtc),
  metadata: Schema.optionalKey(JsonRecord)
})

/**
 * One message of a conversation.
 */
export type Message = typeof Message.Type

/**
 * What is known of the user.
 */
export const ProfileEnrichment = Schema.Struct({
  userId: Schema.optionalKey(Id),
  displayName: Schema.optionalKey(Schema.String),
  preferences: Schema.optionalKey(JsonRecord),
  goals: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * What is known of the user.
 */
export type ProfileEnrichment = typeof ProfileEnrichment.Type

/**
 * What is remembered of earlier conversations.
 */
export const MemoryEnrichment = Schema.Struct({
  recentTopics: Schema.optionalKey(Schema.Array(Schema.String)),
  keyFacts: Schema.optionalKey(Schema.Array(Schema.String)),
  interactionHistorySummary: Schema.optionalKey(Schema.String)
})

/**
 * What is remembered of earlier conversations.
 */
export type MemoryEnrichment = typeof MemoryEnrichment.Type

/**
 * A document that the run is about.
 */
export const DocumentEnrichment = Schema.Struct({
  documentId: Id,
  documentType: Schema.optionalKey(Schema.String),
  blocks: Schema.optionalKey(Schema.Array(JsonRecord)),
  metadata: Schema.optionalKey(JsonRecord)
})

/**
 * A document that the run is about.
 */
export type DocumentEnrichment = typeof DocumentEnrichment.Type

/**
 * What the caller already knows about the user, their history and their documents.
 */
export const Enrichments = Schema.Struct({
  profile: Schema.optionalKey(ProfileEnrichment),
  memory: Schema.optionalKey(MemoryEnrichment),
  documents: Schema.optionalKey(Schema.Array(DocumentEnrichment))
})

/**
 * What the caller already knows about the user, their history and their documents.
 */
export type Enrichments = typeof Enrichments.Type

/** A route that a router thought of. */
export const RouteCandidate = Schema.Struct({
  route: Schema.String,
  confidence: Schema.optionalKey(Schema.Finite),
  /** Its share, of routes that are chosen by weight. */
  weight: Schema.optionalKey(Schema.Finite)
})

/**
 * Where an earlier router sent this request, and why.
 */
export const RoutingDecision = Schema.Struct({
  agentId: Schema.optionalKey(Schema.String),
  pipelineName: Schema.optionalKey(Schema.String),
  topology: Schema.optionalKey(Schema.String),
  reason: Schema.optionalKey(Schema.String),
  route: Schema.optionalKey(Schema.String),
  /** How sure the router was of its choice. */
  confidence: Schema.optionalKey(Schema.Finite),
  candidates: Schema.optionalKey(Schema.Array(RouteCandidate))
})

/**
 * Where an earlier router sent this request, and why.
 */
export type RoutingDecision = typeof RoutingDecision.Type

/**
 * The input of a run.
 *
 * `extensions` holds the application's typed data in its encoded form; read it through its `Extension` class.
 */
export class Snapshot extends Schema.Class<Snapshot>("stageflow/Snapshot")({
  pipelineRunId: Schema.optionalKey(Id),
  requestId: Schema.optionalKey(Id),
  interactionId: Schema.optionalKey(Id),
  ...identityFields,
  topology: Schema.optionalKey(Schema.String),
  executionMode: Schema.optionalKey(Schema.String),
  inputText: Schema.optionalKey(Schema.String),
  /** What a pipeline with an `input` schema takes; the pipeline validates it. */
  input: Schema.optionalKey(Schema.Unknown),
  messages: Schema.Array(Message).pipe(Schema.withConstructorDefault(Effect.succeed([]))),
  enrichments: Enrichments.pipe(Schema.withConstructorDefault(Effect.succeed({}))),
  routingDecision: Schema.optionalKey(RoutingDecision),
  extensions: JsonRecord.pipe(Schema.withConstructorDefault(Effect.succeed({}))),
  metadata: JsonRecord.pipe(Schema.withConstructorDefault(Effect.succeed({})))
}) {}

Object.defineProperty(Snapshot.prototype, "pipe", {
  value(this: Snapshot) {
    return pipeArguments(this, arguments)
  }
})

/**
 * A snapshot as a stage sees it: its ids are there.
 */
export interface Current extends Snapshot {
  readonly pipelineRunId: string
  readonly requestId: string
  readonly interactionId: string
}

/**
 * The part of an identity that somebody can prove.
 */
export type Proven = Pick<RunIdentity, "sessionId" | "userId" | "orgId">

/**
 * What an interceptor proved about who is calling. It replaces what the caller wrote into the snapshot.
 *
 * Provide it in the `aroundRun` of an authentication interceptor of your own: the stages of the run, and the runs that
 * they start, see this identity. `undefined` where nothing was proven.
 */
export const ProvenIdentity = Context.Reference<Proven | undefined>("stageflow/Snapshot/ProvenIdentity", {
  defaultValue: () => undefined
})

// The decoded values of a snapshot's extensions. Kept beside it, so that the snapshot itself stays plain data.
const extensionValues = new WeakMap<Snapshot, Context.Context<never>>()

/** The decoded values of the extensions that a snapshot carries. */
export const extensionsOf = (self: Snapshot): Context.Context<never> => extensionValues.get(self) ?? Context.empty()

/** Freezes a snapshot, with the decoded values of its extensions beside it. */
export const seal = (snapshot: Snapshot, extensions: Context.Context<never>): Snapshot => {
  extensionValues.set(snapshot, extensions)
  return Object.freeze(snapshot)
}

/** The same snapshot with another input. */
export const withInput = (self: Snapshot, input: unknown): Snapshot =>
  seal(Object.assign(Object.create(Snapshot.prototype) as Snapshot, self, { input }), extensionsOf(self))

/** The snapshot as the stages of one run see it: with the ids of the run, and the identity as it was given or proven. */
export const complete = (self: Snapshot, identity: RunIdentity): Current => {
  const { orgId: _orgId, sessionId: _sessionId, userId: _userId, ...rest } = self
  // Both parts are checked and immutable already; what they hold is passed on by reference.
  const snapshot = Object.assign(Object.create(Snapshot.prototype) as Snapshot, rest, identity)
  // The identity has the three ids that Current promises, and the others as they were given or proven.
  return seal(snapshot, extensionsOf(self)) as Current
}
