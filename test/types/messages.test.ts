/**
 * What a user of TypeScript 7 reads when a pipeline is wrong: each file in `fixtures` is one mistake, and the compiler's
 * first two lines about it are given here word for word. Each names the stage and the field.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { globSync, readFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { beforeAll } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const fixtures = join(import.meta.dirname, "fixtures")

interface Diagnostic {
  /** The source from where the squiggle starts to the end of the line. */
  readonly at: string
  readonly lines: ReadonlyArray<string>
}

const compile = (): Promise<string> =>
  new Promise((done) => {
    const compiler = join(root, "node_modules/typescript/bin/tsc")
    const given = [compiler, "--project", fixtures, "--pretty", "false"]
    execFile(process.execPath, given, { cwd: root, maxBuffer: 16 * 1024 * 1024 }, (_, out) => done(out))
  })

const header = /^test\/types\/fixtures\/([\w-]+)\.ts\((\d+),(\d+)\): error TS\d+: (.*)$/

const parse = (output: string): ReadonlyMap<string, ReadonlyArray<Diagnostic>> => {
  const found = new Map<string, Array<{ at: string; lines: Array<string> }>>()
  let last: { at: string; lines: Array<string> } | undefined
  for (const line of output.split("\n")) {
    const [, name = "", row, column, text = ""] = header.exec(line) ?? []
    if (name === "") {
      if (line.startsWith(" ")) last?.lines.push(line.trim())
      else if (line !== "") throw new Error(`tsc said: ${line}`)
      continue
    }
    const source = readFileSync(join(fixtures, `${name}.ts`), "utf8").split("\n")
    last = { at: (source[Number(row) - 1] ?? "").slice(Number(column) - 1), lines: [text] }
    found.set(name, [...(found.get(name) ?? []), last])
  }
  return found
}

let diagnostics: ReadonlyMap<string, ReadonlyArray<Diagnostic>> = new Map()

const of = (name: string): ReadonlyArray<Diagnostic> => diagnostics.get(name) ?? []

const quoted = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** One mistake: where the squiggle starts, what the message names, and its first two lines. */
interface Mistake {
  readonly at: string
  readonly names: ReadonlyArray<string>
  readonly lines: ReadonlyArray<string>
}

const sentence = (at: string, source: string, text: string, names: ReadonlyArray<string>): Mistake => ({
  at,
  names,
  lines: [`Argument of type '${source}' is not assignable to parameter of type '"${text}"'.`]
})

const name = (text: string, sentence: string, names: ReadonlyArray<string>): Mistake => ({
  at: `"${text}"`,
  names,
  lines: [`Type '"${text}"' is not assignable to type '"${sentence}"'.`]
})

/** What is wrong with a stage that runs a pipeline, said where its name is. */
const inStage = (stage: string, text: string): Mistake =>
  sentence(`"${stage}"`, `"${stage}"`, `stage '${stage}', ${text}`, [stage])

/** What is wrong with a stage that runs something for each of several items. */
const forEach = (text: string, stage = "lengths"): Mistake =>
  sentence(`"${stage}"`, `"${stage}"`, `stage '${stage}'${text}`, [stage])

const aboutStage = (stage: string, text: string): Mistake =>
  sentence(`"${stage}"`, `"${stage}"`, `stage '${stage}': ${text}`, [stage])

/** What is wrong with a pipeline that is made of stages at once, said where its name is. */
const inShape = (pipeline: string, text: string): Mistake => sentence(`"${pipeline}"`, `"${pipeline}"`, text, ["stage"])
const notAnnotated = "nothing says what 'plan' is; annotate it: ({ plan }: { readonly plan: ... }) => ..."
const noInput =
  "this pipeline takes an input: Snapshot.make({ input: ... }), or a parameter of type Snapshot.With<never, Input>"
const noVerdict =
  "it gives no verdict; give GuardRetry.accept or GuardRetry.reject(feedback), or make it a guard of drafts with GuardRetry.fromGuard"

const noData = "output: the pipeline returns no object; say what data the stage gives"

const llm =
  "Stage<\"llm\", { readonly router: { readonly route: Route; }; readonly profile: Option<{ readonly profile: Profile; }>; }, { response: string; }, never, LlmDown, Llm>"
const router = "Stage<\"router\", unknown, { route: Route; confidence: number; }, never, never, never>"
const support = "Stage<\"support\", unknown, { answer: string; }, never, never, never>"
const audit =
  "Stage<\"audit\", { readonly who: { readonly profile: Profile; }; }, { saved: string; }, never, never, never>"
const greet =
  "Stage<\"greet\", { readonly profile: { readonly profile: Profile; }; }, { greeting: string; }, never, never, never>"
const count =
  "Stage<\"count\", { readonly router: { readonly route: number; }; }, { count: number; }, never, never, never>"
const other =
  "Pipeline<Node<\"router\", { route: Route; confidence: number; }, never, never, never>, never, never, unknown>"

const more = "Pipeline<Node<\"support\", { answer: string; }, never, never, never>, never, never, unknown>"
const noStage = "this is no stage; the stages of a pipeline are added with pipeline.merge(that), or .extend(that)"

const taken = "this pipeline already has a stage 'router'; Stage.as gives this one another name"
const clash = "both pipelines have a stage 'router'; Stage.as gives one another name"
const lacks = "the snapshot lacks the extension 'skills'; add it with Snapshot.extend"
const unwiredRouter = sentence("llm", llm, "stage 'llm', input 'router': say where it comes from", ["llm", "router"])
const unwiredProfile = sentence("llm", llm, "stage 'llm', input 'profile': say where it comes from", ["llm", "profile"])

const notify = "Stage<\"notify\", unknown, {}, never, never, never>"
const noUndo = "stage 'notify' gives no data; return what its compensation has to know, such as an id"

