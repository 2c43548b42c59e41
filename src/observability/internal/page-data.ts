/**
 * Makes what the page of a report shows from the record of a run.
 */
import { isStageEvent, summary } from "../../Event.ts"
import type { Analysis, StageTimes } from "./analysis-model.ts"
import { contentJson } from "./event-json.ts"
import { laidOut } from "./graph-layout.ts"
import { shortDuration } from "./layout.ts"
import { looks } from "./looks.ts"
import { type Placed, placed } from "./order.ts"
import type { Details, Layout, PageData, Row, Run, Segment } from "./page-model.ts"
import type { KeptValue, RecordedStage, RunRecord } from "./record-model.ts"
import { lastKnownMs } from "./seen-record.ts"

/** As much of a value as anybody reads in a page. */
const longestText = 20_000

/** So many characters of values are in one page; those that come later are cut to their beginning. */
const mostText = 8_000_000

/** As much as is shown of a value when there are too many of them. */
const beginning = 500

/** So many events of a stage are shown. */
const mostEvents = 200

type Writable<A> = { -readonly [K in keyof A]: A[K] }

interface DraftRow extends Writable<Omit<Row, "details">> {
  details: Details | null
}

const segmentsOf = (
  given: ReadonlyArray<{ readonly startedAt: number; readonly endedAt?: number }>,
  kind: Segment[0],
  startMs: number,
  nowMs: number
): ReadonlyArray<Segment> =>
  given.map(({ endedAt = nowMs, startedAt }) => {
    const from = Math.max(startedAt - startMs, 0)
    return [kind, from, Math.max(endedAt - startMs, from)]
  })

/** Attempts, the pauses between them, and queues above them. */
const barOf = ({ attempts, waits }: RecordedStage, startMs: number, nowMs: number): ReadonlyArray<Segment> => {
  const made = segmentsOf(attempts, "attempt", startMs, nowMs)
  const pauses = made.slice(1).flatMap(([, from], index): ReadonlyArray<Segment> => {
    const end = made[index]?.[2] ?? from
    return from > end ? [["pause", end, from]] : []
  })
  return [...pauses, ...made, ...segmentsOf(waits, "queue", startMs, nowMs)]
}

const indentedJson = (json: unknown): string => JSON.stringify(json, undefined, 2)

const words: Readonly<Record<Extract<KeptValue, { readonly _tag: "NotKept" }>["reason"], string>> = {
  unrecorded: "what this report was made of does not tell it",
  redacted: "it was redacted",
  too_large: "it is too large",
  not_json: "it cannot be written as JSON"
}

class PageMaker {
  private readonly rows: Array<DraftRow> = []
  private readonly runs: Array<Run> = []
  private readonly layouts: Array<Layout> = []
  private readonly known = new Map<string, number>()
  private readonly startMs: number
  private readonly nowMs: number
  private text = 0

  constructor(root: RunRecord) {
    this.startMs = root.startedAt
    this.nowMs = lastKnownMs(root)
  }

  data(root: RunRecord, analysis: Analysis): PageData {
    this.addStages(root, analysis, 0, -1)
    const lengthMs = Math.max(this.nowMs - this.startMs, root.durationMs ?? 0, 1)
    return {
      looks,
      rows: this.rows,
      runs: this.runs,
      layouts: this.layouts,
      lengthMs,
      ticks: [0, 0.25, 0.5, 0.75, 1].map((part) => [part * lengthMs, shortDuration(part * lengthMs)]),
      first: this.firstWrong(root)
    }
  }

  /** The deepest stage that went wrong, below the stage that the run ended with if that is known. */
  private firstWrong(root: RunRecord): number {
    const wrong = this.rows.flatMap((row, index) =>
      row.kind === "stage" && looks[row.status].tone === "bad" ? [index] : []
    )
    const within = (index: number): boolean => {
      let top = index
      for (let row = this.rows[index]; row !== undefined && row.parent >= 0; row = this.rows[top]) top = row.parent
      return this.rows[top]?.name === root.by
    }
    const candidates = wrong.some(within) ? wrong.filter(within) : wrong
    return candidates.reduce((deepest, index) => {
      const [depth, most] = [this.rows[index]?.depth ?? 0, this.rows[deepest]?.depth ?? -1]
      return depth > most ? index : deepest
    }, -1)
  }

