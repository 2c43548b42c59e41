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

/** Every run has an id of its own: a child that was handed its parent's snapshot gets a new one. */
export const identityOf = (
  snapshot: Snapshot,
  parent: Parent,
  proven: Proven | undefined,
  random: RandomService
): RunIdentity => {
  const { interactionId, pipelineRunId, requestId } = snapshot
  const { orgId, sessionId, userId } = proven ?? snapshot
  const isParents = pipelineRunId === parent?.lineage.runId
  return Object.freeze(
    new RunIdentity({
      pipelineRunId: pipelineRunId === undefined || isParents ? uuid(random) : pipelineRunId,
      requestId: requestId ?? uuid(random),
      interactionId: interactionId ?? uuid(random),
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(userId === undefined ? {} : { userId }),
      ...(orgId === undefined ? {} : { orgId })
    })
  )
}

export const lineageOf = ({ pipelineRunId }: RunIdentity, parent: Parent): Lineage =>
  Object.freeze({
    runId: pipelineRunId,
    parentRunId: parent?.lineage.runId,
    parentStage: parent?.stage,
    correlationId: parent?.lineage.correlationId ?? pipelineRunId
  })