const groups: Readonly<Record<string, Readonly<Record<string, Mistake>>>> = {
  "a stage that is not there": {
    "unknown-input-by-name": {
      at: "\"profil\"",
      names: ["llm", "profil"],
      lines: [
        "Type '\"profil\"' is not assignable to type '\"profile\" | \"stage 'llm', input 'profil': no stage before it has that name\"'. Did you mean '\"profile\"'?"
      ]
    },
    "unknown-after-by-name": name("guard", "stage 'support', after 'guard': no stage before it has that name", [
      "support",
      "guard"
    ]),
    "unknown-after-by-source": sentence(
      "support",
      support,
      "stage 'support', after 'guard': no stage before it has that name",
      ["support", "guard"]
    ),
    "unknown-input-by-source": {
      at: "profil.required",
      names: ["audit", "profil"],
      lines: ["Property 'profil' does not exist on type 'StagesBefore<\"audit\", Stages>'. Did you mean 'profile'?"]
    },
    "self-reference": name("greet", "stage 'greet', input 'greet': no stage before it has that name", ["greet"]),
    "replay-from-unknown": {
      at: "\"routre\"",
      names: ["routre", "router"],
      lines: [
        "Argument of type '\"routre\"' is not assignable to parameter of type '\"this pipeline has no stage 'routre'; its stages are 'input_guard', 'profile', 'router'\"'."
      ]
    },
    "replay-no-extension": {
      at: "\"run\"",
      names: ["skills"],
      lines: [
        "Argument of type '\"run\"' is not assignable to parameter of type '\"the stages read the extension 'skills'; name its class in { extensions: [...] }\"'."
      ]
    },
    "extend-unknown-after": {
      at: "\"guard\"",
      names: ["guard"],
      lines: ["Type '\"guard\"' is not assignable to type '\"input_guard\" | \"profile\" | \"router\"'."]
    }
  },
  "data that does not fit": {
    "wrong-type-by-name": sentence(
      "count",
      count,
      "stage 'count', input 'router': stage 'router' gives 'route' as a string, and not a number",
      ["count", "router", "route"]
    ),
    "wrong-texts-by-name": sentence(
      "sell",
      "Stage<\"sell\", { readonly router: { readonly route: \"more\" | \"sales\"; }; }, {}, never, never, never>",
      "stage 'sell', input 'router': stage 'router' gives 'route' as 'general', 'sales', 'support', and not 'more', 'sales'",
      ["sell", "router", "route", "more"]
    ),
    "wrong-type-by-source": sentence(
      "audit",
      audit,
      "stage 'audit', input 'who': stage 'router' gives no 'profile'",
      ["audit", "who", "router", "profile"]
    ),
    "input-not-source": sentence("audit", audit, "stage 'audit', input 'who': this is not a Source", ["audit", "who"]),
    "names-by-source": sentence(
      "audit",
      audit,
      "stage 'audit', inputs: a function gives a record of sources, not a list of names",
      ["audit", "inputs"]
    )
  },
  "a stage that may skip, read as if it never did": {
    "skippable-by-name": sentence(
      "greet",
      greet,
      "stage 'greet', input 'profile': stage 'profile' may skip; write 'profile?' for an Option, or wire it with .required or .orElse",
      ["greet", "profile"]
    ),
    "skippable-by-source": sentence(
      "audit",
      audit,
      "stage 'audit', input 'who': stage 'profile' may skip; read it with .option, .required or .orElse",
      ["audit", "who", "profile"]
    ),
    "option-by-source": sentence(
      "audit",
      audit,
      "stage 'audit', input 'who': its source may be empty; use .required or .orElse, or take an Option",
      ["audit", "who"]
    ),
    "option-needed-by-name": sentence(
      "llm",
      llm,
      "stage 'llm', input 'router': 'router?' reads an Option, and the stage takes the data itself",
      ["llm", "router"]
    ),
    "skippable-map": {
      at: "map(",
      names: ["profile"],
      lines: ["Property 'map' does not exist on type 'SkippableData<\"profile\", { profile: Profile; }>'."]
    },
    "reads-output-of-skippable": {
      at: "profile.name",
      names: ["profile", "SkipData"],
      lines: [
        "Property 'profile' does not exist on type 'SkipData | { profile: Profile; }'.",
        "Property 'profile' does not exist on type 'SkipData'."
      ]
    }
  },
  "routes and conditions": {
    "unknown-route": {
      at: "\"suport\"",
      names: ["router", "suport"],
      lines: [
        "Argument of type '\"suport\"' is not assignable to parameter of type '\"stage 'router' has no route 'suport', only 'general', 'sales', 'support'\"'."
      ]
    },
    "no-routes": {
      at: "\"support\"",
      names: ["input_guard", "route"],
      lines: [
        "Argument of type '\"support\"' is not assignable to parameter of type '\"stage 'input_guard' gives no 'route'\"'."
      ]
    },
    "when-not-boolean": sentence(
      "support",
      support,
      "stage 'support', when: this is not a Source of a boolean, such as .is(route) or .map((data) => data.ready)",
      ["support", "when"]
    ),
    "when-by-name": sentence(
      "support",
      support,
      "stage 'support': 'when' takes a function, (s) => ({ when: s.name.is(route) })",
      ["support", "when"]
    )
  },
  "names": {
    "duplicate-name": sentence("router", router, taken, ["router"]),
    "duplicate-name-by-name": sentence("router", router, taken, ["router"]),
    "duplicate-name-by-source": sentence("router", router, taken, ["router"]),
    "empty-name": sentence("Stage.work(\"\"", "Stage<\"\", unknown, {}, never, never, never>", "a stage needs a name", [
      "stage",
      "name"
    ]),
    "merge-clash": sentence("Pipeline.make(\"other\")", other, clash, ["router"]),
    "merge-clash-function": sentence("Pipeline.make(\"other\")", other, clash, ["router"]),
    "extend-clash": sentence("Pipeline.make(\"other\")", other, clash, ["router"])
  },
  "a stage with inputs that is not wired": {
    "unwired": unwiredRouter,
    "unwired-after": unwiredRouter,
    "unwired-after-by-source": unwiredRouter,
    "unwired-empty": unwiredRouter,
    "unwired-empty-function": unwiredRouter,
    "unwired-empty-object": unwiredRouter,
    "unwired-partly-by-name": unwiredProfile,
    "unwired-partly-by-source": unwiredProfile
  },
  "an input that the stage does not have": {
    "excess-by-name": sentence("llm", llm, "stage 'llm' has no input 'input_guard'", ["llm", "input_guard"]),
    "excess-by-source": sentence("llm", llm, "stage 'llm' has no input 'guard'", ["llm", "guard"]),
    "excess-no-inputs-by-name": sentence("support", support, "stage 'support' has no input 'router'", [
      "support",
      "router"
    ]),
    "excess-no-inputs-by-source": sentence("support", support, "stage 'support' has no input 'router'", [
      "support",
      "router"
    ]),
    "misspelt-part-by-name": sentence(
      "llm",
      llm,
      "stage 'llm': a wiring has no 'input', only inputs, after and when",
      ["llm", "input"]
    ),
    "misspelt-part-by-source": sentence(
      "support",
      support,
      "stage 'support': a wiring has no 'wen', only inputs, after and when",
      ["support", "wen"]
    )
  },
  "what a stage gives": {
    "output-mismatch": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer', output 'text': run gives it with another type",
      ["answer", "text"]
    ),
    "output-mismatch-inputs": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer', output 'text': run does not give it",
      ["answer", "text"]
    ),
    "error-mismatch": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer', error: run fails with 'ProfileUnavailable', which the schema does not have",
      ["answer", "error", "ProfileUnavailable"]
    ),
    "primitive-data": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a number; data must be an object",
      ["answer", "a number"]
    ),
    "primitive-data-of-generator": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a string; data must be an object",
      ["answer", "a string"]
    ),
    "primitive-promise": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a string; data must be an object",
      ["answer", "a string"]
    ),
    "primitive-data-of-generator-function": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a string; data must be an object",
      ["answer", "a string"]
    ),
    "null-data": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives null; data must be an object",
      ["answer", "null"]
    ),
    "run-async": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run is an async function; use Stage.promise, or Effect.tryPromise in an Effect",
      ["answer", "Stage.promise"]
    ),
    "run-plain": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run returns a value; return an Effect (Effect.succeed), or write function*",
      ["answer", "function*"]
    ),
    "promise-data": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a Promise (use Stage.promise, or Effect.tryPromise) as its data",
      ["answer", "a Promise"]
    ),
    "effect-data": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives an Effect (did you forget yield* ?) as its data",
      ["answer", "yield*"]
    ),
    "output-widened": sentence(
      "\"router\"",
      "\"router\"",
      "stage 'router', output 'route': run gives a string; write `as const`",
      ["router", "as const"]
    ),
    "output-mismatch-in-part": {
      at: "run: given",
      names: ["answer", "string", "text"],
      lines: [
        "Type 'Effect<string | { text: string; }, never, never>' is not assignable to type 'Run<\"answer\", unknown, string | { text: string; }, never, never, never, void | object, never, unknown, unknown>'.",
        "Type 'Effect<string | { text: string; }, never, never>' is not assignable to type 'Body<string | { text: string; }, never, never, unknown, unknown>' with 'exactOptionalPropertyTypes: true'. Consider adding 'undefined' to the types of the target's properties."
      ]
    },
    "map-output-primitive": {
      at: "data.answer",
      names: ["string"],
      lines: ["Type 'string' is not assignable to type 'object'."]
    }
  },
  "what is no stage, and names that are no list": {
    "add-pipeline": sentence("Pipeline.make(\"more\")", more, noStage, ["merge", "extend"]),
    "gate-pipeline": sentence("Pipeline.make(\"more\")", more, noStage, ["merge", "extend"]),
    "add-no-stage": sentence("{ name", "{ name: string; }", noStage, ["no stage"]),
    "sources-in-object": sentence(
      "audit",
      audit,
      "stage 'audit', inputs: names are a list; sources are given by a function, (s) => ({ inputs: { key: s.name } })",
      ["audit", "function"]
    ),
    "names-widened": sentence(
      "llm",
      llm,
      "stage 'llm', inputs: write the names in a list here, or declare it `as const`",
      ["llm", "as const"]
    )
  },
  "a stage written where it is added": {
    "generator-one-misfit": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer', output 'text': run gives it with another type",
      ["answer", "text"]
    ),
    "generator-one-primitive": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run gives a number; data must be an object",
      ["answer", "a number"]
    ),
    "generator-yields-no-effect": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer': run yields something that is no Effect; write yield* before an Effect",
      ["answer", "yield*"]
    ),
    "inline-list-of-sources": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', inputs: a function gives a record of sources, not a list",
      ["llm", "inputs"]
    ),
    "inline-wrap-flow": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', wrap: it loses the types; write (stage) => stage.pipe(...)",
      ["llm", "wrap"]
    ),
    "inline-wrap-other-inputs": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', wrap: it gives a stage that takes other inputs",
      ["llm", "wrap"]
    ),
    "inline-wrap-renames": sentence("\"llm\"", "\"llm\"", "stage 'llm', wrap: it gives a stage of another name", [
      "llm",
      "wrap"
    ]),
    "input-nullable": sentence(
      "Snapshot.make(",
      "With<never, NoInfer<{ readonly a: \"x\"; }>>",
      "the snapshot's input has data of another type",
      ["input"]
    ),
    "input-unknown": sentence(
      "Snapshot.make(",
      "With<never, unknown>",
      "the type of the snapshot's input is not known: check it, or read it with Snapshot.decode",
      ["input", "decode"]
    ),
    "inline-async": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm': run is an async function; use Stage.promise, or Effect.tryPromise in an Effect",
      ["llm", "Stage.promise"]
    ),
    "inline-duplicate-name": sentence(
      "\"router\"",
      "\"router\"",
      "this pipeline already has a stage 'router'; Stage.as gives this one another name",
      ["router"]
    ),
    "inline-empty-name": sentence("\"\"", "\"\"", "a stage needs a name", ["name"]),
    "inline-input-not-source": sentence("\"llm\"", "\"llm\"", "stage 'llm', input 'who': this is not a Source", [
      "llm",
      "who"
    ]),
    "inline-skippable": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', input 'profile': stage 'profile' may skip; write 'profile?' for an Option, or read it from sources",
      ["llm", "profile?"]
    ),
    "inline-skippable-by-source": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', input 'who': stage 'profile' may skip; read it with .option, .required or .orElse",
      ["llm", "profile", ".option"]
    ),
    "inline-unknown-input": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', input 'rooter': no stage before it has that name",
      ["llm", "rooter"]
    ),
    "inline-when-not-boolean": sentence(
      "\"llm\"",
      "\"llm\"",
      "stage 'llm', when: this is not a Source of a boolean, such as .is(route) or .map((data) => data.ready)",
      ["llm", "when"]
    ),
    "inline-wrong-data": sentence("\"llm\"", "\"llm\"", "stage 'llm': run gives a number; data must be an object", [
      "llm",
      "a number"
    ]),
    "inline-unknown-after": {
      at: "\"guard\"",
      names: ["llm", "guard"],
      lines: [
        "Type '\"guard\"' is not assignable to type '\"stage 'llm', after 'guard': no stage before it has that name\"'."
      ]
    },
    "inline-unknown-source": {
      at: "rooter",
      names: ["llm", "rooter", "router"],
      lines: ["Property 'rooter' does not exist on type 'StagesBefore<\"llm\", Stages>'. Did you mean 'router'?"]
    },
    "inline-no-input-of-that-name": {
      at: "profile",
      names: ["router", "profile"],
      lines: [
        "Property 'profile' does not exist on type '{ readonly router: { route: Route; confidence: number; }; }'."
      ]
    },
    "inline-misspelt": {
      at: "input:",
      names: ["input", "llm", "inputs"],
      lines: [
        "Object literal may only specify known properties, but 'input' does not exist in type 'InlineOptions<\"llm\", [], [], NotGiven, NotGiven, void, never, never, never, void | object, never, unknown, unknown, InlineStage<\"llm\", {}, void, never, never, never, void | object, never, unknown>, Node<...> | ... 1 more ... | Node<...>>'. Did you mean to write 'inputs'?"
      ]
    }
  },
  "an input and what is returned": {
    "input-missing": sentence(
      "Snapshot.make(",
      "With<never, NoInput>",
      "this pipeline takes an input: Snapshot.make({ input: ... }), or a parameter of type Snapshot.With<never, Input>",
      ["input"]
    ),
    "input-wrong": sentence(
      "Snapshot.make(",
      "With<never, NoInfer<{ readonly amount: \"5\"; }>>",
      "the snapshot's input has 'amount' as a string, and not a number",
      ["input", "amount"]
    ),
    "input-incomplete": sentence(
      "Snapshot.make(",
      "With<never, {}>",
      "the snapshot's input has no 'amount'",
      ["input", "amount"]
    ),
    "merge-inputs": sentence(
      "Pipeline.make(",
      "Pipeline<InputNode<{}>, never, never, unknown>",
      "both pipelines take an input; only one of them can",
      ["input"]
    ),
    "returns-unknown": {
      at: "nett",
      names: ["nett", "net"],
      lines: ["Property 'nett' does not exist on type 'StagesBefore<\"returns\", Stages>'. Did you mean 'net'?"]
    },
    "returns-no-source": {
      at: "5",
      names: ["returns", "Source"],
      lines: ["Type 'number' is not assignable to type '\"returns: this is not a Source\"'."]
    },
    "returns-skippable": {
      at: "s.maybe",
      names: ["returns", "maybe"],
      lines: [
        "Type 'SkippableData<\"maybe\", { more: boolean; }>' is not assignable to type '\"returns: stage 'maybe' may skip; read it with .option or .orElse\"'."
      ]
    },
    "stream-of-plain": {
      at: "speak",
      names: ["plain", "stream"],
      lines: [
        "Argument of type 'Stage<\"speak\", { readonly words: Stream<string, StreamFailed<unknown>, never>; }, {}, never, StreamFailed<unknown>, never>' is not assignable to parameter of type '\"stage 'plain' does not stream; make it with Stage.stream\"'."
      ]
    },
    "stream-wrong-chunk": {
      at: "speak",
      names: ["speak", "words"],
      lines: [
        "Argument of type 'Stage<\"speak\", { readonly words: Stream<number, StreamFailed<unknown>, never>; }, {}, never, StreamFailed<unknown>, never>' is not assignable to parameter of type '\"stage 'speak', input 'words': stage 'answer' streams a string, and not a number\"'."
      ]
    },
    "stream-by-name": {
      at: "speak",
      names: ["speak", "answer"],
      lines: [
        "Argument of type 'Stage<\"speak\", { readonly answer: Stream<string, StreamFailed<unknown>, never>; }, {}, never, StreamFailed<unknown>, never>' is not assignable to parameter of type '\"stage 'speak', input 'answer': it is a stream; wire it with (s) => ({ inputs: { answer: s.answer.stream } })\"'."
      ]
    },
    "stream-no-failure": {
      at: "speak",
      names: ["speak", "words"],
      lines: [
        "Argument of type 'Stage<\"speak\", { readonly words: Stream<string, never, never>; }, {}, never, never, never>' is not assignable to parameter of type '\"stage 'speak', input 'words': the stream of stage 'answer' can fail with StreamFailed; write Stream<Chunk, StreamFailed>\"'."
      ]
    },
    "stream-for-data": {
      at: "read",
      names: ["read", "whole"],
      lines: [
        "Argument of type 'Stage<\"read\", { readonly whole: { readonly text: string; }; }, { readonly text: string; }, never, never, never>' is not assignable to parameter of type '\"stage 'read', input 'whole': '.stream' gives a Stream; to read the data, leave it out\"'."
      ]
    },
    "stream-returned": {
      at: "s.answer.stream",
      names: ["returns", "answer"],
      lines: [
        "Type 'ChunkSource<\"answer\", \"a\" | \"b\", StreamFailed<never>, false>' is not assignable to type '\"returns: the stream of stage 'answer' is over when the run is; return the stage's data\"'."
      ]
    },
    "stream-collects-text": {
      at: "\"answer\"",
      names: ["answer", "collect"],
      lines: [
        "Argument of type '\"answer\"' is not assignable to parameter of type '\"stage 'answer', collect: it gives a string; data must be an object\"'."
      ]
    },
    "stream-chunks-of-plain": {
      at: "chunks: [",
      names: ["plain", "chunks"],
      lines: [
        "Type '[\"plain\"]' is not assignable to type 'readonly [\"plain\"] & readonly \"chunks: stage 'plain' does not stream\"[]'.",
        "Type '[\"plain\"]' is not assignable to type 'readonly \"chunks: stage 'plain' does not stream\"[]'."
      ]
    },
    "returns-wrong-type": {
      at: "s.net",
      names: ["returns", "total"],
      lines: [
        "Type 'StageData<\"net\", { net: number; }>' is not assignable to type '\"returns: its source gives no 'total'\"'."
      ]
    }
  },
  "a pipeline in a stage": {
    "subpipeline-input-no-object": inStage(
      "twice",
      "input: the pipeline takes no object, and the inputs of a stage are one; say how it is made of them"
    ),
    "subpipeline-input-other": inStage(
      "pay",
      "input: the pipeline takes one, and the inputs of the stage have no 'amount'"
    ),
    "subpipeline-input-not-taken": {
      at: "input: ",
      names: ["input"],
      lines: [
        "Type '() => { amount: number; }' is not assignable to type '(inputs: unknown) => \"this pipeline takes no input; Pipeline.make(name, { input }) says what a pipeline takes\"'.",
        "Type '{ amount: number; }' is not assignable to type '\"this pipeline takes no input; Pipeline.make(name, { input }) says what a pipeline takes\"'."
      ]
    },
    "subpipeline-input-wrong": {
      at: "input: ",
      names: ["amount"],
      lines: [
        "Type '() => { amount: string; }' is not assignable to type '(inputs: unknown) => { readonly amount: number; }'.",
        "Type '{ amount: string; }' is not assignable to type '{ readonly amount: number; }'."
      ]
    },
    "subpipeline-not-annotated": inStage("pay", `input: ${notAnnotated}`),
    "subpipeline-snapshot-not-annotated": inStage("audit", `snapshot: ${notAnnotated}`),
    "subpipeline-run-snapshot": {
      at: "Snapshot.make(",
      names: ["input"],
      lines: [
        "Argument of type 'With<never, NoInput>' is not assignable to parameter of type 'Options<Node<\"write\", { lines: number; }, never, never, never>, Current, {}, \"cancel\">'.",
        "Type 'With<never, NoInput>' is not assignable to type '{ readonly input?: never; }'."
      ]
    },
    "subpipeline-value": inStage("audit", noData),
    "subpipeline-value-options": inStage("audit", noData),
    "subpipeline-incomplete": inStage(
      "audit",
      "output: with failure: \\\"continue\\\" the run may be incomplete; say what data the stage gives"
    ),
    "subpipeline-output": inStage("audit", "output: it gives a number; data must be an object"),
    "subpipeline-misspelt": sentence(
      "\"audit\"",
      "\"audit\"",
      "stage 'audit' has no option 'onCancle', only input, snapshot, output, onCancel, kind and run",
      ["audit", "onCancle"]
    ),
    "subpipeline-on-cancel": {
      at: "onCancel: \"stop\"",
      names: ["stop", "OnCancel"],
      lines: ["Type '\"stop\"' is not assignable to type 'OnCancel | undefined'."]
    },
    "subpipeline-empty": sentence("\"audit\"", "\"audit\"", "stage 'audit': its pipeline has no stages", ["audit"]),
    "subpipeline-run-no-input": sentence(
      "charge)",
      "Pipeline<InputNode<{ readonly amount: number; }> | Node<\"pay\", { paid: number; }, never, never, never>, never, never, unknown>",
      "this pipeline takes an input: Subpipeline.run(pipeline, { input: ... })",
      ["input"]
    ),
    "subpipeline-run-wrong-input": {
      at: "amount: \"5\"",
      names: ["string", "number"],
      lines: ["Type 'string' is not assignable to type 'number'."]
    },
    "subpipeline-unwired": sentence(
      "Subpipeline.stage(",
      "Stage<\"pay\", { readonly amount: number; }, { readonly pay: { paid: number; }; }, never, SubpipelineFailed<SnapshotInvalid | StageFailed<never, Outputs>>, never>",
      "stage 'pay', input 'amount': say where it comes from",
      ["pay", "amount"]
    ),
    "subpipeline-no-extension": sentence("Snapshot.make(", "With<never, NoInput>", lacks, ["skills"])
  },
  "a stage for each item": {
    "for-each-key": {
      at: "key: ",
      names: ["number", "string"],
      lines: [
        "Type '(n: number) => number' is not assignable to type '(item: number, index: number) => string'.",
        "Type 'number' is not assignable to type 'string'."
      ]
    },
    "for-each-other-items": forEach(", each: it takes other items; items gives a string, and not a number"),
    "for-each-stage-other-items": forEach(", each: it takes other items; items gives no 'profile'", "greetings"),
    "for-each-pipeline-other-items": forEach(
      ", each: it takes other items; items gives 'amount' as a string, and not a number",
      "charges"
    ),
    "for-each-misspelt": forEach(
      " has no option 'concurency', only items, each, key, concurrency, failure, retry, events, kind, output and error"
    ),
    "for-each-concurrency": forEach(", concurrency: 0 is no limit; give a whole number from 1, or 'unbounded'"),
    "for-each-concurrency-text": forEach(
      ", concurrency: 'many' is no limit; give a whole number from 1, or 'unbounded'"
    ),
    "for-each-tolerate": forEach(", failure: -1 is no count of items; give a whole number from 0"),
    "for-each-failure": forEach(", failure: give 'fail-fast', 'continue' or { tolerate: n }"),
    "for-each-items-text": forEach(", items: it gives a text; split it into items"),
    "for-each-items-effect": forEach(
      ", items: it gives an Effect; give a Stream (Stream.fromIterableEffect, Stream.unwrap)"
    ),
    "for-each-items-none": forEach(", items: it gives nothing to go through; give an Iterable or a Stream"),
    "for-each-async": forEach(
      ", each: it is an async function; use Effect.promise or Effect.tryPromise in an Effect"
    ),
    "for-each-plain": forEach(", each: it returns a value; return an Effect (Effect.succeed, Effect.gen)"),
    "for-each-forgotten": forEach(", each: it gives an Effect (did you forget yield* ?)"),
    "for-each-no-body": forEach(", each: this is no stage, no pipeline and no function"),
    "for-each-output": forEach(", output: each gives 'length' as a string, and not a number")
  },
  "pipelines by name": {
    "registry-no-input": sentence("Snapshot.make(", "With<never, NoInput>", noInput, ["input"]),
    "registry-wrong-input": sentence(
      "Snapshot.make(",
      "With<never, NoInfer<{ readonly amount: \"5\"; }>>",
      "the snapshot's input has 'amount' as a string, and not a number",
      ["amount"]
    )
  },
  "routes": {
    "route-left-out": inStage("answer", "route 'sales': no branch runs it; add one, or say what runs `otherwise`"),
    "route-unknown": inStage("answer", "route 'refund': stage 'router' has no such route, only 'sales', 'support'"),
    "route-none": aboutStage("answer", "stage 'question' gives no 'route'"),
    "route-any": aboutStage(
      "answer",
      "stage 'router' gives any string as its route; say what runs `otherwise`, or write its routes `as const`"
    ),
    "route-other-inputs": inStage(
      "answer",
      "route 'support', input 'question': another route takes 'text' with another type"
    ),
    "route-other-decision": inStage("answer", "route 'sales': the router gives it no 'product'"),
    "route-no-object": inStage(
      "answer",
      "route 'sales': it takes no object, and the inputs of a stage are one; give a function of them"
    ),
    "route-data": inStage("answer", "route 'sales': it gives a number; data must be an object"),
    "route-no-body": inStage(
      "answer",
      "route 'sales': this is no stage, no pipeline, and no function that gives an Effect"
    ),
    "route-confidence": aboutStage("answer", "stage 'router' gives no 'confidence'"),
    "route-fallback": {
      at: "otherwise: \"human\"",
      names: ["human", "support"],
      lines: ["Type '\"human\"' is not assignable to type '\"sales\" | \"support\"'."]
    },
    "route-misspelt": {
      at: "othewise",
      names: ["othewise"],
      lines: [
        "Object literal may only specify known properties, but 'othewise' does not exist in type 'MatchOptions<NotGiven, never>'. Did you mean to write 'otherwise'?"
      ]
    },
    "route-unwired": sentence(
      "Route.match(",
      "Stage<\"answer\", { readonly question: { readonly text: string; }; readonly router: { route: \"sales\" | \"support\"; confidence: number; }; }, { text: string; } | { price: number; }, never, DepthExceeded, never>",
      "stage 'answer', input 'question': say where it comes from",
      ["answer", "question"]
    ),
    "route-weight": inStage("variant", "route 'candidate': a weight is zero or more"),
    "route-no-weights": aboutStage("variant", "it has no routes to choose from")
  },
  "shapes": {
    "shape-misfit": inShape("letters", "stage 'count': stage 'fetch' gives 'body' as a string, and not a number"),
    "shape-no-input": inShape("letters", "stage 'length' takes inputs; say what they are with { input: schema }"),
    "shape-wrong-input": inShape("letters", "stage 'length': the input gives no 'body'"),
    "shape-pipeline": inShape(
      "letters",
      "this is no list of stages; Subpipeline.stage(name, pipeline) makes a stage of a pipeline"
    ),
    "shape-same-name": inShape("letters", "two stages are called 'fetch'; Stage.as gives one another name"),
    "shape-skips": inShape(
      "letters",
      "stage 'maybe' may skip, and its data is needed here; add what can go without it with 'maybe?'"
    ),
    "shape-last-skips": inShape(
      "letters",
      "stage 'maybe' may skip, and its data is what the pipeline returns; let it give data in any case"
    ),
    "shape-branch": inShape("letters", "stage 'count': stage 'fetch' gives 'body' as a string, and not a number"),
    "shape-join": inShape("letters", "stage 'write', input 'length': stage 'length' gives no 'words'"),
    "shape-lane": inShape("letters", "stage 'count': stage 'fetch' gives 'body' as a string, and not a number"),
    "race-other-inputs": inStage(
      "answer",
      "contestant 'second', input 'question': another contestant takes 'text' with another type"
    ),
    "race-data": inStage("answer", "contestant 'first': it gives a string; data must be an object"),
    "race-nobody": aboutStage("answer", "there is nobody in this race")
  },
  "a draft and its guards": {
    "guard-retry-other-draft": inStage("answer", "guard 'price': the draft gives no 'total'"),
    "guard-retry-other-draft-function": {
      at: "price: ",
      names: ["text", "total"],
      lines: [
        "Type '(_: { readonly total: number; }) => Effect.Effect<GuardRetry.Verdict, never, never>' is not assignable to type 'GuardBody<{ text: string; }, unknown>'.",
        "Type '(_: { readonly total: number; }) => Effect.Effect<GuardRetry.Verdict, never, never>' is not assignable to type '(draft: { text: string; }, judging: Judging<unknown>) => Effect<unknown, unknown, unknown>'."
      ]
    },
    "guard-retry-no-verdict": inStage("answer", `guard 'long': ${noVerdict}`),
    "guard-retry-plain-guard": inStage("answer", `guard 'pii': ${noVerdict}`),
    "guard-retry-not-the-draft": inStage(
      "answer",
      "guard 'pii': it takes nothing, so it does not look at the draft; a guard of stageflow/guards does with from: \\\"input\\\""
    ),
    "guard-retry-no-guards": inStage("answer", "guards: there are none, so nobody would look at a draft"),
    "guard-retry-other-feedback": inStage(
      "answer",
      "draft: its guards give other feedback than its revision takes; see GuardRetry.Revision"
    ),
    "guard-retry-other-previous": inStage(
      "answer",
      "draft: its revision takes another draft than it gives; see GuardRetry.Revision"
    ),
    "guard-retry-misspelt": sentence(
      "\"answer\"",
      "\"answer\"",
      "stage 'answer' has no option 'attempts', only draft, guards, maxAttempts, stagnation, deadline, output and kind",
      ["answer", "attempts"]
    ),
    "guard-retry-primitive": inStage("answer", "draft: it gives a string; data must be an object"),
    "guard-retry-no-draft": inStage("answer", "draft: give a stage, a pipeline, or a function that gives an Effect"),
    "guard-retry-fingerprint": {
      at: "\"txt\"",
      names: ["txt", "text"],
      lines: ["Type '\"txt\"' is not assignable to type '\"text\"'."]
    }
  },
  "a tool": {
    "tool-no-success": sentence(
      "\"pay\"",
      "\"pay\"",
      "tool 'pay' has no success schema, and its run gives something; give it one",
      ["pay"]
    ),
    "tool-wrong-success": sentence("\"pay\"", "\"pay\"", "tool 'pay', success: run gives no 'receipt'", [
      "pay",
      "receipt"
    ]),
    "tool-no-failure": sentence(
      "\"pay\"",
      "\"pay\"",
      "tool 'pay' has no failure schema, and its run fails with 'Down'; give it one, or handle the error",
      ["pay", "Down"]
    ),
    "tool-other-failure": sentence(
      "\"pay\"",
      "\"pay\"",
      "tool 'pay', failure: run fails with 'Down', which the schema does not have",
      ["pay", "Down"]
    ),
    "tool-blank-name": sentence("\"\"", "\"\"", "a tool has a blank name; give it one", ["blank"]),
    "tool-no-approvals": {
      at: "registry",
      names: ["Approvals"],
      lines: [
        "Type 'Layer<ToolRegistry, DuplicateTool, Approvals>' is not assignable to type 'Layer<ToolRegistry, unknown, never>' with 'exactOptionalPropertyTypes: true'. Consider adding 'undefined' to the types of the target's properties.",
        "Type 'Approvals' is not assignable to type 'never'."
      ]
    },
    "tool-wrong-call": {
      at: "amount",
      names: ["string", "number"],
      lines: ["Type 'string' is not assignable to type 'number'."]
    }
  },
  "a loop": {
    "loop-other-state": inStage("counting", "body: it gives no 'n'; what it gives is the next state"),
    "loop-other-input": inStage("counting", "body: the state has no 'm'"),
    "loop-widened": inStage(
      "counting",
      "body: it gives 'n' as a string, and not a number; what it gives is the next state"
    ),
    "loop-misspelt": sentence(
      "\"counting\"",
      "\"counting\"",
      "stage 'counting' has no option 'maxIteration', only state, body, until, maxIterations, stagnation, deadline, history, unfinished and kind",
      ["counting", "maxIteration"]
    ),
    "loop-no-body": {
      at: "body: 5",
      names: ["LoopBody"],
      lines: ["Type 'number' is not assignable to type 'LoopBody<{ n: number; }>'."]
    },
    "loop-state-effect": inStage(
      "counting",
      "state: it gives an Effect; let a stage before give what the state is made of"
    ),
    "loop-state-promise": inStage(
      "counting",
      "state: it gives a Promise; let a stage before give what the state is made of"
    ),
    "loop-deadline": {
      at: "deadline: \"100\"",
      names: ["100", "Input"],
      lines: ["Type '\"100\"' is not assignable to type 'Input | undefined'."]
    },
    "loop-unfinished": {
      at: "unfinished: \"stop\"",
      names: ["stop", "Unfinished"],
      lines: ["Type '\"stop\"' is not assignable to type 'Unfinished | undefined'."]
    }
  },
  "a saga": {
    "saga-no-data-first": {
      at: "notify",
      names: ["notify"],
      lines: [
        `Argument of type '${notify}' is not assignable to parameter of type '${notify} & "${noUndo}"'.`,
        `Type '${notify}' is not assignable to type '"${noUndo}"'.`
      ]
    },
    "saga-wrong-data": {
      at: "paymnet",
      names: ["paymnet"],
      lines: ["Property 'paymnet' does not exist on type '{ payment: string; }'."]
    },
    "saga-no-effect": {
      at: "console.log",
      names: ["Effect"],
      lines: ["Type 'void' is not assignable to type 'Effect<unknown, unknown, unknown>'."]
    },
    "saga-limit": {
      at: "limit: \"100\"",
      names: ["100", "Input"],
      lines: ["Type '\"100\"' is not assignable to type 'Input | undefined'."]
    },
    "saga-misspelt": {
      at: "limt",
      names: ["limt", "limit"],
      lines: [
        "Object literal may only specify known properties, but 'limt' does not exist in type 'Options<never>'. Did you mean to write 'limit'?"
      ]
    }
  },
  "a run": {
    "no-extension": sentence("Snapshot.make(", "With<never, NoInput>", lacks, ["skills"]),
    "no-extension-decoded": sentence("snapshot)", "With<never, NoInput>", lacks, ["skills"]),
    "no-extension-simulated": sentence("Snapshot.make(", "With<never, NoInput>", lacks, ["skills"]),
    "extension-wrong-value": {
      at: "level: 3",
      names: ["number", "string"],
      lines: ["Type 'number' is not assignable to type 'string'."]
    },
    "emission-wrong-data": {
      at: "text: 1",
      names: ["number", "string"],
      lines: ["Type 'number' is not assignable to type 'string'."]
    },
    "emission-none": {
      at: "Token",
      names: ["Token", "emission", "schema"],
      lines: ["Type 'typeof Token' is missing the following properties from type 'Any': emission, schema, decode"]
    },
    "empty-pipeline": sentence("Snapshot.make(", "With<never, NoInput>", "this pipeline has no stages", ["no stages"]),
    "retry-interceptor": {
      at: "times: 3",
      names: ["times", "RetryPolicy"],
      lines: [
        "Object literal may only specify known properties, and 'times' does not exist in type 'RetryPolicy<unknown, never>'."
      ]
    },
    "options-misspelt": {
      at: "concurency: 1",
      names: ["concurency", "concurrency"],
      lines: [
        "Object literal may only specify known properties, but 'concurency' does not exist in type 'RunOptions'. Did you mean to write 'concurrency'?"
      ]
    },
    "options-wrong": {
      at: "failure: \"stop\"",
      names: ["stop"],
      lines: ["Type '\"stop\"' is not assignable to type '\"continue\" | \"fail-fast\" | undefined'."]
    },
    "no-snapshot": {
      at: "{ inputText: \"Hello\" }",
      names: ["Snapshot"],
      lines: [
        "Type '{ inputText: string; }' is missing the following properties from type 'Snapshot': messages, enrichments, extensions, metadata"
      ]
    }
  }
}