  private addStages(run: RunRecord, analysis: Analysis, depth: number, parent: number): void {
    const stages = placed(run.stages)
    const times = new Map(analysis.stages.map((stage) => [stage.stage, stage]))
    const number = this.runs.length
    const indices: Array<number> = stages.map(() => -1)
    this.runs.push({ name: run.pipeline, stages: indices, layout: this.layoutOf(stages) })
    const eventsOf = eventsByStage(run)
    const wait = Number.POSITIVE_INFINITY
    const order = Array.from(stages.keys()).toSorted((a, b) => {
      const [first, second] = [stages[a]?.stage.startedAt ?? wait, stages[b]?.stage.startedAt ?? wait]
      return first === second ? a - b : first - second
    })
    for (const index of order) {
      const { stage } = stages[index] as Placed // the order is of its indices
      indices[index] = this.addStage(stage, times.get(stage.name), number, depth, parent)
      this.addInside(stage, times.get(stage.name), indices[index] ?? -1, number, depth + 1)
    }
    for (const [index, { before, behind, stage }] of stages.entries()) {
      const row = this.rows[indices[index] ?? -1]
      if (row === undefined) continue
      row.details = {
        facts: this.factsOf(stage, times.get(stage.name)),
        texts: this.textsOf(stage, eventsOf.get(stage.name) ?? []),
        before: before.map((other) => indices[other] ?? -1),
        behind: behind.map((other) => indices[other] ?? -1)
      }
    }
  }

  private layoutOf(stages: ReadonlyArray<Placed>): number {
    const wiring = JSON.stringify(stages.map(({ before }) => before))
    const known = this.known.get(wiring)
    if (known !== undefined) return known
    this.known.set(wiring, this.layouts.length)
    return this.layouts.push(laidOut(stages)) - 1
  }

  private addStage(
    stage: RecordedStage,
    times: StageTimes | undefined,
    run: number,
    depth: number,
    parent: number
  ): number {
    const isParent = stage.runs.length > 0 || stage.attempts.length > 1 || stage.waits.length > 0
    const row = { kind: "stage", name: stage.name, status: stage.status, depth, parent, isParent, run } as const
    return this.push({
      ...row,
      segments: barOf(stage, this.startMs, this.nowMs),
      isCritical: times?.isCritical === true,
      time: this.timeOf(stage)
    })
  }

  private addInside(stage: RecordedStage, times: StageTimes | undefined, parent: number, run: number, depth: number) {
    const inside = { depth, parent, run, isParent: false, isCritical: false } as const
    for (const wait of stage.waits) {
      const segments = segmentsOf([wait], "queue", this.startMs, this.nowMs)
      const status = wait.endedAt === undefined ? "running" : "ok"
      this.push({
        ...inside,
        kind: "queue",
        name: `in the queue of ${wait.queue}`,
        status,
        segments,
        time: spanText(segments)
      })
    }
    if (stage.attempts.length > 1) {
      for (const made of stage.attempts) {
        const segments = segmentsOf([made], "attempt", this.startMs, this.nowMs)
        const isLast = made === stage.attempts.at(-1)
        const name = `attempt ${made.attempt}${made.error === undefined ? "" : `: ${made.error.tag}`}`
        const status = isLast ? stage.status : "failed"
        this.push({ ...inside, kind: "attempt", name, status, segments, time: spanText(segments) })
      }
    }
    for (const [index, child] of stage.runs.entries()) {
      const analysis = times?.runs[index]
      if (analysis === undefined) continue
      const endedAt = child.durationMs === undefined ? this.nowMs : child.startedAt + child.durationMs
      const segments = segmentsOf([{ startedAt: child.startedAt, endedAt }], "attempt", this.startMs, this.nowMs)
      const row = this.push({
        ...inside,
        kind: "run",
        name: child.pipeline,
        status: child.status,
        isParent: child.stages.length > 0,
        run: this.runs.length,
        segments,
        time: spanText(segments)
      })
      this.addStages(child, analysis, depth + 1, row)
      const made = this.rows[row]
      if (made !== undefined) made.details = this.runDetails(child, analysis)
    }
  }

  private push(row: Omit<Row, "details">): number {
    return this.rows.push({ ...row, details: null }) - 1
  }

  private timeOf({ durationMs, startedAt }: RecordedStage): string {
    if (startedAt === undefined) return ""
    const took = durationMs === undefined ? "still running" : shortDuration(durationMs)
    return `+${shortDuration(startedAt - this.startMs)}, ${took}`
  }

