/**
 * Writes the record of a run for Mermaid: its graph with a colour for each status, or its timeline as a Gantt chart.
 */
import { mermaidText } from "../../internal/mermaid-text.ts"
import { shortDuration } from "./layout.ts"
import { type Look, looks } from "./looks.ts"
import { orderOf, placed } from "./order.ts"
import type { RecordedStage, RunRecord } from "./record-model.ts"
import { lastKnownMs } from "./seen-record.ts"

/** Fill, border and text of each tone: readable on a light page and on a dark one, since they have their own background. */
const classes: Readonly<Record<Look["tone"], string>> = {
  good: "fill:#dcfce7,stroke:#15803d,color:#14532d",
  active: "fill:#dbeafe,stroke:#1d4ed8,color:#1e3a8a",
  quiet: "fill:#f1f5f9,stroke:#64748b,color:#334155",
  warning: "fill:#fef3c7,stroke:#b45309,color:#78350f",
  bad: "fill:#fee2e2,stroke:#b91c1c,color:#7f1d1d,stroke-width:3px",
  stopped: "fill:#f3e8ff,stroke:#7e22ce,color:#581c87"
}

const titleOf = ({ name, status }: RecordedStage): string => `#${mark(looks[status])}; ${mermaidText(name)}`

const mark = (look: Look): number => look.mark.codePointAt(0) ?? 0

const boxOf = (stage: RecordedStage, index: number): string => {
  const { durationMs, status } = stage
  const took = durationMs === undefined ? "" : `, ${shortDuration(durationMs)}`
  return `  s${index}["${titleOf(stage)}<br/>${looks[status].word}${took}"]:::${looks[status].tone}`
}

/** The graph of a run, left to right. */
export const mermaidGraph = ({ stages }: RunRecord): string => {
  const tones = new Set(stages.map(({ status }) => looks[status].tone))
  return [
    "flowchart LR",
    ...stages.map(boxOf),
    ...placed(stages).flatMap(({ before }, index) => before.map((other) => `  s${other} --> s${index}`)),
    ...Array.from(tones, (tone) => `  classDef ${tone} ${classes[tone]}`)
  ].join("\n")
}

const tags: Readonly<Record<Look["tone"], string>> = {
  good: "done, ",
  active: "active, ",
  quiet: "done, ",
  warning: "crit, ",
  bad: "crit, ",
  stopped: ""
}

interface Chart {
  readonly lines: Array<string>
  readonly startMs: number
  readonly nowMs: number
  tasks: number
}

/** The stages in the order in which they started, and below them the runs that they started, as sections of their own. */
const addSection = (chart: Chart, run: RunRecord, title: string): void => {
  const order = orderOf(placed(run.stages)).flatMap((index) => run.stages[index] ?? [])
  const started = order.filter(({ startedAt }) => startedAt !== undefined)
    .toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0))
  chart.lines.push(`  section ${mermaidText(title).replaceAll("<br/>", " ")}`)
  for (const stage of started) {
    const from = Math.max((stage.startedAt ?? 0) - chart.startMs, 0)
    const took = Math.max(stage.durationMs ?? chart.nowMs - chart.startMs - from, 0)
    const name = titleOf(stage).replaceAll("<br/>", " ")
    const tag = tags[looks[stage.status].tone]
    // A bar of no length at all is not drawn.
    chart.lines.push(`  ${name} :${tag}t${chart.tasks++}, ${Math.round(from)}, ${Math.max(Math.round(took), 1)}ms`)
  }
  for (const stage of started) {
    for (const child of stage.runs) addSection(chart, child, `${stage.name} > ${child.pipeline}`)
  }
}

/** The timeline of a run as a Gantt chart, from the start of the run. */
export const mermaidGantt = (run: RunRecord): string => {
  const chart: Chart = { lines: [], startMs: run.startedAt, nowMs: lastKnownMs(run), tasks: 0 }
  addSection(chart, run, run.pipeline)
  return ["gantt", "  dateFormat x", "  axisFormat %M:%S.%L", ...chart.lines].join("\n")
}
