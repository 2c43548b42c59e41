/**
 * The report's page in a real browser, opened from a disk.
 */
import { Effect } from "effect"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { performance } from "node:perf_hooks"
import { type Browser, chromium, type Page } from "playwright-core"
import { RunReport } from "stageflow/observability"
import { afterAll, assert, beforeAll, describe, inject, it } from "vitest"
import { failedRun, hostile, largeRun, written } from "./support/reports.ts"

const folder = mkdtempSync(`${tmpdir()}/stageflow-report-`)
const pictures = process.env["SCREENSHOTS"] ?? folder

let browser: Browser
let failed: string

beforeAll(async () => {
  const quiet = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync"
  ]
  browser = await chromium.launch({ executablePath: inject("chromium"), args: ["--no-sandbox", ...quiet] })
  failed = written(folder, "failed", await Effect.runPromise(failedRun))
})

afterAll(async () => {
  await browser.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Opened {
  readonly page: Page
  /** What the browser complained of, and what it asked others for. */
  readonly complaints: Array<string>
}

const open = async (address: string, colorScheme: "light" | "dark" = "light"): Promise<Opened> => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme })
  const complaints: Array<string> = []
  page.on("console", (message) => complaints.push(message.text()))
  page.on("pageerror", (error) => complaints.push(String(error)))
  page.on("request", (request) => {
    if (request.url() !== address && !request.url().startsWith("data:")) complaints.push(request.url())
  })
  await page.goto(address)
  await page.waitForSelector("html[data-ready]")
  return { page, complaints }
}

