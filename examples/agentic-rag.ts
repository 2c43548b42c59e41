/**
 * An assistant that reads before it answers: a router decides what becomes of a question, each handbook is searched in a
 * full-text index, the best passages are ranked, and a model writes drafts until one names its sources.
 *
 * The index is SQLite's, in memory. The model is a stand-in that runs in this process.
 *
 * npm run example examples/agentic-rag.ts               asks it four things and shows the runs
 * npm run example examples/agentic-rag.ts -- --picture  prints the pipeline as Mermaid
 */
import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
import { Console, Context, Effect, Layer, Option, Schema } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, GuardRetry, Route, Shapes, Subpipeline } from "stageflow/control"
import { toMermaid } from "stageflow/graph"
import { TerminalTimeline } from "stageflow/observability"
import { Sqlite } from "stageflow/sqlite"

// The handbooks: a port, and a full-text index behind it.
interface Passage {
  readonly source: string
  readonly text: string
  /** How well it fits, by bm25 as SQLite has it: the lower, the better. */
  readonly rank: number
}

class SearchFailed extends Schema.TaggedError<SearchFailed>()("SearchFailed", { reason: Schema.String }) {}
class Handbooks extends Context.Service<Handbooks, {
  readonly titles: Effect.Effect<ReadonlyArray<string>, SearchFailed>
  readonly search: (title: string, words: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Passage>, SearchFailed>
}>()("agentic-rag/Handbooks") {}

const pages = [
  { title: "printer", page: 3, text: "Clear a paper jam through the lower tray" },
  { title: "printer", page: 7, text: "Blue streaks mean that the ink is low" },
  { title: "scanner", page: 2, text: "Lift the lid when paper jams" },
  { title: "scanner", page: 5, text: "Clean the glass with a dry cloth" },
  { title: "network", page: 1, text: "Printer and scanner share one address" }
] as const

const layerHandbooks = Layer.effect(
  Handbooks,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`CREATE VIRTUAL TABLE handbook USING fts5(title UNINDEXED, page UNINDEXED, text, tokenize = 'porter')`
    yield* sql`INSERT INTO handbook ${sql.insert(pages)}`

    const orFailed = Effect.mapError(({ reason }: SqlError.SqlError) => new SearchFailed({ reason: reason._tag }))
    const titles = sql<{ readonly title: string }>`SELECT DISTINCT title FROM handbook ORDER BY title`
    const search = (title: string, query: string) =>
      sql<Passage>`
        SELECT format('%s p. %d', title, page) AS source, text, bm25(handbook) AS rank FROM handbook
        WHERE handbook MATCH ${query} AND title = ${title} ORDER BY rank LIMIT 2`
    return {
      titles: titles.pipe(Effect.map((rows) => rows.map(({ title }) => title)), orFailed),
      search: (title, words) =>
        words.length === 0 ? Effect.succeed([]) : orFailed(search(title, words.map((word) => `"${word}"`).join(" OR ")))
    }
  })
).pipe(Layer.provide(Sqlite.layer({ filename: ":memory:" })))

// The model: a port, and a stand-in that names no sources unless it is told to.
class ModelDown extends Schema.TaggedError<ModelDown>()("ModelDown", {}) {}
class Model extends Context.Service<Model, {
  readonly route: (
    question: string
  ) => Effect.Effect<{ readonly route: "handbooks" | "talk"; readonly confidence: number }, ModelDown>
  readonly write: (task: {
    readonly question: string
    readonly passages: ReadonlyArray<Passage>
    readonly remarks: ReadonlyArray<string>
  }) => Effect.Effect<string, ModelDown>
}>()("agentic-rag/Model") {}

const layerModel = Layer.succeed(Model, {
  route: (question) =>
    Effect.succeed(
      /morning/.test(question)
        ? { route: "talk" as const, confidence: 0.97 }
        : { route: "handbooks" as const, confidence: /paper|coffee/.test(question) ? 0.91 : 0.34 }
    ).pipe(Effect.delay("60 millis")),
  write: ({ passages, remarks }) =>
    Effect.succeed(
      passages.map(({ source, text }) => remarks.length === 0 ? `${text}.` : `${text} [${source}].`).join(" ")
    ).pipe(Effect.delay("150 millis"))
})

// Retrieval: a chain, in which each stage takes what the one before it gives.
const Question = Schema.Struct({ question: Schema.String })

const plan = Stage.transform("plan", {
  run: Effect.fnUntraced(function*({ question }: typeof Question.Type) {
    const words = question.toLowerCase().match(/\p{L}{4,}/gu) ?? []
    const titles = yield* Handbooks.use(({ titles }) => titles)
    return { searches: titles.map((title) => ({ title, words })) }
  })
})