/** Mistakes whose first line is long, since it is about a whole program; the second says it in a few words. */
const programs: Readonly<Record<string, { readonly at: string; readonly second: string }>> = {
  "no-port": { at: "Pipeline.run(", second: "Type 'Llm | Profiles' is not assignable to type 'never'." },
  "for-each-no-port": { at: "Pipeline.run(", second: "Type 'Llm' is not assignable to type 'never'." },
  "yielded-outside": { at: "program", second: "Type 'InStage<\"skip\">' is not assignable to type 'never'." }
}

const secs = "'5 secs' is no duration; write a number, a space and a unit, such as '5 seconds'"
const times = "a retry policy has no 'times'; write attempts, which counts the first one, too"

/** Of a function with several signatures the compiler says that none fits, and in its third line why. */
const combinators: Readonly<Record<string, { readonly at: string; readonly given: string; readonly says: string }>> = {
  "timeout-wrong-unit": { at: "\"5 secs\"", given: "\"5 secs\"", says: secs },
  "timeout-wrong-unit-first": { at: "\"5 secs\"", given: "\"5 secs\"", says: secs },
  "timeout-wrong-grace": {
    at: "{ grace",
    given: "{ grace: string; }",
    says: "a grace is a duration, such as '5 seconds'"
  },
  "inline-timeout": { at: "\"5 secs\"", given: "\"5 secs\"", says: secs },
  "retry-times": { at: "{ times", given: "{ times: number; }", says: times },
  "retry-times-first": { at: "{ times", given: "{ times: number; }", says: times },
  "retry-misspelt": {
    at: "{ tries",
    given: "{ tries: number; }",
    says: "a retry policy has no 'tries', only schedule, attempts, while, faults and cap"
  },
  "retry-number": {
    at: "3",
    given: "3",
    says: "this is no retry policy: write Stage.retry({ attempts: 3 }), or give a Schedule"
  },
  "retry-wrong-type": {
    at: "{ attempts",
    given: "{ attempts: string; }",
    says: "this is no retry policy: { schedule, attempts, while, faults, cap }, each of its own type"
  }
}

