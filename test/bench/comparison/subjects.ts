/** The same small chat in every library that is here to be run, asked in the same way. */
import { Effect, Layer } from "effect"
import { WorkflowEngine } from "effect/workflow"
import { Pipeline, Snapshot } from "stageflow"
import * as EffectWorkflow from "./effect-workflow.ts"
import * as PlainEffect from "./plain-effect.ts"
import type { Llm, Memories, Profiles } from "./ports.ts"
import * as Stageflow from "./stageflow.ts"

/** Keeps every execution for as long as it is there. */
export const layerWorkflow = Layer.provideMerge(EffectWorkflow.layerChat, WorkflowEngine.layerMemory)

/** Asks the small chat, and gives the answer or the reason why there is none. */
type Ask = (
  text: string,
  userId: string
) => Effect.Effect<string, unknown, Llm | Memories | Profiles | WorkflowEngine.WorkflowEngine>

export type Subject = "plain Effect" | "stageflow" | "effect/workflow"

let executions = 0

export const subjects: Readonly<Record<Subject, Ask>> = {
  "plain Effect": (text, userId) => PlainEffect.chat(text, userId),
  "stageflow": (text, userId) =>
    Effect.map(
      Pipeline.run(Stageflow.chat, Snapshot.make({ inputText: text, userId })),
      (result) => result._tag === "Completed" ? result.value : result.reason
    ),
  "effect/workflow": (text, userId) => EffectWorkflow.Chat.execute({ id: `chat ${executions++}`, text, userId })
}

export const names = Object.keys(subjects) as ReadonlyArray<Subject>
