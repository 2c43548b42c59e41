/**
 * Writes the page of a report: one file with everything in it.
 */
import type { Analysis } from "./analysis-model.ts"
import { isoDate } from "./iso-date.ts"
import { shortDuration } from "./layout.ts"
import { looks } from "./looks.ts"
import { pageData } from "./page-data.ts"
import { boxHeight, boxWidth } from "./page-model.ts"
import { showReport } from "./page-script.ts"
import { pageStyle } from "./page-style.ts"
import type { RunRecord } from "./record-model.ts"

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "'": "&#39;"
}

/** Text as it stands in HTML. What is half a character would make the file unreadable. */
const escaped = (text: string): string =>
  text.toWellFormed().replaceAll(/[&<>"']/g, (found) => entities[found] ?? found)

/** JSON as it may stand in a script element, whatever is in it. */
const inScript = (data: unknown): string =>
  JSON.stringify(data).toWellFormed().replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** Nothing comes from elsewhere, and nothing goes there. */
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/** What compilers that keep the names of functions call: they put it into the source of the script. */
const keepsNames = "const __name=(target)=>target;"

const verdict = (run: RunRecord, { durationMs }: Analysis): string => {
  const { mark, word } = looks[run.status]
  const by = run.by === undefined ? "" : run.status === "failed" ? ` at ${run.by}` : ` by ${run.by}`
  return `${mark} ${word}${by} ${run.status === "running" ? "for" : "after"} ${shortDuration(durationMs)}`
}

const about = (run: RunRecord): string =>
  [
    `run ${run.runId}`,
    // A result does not tell when its run was.
    ...(run.startedAt < 1e9 ? [] : [`started ${isoDate(run.startedAt)}`]),
    `${run.stages.length} stages`,
    ...(run.userId === undefined ? [] : [`user ${run.userId}`]),
    ...(run.orgId === undefined ? [] : [`organisation ${run.orgId}`]),
    ...(run.replayOf === undefined ? [] : [`replay of ${run.replayOf}`]),
    ...(run.tags.length === 0 ? [] : [`tags ${run.tags.join(", ")}`])
  ].join(" · ")

/** The page of a run; `text` is for those who see it without its script. */
export const page = (run: RunRecord, analysis: Analysis, text: string): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escaped(`${run.pipeline}: ${looks[run.status].word}`)}</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
<a class="skip" href="#timeline-section">Skip to the timeline</a>
<header>
<div>
<h1>${escaped(run.pipeline)}</h1>
<p class="verdict ${looks[run.status].tone}">${escaped(verdict(run, analysis))}</p>
<div class="tools" role="search">
<label for="search">Search</label>
<input id="search" type="search" autocomplete="off" spellcheck="false" placeholder="name or status" aria-describedby="found">
<span id="found" role="status"></span>
<button id="theme" type="button" aria-pressed="false">Dark</button>
</div>
</div>
${run.reason === undefined ? "" : `<p class="why">${escaped(run.reason)}</p>`}
<p class="why">${escaped(analysis.sentence)}</p>
<p class="about">${escaped(about(run))}</p>
</header>
<main>
<section aria-labelledby="graph-title">
<div class="head"><h2 id="graph-title">Graph</h2>
<button id="smaller" type="button" aria-label="Smaller">−</button><button id="larger" type="button" aria-label="Larger">+</button></div>
<div class="scroll">
<svg id="graph" role="group"><defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"></path></marker></defs></svg>
</div>
</section>
<section id="timeline-section" aria-labelledby="timeline-title" tabindex="-1">
<div class="head"><h2 id="timeline-title">Timeline</h2>
<button id="unfold-all" type="button">Unfold all</button><button id="fold-all" type="button">Fold all</button></div>
<div class="axis" aria-hidden="true"><div id="ticks"></div></div>
<div class="scroll"><div id="timeline" role="tree" aria-labelledby="timeline-title"></div></div>
</section>
<aside id="panel" aria-label="Details" hidden></aside>
</main>
<noscript><pre>${escaped(text)}</pre></noscript>
<script type="application/json" id="data">${inScript(pageData(run, analysis))}</script>
<script>
${keepsNames}
(${showReport})(JSON.parse(document.querySelector("#data").textContent), ${JSON.stringify({ boxHeight, boxWidth })})
</script>
</body>
</html>
`
