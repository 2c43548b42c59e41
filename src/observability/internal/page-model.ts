/**
 * Defines what the page of a report is told, as JSON: everything that is calculated beforehand, so that its script only shows
 * it.
 */
import type { Look, Status } from "./looks.ts"

/** A part of a bar: in a queue, an attempt, or between attempts. Times are milliseconds since the start of the report's run. */
export type Segment = readonly [kind: "queue" | "attempt" | "pause", from: number, to: number]

/** What the panel shows of a stage or a run. */
export interface Details {
  readonly facts: ReadonlyArray<readonly [label: string, value: string]>
  /** Texts with a heading; a title that is `code` is shown as it is. */
  readonly texts: ReadonlyArray<readonly [heading: string, text: string]>
  /** The rows of the stages that it waits for, and of those that wait for it. */
  readonly before: ReadonlyArray<number>
  readonly behind: ReadonlyArray<number>
}

/** A row of the timeline; rows stand below the row that they are inside of. */
export interface Row {
  readonly kind: "stage" | "run" | "attempt" | "queue"
  readonly name: string
  readonly status: Status
  readonly depth: number
  /** The row that it is inside of, -1 for the outermost. */
  readonly parent: number
  /** Whether there are rows inside. */
  readonly isParent: boolean
  /** The run that it belongs to. */
  readonly run: number
  readonly segments: ReadonlyArray<Segment>
  readonly isCritical: boolean
  /** When it was, and how long it took, in words. */
  readonly time: string
  /** Nothing for attempts and queues: the panel shows their stage. */
  readonly details: Details | null
}

/** A run whose graph can be shown. */
export interface Run {
  readonly name: string
  /** The rows of its stages, in the order of the boxes of its layout. */
  readonly stages: ReadonlyArray<number>
  readonly layout: number
}

/** Where the boxes of a graph are, and the lines between them. */
export interface Layout {
  readonly width: number
  readonly height: number
  /** The middle of each box. */
  readonly boxes: ReadonlyArray<readonly [x: number, y: number]>
  readonly lines: ReadonlyArray<readonly [from: number, to: number, path: string]>
}

/** Everything that the page shows. */
export interface PageData {
  readonly looks: Readonly<Record<Status, Look>>
  readonly rows: ReadonlyArray<Row>
  readonly runs: ReadonlyArray<Run>
  /** Runs of one pipeline share their layout. */
  readonly layouts: ReadonlyArray<Layout>
  readonly lengthMs: number
  /** Times along the axis of the timeline. */
  readonly ticks: ReadonlyArray<readonly [ms: number, text: string]>
  /** The row that is shown first: what went wrong. -1 when nothing did. */
  readonly first: number
}

/** How large a box of a graph is. */
export const boxWidth = 172
/** How large a box of a graph is. */
export const boxHeight = 42
