/**
 * Says how what became of a stage or a run is shown: by a mark, a word and a colour.
 */
import type { RunStatus, StageStatus } from "./record-model.ts"

/** What has become of a stage or a run. */
export type Status = StageStatus | RunStatus

export interface Look {
  /** One character, so that nobody needs to see colours. */
  readonly mark: string
  readonly word: string
  /** Which of the colours of a report it has. */
  readonly tone: "good" | "active" | "quiet" | "warning" | "bad" | "stopped"
}

export const looks: Readonly<Record<Status, Look>> = {
  waiting: { mark: "…", word: "waiting", tone: "quiet" },
  running: { mark: "▸", word: "running", tone: "active" },
  ok: { mark: "✓", word: "ok", tone: "good" },
  completed: { mark: "✓", word: "completed", tone: "good" },
  skipped: { mark: "↷", word: "skipped", tone: "quiet" },
  cancelled: { mark: "⊘", word: "cancelled", tone: "warning" },
  incomplete: { mark: "◐", word: "incomplete", tone: "warning" },
  failed: { mark: "✗", word: "failed", tone: "bad" },
  timed_out: { mark: "◷", word: "timed out", tone: "bad" },
  denied: { mark: "⊘", word: "denied", tone: "bad" },
  rejected: { mark: "✗", word: "rejected", tone: "bad" },
  lost: { mark: "?", word: "lost", tone: "bad" },
  blocked: { mark: "■", word: "blocked", tone: "stopped" },
  interrupted: { mark: "‖", word: "interrupted", tone: "stopped" },
  abandoned: { mark: "!", word: "abandoned", tone: "bad" },
  never_started: { mark: "○", word: "never started", tone: "quiet" }
}