/** What a screen reader says of what has the focus, without its mark. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(() => document.activeElement?.textContent.replace(/^\S+ /, "") ?? "")

const names = (page: Page): Promise<ReadonlyArray<string>> =>
  page.locator("[role=treeitem]").evaluateAll((rows) => rows.map((row) => row.textContent.replace(/^\S+ /, "")))

describe("the page of a report", () => {
  it("opens from a disk without a word of complaint, and asks nobody for anything", async () => {
    const { complaints, page } = await open(failed)
    assert.deepStrictEqual(complaints, [])
    assert.strictEqual(await page.title(), "support: failed")
    await page.close()
  })

  it("shows what failed at once: selected, in sight in the timeline, in the graph and in the panel", async () => {
    const { page } = await open(failed)
    const row = page.locator("[role=treeitem][aria-selected=true]")
    assert.match(await row.textContent() ?? "", /^✗ llm failed, /)
    const box = page.locator("#graph [aria-current]")
    for (const element of [row, box]) {
      const { height, width, x, y } = await element.boundingBox() ?? assert.fail("it is not drawn")
      assert.isTrue(x >= 0 && y >= 0 && x + width <= 1280 && y + height <= 800, "it is out of sight")
    }
    const panel = page.getByRole("complementary", { name: "Details of llm" })
    assert.include(await panel.innerText(), "The model is down: overloaded")
    assert.include(await panel.innerText(), "Waited between attempts")
    await page.close()
  })

  it("can be used with the keyboard alone", async () => {
    const { page } = await open(failed)
    await page.keyboard.press("Tab")
    assert.strictEqual(await page.evaluate(() => document.activeElement?.textContent), "Skip to the timeline")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    assert.match(await focused(page), /^llm failed/)
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle)
    assert.strictEqual(outline, "solid")
    // Its attempts unfold, fold again, and the arrows go up and down.
    await page.keyboard.press("ArrowRight")
    assert.lengthOf((await names(page)).filter((name) => name.startsWith("attempt ")), 3)
    await page.keyboard.press("ArrowDown")
    assert.match(await focused(page), /^attempt 1/)
    await page.keyboard.press("ArrowLeft")
    assert.match(await focused(page), /^llm/)
    await page.keyboard.press("ArrowLeft")
    assert.lengthOf((await names(page)).filter((name) => name.startsWith("attempt ")), 0)
    assert.match(await focused(page), /^llm/)
    // Escape closes the panel, enter opens it.
    await page.keyboard.press("Escape")
    assert.isTrue(await page.locator("#panel").isHidden())
    assert.match(await focused(page), /^llm/)
    await page.keyboard.press("Home")
    await page.keyboard.press("Enter")
    assert.match(await page.locator("#panel").getAttribute("aria-label") ?? "", /^Details of input_guard/)
    await page.close()
  })

  it("has a graph whose boxes the arrows go along", async () => {
    const { page } = await open(failed)
    await page.locator("#graph [aria-current]").focus()
    await page.keyboard.press("ArrowLeft")
    assert.match(await focused(page), /^profile ok/)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    assert.match(await focused(page), /^answer never started/)
    await page.keyboard.press("Enter")
    assert.match(await page.locator("#panel").getAttribute("aria-label") ?? "", /^Details of answer/)
    await page.keyboard.press("Escape")
    assert.match(await focused(page), /^answer/)
    await page.close()
  })

  it("folds runs inside of runs, and shows the graph of the one that is selected", async () => {
    const { page } = await open(failed)
    const research = page.getByRole("treeitem", { name: /^. research ok/ })
    assert.strictEqual(await research.getAttribute("aria-expanded"), "false")
    await research.locator(".fold").click()
    await page.getByRole("treeitem", { name: /^. research completed/ }).locator(".fold").click()
    assert.include((await names(page)).join("\n"), "\nsearch ok, ")
    await page.getByRole("treeitem", { name: /^. search ok/ }).click()
    assert.strictEqual(await page.locator("#graph-title").innerText(), "Graph of research")
    assert.lengthOf(await page.locator("#graph .box").all(), 3)
    await page.getByRole("button", { name: "Fold all", exact: true }).click()
    assert.notInclude((await names(page)).join("\n"), "\nsearch ok")
    await page.close()
  })

  it("finds stages, folded ones too", async () => {
    const { page } = await open(failed)
    await page.keyboard.press("/")
    await page.keyboard.type("sear")
    assert.strictEqual(await page.locator("#found").innerText(), "3 matches")
    assert.lengthOf(await names(page), 3)
    await page.keyboard.press("Enter")
    assert.match(await focused(page), /^research ok/)
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    assert.isAbove((await names(page)).length, 8)
    await page.close()
  })

  it("shows hostile names and values as they are, and runs nothing of them", async () => {
    const { complaints, page } = await open(failed)
    assert.notStrictEqual(await page.title(), "stolen")
    const name = hostile.replaceAll(/\s+/g, " ")
    await page.locator("[role=treeitem]").filter({ hasText: "</script>" }).click()
    assert.include((await page.locator("#panel h2").innerText()).replaceAll(/\s+/g, " "), name.slice(0, 40))
    assert.lengthOf(await page.locator("script").all(), 2)
    assert.deepStrictEqual(complaints, [])
    await page.close()
  })

  for (const theme of ["light", "dark"] as const) {
    it(`has names, roles and contrast as axe wants them, in the ${theme} theme`, async () => {
      const { page } = await open(failed, theme)
      await page.getByRole("button", { name: "Unfold all" }).click()
      const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      assert.strictEqual(background, theme === "light" ? "rgb(255, 255, 255)" : "rgb(20, 23, 28)")
      const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")
      await page.evaluate(source)
      const violations: unknown = await page.evaluate(`axe.run().then(({ violations }) =>
        violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html)]))`)
      assert.deepStrictEqual(violations, [])
      await page.getByRole("button", { name: "Fold all", exact: true }).click()
      await page.screenshot({ path: `${pictures}/report-${theme}.png` })
      await page.close()
    })
  }

  it("changes its theme by a switch", async () => {
    const { page } = await open(failed)
    const dark = page.getByRole("button", { name: "Dark" })
    await dark.click()
    assert.strictEqual(await dark.getAttribute("aria-pressed"), "true")
    assert.strictEqual(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(20, 23, 28)")
    await page.close()
  })

  it("moves nothing for those who want less motion", async () => {
    const { page } = await open(failed)
    await page.emulateMedia({ reducedMotion: "reduce" })
    const duration = await page.locator("[role=treeitem]").first().evaluate((row) =>
      getComputedStyle(row).transitionDuration
    )
    assert.strictEqual(duration, "0s")
    await page.close()
  })

  it("fits a narrow window", async () => {
    const { page } = await open(failed)
    await page.setViewportSize({ width: 400, height: 800 })
    assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), 400)
    await page.close()
  })

  it("stays smooth with 1,000 stages", async () => {
    const started = performance.now()
    const html = RunReport.toHtml(largeRun(1000))
    const made = performance.now() - started
    const address = written(folder, "large", html)
    const { complaints, page } = await open(address)
    assert.deepStrictEqual(complaints, [])
    // The time of its thread alone: what else the machine does at the moment is not the page's.
    const devtools = await page.context().newCDPSession(page)
    await devtools.send("Performance.enable", { timeDomain: "threadTicks" })
    const spent = async () => {
      const { metrics } = await devtools.send("Performance.getMetrics")
      return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0) * 1000
    }
    const before = await spent()
    await page.reload()
    await page.waitForSelector("html[data-ready]")
    const opened = await spent() - before
    assert.isAbove(opened, 0)
    /** What is done, with the frame that shows it. */
    const took = async (what: string) => {
      const before = await spent()
      await page.evaluate(`new Promise((done) => requestAnimationFrame(() => {
        ${what}
        requestAnimationFrame(() => setTimeout(done))
      }))`)
      return await spent() - before
    }
    const key = (key: string, on: string) =>
      `document.querySelector("${on}").dispatchEvent(new KeyboardEvent("keydown", { key: "${key}", bubbles: true }))`
    const times = {
      select: await took(`document.querySelector("#row-0").click()`),
      down: await took(key("ArrowDown", "[role=treeitem][tabindex='0']")),
      unfoldAll: await took(`document.querySelector("#unfold-all").click()`),
      search: await took(`search.value = "stage_77"; search.dispatchEvent(new Event("input"))`),
      foldAll: await took(`document.querySelector("#fold-all").click()`),
      zoom: await took(`document.querySelector("#smaller").click()`)
    }
    const rounded = Object.entries({ opened, ...times }).map(([name, ms]) => `${name} ${Math.round(ms)} ms`)
    process.stdout.write(
      `1,000 stages: made in ${Math.round(made)} ms, ${html.length} characters; ${rounded.join(", ")}\n`
    )
    for (const [name, ms] of Object.entries(times)) assert.isBelow(ms, 500, name)
    assert.isBelow(opened, 2_000)
    await page.close()
  })
})