  private factsOf(stage: RecordedStage, times: StageTimes | undefined): Details["facts"] {
    const facts: Array<readonly [string, string]> = [["Status", looks[stage.status].word]]
    if (stage.kind !== "") facts.push(["Kind", stage.kind])
    if (stage.reason !== undefined && stage.error === undefined) facts.push(["Reason", stage.reason])
    if (times === undefined) return facts
    const { betweenAttemptsMs, dependenciesMs, otherMs, queuedMs, runningMs, selfMs, slackMs, waitedFor } = times
    facts.push(
      ["Started", `+${shortDuration(times.startedAfterMs)}`],
      ["Took", shortDuration(times.durationMs)],
      [
        "Waited for stages",
        `${shortDuration(dependenciesMs)}${waitedFor === undefined ? "" : `, ${waitedFor} ended last`}`
      ],
      ["Waited in queues", shortDuration(queuedMs)],
      ["Ran", `${shortDuration(runningMs)}${selfMs === runningMs ? "" : `, ${shortDuration(selfMs)} of it itself`}`],
      ["Waited between attempts", shortDuration(betweenAttemptsMs)]
    )
    if (otherMs >= 1) facts.push(["Not accounted for", shortDuration(otherMs)])
    facts.push(
      ["Attempts", String(times.attempts)],
      ["Slack", times.isCritical ? "none: it is on the critical path" : shortDuration(slackMs)]
    )
    return facts
  }

  private textsOf(stage: RecordedStage, events: ReadonlyArray<string>): Details["texts"] {
    const texts: Array<readonly [string, string]> = []
    const { error, explanation, status } = stage
    if (error !== undefined) {
      const told = `${error.tag}${error.code === undefined ? "" : ` (${error.code})`}\n${error.message}`
      texts.push(["Error", this.fitting(explanation ?? told)])
    } else if (explanation !== undefined) texts.push(["Explanation", this.fitting(explanation)])
    if (status !== "never_started" && status !== "waiting") {
      texts.push(["Input", this.valueOf(stage.input)], ["Output", this.valueOf(stage.output)])
    }
    if (events.length > 0) {
      const more = events.length > mostEvents ? `\n… ${events.length - mostEvents} more` : ""
      texts.push(["Events", this.fitting(events.slice(0, mostEvents).join("\n")) + more])
    }
    return texts
  }

  private runDetails(run: RunRecord, analysis: Analysis): Details {
    const { error, reason, runId, status } = run
    return {
      facts: [
        ["Status", looks[status].word],
        ["Run", runId],
        ...(reason === undefined ? [] : [["Reason", reason] as const]),
        ["Why so long", analysis.sentence]
      ],
      texts: error === undefined ? [] : [["Error", this.fitting(`${error.tag}\n${error.message}`)]],
      before: [],
      behind: []
    }
  }

  private valueOf(value: KeptValue): string {
    if (value._tag === "Kept") return this.fitting(indentedJson(value.json))
    return `Not kept: ${words[value.reason]}${value.detail === undefined ? "" : ` (${value.detail})`}`
  }

  /** No more than a page can bear. */
  private fitting(text: string): string {
    const room = this.text < mostText ? longestText : beginning
    const shown = text.length <= room ? text : `${text.slice(0, room)}\n… ${text.length - room} more characters`
    this.text += shown.length
    return shown
  }
}

const spanText = (segments: ReadonlyArray<Segment>): string =>
  segments.map(([, from, to]) => `+${shortDuration(from)}, ${shortDuration(to - from)}`).join("; ")

const eventsByStage = ({ events, startedAt }: RunRecord): ReadonlyMap<string, ReadonlyArray<string>> => {
  const byStage = new Map<string, Array<string>>()
  for (const event of events) {
    if (!isStageEvent(event)) continue
    const data = event._tag === "StageEmitted"
      ? ` ${contentJson(event.data)}`
      : event._tag === "ArtifactAdded"
      ? ` ${contentJson(event.payload)}`
      : ""
    const line = `+${shortDuration(event.at - startedAt)}  ${summary(event)}${data}`
    const known = byStage.get(event.stage)
    if (known === undefined) byStage.set(event.stage, [line])
    else known.push(line)
  }
  return byStage
}

/** What the page of a run shows. */
export const pageData = (run: RunRecord, analysis: Analysis): PageData => new PageMaker(run).data(run, analysis)
