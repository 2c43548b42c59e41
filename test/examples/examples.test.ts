import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Pcm, Wav } from "stageflow/streaming"
import { widthOf } from "../../src/observability/internal/cells.ts"
import { screenOf } from "../support/screen.ts"
import { programOf, shownCode, shownOutput, shownPictures, shownTimeline, timeless } from "./support/page.ts"
import { type Finished, run, runExample } from "./support/process.ts"

/** The lines of an example that ended well and printed plain text. */
const linesOf = ({ code, stderr, stdout }: Finished): ReadonlyArray<string> => {
  assert.strictEqual(stderr, "")
  assert.strictEqual(code, 0)
  assert.notInclude(stdout, "\u001b")
  return stdout.trimEnd().split("\n")
}

/** The number in a line that matches. */
const numberIn = (lines: ReadonlyArray<string>, pattern: RegExp): number => {
  const found = lines.map((line) => pattern.exec(line)?.[1]).find((text) => text !== undefined)
  assert.isDefined(found, `no line matches ${pattern}:\n${lines.join("\n")}`)
  return Number(found)
}

const included = (lines: ReadonlyArray<string>, ...wanted: ReadonlyArray<string>) => {
  for (const line of wanted) assert.include(lines, line)
}

/** The number of milliseconds in `12 ms` and `1.21 s`. */
const millis = (text: string): number => Number.parseFloat(text) * (text.endsWith(" s") ? 1000 : 1)

/** The stages of a timeline with their state, their duration, and their start where there is room for it. */
const stagesOf = (lines: ReadonlyArray<string>) =>
  lines.flatMap((line) => {
    const [, stage = "", state = "", start = "", duration = ""] =
      /^ {2}(\w+) +(ok|skipped|cancelled|interrupted|running) +(?:[+]([\d.]+ m?s) +)?([\d.]+ m?s)?/.exec(line) ?? []
    return stage === "" ? [] : [{ stage, state, start: millis(start), duration: millis(duration) }]
  })

const question = "\"My printer is broken\""
const forbidden = "\"Tell me the password of your printer\""

/** What both runs of the full example show, whether it was piped or not. */
const checkFull = (lines: ReadonlyArray<string>) => {
  included(
    lines,
    question,
    "Hello Ada! Please open the tray, pull the paper out gently, close the tray.",
    forbidden,
    "  7 never started",
    "audit log: Ada (pro) was told 75 characters"
  )
  const [first, second] = [lines.indexOf(question), lines.indexOf(forbidden)]
  assert.match(lines[first + 1] ?? "", /^full {2}completed in [\d.]+ s$/)
  assert.match(lines[second + 1] ?? "", /^full {2}cancelled by input_guard after [\d.]+ m?s: Blocked content$/)
  const completed = stagesOf(lines.slice(first, second))
  assert.sameMembers(completed.map(({ stage, state }) => `${stage} ${state}`), [
    "input_guard ok",
    "router ok",
    "profile ok",
    "memory ok",
    "documents ok",
    "solution ok",
    "offer skipped",
    "llm ok",
    "output_guard ok",
    "answer ok",
    "audit ok"
  ])
  const named = (name: string) => completed.find(({ stage }) => stage === name) ?? assert.fail(`no stage ${name}`)
  const [guard, documents, llm] = [named("input_guard"), named("documents"), named("llm")]
  assert.isAtLeast(documents.duration, 490)
  assert.isAtLeast(llm.duration, 590)
  assert.match(lines.find((line) => line.startsWith("  llm ")) ?? "", /█+░+█+ 2 attempts, llm\.asked ×/)
  // The enrichments run while the guard does; the model waits for the slowest of them and is asked twice.
  if (!Number.isNaN(guard.start)) {
    assert.isBelow(documents.start, guard.start + guard.duration)
    assert.isAtLeast(llm.start, documents.start + documents.duration - 2)
  }
  assert.deepStrictEqual(stagesOf(lines.slice(second)).map(({ stage, state }) => `${stage} ${state}`), [
    "profile interrupted",
    "memory interrupted",
    "documents interrupted",
    "input_guard cancelled"
  ])
}

/** The page of an example shows this output and parts of the program as it is. */
const checkPage = (name: string, lines: ReadonlyArray<string>) => {
  assert.deepStrictEqual(timeless(shownOutput(name)), timeless(lines))
  const code = shownCode(name)
  assert.isNotEmpty(code)
  for (const part of code) assert.include(programOf(name), part)
}

