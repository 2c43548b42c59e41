/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * Shows the page of a report in a browser: the graph, the timeline, the panel, and what keys and clicks do.
 *
 * The page gets the source of `showReport`, as it is when the program runs: it uses nothing but its parameters and what a
 * browser has. Text reaches the page through `textContent` and attributes, never as HTML.
 */
import type { PageData, Row } from "./page-model.ts"

/** The sizes of a box. */
export interface BoxSize {
  readonly boxWidth: number
  readonly boxHeight: number
}

export const showReport = (data: PageData, { boxHeight, boxWidth }: BoxSize): void => {
  const { layouts, lengthMs, looks, rows, runs } = data

  // -- elements -------------------------------------------------------------------------------------------------------

  const byId = <E extends Element = HTMLElement>(id: string): E => document.querySelector(`#${id}`) as unknown as E // in the page
  const graph = byId<SVGSVGElement>("graph")
  const graphTitle = byId("graph-title")
  const timeline = byId("timeline")
  const panel = byId("panel")
  const search = byId<HTMLInputElement>("search")
  const found = byId("found")

  type Attributes = Readonly<Record<string, string | number>>

  const withAttributes = <E extends Element>(
    element: E,
    attributes: Attributes,
    children: ReadonlyArray<Node | string>
  ): E => {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
    element.append(...children)
    return element
  }

  const html = <Tag extends keyof HTMLElementTagNameMap>(
    tag: Tag,
    attributes: Attributes = {},
    ...children: ReadonlyArray<Node | string>
  ): HTMLElementTagNameMap[Tag] => withAttributes(document.createElement(tag), attributes, children)

  const svg = (tag: string, attributes: Attributes, ...children: ReadonlyArray<Node | string>): Element =>
    withAttributes(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children)

  /** Puts all into an element at once: as arguments of one call, those of a large run are too many. */
  const fill = <E extends Element>(element: E, children: Iterable<Node>): E => {
    const all = document.createDocumentFragment()
    for (const child of children) all.append(child)
    element.replaceChildren(all)
    return element
  }

  const shortened = (text: string, length: number): string =>
    Array.from(text).length <= length ? text : `${Array.from(text).slice(0, length - 1).join("")}…`

  // -- what is known of rows -------------------------------------------------------------------------------------------

  const rowAt = (index: number): Row | undefined => rows[index]
  /** The row whose details say what this one is about. */
  const detailed = (index: number): number => {
    let at = index
    while (at >= 0 && rowAt(at)?.details === null) at = rowAt(at)?.parent ?? -1
    return at
  }
  const haystacks = rows.map(({ name, status }) => `${name} ${looks[status].word}`.toLowerCase())

  const unfolded = new Set<number>()
  let matches: ReadonlySet<number> | undefined
  let selected = -1
  let shownRun = 0

  const unfoldAbove = (index: number): void => {
    for (let at = rowAt(index)?.parent ?? -1; at >= 0; at = rowAt(at)?.parent ?? -1) unfolded.add(at)
  }

  // -- timeline -------------------------------------------------------------------------------------------------------

  /** One element for each row that was shown, made once. */
  const elements = new Map<number, HTMLElement>()
  let current = -1
  let visible: ReadonlyArray<number> = []

  const percent = (ms: number): string => `${Math.min(Math.max(ms / lengthMs * 100, 0), 100).toFixed(3)}%`

  const rowElement = (index: number, row: Row): HTMLElement => {
    const known = elements.get(index)
    if (known !== undefined) return known
    const { mark, tone, word } = looks[row.status]
    const bar = html("span", { class: "bar" })
    for (const [kind, from, to] of row.segments) {
      bar.append(html("span", { class: kind, style: `left:${percent(from)};width:${percent(to - from)}` }))
    }
    const name = html("span", { class: "name", style: `padding-left:${row.depth * 1.1}rem` })
    name.append(html("span", { class: "fold" }), html("span", { class: "mark" }, mark), ` ${row.name}`)
    const element = html(
      "div",
      {
        class: `row ${tone}`,
        role: "treeitem",
        id: `row-${index}`,
        "aria-level": row.depth + 1,
        tabindex: -1,
        title: row.name
      },
      name,
      " ",
      html("span", { class: "time" }, [word, row.time].filter((part) => part !== "").join(", ")),
      ...(row.isCritical ? [html("span", { class: "unseen" }, ", on the critical path")] : []),
      bar
    )
    if (row.isCritical) element.classList.add("critical")
    element.dataset["row"] = String(index)
    elements.set(index, element)
    return element
  }

  const drawTimeline = (): void => {
    const shown: Array<number> = []
    // Rows stand below the row that they are inside of: one that is folded hides all that are deeper.
    let hiddenBelow = Number.POSITIVE_INFINITY
    for (const [index, row] of rows.entries()) {
      if (row.depth > hiddenBelow) continue
      hiddenBelow = row.isParent && !unfolded.has(index) ? row.depth : Number.POSITIVE_INFINITY
      if (matches === undefined || matches.has(index)) shown.push(index)
    }
    visible = shown
    if (!shown.includes(current)) current = shown[0] ?? -1
    fill(
      timeline,
      shown.flatMap((index) => {
        const row = rowAt(index)
        if (row === undefined) return []
        const element = rowElement(index, row)
        element.tabIndex = index === current ? 0 : -1
        element.setAttribute("aria-selected", String(index === selected))
        if (row.isParent) element.setAttribute("aria-expanded", String(unfolded.has(index)))
        return [element]
      })
    )
  }

  const moveTo = (index: number, focus: boolean): void => {
    const [before, now] = [elements.get(current), elements.get(index)]
    if (before !== undefined) before.tabIndex = -1
    current = index
    if (now === undefined) return
    now.tabIndex = 0
    if (focus) now.focus()
  }

  const fold = (index: number, open: boolean): void => {
    if (rowAt(index)?.isParent !== true) return
    if (open) unfolded.add(index)
    else unfolded.delete(index)
    const hadFocus = timeline.contains(document.activeElement)
    drawTimeline()
    moveTo(index, hadFocus)
  }

  // -- graph ----------------------------------------------------------------------------------------------------------

  let boxes: ReadonlyArray<Element> = []
  let zoom = 1

  const applyZoom = (): void => {
    const layout = layouts[runs[shownRun]?.layout ?? -1]
    if (layout === undefined) return
    graph.setAttribute("width", String(Math.max(layout.width * zoom, 1)))
    graph.setAttribute("height", String(Math.max(layout.height * zoom, 1)))
  }

  const drawGraph = (number: number): void => {
    const run = runs[number]
    const layout = layouts[run?.layout ?? -1]
    if (run === undefined || layout === undefined) return
    shownRun = number
    graphTitle.textContent = `Graph of ${run.name}`
    graph.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`)
    graph.setAttribute("aria-label", `Graph of ${run.name}`)
    const isCritical = (position: number): boolean => rowAt(run.stages[position] ?? -1)?.isCritical === true
    const lines = layout.lines.map(([from, to, path]) =>
      svg("path", { d: path, class: isCritical(from) && isCritical(to) ? "critical" : "", "marker-end": "url(#arrow)" })
    )
    boxes = layout.boxes.flatMap(([x, y], position) => {
      const index = run.stages[position] ?? -1
      const row = rowAt(index)
      if (row === undefined) return []
      const { mark, tone, word } = looks[row.status]
      const took = row.time.includes(", ") ? row.time.slice(row.time.indexOf(",")) : ""
      const box = svg(
        "g",
        {
          class: `box ${tone}${row.isCritical ? " critical" : ""}`,
          transform: `translate(${x - boxWidth / 2} ${y - boxHeight / 2})`,
          role: "button",
          tabindex: -1,
          "data-row": index
        },
        svg("rect", { width: boxWidth, height: boxHeight, rx: 6 }),
        svg("text", { x: 12, y: 18, class: "mark" }, `${mark} `),
        svg("text", { x: 30, y: 18, class: "name" }, `${shortened(row.name, 18)} `),
        svg("text", { x: 30, y: 33, class: "took" }, `${word}${took}`)
      )
      return [box]
    })
    const [lineGroup, boxGroup] = [
      fill(svg("g", { class: "lines", "aria-hidden": "true" }), lines),
      fill(svg("g", {}), boxes)
    ]
    graph.replaceChildren(...graph.querySelectorAll("defs"), lineGroup, boxGroup)
    applyZoom()
    markBoxes()
  }

  const boxOf = (index: number): Element | undefined =>
    boxes.find((box) => box.getAttribute("data-row") === String(index))

  /** One box is a stop of the tab key: the selected one, or the first. */
  const markBoxes = (): void => {
    const row = detailed(selected)
    const stop = boxOf(row) ?? boxes[0]
    for (const box of boxes) {
      const index = Number(box.getAttribute("data-row"))
      box.setAttribute("tabindex", box === stop ? "0" : "-1")
      box.toggleAttribute("aria-current", index === row)
      box.classList.toggle("unmatched", matches !== undefined && !matches.has(index))
    }
  }

  // -- panel ----------------------------------------------------------------------------------------------------------

  const links = (title: string, indices: ReadonlyArray<number>): ReadonlyArray<Node> =>
    indices.length === 0 ? [] : [
      html("h3", {}, title),
      html(
        "p",
        { class: "links" },
        ...indices.slice(0, 100).flatMap((index) => {
          const row = rowAt(index)
          if (row === undefined) return []
          const { mark, word } = looks[row.status]
          return [
            html(
              "button",
              { type: "button", "data-row": index, "aria-label": `${row.name}, ${word}` },
              `${mark} ${row.name}`
            )
          ]
        }),
        ...(indices.length > 100 ? [`and ${indices.length - 100} more`] : [])
      )
    ]

  const drawPanel = (): void => {
    const index = detailed(selected)
    const row = rowAt(index)
    panel.hidden = row === undefined
    document.body.classList.toggle("with-panel", row !== undefined)
    if (row === undefined || row.details === null) return
    const { before, behind, facts, texts } = row.details
    const { mark, tone } = looks[row.status]
    panel.setAttribute("aria-label", `Details of ${row.name}`)
    panel.replaceChildren(
      html("button", { type: "button", class: "close", "aria-label": "Close the details" }, "✕"),
      html("h2", { class: tone }, html("span", { class: "mark" }, mark), ` ${row.name}`),
      html("dl", {}, ...facts.flatMap(([label, value]) => [html("dt", {}, label), html("dd", {}, value)])),
      ...texts.flatMap((
        [heading, text]
      ) => [html("h3", {}, heading), html("pre", { tabindex: 0, role: "region", "aria-label": heading }, text)]),
      ...links("Waits for", before),
      ...links("Waited for by", behind)
    )
    panel.scrollTop = 0
  }

  /** Shows a row everywhere; where it is focused, the focus stays in the graph or in the timeline. */
  const select = (index: number, focus: "graph" | "timeline" | "none"): void => {
    const row = rowAt(index)
    const previous = selected
    selected = row === undefined ? -1 : index
    if (row !== undefined) {
      if (matches !== undefined && !matches.has(index)) filter("")
      unfoldAbove(index)
      if (!visible.includes(index)) drawTimeline()
      if (row.kind !== "run" && row.run !== shownRun) drawGraph(row.run)
      moveTo(index, focus === "timeline")
    }
    elements.get(previous)?.setAttribute("aria-selected", "false")
    elements.get(selected)?.setAttribute("aria-selected", "true")
    elements.get(selected)?.scrollIntoView({ block: "nearest" })
    markBoxes()
    const box = boxOf(detailed(selected))
    box?.scrollIntoView({ block: "nearest", inline: "nearest" })
    if (focus === "graph" && box instanceof SVGElement) box.focus()
    drawPanel()
  }

  const close = (): void => {
    const inGraph = graph.contains(document.activeElement)
    const row = selected
    select(-1, "none")
    const box = boxOf(detailed(row))
    if (inGraph && box instanceof SVGElement) box.focus()
    else elements.get(row)?.focus()
  }

  // -- search ---------------------------------------------------------------------------------------------------------

  const filter = (text: string): void => {
    search.value = text
    const wanted = text.trim().toLowerCase()
    if (wanted === "") {
      matches = undefined
      found.textContent = ""
    } else {
      const all = new Set<number>()
      let count = 0
      for (const [index, haystack] of haystacks.entries()) {
        const { kind = "stage" } = rowAt(index) ?? {}
        if ((kind !== "stage" && kind !== "run") || !haystack.includes(wanted)) continue
        count++
        unfoldAbove(index)
        for (let at = index; at >= 0; at = rowAt(at)?.parent ?? -1) all.add(at)
      }
      matches = all
      found.textContent = count === 1 ? "1 match" : `${count} matches`
    }
    drawTimeline()
    markBoxes()
  }

  // -- keys and clicks ------------------------------------------------------------------------------------------------

  const rowOf = (target: EventTarget | null): number => {
    const element = target instanceof Element ? target.closest("[data-row]") : null
    return element === null ? -1 : Number(element.getAttribute("data-row"))
  }

  timeline.addEventListener("click", (event) => {
    const index = rowOf(event.target)
    if (index < 0) return
    if (event.target instanceof Element && event.target.classList.contains("fold")) fold(index, !unfolded.has(index))
    else select(index, "timeline")
  })

  /** What a key does in the timeline; whether it does anything. */
  const timelineKey = (key: string): boolean => {
    const place = visible.indexOf(current)
    const row = rowAt(current)
    const go = (index: number | undefined): boolean => {
      if (index !== undefined && index >= 0) {
        moveTo(index, true)
        elements.get(index)?.scrollIntoView({ block: "nearest" })
      }
      return true
    }
    switch (key) {
      case "ArrowDown":
        return go(visible[place + 1])
      case "ArrowUp":
        return go(visible[place - 1])
      case "Home":
        return go(visible[0])
      case "End":
        return go(visible.at(-1))
      case "ArrowRight":
        if (row?.isParent !== true) return true
        if (unfolded.has(current)) return go(visible[place + 1])
        fold(current, true)
        return true
      case "ArrowLeft":
        if (row?.isParent === true && unfolded.has(current)) fold(current, false)
        else go(row?.parent)
        return true
      case "Enter":
      case " ":
        select(current, "timeline")
        return true
      default:
        return false
    }
  }

  timeline.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && timelineKey(event.key)) event.preventDefault()
  })

  graph.addEventListener("click", (event) => {
    const index = rowOf(event.target)
    if (index >= 0) select(index, "graph")
  })

  /** The next box in a direction: along the lines to the sides, in the column up and down. */
  const nextBox = (index: number, key: string): number | undefined => {
    const { details = null } = rowAt(index) ?? {}
    if (key === "ArrowRight") return details?.behind[0]
    if (key === "ArrowLeft") return details?.before[0]
    const run = runs[shownRun]
    const layout = layouts[run?.layout ?? -1]
    const at = layout?.boxes[run?.stages.indexOf(index) ?? -1]
    if (run === undefined || layout === undefined || at === undefined) return undefined
    const [x, y] = at
    let nearest: number | undefined
    let distance = Number.POSITIVE_INFINITY
    for (const [position, [otherX, otherY]] of layout.boxes.entries()) {
      const down = key === "ArrowDown" ? otherY - y : y - otherY
      if (down <= 0) continue
      const far = down + 4 * Math.abs(otherX - x)
      if (far < distance) [nearest, distance] = [run.stages[position], far]
    }
    return nearest
  }

  graph.addEventListener("keydown", (event) => {
    const index = rowOf(event.target)
    if (index < 0 || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Enter" || event.key === " ") select(index, "graph")
    else if (event.key.startsWith("Arrow")) {
      const next = boxOf(nextBox(index, event.key) ?? -1)
      if (next instanceof SVGElement) {
        for (const box of boxes) box.setAttribute("tabindex", box === next ? "0" : "-1")
        next.focus()
      }
    } else return
    event.preventDefault()
  })

  panel.addEventListener("click", (event) => {
    const index = rowOf(event.target)
    if (index >= 0) select(index, "timeline")
    else if (event.target instanceof Element && event.target.classList.contains("close")) close()
  })

  search.addEventListener("input", () => filter(search.value))
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || matches === undefined) return
    event.preventDefault()
    const wanted = search.value.trim().toLowerCase()
    const hit = visible.find((index) => haystacks[index]?.includes(wanted) === true)
    if (hit !== undefined) select(hit, "timeline")
  })

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (document.activeElement === search && search.value !== "") filter("")
      else if (selected >= 0) close()
    } else if (event.key === "/" && document.activeElement !== search && !event.ctrlKey && !event.metaKey) {
      event.preventDefault()
      search.focus()
    }
  })

  byId("fold-all").addEventListener("click", () => {
    unfolded.clear()
    drawTimeline()
  })
  byId("unfold-all").addEventListener("click", () => {
    for (const [index, { isParent }] of rows.entries()) if (isParent) unfolded.add(index)
    drawTimeline()
  })
  for (const [id, factor] of [["larger", 1.25], ["smaller", 0.8]] as const) {
    byId(id).addEventListener("click", () => {
      zoom = Math.min(Math.max(zoom * factor, 0.1), 3)
      applyZoom()
    })
  }

  // -- theme ----------------------------------------------------------------------------------------------------------

  const theme = byId("theme")
  const prefersDark = matchMedia("(prefers-color-scheme: dark)")
  const isDark = (): boolean =>
    (document.documentElement.dataset["theme"] ?? (prefersDark.matches ? "dark" : "light")) === "dark"
  const showTheme = (): void => theme.setAttribute("aria-pressed", String(isDark()))
  theme.addEventListener("click", () => {
    document.documentElement.dataset["theme"] = isDark() ? "light" : "dark"
    showTheme()
  })
  prefersDark.addEventListener("change", showTheme)

  // -- the first sight ------------------------------------------------------------------------------------------------

  byId("ticks").append(...data.ticks.map(([ms, text]) => html("span", { style: `left:${percent(ms)}` }, text)))
  showTheme()
  drawGraph(0)
  drawTimeline()
  if (data.first >= 0) select(data.first, "none")
  else drawPanel()
  document.documentElement.dataset["ready"] = "true"
}