const search = ForEach.stage("search", {
  items: ({ searches }: Stage.DataOf<typeof plan>) => searches,
  each: ({ title, words }) => Handbooks.use((handbooks) => handbooks.search(title, words)),
  key: ({ title }) => title,
  events: { failures: true }
})

const rank = Stage.transform("rank", {
  run: ({ results }: Stage.DataOf<typeof search>) =>
    Effect.succeed({ passages: results.flat().toSorted((a, b) => a.rank - b.rank).slice(0, 2) })
})

const retrieve = Shapes.chain("retrieve", [plan, search, rank], { input: Question })

// Writing: the model drafts, the guards judge, and what they say goes back to the model.
interface Draft {
  readonly text: string
}

const write = Effect.fnUntraced(function*({ input: { question }, retrieve: { passages }, revision }: {
  readonly input: typeof Question.Type
  readonly retrieve: Stage.DataOf<typeof rank>
  readonly revision: GuardRetry.Revision<Draft, string>
}) {
  const remarks = revision.feedback.map(({ feedback }) => feedback)
  return { text: yield* Model.use((model) => model.write({ question, passages, remarks })) }
})

const citedIn = ({ text }: Draft) => Array.from(text.matchAll(/\[(.*?)\]/g), ([, source]) => source)
const verdict = (accepted: boolean, feedback: string) =>
  Effect.succeed(accepted ? GuardRetry.accept : GuardRetry.reject(feedback))

const draft = GuardRetry.stage("draft", {
  draft: write,
  guards: {
    cites: (draft) => verdict(citedIn(draft).length > 0, "Name your sources"),
    honest: (draft, { inputs: { retrieve } }) =>
      verdict(
        citedIn(draft).every((cited) => retrieve.passages.some(({ source }) => source === cited)),
        "Name only what you were given"
      )
  },
  output: (accepted) => ({ text: accepted.draft.text, history: accepted.history })
})

const says = (text: string) => ({ text, history: [] })

const research = Pipeline.make("research", { input: Question })
  .add(Subpipeline.stage("retrieve", retrieve), (s) => ({ inputs: { question: s.input.map((it) => it.question) } }))
  .add(draft, (s) => ({
    inputs: { input: s.input, retrieve: s.retrieve },
    when: s.retrieve.map(({ passages }) => passages.length > 0)
  }))
  .returns((s) => s.draft.orElse(() => says("The handbooks say nothing about that.")))

// The assistant: one stage for whatever the router chose, and for when it is not sure.
const router = Stage.route("router", {
  run: ({ question }: typeof Question.Type) => Model.use((model) => model.route(question))
})

const reply = Route.match("reply", router, {
  handbooks: research,
  talk: () => Effect.succeed(says("Good morning! What can I look up for you?")),
  clarify: () => Effect.succeed(says("Is it about the printer, the scanner or the network?"))
}, { confidence: { atLeast: 0.6, otherwise: "clarify" } })

const assistant = Pipeline.make("assistant", { input: Schema.String })
  .add(router, (s) => ({ inputs: { question: s.input } }))
  .add(reply, (s) => ({ inputs: { router: s.router, question: s.input } }))

const ask = Effect.fnUntraced(function*(question: string) {
  yield* Console.log(`"${question}"`)
  const { outputs: { reply } } = yield* Pipeline.run(assistant, Snapshot.make({ input: question }))
  const { by, route } = Option.getOrThrow(Route.decisionIn(reply))
  yield* Console.log(`route    ${route}, by ${by}`)
  for (const { attempt, verdicts } of reply.data.history) {
    const remarks = verdicts.flatMap(({ guard, verdict }) =>
      verdict._tag === "Reject" ? [`${guard}: ${verdict.feedback}`] : []
    )
    yield* Console.log(`draft ${attempt}  ${remarks.join(", ") || "accepted"}`)
  }
  yield* Console.log(`answer   ${reply.data.text}\n`)
})

const questions = [
  "How do I clear a paper jam?",
  "Which handbook says how to make coffee?",
  "It does it again!",
  "Good morning!"
]
const program = Effect.gen(function*() {
  if (process.argv.includes("--picture")) return yield* Console.log(yield* toMermaid(assistant))
  yield* Effect.forEach(questions, ask, { discard: true })
})

const layerTerminal = Layer.provideMerge(TerminalTimeline.layer, [NodeStdio.layer, NodeTerminal.layer])
await Effect.runPromise(Effect.provide(program, [layerHandbooks, layerModel, layerTerminal]))
