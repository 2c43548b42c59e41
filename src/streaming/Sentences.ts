/**
 * Cuts the tokens of a language model into sentences, so that a voice can begin with the first one while the model still
 * writes the rest.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Sentences } from "stageflow/streaming"
 *
 * const tokens = Stream.make("Hel", "lo. It is 3.", "5 degrees", "! Take", " a coat")
 * console.log(await Effect.runPromise(Stream.runCollect(Sentences.split(tokens))))
 * // prints: [ 'Hello.', 'It is 3.5 degrees!', 'Take a coat' ]
 * ```
 *
 * A sentence ends at `.`, `!`, `?` or `…` before a blank, at a full stop of Chinese or Japanese, or at the end of a line. It
 * knows no abbreviations: "Dr. Who" is two. A sentence that gets longer than `longest` is cut at a blank, so that a text
 * without an end is not collected for ever.
 */
import { dual } from "effect/Function"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"

/**
 * How long a sentence may get, in characters, before it is cut: 400 when left out.
 */
export interface Settings {
  readonly longest?: number | undefined
}

const ending = /[.!?…]+["'”’)\]]*\s+|[。！？]+|\n+/

/** The place behind the first sentence of a text; nothing when it goes on. */
const endOf = (text: string, longest: number): number | undefined => {
  // No more than matters is looked at: a long row of dots would be looked at from each of them.
  const found = ending.exec(text.slice(0, longest + 1))
  if (found !== null && found.index + found[0].length <= longest) return found.index + found[0].length
  if (text.length <= longest) return undefined
  const blank = text.lastIndexOf(" ", longest)
  return blank > 0 ? blank + 1 : longest
}

const takenFrom = (text: string, longest: number): readonly [rest: string, sentences: ReadonlyArray<string>] => {
  const sentences: Array<string> = []
  let rest = text
  for (let end = endOf(rest, longest); end !== undefined; end = endOf(rest, longest)) {
    sentences.push(rest.slice(0, end))
    rest = rest.slice(end)
  }
  return [rest, sentences]
}

/**
 * The sentences of a text that comes in pieces, each as soon as it is whole. Blanks around them are left out.
 */
export const split: {
  (settings?: Settings): <E, R>(self: Stream.Stream<string, E, R>) => Stream.Stream<string, E, R>
  <E, R>(self: Stream.Stream<string, E, R>, settings?: Settings): Stream.Stream<string, E, R>
} = dual(
  (args) => Stream.isStream(args[0]),
  <E, R>(self: Stream.Stream<string, E, R>, settings: Settings = {}): Stream.Stream<string, E, R> => {
    const given = options.fields<Settings>("settings", ["longest"], settings)
    const longest = options.positiveCount("longest", given.longest ?? 400)
    return self.pipe(
      Stream.mapAccum(() => "", (rest: string, token: string) => takenFrom(rest + token, longest), {
        onHalt: (rest) => [rest]
      }),
      Stream.map((sentence) => sentence.trim()),
      Stream.filter((sentence) => sentence !== "")
    )
  }
)
