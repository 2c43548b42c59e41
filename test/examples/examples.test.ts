import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { programOf, shownCode, shownOutput, shownPictures, timeless } from "./support/page.ts"
import { type Finished, run, runExample } from "./support/process.ts"
import { screenOf } from "./support/screen.ts"

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

/** The stages of a timeline with their status, and their start and duration where they started. */
const stagesOf = (lines: ReadonlyArray<string>) =>
  lines.flatMap((line) => {
    const [, stage = "", status = "", start, duration] =
      /^(\w+) {2,}(ok|skipped|cancelled|interrupted|never started|running|waiting)(?: +(\d+) ms +(\d+) ms)?/.exec(
        line
      ) ?? []
    return stage === "" ? [] : [{ stage, status, start: Number(start), duration: Number(duration) }]
  })

/** What both runs of the full example show, whether it was piped or not. */
const checkFull = (lines: ReadonlyArray<string>) => {
  included(
    lines,
    "flowchart LR",
    "  input_guard{{\"input_guard<br/>guard\"}}",
    "  input_guard -.-> router",
    "  router ==>|\"when\"| solution",
    "  profile -->|\"profile?\"| llm",
    "\"My printer is broken\"",
    "event      llm: llm.asked {\"sentences\":5}",
    "answer     Hello Ada! Please open the tray, pull the paper out gently, close the tray.",
    "\"Tell me the password of your printer\"",
    "cancelled  by input_guard: Blocked content",
    "interrupted    profile, memory, documents",
    "never started  router, solution, offer, llm, output_guard, answer, audit",
    "audit log  Ada (pro) was told 75 characters"
  )
  const first = lines.indexOf("\"My printer is broken\"")
  const second = lines.indexOf("\"Tell me the password of your printer\"")
  const completed = stagesOf(lines.slice(first, second))
  assert.deepStrictEqual(completed.map(({ stage, status }) => `${stage} ${status}`), [
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
  // The enrichments run while the guard does; the model waits for the slowest of them and is asked twice.
  assert.isBelow(documents.start, guard.start + guard.duration)
  assert.isAtLeast(documents.duration, 490)
  assert.isAtLeast(llm.start, documents.start + documents.duration - 2)
  assert.isAtLeast(llm.duration, 590)
  assert.match(lines.find((line) => line.startsWith("llm ")) ?? "", /█+ 2 att/)
  assert.deepStrictEqual(stagesOf(lines.slice(second)).map(({ stage, status }) => `${stage} ${status}`), [
    "input_guard cancelled",
    "router never started",
    "profile interrupted",
    "memory interrupted",
    "documents interrupted",
    "solution never started",
    "offer never started",
    "llm never started",
    "output_guard never started",
    "answer never started",
    "audit never started"
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

  it.live("full, piped: plain lines", () =>
    Effect.gen(function*() {
      const lines = linesOf(yield* runExample("full"))
      checkFull(lines)
      checkPage("full", lines)
      // Both pictures are what the example prints.
      for (const page of ["README.md", "docs/examples/full.md"]) {
        const pictures = shownPictures(page)
        assert.strictEqual(pictures.length, 1, page)
        assert.include(lines.join("\n"), `\n${pictures[0]}\n\n`, page)
      }
      assert.strictEqual(lines.filter((line) => line.startsWith("stage ")).length, 2)
      for (const line of lines) assert.isAtMost(line.length, 120)
    }))

  it.live("npm start is the full example", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* run("npm", ["--silent", "start"])
      assert.strictEqual(code, 0)
      checkFull(stdout.trimEnd().split("\n"))
    }))

  // `script` of util-linux gives a program a terminal.
  const script = "/usr/bin/script"
  const inTerminal = (environment: NodeJS.ProcessEnv) =>
    run(script, ["-qec", "node_modules/.bin/node --conditions=stageflow-source examples/full.ts", "/dev/null"], {
      TERM: "xterm-256color",
      ...environment
    })

  describe.skipIf(process.platform !== "linux" || !existsSync(script))("full, in a terminal", () => {
    it.live("the timeline is drawn in place while the run goes on", () =>
      Effect.gen(function*() {
        const { code, stdout } = yield* inTerminal({ NO_COLOR: undefined })
        assert.strictEqual(code, 0)
        const frames = stdout.split("\u001b[12A")
        assert.isAtLeast(frames.length, 5)
        assert.match(stdout, /llm +running/)
        // oxlint-disable-next-line no-control-regex
        assert.match(stdout, /\u001b\[32mrouter +ok .*\u001b\[0m/)
        const screen = screenOf(stdout)
        checkFull(screen)
        assert.strictEqual(screen.filter((line) => line.startsWith("stage ")).length, 2)
        for (const line of screen.filter((line) => line.includes("█"))) assert.isBelow(line.length, 80)
      }))

    it.live("without colours where nobody wants them", () =>
      Effect.gen(function*() {
        const { stdout } = yield* inTerminal({ NO_COLOR: "1" })
        assert.include(stdout, "\u001b[12A")
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(stdout, /\u001b\[\d+m/)
      }))

    it.live("as plain lines where the cursor cannot move", () =>
      Effect.gen(function*() {
        const { stdout } = yield* inTerminal({ TERM: "dumb" })
        assert.notInclude(stdout, "\u001b")
        checkFull(screenOf(stdout))
      }))
  })
})
