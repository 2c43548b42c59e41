/**
 * The parts of the benchmark, each of which can be run by itself: `npm run bench -- interceptors waiting`.
 */
export const sections = [
  "typecheck",
  "memory",
  "large",
  "stages",
  "defaults",
  "waiting",
  "sinks",
  "exporters",
  "runLog",
  "interceptors",
  "nested",
  "forEach",
  "streaming"
] as const

export type Section = (typeof sections)[number]

const isSection = (word: string): word is Section => (sections as ReadonlyArray<string>).includes(word)

/** The sections that the words of a command line name; all when they name none. */
export const sectionsNamed = (words: ReadonlyArray<string>): ReadonlySet<Section> => {
  const unknown = words.filter((word) => !isSection(word))
  if (unknown.length > 0) throw new Error(`No such section: ${unknown.join(", ")}. There are: ${sections.join(", ")}.`)
  return new Set(words.length === 0 ? sections : words.filter(isSection))
}