/** In a pipe the compiler compares functions, and comes to the point in its third line. */
const piped: Readonly<Record<string, { readonly at: string; readonly third: RegExp }>> = {
  "for-each-not-annotated": { at: "items: ", third: /^Type 'unknown' is not assignable to type '\{ plan: any; \}'\.$/ },
  "saga-no-data": {
    at: "Saga.compensate(",
    third: new RegExp(
      `^Type '${quoted(notify)}' is not assignable to type '${quoted(notify)} & "${quoted(noUndo)}"'\\.$`
    )
  },
  "saga-other-data": {
    at: "Saga.compensate(",
    third:
      /^Type 'Stage<"pay", unknown, \{ payment: string; \}, .*>' is not assignable to type 'Stage<"pay", unknown, \{ readonly payment: number; \}, .*>'\.$/
  },
  "no-extension-piped": {
    at: "Pipeline.run(",
    third: new RegExp(`^Type 'Pipeline<.*>' is not assignable to type '"${quoted(lacks)}"'\\.$`)
  },
  "empty-pipeline-piped": {
    at: "Pipeline.stream(",
    third: /^Type 'Pipeline<never, never, never, unknown>' is not assignable to type '"this pipeline has no stages"'\.$/
  }
}

/** What the compiler shows for values of the library. */
const displayed: Readonly<Record<string, string>> = {
  "stage": support,
  "stageWithInputs": llm,
  "stageThatCancels": "Stage<\"input_guard\", unknown, { validated: boolean; }, \"cancel\", never, never>",
  "pipeline":
    "Pipeline<Node<\"profile\", { profile: Profile; }, \"skip\", ProfileUnavailable, Profiles> | Node<\"support\", { answer: string; }, never, never, never>, never, never, unknown>",
  "program": "Effect<Completed<Outputs>, StageFailed<ProfileUnavailable, Outputs>, Profiles>",
  "started":
    "Effect<Run<Cancelled<Outputs, undefined> | Completed<Outputs>, StageFailed<ProfileUnavailable, Outputs>, \"profile\" | \"support\", never, {}>, never, Profiles | Scope>",
  "result": "Completed<Outputs>",
  "outputs": "Outputs",
  "conditionalOutputs": "Outputs",
  "output": "Ok<{ answer: string; }> | Skip",
  "twelveStages":
    "Effect<Cancelled<Outputs, \"input_guard\"> | Completed<Outputs>, StageFailed<LlmDown | ProfileUnavailable, Outputs>, Llm | Profiles>",
  "resultOfTwelve": "Cancelled<Outputs, \"input_guard\"> | Completed<Outputs>",
  "failedOfTwelve": "StageFailed<LlmDown | ProfileUnavailable, Outputs>",
  "services": "Profiles",
  "errors": "StageFailed<ProfileUnavailable, Outputs>",
  "stages": "StagesBefore<\"more\", Stages>",
  "skippable": "SkippableData<\"support\", { answer: string; }>",
  "data": "StageData<\"router\", { route: Route; confidence: number; }>",
  "required": "Source<{ profile: Profile; }, true>"
}

