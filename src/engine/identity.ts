/**
 * Gives a run its ids: those that the caller gave, and new ones for the rest.
 */
import type * as Random from "effect/Random"
import { type Proven, RunIdentity, type Snapshot } from "../internal/snapshot-model.ts"
import type { Lineage, StageContext } from "../StageContext.ts"

type RandomService = typeof Random.Random["Service"]

const hex = (random: RandomService, digits: number): string => {
  let text = ""
  while (text.length < digits) text += Math.floor(random.nextDoubleUnsafe() * 16).toString(16)
  return text
}

/** A UUID, version 4, from the Random in the environment: a seeded one makes the ids of a test the same every time. */
const uuid = (random: RandomService): string => {
  const variant = (8 + Math.floor(random.nextDoubleUnsafe() * 4)).toString(16)
  return `${hex(random, 8)}-${hex(random, 4)}-4${hex(random, 3)}-${variant}${hex(random, 3)}-${hex(random, 12)}`
}

type Parent = StageContext["Service"] | undefined

/** The ids that nobody can prove. */
export type Ids = Pick<RunIdentity, "pipelineRunId" | "requestId" | "interactionId">

/** Every run has an id of its own: that of a child is new, whatever its snapshot says. */
export const idsOf = (snapshot: Snapshot, parent: Parent, random: RandomService): Ids => {
  const { interactionId, requestId } = parent?.identity ?? snapshot
  const given = parent === undefined ? snapshot.pipelineRunId : undefined
  return {
    pipelineRunId: given ?? uuid(random),
    requestId: requestId ?? uuid(random),
    interactionId: interactionId ?? uuid(random)
  }
}

/**
 * Who a run belongs to: whoever was proven, or else whoever the run belongs to that started this one. Only a run that
 * nobody started, and of which nothing was proven, belongs to whom its snapshot says.
 */
export const identityOf = (
  ids: Ids,
  snapshot: Snapshot,
  parent: Parent,
  proven: Proven | undefined
): RunIdentity => {
  const { orgId, sessionId, userId } = proven ?? parent?.identity ?? snapshot
  return Object.freeze(
    new RunIdentity({
      ...ids,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(userId === undefined ? {} : { userId }),
      ...(orgId === undefined ? {} : { orgId })
    })
  )
}

export const lineageOf = ({ pipelineRunId }: Ids, parent: Parent): Lineage =>
  Object.freeze({
    runId: pipelineRunId,
    parentRunId: parent?.lineage.runId,
    parentStage: parent?.stage,
    correlationId: parent?.lineage.correlationId ?? pipelineRunId
  })
