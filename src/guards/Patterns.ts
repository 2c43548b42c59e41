/**
 * The phrases that `InstructionOverride` looks for, as families of words.
 *
 * They are chosen so that ordinary questions pass: "ignore" alone is nothing, and what is said of shops, games and
 * programs as well (rules, commands, overriding) counts only with words that point at a model's own.
 */

/**
 * What the patterns that are built in find.
 */
export type Kind = "disregard-instructions" | "reveal-prompt" | "change-role" | "role-marker" | "hidden-text"

/**
 * A phrase with variants.
 *
 * `words` are groups: a phrase has one word (or several words, as one entry) of each group, in this order. Between two
 * groups there may be words of `between`, 6 at most.
 */
export interface Pattern<out K extends string = string> {
  readonly kind: K
  readonly words: ReadonlyArray<ReadonlyArray<string>>
  readonly between?: ReadonlyArray<string> | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// families of words
// ---------------------------------------------------------------------------------------------------------------------

/** Words or phrases, with commas between them. */
const oneOf = (words: string): ReadonlyArray<string> => words.split(", ")

const disregard = oneOf(
  "ignore, ignoring, disregard, disregarding, forget, abandon, set aside, stop following, stop obeying, "
    + "stop listening to, no longer follow, do not follow, don't follow, do not obey, don't obey, do not listen to, "
    + "don't listen to, pay no attention to, do not pay attention to"
)

/** Verbs that are also said of settings and files. */
const override = oneOf("override, overriding, overrule, bypass, circumvent, discard, neglect")

/** Those that a model was given. */
const given = oneOf(
  "your, previous, previously, prior, earlier, above, preceding, foregoing, former, past, initial, "
    + "original, safety, developer, hidden"
)

const anyOfThem = [...given, ...oneOf("all, any, every, existing, current, system")]

const instructions = oneOf(
  "instruction, instructions, guideline, guidelines, directive, directives, programming, safeguards"
)

/** What is said of games, roads and programs as well: such a word counts with `given` only. */
const rules = oneOf(
  "rule, rules, prompt, prompts, direction, directions, command, commands, constraint, "
    + "constraints, restriction, restrictions, limitation, limitations"
)

const ofThem = [
  ...anyOfThem,
  ...oneOf("of, the, my, these, those, this, that, given, other, and, or, own, about, completely, please, just")
]

const everything = oneOf("everything, anything, all, whatever, what")

const reveal = oneOf(
  "reveal, show, print, display, output, repeat, recite, tell, give, share, expose, leak, dump, "
    + "disclose, write, copy, paste, translate, summarize, summarise, describe, what is, what are, "
    + "what's, what was, what were"
)

/** The words for what only a model has to hide. */
const prompts = oneOf(
  "system prompt, system prompts, system instructions, initial prompt, developer message, "
    + "hidden prompt, hidden instructions, secret prompt, secret instructions, developer instructions, "
    + "your system message, your initial instructions, your original instructions, "
    + "your original prompt, your internal instructions, your internal prompt, your exact instructions"
)

/** Verbs that are not said of a shop's instructions. */
const recite = oneOf("reveal, repeat, recite, output, expose, leak, dump, disclose")

const ofMine = oneOf(
  "me, us, your, the, all, of, full, entire, exact, complete, whole, own, out, back, to, in, this, "
    + "that, these, those, current, word, for, contents, content, text, verbatim"
)

const models = oneOf("ai, llm, chatbot, bot, language model, dan, jailbroken, unrestricted, unfiltered, uncensored")

const respond = oneOf("act, behave, respond, answer, reply, pretend, simulate, roleplay, role play")

const asOne = oneOf(
  "a, an, the, my, our, named, called, new, different, another, in, as, like, be, to, if, though, "
    + "you, are, were, is, that, of, personal, fully, completely, truly, old, evil"
)

// ---------------------------------------------------------------------------------------------------------------------
// patterns
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The patterns that are built in, besides role markers and hidden text.
 */
export const patterns: ReadonlyArray<Pattern<Kind>> = [
  { kind: "disregard-instructions", words: [disregard, anyOfThem, instructions], between: ofThem },
  { kind: "disregard-instructions", words: [disregard, given, rules], between: ofThem },
  { kind: "disregard-instructions", words: [disregard, ["system prompt", "system prompts"]], between: ofThem },
  {
    kind: "disregard-instructions",
    words: [disregard, [...instructions, ...rules], oneOf("above, you were given, you have been given, you received")],
    between: oneOf("the, all, any, of, these, those, that, which, are, were, listed, stated, written, just")
  },
  { kind: "disregard-instructions", words: [override, anyOfThem, instructions], between: ofThem },
  { kind: "disregard-instructions", words: [override, ["your", "safety"], rules], between: ofThem },
  {
    kind: "disregard-instructions",
    words: [
      disregard,
      everything,
      oneOf("you were, you have been, you've been"),
      oneOf("told, instructed, taught, trained, programmed")
    ],
    between: oneOf("that, of, so, far, previously, ever")
  },
  {
    kind: "disregard-instructions",
    words: [disregard, everything, ["above"]],
    between: oneOf("that, is, was, of, the, written, said, stated")
  },
  { kind: "reveal-prompt", words: [reveal, prompts], between: ofMine },
  { kind: "reveal-prompt", words: [reveal, ["your"], ["prompt", "prompts"]], between: ofMine },
  { kind: "reveal-prompt", words: [recite, ["your"], ["instructions"]], between: ofMine },
  { kind: "reveal-prompt", words: [recite, oneOf("text above, words above, everything above")], between: ofMine },
  {
    kind: "change-role",
    words: [
      oneOf("you are now, you're now, you will now be"),
      [...models, ...oneOf("assistant, admin, administrator, root, developer mode, god mode, jailbreak mode, dan mode")]
    ],
    between: asOne
  },
  {
    kind: "change-role",
    words: [oneOf("you are no longer, you're no longer"), [
      ...models,
      ...oneOf("bound, restricted, limited, required")
    ]],
    between: asOne
  },
  {
    kind: "change-role",
    words: [respond, oneOf("as, like, being, to be, you are, you're"), models],
    between: asOne
  },
  {
    kind: "change-role",
    words: [oneOf("take on, assume, adopt, play"), oneOf("role, persona, identity"), models],
    between: asOne
  },
  {
    kind: "change-role",
    words: [respond, ["without"], oneOf("restrictions, filters, limitations, guidelines, censorship, rules")],
    between: oneOf("to, me, us, any, all, your, ethical, moral, safety, content, of, the, usual")
  },
  { kind: "change-role", words: [["do anything now"]] },
  {
    kind: "change-role",
    words: [
      oneOf("from now on, starting now, henceforth"),
      oneOf("obey, pretend, roleplay, ignore, disregard, unrestricted, no rules, no restrictions")
    ],
    between: oneOf("you, will, must, shall, should, are, to, only, always, have, going, need")
  },
  {
    kind: "change-role",
    words: [["your new"], oneOf("instructions, role, persona, identity, system prompt"), ["are", "is"]]
  }
]
