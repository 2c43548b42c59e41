import { readFileSync } from "node:fs"

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

const blocksOf = (page: string, language: string): ReadonlyArray<string> =>
  Array.from(read(page).matchAll(/^```(\w+)\n([\s\S]*?)\n```$/gm))
    .filter(([, found]) => found === language).map(([, , text = ""]) => text)

/** The output that an example's page shows. */
export const shownOutput = (name: string): ReadonlyArray<string> =>
  blocksOf(`docs/examples/${name}.md`, "text").flatMap((block) => block.split("\n"))

/** The timelines that the README shows. */
export const shownTimeline = (): ReadonlyArray<string> =>
  blocksOf("README.md", "text").flatMap((block) => block.split("\n"))

/** The Mermaid pictures on a page. */
export const shownPictures = (page: string): ReadonlyArray<string> => blocksOf(page, "mermaid")

/** The code that an example's page shows, whole programs and parts. */
export const shownCode = (name: string): ReadonlyArray<string> =>
  ["ts", "typescript"].flatMap((language) => blocksOf(`docs/examples/${name}.md`, language))

/** An example, without the comment that it opens with. */
export const programOf = (name: string): string => read(`examples/${name}.ts`).replace(/^\/\*\*[\s\S]*?\*\/\n/, "")

/** An output without what differs from run to run: times, bars, who was slow, and where a line is cut. */
export const timeless = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.map((line) =>
    line.replaceAll(/ *[█░]+/g, " █").replaceAll(/ *[+]?[\d.]+ m?s\b/g, " 0 ms").replaceAll(/[\d.]+ times/g, "0 times")
      .replaceAll(/\d+ms\b/g, "0ms")
      // A temporary folder has another name each time.
      .replace(/^reports: .*/, "reports: a folder")
      .replaceAll(/(?:, | )slow$/g, "")
      // The row of a stage that never ran has room where the times of the others are.
      .replace(/^( +\w+ +skipped) +/, "$1 ")
      // How much of a long note or reason fits depends on the bar and the times before it.
      .replace(/█ .*…$/, "█ …")
      .replace(/(: .{20}).*…$/, "$1…")
  )
