/**
 * Holds the style sheet of the page of a report. Colours are for a light page and a dark one; no status is told by colour
 * alone.
 */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: light-dark(#ffffff, #14171c);
  --raised: light-dark(#f6f7f9, #1d2128);
  --line: light-dark(#d5d9e0, #363c47);
  --text: light-dark(#1a1d23, #e8eaee);
  --faint: light-dark(#555d6b, #a7afbd);
  --focus: light-dark(#1d4ed8, #93b4ff);
  --good: light-dark(#15692f, #6fdc8f);
  --active: light-dark(#1d4ed8, #8ab0ff);
  --quiet: light-dark(#525a68, #a7afbd);
  --warning: light-dark(#8a4b00, #f2b95c);
  --bad: light-dark(#b3141b, #ff8f8f);
  --stopped: light-dark(#6d28b5, #cfa5ff);
  --box: light-dark(#ffffff, #1d2128);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html, body { height: 100%; margin: 0; }
body {
  display: grid; grid-template: auto minmax(0, 1fr) / minmax(0, 1fr);
  background: var(--page); color: var(--text); font: 14px/1.45 system-ui, sans-serif;
}
:focus-visible { outline: 3px solid var(--focus); outline-offset: -2px; }
.good { --tone: var(--good); } .active { --tone: var(--active); } .quiet { --tone: var(--quiet); }
.warning { --tone: var(--warning); } .bad { --tone: var(--bad); } .stopped { --tone: var(--stopped); }
.skip { position: absolute; left: -999rem; padding: .5rem 1rem; background: var(--page); color: var(--focus); z-index: 2; }
.skip:focus { left: .5rem; top: .5rem; }
header { padding: .7rem 1rem; border-bottom: 1px solid var(--line); background: var(--raised); }
header > div { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; }
h1 { margin: 0; font-size: 1.25rem; overflow-wrap: anywhere; }
h2 { margin: 0; font-size: 1rem; overflow-wrap: anywhere; }
h3 { margin: 1rem 0 .25rem; font-size: .85rem; color: var(--faint); }
.verdict { margin: 0; color: var(--tone); font-weight: 600; }
.why { margin: .35rem 0 0; max-width: 70rem; overflow-wrap: anywhere; }
.about { margin: .2rem 0 0; color: var(--faint); font-size: .85rem; overflow-wrap: anywhere; }
.tools { margin-left: auto; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
button, input {
  font: inherit; color: inherit; background: var(--page); border: 1px solid var(--faint); border-radius: 5px;
  padding: .2rem .6rem; min-height: 1.9rem;
}
button { cursor: pointer; }
button[aria-pressed="true"] { background: var(--text); color: var(--page); }
button:hover { border-color: var(--text); }
input { width: 14rem; max-width: 50vw; }
#found { min-width: 5.5rem; color: var(--faint); }
main { display: grid; min-height: 0; grid-template: minmax(0, 1fr) minmax(0, 1fr) / minmax(0, 1fr); }
.with-panel main { grid-template-columns: minmax(0, 1fr) minmax(18rem, 26rem); }
section { display: flex; flex-direction: column; min-height: 0; border-bottom: 1px solid var(--line); }
.head { display: flex; gap: .5rem; align-items: center; padding: .4rem 1rem; }
.head h2 { margin-right: auto; }
.head button { padding: 0 .6rem; min-height: 1.6rem; }
.scroll { overflow: auto; flex: 1; min-height: 0; padding: 0 1rem .6rem; }
#graph { display: block; }
#graph path { fill: none; stroke: var(--faint); stroke-width: 1.2; opacity: .7; }
#graph path.critical { stroke: var(--text); stroke-width: 2.6; opacity: 1; }
#graph marker path { fill: var(--faint); stroke: none; opacity: 1; }
.box { cursor: pointer; outline: none; }
.box rect { fill: var(--box); stroke: var(--tone); stroke-width: 1.5; }
.box.critical rect { stroke-width: 3; }
.box.bad rect { stroke-width: 3; stroke-dasharray: 7 3; }
.box[aria-current] rect { fill: light-dark(#e3ebff, #2a3550); }
.box:focus-visible rect { outline: 3px solid var(--focus); outline-offset: 2px; }
.box.unmatched { opacity: .3; }
.box text { fill: var(--text); font-size: 13px; }
.box text.mark { fill: var(--tone); font-weight: 700; }
.box text.took { fill: var(--faint); font-size: 11px; }
.row, .axis {
  display: grid; grid-template-columns: minmax(8rem, 17rem) 13rem minmax(6rem, 1fr); gap: .75rem; align-items: center;
}
.axis { padding: 0 1.2rem .2rem 1rem; color: var(--faint); font-size: .8rem; height: 1.4rem; }
#ticks { position: relative; height: 100%; grid-column: 3; }
#ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
#ticks span:first-child { transform: none; }
#ticks span:last-child { transform: translateX(-100%); }
.row {
  height: 1.7rem; border-radius: 4px; cursor: default; scroll-margin: 2rem 0;
  content-visibility: auto; contain-intrinsic-height: 1.7rem;
}
.row:hover { background: var(--raised); }
.row[aria-selected="true"] { background: light-dark(#e3ebff, #2a3550); }
.row .name { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.row.critical .name { font-weight: 700; }
.row .mark, h2 .mark { display: inline-block; min-width: 1.1em; text-align: center; color: var(--tone); font-weight: 700; }
.row .time { color: var(--faint); font-variant-numeric: tabular-nums; white-space: nowrap; font-size: .85rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.row { position: relative; }
.fold { display: inline-block; width: 1.2rem; text-align: center; color: var(--faint); cursor: pointer; }
[aria-expanded="false"] .fold::before { content: "▸" / ""; }
[aria-expanded="true"] .fold::before { content: "▾" / ""; }
.bar { position: relative; height: .8rem; background: linear-gradient(var(--line), var(--line)) center / 100% 1px no-repeat; }
.bar span { position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: 2px; background: var(--tone); }
.bar .pause { opacity: .3; top: 35%; bottom: 35%; }
.bar .queue {
  background: repeating-linear-gradient(45deg, var(--warning) 0 3px, transparent 3px 6px); border: 1px solid var(--warning);
}
.row.critical .bar .attempt { box-shadow: 0 0 0 2px var(--page), 0 0 0 3px var(--text); }
#panel {
  grid-row: 1 / 3; grid-column: 2; overflow: auto; padding: .8rem 1rem; background: var(--raised);
  border-left: 1px solid var(--line); position: relative;
}
#panel h2 { padding-right: 2.5rem; }
.close { position: absolute; top: .6rem; right: .8rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .8rem; margin: .6rem 0 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
pre {
  margin: 0; padding: .5rem; max-height: 20rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere;
  background: var(--page); border: 1px solid var(--line); border-radius: 5px; font: 12px/1.45 ui-monospace, monospace;
}
.links { display: flex; flex-wrap: wrap; gap: .3rem; margin: 0; }
.links button { overflow-wrap: anywhere; text-align: left; }
noscript pre { margin: 1rem; }
@media (max-width: 50rem) {
  html, body { height: auto; }
  main, .with-panel main { display: block; }
  .scroll { max-height: 70vh; }
  .row, .axis { grid-template-columns: minmax(6rem, 2fr) minmax(5rem, 1fr); }
  .axis, .row .bar { grid-column: 1 / 3; }
  .row { height: auto; contain-intrinsic-height: 2.6rem; }
  #ticks { grid-column: 1 / 3; }
  #panel { border-left: 0; }
}
@media (prefers-reduced-motion: no-preference) { .row, button { transition: background-color .12s; } }
@media print { html, body { height: auto; } main { display: block; } .scroll { overflow: visible; } }
`