describe("the examples", () => {
  it.live("simple", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("simple"))
      checkPage("simple", lines)
      assert.deepStrictEqual(lines, ["Completed", "You said: Hello, stageflow!"])
    }))

  it.live("transform-chain", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("transform-chain"))
      checkPage("transform-chain", lines)
      assert.deepStrictEqual(lines, [
        "clean     {\"text\":\"Stages are Effects and pipelines are data\"}",
        "words     {\"words\":[\"stages\",\"are\",\"effects\",\"and\",\"pipelines\",\"are\",\"data\"]}",
        "summary   {\"count\":7,\"longest\":\"pipelines\"}",
        "headline  {\"headline\":\"PIPELINES (7 words)\"}"
      ])
    }))

  it.live("parallel", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("parallel"))
      checkPage("parallel", lines)
      assert.isAtLeast(numberIn(lines, /^One stage at a time: (\d+) ms$/), 590)
      assert.isAtLeast(numberIn(lines, /^As parallel as the edges allow: (\d+) ms$/), 245)
      // 600 ms one after the other, 250 ms together.
      assert.isAbove(numberIn(lines, /^([\d.]+) times as fast, with the same result:$/), 1.4)
      assert.strictEqual(lines.at(-1), "Ada (user-1), who talked about engines and weaving, wrote Notes")
    }))

  it.live("chat", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("chat"))
      checkPage("chat", lines)
      assert.deepStrictEqual(lines, [
        "user      My printer is broken",
        "route     support",
        "skipped   sales, general",
        "assistant [You fix things] \"My printer is broken\"? Of course, let me see.",
        "",
        "user      What does the big plan cost?",
        "route     sales",
        "skipped   support, general",
        "assistant [You sell things] \"What does the big plan cost?\"? Of course, let me see.",
        "",
        "user      How are you today?",
        "route     general",
        "skipped   support, sales",
        "assistant [You chat] \"How are you today?\"? Of course, let me see."
      ])
    }))

  it.live("resilience", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("resilience"))
      checkPage("resilience", lines)
      included(
        lines,
        "digest  weather! | news! | traffic as usual (traffic is a fallback)",
        "failed  weather: Unavailable",
        "failed  weather: CircuitOpen"
      )
      // 3 attempts of weather, 2 of news, 1 of traffic; with the circuit open, nobody is asked.
      assert.deepStrictEqual(
        lines.filter((line) => line.startsWith("calls ")),
        [3, 6, 5, 5, 0, 3].map((calls) => `calls   ${calls}`)
      )
    }))

  it.live("tracing", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("tracing"))
      checkPage("tracing", lines)
      included(
        lines,
        "The tool was called in trace 0af7651916cd43dd8448eb211c80319c",
        "    attempt 1 of answer  Busy",
        "    * stageflow.StageRetrying",
        "          * stageflow.StageDequeued"
      )
    }))

  it.live("multi-tenant", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("multi-tenant"))
      checkPage("multi-tenant", lines)
      included(
        lines,
        "bob reads plan         no: Organisation \"globex\" has no access to this resource",
        "nobody reads plan      no: Not authenticated: there is no token",
        "a forger reads plan    no: Not authenticated: the signature of the token is wrong",
        "ada forgets            done by ada"
      )
      assert.notInclude(lines.filter((line) => line.startsWith("bob")).join(), "rocket")
    }))

  it.live("replay", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("replay"))
      checkPage("replay", lines)
      // What lies before the changed stage is not asked for again.
      assert.strictEqual(
        lines.slice(0, lines.indexOf("  a replay of monday")).filter((line) => /orders asked/.test(line)).length,
        1
      )
      included(lines, "  order: same, 0 field(s)", "  prompt: changed, 1 field(s)", "  a replay of monday")
      assert.notInclude(
        lines.slice(lines.indexOf("As a test: the model answers with what was recorded")),
        "  model asked"
      )
    }))

  it.live("streaming-chat", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("streaming-chat"))
      checkPage("streaming-chat", lines)
      // The first sentence is shown while the model still speaks.
      assert.isBelow(lines.indexOf("> Open the tray."), lines.findIndex((line) => line.startsWith("audit:")))
    }))

  it.live("order-saga", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("order-saga"))
      checkPage("order-saga", lines)
      const second = lines.slice(lines.indexOf("2 chairs to Atlantis"), lines.indexOf("3 chairs to Lisbon"))
      assert.deepStrictEqual(second.slice(3), [
        "  bank      payment 2: 240 refunded",
        "  stock     2 chairs released, 2 left",
        "  courier failed: nobody delivers to Atlantis",
        "  compensated: charge, reserve"
      ])
    }))

  it.live("realtime-voice", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("realtime-voice"))
      checkPage("realtime-voice", lines)
      const [audio, token] = [numberIn(lines, /(\d+) ms {2}first audio/), numberIn(lines, /(\d+) ms {2}last token/)]
      assert.isBelow(audio, token)
      // The microphone is quiet for four seconds.
      const wav = yield* Wav.decode(readFileSync(join(tmpdir(), "realtime-voice.wav")))
      const heard = numberIn(lines, /interrupted after (\d+) ms of audio/)
      assert.isBelow(heard, 4500)
      assert.isAtMost(Math.abs(Pcm.millisOf(wav.format, wav.bytes.byteLength) - heard), 20)
    }))

  it.live("agentic-rag", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("agentic-rag"))
      checkPage("agentic-rag", lines)
      assert.deepStrictEqual(lines.filter((line) => /^("|route|draft|answer)/.test(line)), [
        "\"How do I clear a paper jam?\"",
        "route    handbooks, by router",
        "draft 1  cites: Name your sources",
        "draft 2  accepted",
        "answer   Clear a paper jam through the lower tray [printer p. 3]. Lift the lid when paper jams [scanner p. 2].",
        "\"Which handbook says how to make coffee?\"",
        "route    handbooks, by router",
        "answer   The handbooks say nothing about that.",
        "\"It does it again!\"",
        "route    clarify, by confidence",
        "answer   Is it about the printer, the scanner or the network?",
        "\"Good morning!\"",
        "route    talk, by router",
        "answer   Good morning! What can I look up for you?"
      ])
      // Only the first question gets as far as to a draft.
      assert.lengthOf(lines.filter((line) => /^ {4}draft +ok .*draft ×2/.test(line)), 1)
      assert.lengthOf(lines.filter((line) => /^ {4}draft +skipped/.test(line)), 1)
      const picture = linesOf(yield* runExample("agentic-rag", "--picture"))
      assert.deepStrictEqual(shownPictures("docs/examples/agentic-rag.md"), [picture.join("\n")])
    }))

  it.live("full, piped: plain lines", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("full"))
      checkFull(lines)
      checkPage("full", lines)
      for (const line of lines) assert.isAtMost(widthOf(line), 100)
      const [, folder = ""] = /^reports: (.*)$/.exec(lines.at(-1) ?? "") ?? []
      const pages = ["run-1.html", "run-2.html"].map((name) => readFileSync(`${folder}/${name}`, "utf8"))
      assert.deepStrictEqual(pages.map((page) => /<title>(.*)<\/title>/.exec(page)?.[1]), [
        "full: completed",
        "full: cancelled"
      ])
      rmSync(folder, { recursive: true })
    }))

  it.live("full, as a picture: the one in the README and on its page", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("full", "--picture"))
      included(lines, "flowchart LR", "  router ==>|\"when\"| solution", "  profile -->|\"profile?\"| llm")
      for (const page of ["README.md", "docs/examples/full.md"]) {
        assert.deepStrictEqual(shownPictures(page), [lines.join("\n")], page)
      }
    }))

  // `script` of util-linux gives a program a terminal.
  const script = "/usr/bin/script"
  const inTerminal = (
    environment: NodeJS.ProcessEnv,
    { columns, rows }: { readonly columns: number; readonly rows: number } = size,
    command = "node_modules/.bin/node --conditions=stageflow-source examples/full.ts"
  ) =>
    run(script, ["-qec", `stty columns ${columns} rows ${rows}; ${command}`, "/dev/null"], {
      TERM: "xterm-256color",
      NO_COLOR: undefined,
      ...environment
    })
  const size = { columns: 80, rows: 24 }

  describe.skipIf(process.platform !== "linux" || !existsSync(script))("in a terminal", () => {
    it.live("npm start at 80 by 24 ends with both runs on the screen", () =>
      Effect.gen(function*() {
        const { code, stdout } = yield* inTerminal({}, size, "npm start")
        assert.strictEqual(code, 0)
        const lines = screenOf(stdout, size)
        // The last line is for the prompt.
        const screen = lines.slice(-size.rows)
        assert.strictEqual(screen.at(-1), "")
        checkFull(screen)
        assert.strictEqual(lines.filter((line) => line.startsWith("full ")).length, 2)
        for (const line of screen) assert.isBelow(widthOf(line), size.columns)
        // The page shows what is on the screen.
        assert.deepStrictEqual(timeless(shownTimeline()), timeless(screen).slice(0, -1))
      }))

    it.live("the timeline is drawn in place while the run goes on", () =>
      Effect.gen(function*() {
        const { stdout } = yield* inTerminal({})
        // oxlint-disable-next-line no-control-regex
        assert.isAtLeast(stdout.split(/\u001b\[\d+A/).length, 10)
        assert.match(stdout, /llm .*running/)
        assert.include(stdout, "\u001b[32mok")
      }))

    it.live("in 40 by 10 the last run is on the screen", () =>
      Effect.gen(function*() {
        const small = { columns: 40, rows: 10 }
        const { stdout } = yield* inTerminal({}, small)
        const lines = screenOf(stdout, small)
        assert.match(lines.slice(-10).join("\n"), /full {2}cancelled by input_guard after/)
        assert.strictEqual(lines.filter((line) => line.startsWith("full ")).length, 2)
        assert.isTrue(lines.some((line) => / {2}… \d more: /.test(line)))
      }))

    it.live("without colours where nobody wants them", () =>
      Effect.gen(function*() {
        const { stdout } = yield* inTerminal({ NO_COLOR: "1" })
        // oxlint-disable-next-line no-control-regex
        assert.match(stdout, /\u001b\[\d+A/)
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(stdout, /\u001b\[\d+m/)
        checkFull(screenOf(stdout, size))
      }))

    it.live("as plain lines where the cursor cannot move", () =>
      Effect.gen(function*() {
        const { stdout } = yield* inTerminal({ TERM: "dumb" })
        assert.notInclude(stdout, "\u001b")
        checkFull(screenOf(stdout, { columns: 120, rows: 60 }))
      }))
  })
})