beforeAll(async () => {
  diagnostics = parse(await compile())
})

describe("messages of TypeScript 7", () => {
  for (const [group, mistakes] of Object.entries(groups)) {
    describe(group, () => {
      for (const [fixture, { at, lines, names }] of Object.entries(mistakes)) {
        it(fixture, () => {
          const [first] = of(fixture)
          assert.isDefined(first, "it compiles")
          assert.deepStrictEqual(first.lines.slice(0, 2), lines)
          assert.isTrue(first.at.startsWith(at), `the squiggle is at ${first.at}`)
          for (const word of names) assert.include(lines.join(" "), word)
          assert.isBelow(lines.join(" ").length, 460, "a wall")
        })
      }
    })
  }

  describe("a program with a port missing", () => {
    for (const [fixture, { at, second }] of Object.entries(programs)) {
      it(fixture, () => {
        const [first] = of(fixture)
        assert.isTrue(first?.at.startsWith(at), `the squiggle is at ${first?.at}`)
        assert.strictEqual(first?.lines[1], second)
      })
    }
  })

  describe("a combinator", () => {
    for (const [fixture, { at, given, says }] of Object.entries(combinators)) {
      it(fixture, () => {
        const [first] = of(fixture)
        assert.isTrue(first?.at.startsWith(at), `the squiggle is at ${first?.at}`)
        assert.deepStrictEqual(first?.lines, [
          "No overload matches this call.",
          "The last overload gave the following error.",
          `Argument of type '${given}' is not assignable to parameter of type '"${says}"'.`
        ])
      })
    }
  })

  describe("in a pipe", () => {
    for (const [fixture, { at, third }] of Object.entries(piped)) {
      it(fixture, () => {
        const [first] = of(fixture)
        assert.isTrue(first?.at.startsWith(at), `the squiggle is at ${first?.at}`)
        assert.match(first?.lines[2] ?? "", third)
      })
    }
  })

  it("one mistake is one message", () => {
    const several = Array.from(diagnostics).filter(([fixture, all]) => fixture !== "displayed" && all.length > 1)
    // A parameter whose type is not known is the compiler's second complaint about a method that is not there.
    assert.deepStrictEqual(several.map(([fixture]) => fixture), ["skippable-map"])
  })

  it("every fixture is looked at, and nothing else is wrong in them", () => {
    const expected = [
      ...Object.values(groups).flatMap((mistakes) => Object.keys(mistakes)),
      ...Object.keys(programs),
      ...Object.keys(combinators),
      ...Object.keys(piped),
      "displayed"
    ]
    const files = globSync("*.ts", { cwd: fixtures }).map((file) => basename(file, ".ts"))
    assert.deepStrictEqual(
      files.filter((file) => !["world", "billing", "payment", "routes", "drafts", "streaming"].includes(file))
        .toSorted(),
      expected.toSorted()
    )
    assert.deepStrictEqual(Array.from(diagnostics.keys()).toSorted(), expected.toSorted())
  })
})

describe("types as TypeScript 7 shows them", () => {
  for (const [value, type] of Object.entries(displayed)) {
    it(value, () => {
      const shown = of("displayed").find(({ at }) => at.startsWith(`${value}: never`))
      assert.strictEqual(shown?.lines[0], `Type '${type}' is not assignable to type 'never'.`)
    })
  }
})
