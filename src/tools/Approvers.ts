/**
 * Decides on pending approvals, as Layers: by code, or by a person at a terminal.
 *
 * An approver looks at every question that waits, in whichever process it was asked, and decides on it through `Approvals`:
 * of several approvers the first to decide is heard. What becomes too late meanwhile is left alone.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Approvals, Approvers } from "stageflow/tools"
 *
 * const approver = Approvers.layer(({ tool }) =>
 *   Effect.succeed(tool === "refund" ? undefined : { approve: true, by: "night shift" })
 * ).pipe(Layer.provideMerge(Approvals.Approvals.layerMemory()))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Terminal from "effect/Terminal"
import * as options from "../internal/options.ts"
import { type ApprovalRequest, Approvals, type Decision } from "./Approvals.ts"
import * as Diff from "./Diff.ts"
import { visible } from "./internal/readable.ts"

type Decide<R> = (request: ApprovalRequest) => Effect.Effect<Decision | undefined, unknown, R>

/** Decides on one question, unless that is settled before. What goes wrong leaves it as it is. */
const deciding = <R>(approvals: Approvals["Service"], decide: Decide<R>) => (request: ApprovalRequest) =>
  Effect.suspend(() => decide(request)).pipe(
    Effect.flatMap((decision) => decision === undefined ? Effect.void : approvals.decide(request.id, decision)),
    Effect.raceFirst(approvals.settled(request.id)),
    Effect.catchCause((cause) => Effect.logWarning(`Nobody decided on approval "${request.id}"`, cause)),
    Effect.asVoid
  )

const approver = <R>(decide: Decide<R>, concurrency: number | "unbounded"): Layer.Layer<never, never, Approvals | R> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const approvals = yield* Approvals
    yield* approvals.pending.pipe(
      Stream.mapEffect(deciding(approvals, decide), { concurrency }),
      Stream.runDrain,
      // The store is asked again: an approver that is gone would leave everybody waiting.
      Effect.catchCause((cause) =>
        Effect.andThen(Effect.logWarning("The store of approvals could not be read", cause), Effect.sleep("1 second"))
      ),
      Effect.forever,
      Effect.forkScoped
    )
  }))

/**
 * Decides by code, on all questions at once. What it does not decide on (`undefined`) waits for somebody else.
 */
export const layer = <R = never>(decide: Decide<R>): Layer.Layer<never, never, Approvals | R> =>
  approver(options.callable("decide", decide), "unbounded")

const shown = (request: ApprovalRequest): string => {
  const lines = [
    "",
    request.message,
    `  tool: ${visible(request.tool)}${request.irreversible ? " (cannot be taken back)" : ""}`,
    ...(request.userId === undefined ? [] : [`  for: ${visible(request.userId)}`]),
    ...request.parameters.map(({ name, value }) => `  ${name}: ${value.replaceAll("\n", "\n    ")}`),
    ...(request.change === undefined ? [] : ["", visible(Diff.format(request.change))])
  ]
  return `${lines.join("\n")}\n`
}

const answers: ReadonlyMap<string, boolean> = new Map([["yes", true], ["y", true], ["no", false], ["n", false]])

/** Reads lines until one of them is an answer: `yes`, or `no, because ...`. */
const answer = (terminal: Terminal.Terminal, by: string): Effect.Effect<Decision, unknown> =>
  Effect.gen(function*() {
    while (true) {
      yield* terminal.display("Approve? yes / no, with a comment after a comma: ")
      const line = yield* terminal.readLine
      const [word = "", ...rest] = line.split(",")
      const approve = answers.get(word.trim().toLowerCase())
      const comment = rest.join(",").trim()
      if (approve !== undefined) return { approve, by, ...(comment === "" ? {} : { comment }) }
    }
  })

/**
 * Asks the person at the terminal, one question after the other. Whoever leaves the prompt decides nothing.
 */
export const terminal = (settings: {
  /** Who is sitting there. */
  readonly by: string
}): Layer.Layer<never, never, Approvals | Terminal.Terminal> => {
  const by = options.name("by", settings.by)
  return approver(
    (request) =>
      Effect.gen(function*() {
        const terminal = yield* Terminal.Terminal
        yield* terminal.display(shown(request))
        return yield* answer(terminal, by)
      }),
    1
  )
}
