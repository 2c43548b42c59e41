/**
 * Lists the phrases that `InstructionOverride` looks for, as families of words.
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
 * groups there may be words of `between`, 6 at most. Right behind one of `notAfter` it is no phrase: "do not ignore".
 */
export interface Pattern<out K extends string = string> {
  readonly kind: K
  readonly words: ReadonlyArray<ReadonlyArray<string>>
  readonly between?: ReadonlyArray<string> | undefined
  readonly notAfter?: ReadonlyArray<string> | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// families of words
// ---------------------------------------------------------------------------------------------------------------------

/** The words or phrases of a list with commas. */
const listed = (words: string): ReadonlyArray<string> => words.split(", ")

const disregardVerbs = listed(
  "ignore, ignoring, disregard, disregarding, forget, abandon, set aside, stop following, stop obeying, "
    + "stop listening to, pay no attention to"
)

/** Verbs that say no themselves. Somebody who does not follow is only telling, or did not understand. */
const refuseVerbs = listed(
  "no longer follow, do not follow, don't follow, do not obey, don't obey, do not listen to, don't listen to, "
    + "do not pay attention to"
)

/** Verbs that are also said of settings and files. */
const overrideVerbs = listed("override, overriding, overrule, bypass, circumvent, discard, neglect")

/** What turns a demand into its opposite. */
const negations = listed(
  "do not, don't, dont, does not, doesn't, did not, didn't, must not, mustn't, should not, shouldn't, shall not, "
    + "cannot, can not, can't, will not, won't, would not, wouldn't, could not, couldn't, may not, need not, not to, "
    + "never, without, avoid, not allowed to, not permitted to, not supposed to, nobody should, no one should"
)

const tellers = listed("i, they, he, she, who, if we, when we")

/** What turns a demand into a question. */
const questions = listed("if i, when i, can i, may i, must i, should i, could i, did i, do i")

/** What says that instructions are the model's own. */
const modelsOwn = listed(
  "your, previous, previously, prior, earlier, above, preceding, foregoing, former, past, initial, "
    + "original, safety, developer, hidden"
)

const modelsOwnOrAny = [...modelsOwn, ...listed("all, any, every, existing, current, system")]

const instructionNouns = listed(
  "instruction, instructions, guideline, guidelines, directive, directives, programming, safeguards"
)

/** What is said of games, roads and programs as well: such a word counts only with one that says whose it is. */
const ruleNouns = listed(
  "rule, rules, prompt, prompts, direction, directions, command, commands, constraint, "
    + "constraints, restriction, restrictions, limitation, limitations"
)

const instructionFillers = [
  ...modelsOwnOrAny,
  ...listed("of, the, my, these, those, this, that, given, other, and, or, own, about, completely, please, just")
]

const everythingWords = listed("everything, anything, all, whatever, what")

const revealVerbs = listed(
  "reveal, show, print, display, output, repeat, recite, tell, give, share, expose, leak, dump, "
    + "disclose, write, copy, paste, translate, summarize, summarise, describe, what is, what are, "
    + "what's, what was, what were"
)

/** The words for what only a model has to hide. */
const promptNouns = listed(
  "system prompt, system prompts, system instructions, initial prompt, developer message, "
    + "hidden prompt, hidden instructions, secret prompt, secret instructions, developer instructions, "
    + "your system message, your initial instructions, your original instructions, "
    + "your original prompt, your internal instructions, your internal prompt, your exact instructions"
)

/** Verbs that are not said of a shop's instructions. */
const reciteVerbs = listed("reveal, repeat, recite, output, expose, leak, dump, disclose")

const promptFillers = listed(
  "me, us, your, the, all, of, full, entire, exact, complete, whole, own, out, back, to, in, this, "
    + "that, these, those, current, word, for, contents, content, text, verbatim"
)

const modelNouns = listed(
  "ai, llm, chatbot, bot, language model, dan, jailbroken, unrestricted, unfiltered, uncensored"
)

const respondVerbs = listed("act, behave, respond, answer, reply, pretend, simulate, roleplay, role play")

const noLonger = listed("you are no longer, you're no longer")

const roleFillers = listed(
  "a, an, the, my, our, named, called, new, different, another, in, as, like, be, to, if, though, "
    + "you, are, were, is, that, of, personal, fully, completely, truly, old, evil"
)

// ---------------------------------------------------------------------------------------------------------------------
// patterns
// ---------------------------------------------------------------------------------------------------------------------

/** The ways to disregard instructions with these verbs. */
const disregarding = (
  verbs: ReadonlyArray<string>,
  notAfter: ReadonlyArray<string>
): ReadonlyArray<Pattern<"disregard-instructions">> => {
  const patternOf = (words: Pattern["words"], between: ReadonlyArray<string>) => ({
    kind: "disregard-instructions" as const,
    words: [verbs, ...words],
    between,
    notAfter
  })
  return [
    patternOf([modelsOwnOrAny, instructionNouns], instructionFillers),
    patternOf([modelsOwn, ruleNouns], instructionFillers),
    patternOf([["system prompt", "system prompts"]], instructionFillers),
    patternOf(
      [[...instructionNouns, ...ruleNouns], listed("above, you were given, you have been given, you received")],
      listed("the, all, any, of, these, those, that, which, are, were, listed, stated, written, just")
    ),
    patternOf(
      [
        everythingWords,
        listed("you were, you have been, you've been"),
        listed("told, instructed, taught, trained, programmed")
      ],
      listed("that, of, so, far, previously, ever")
    ),
    patternOf([everythingWords, ["above"]], listed("that, is, was, of, the, written, said, stated"))
  ]
}

/**
 * The patterns that are built in, besides role markers and hidden text.
 */
export const patterns: ReadonlyArray<Pattern<Kind>> = [
  ...disregarding(disregardVerbs, [...negations, ...questions]),
  ...disregarding(refuseVerbs, tellers),
  {
    kind: "disregard-instructions",
    words: [overrideVerbs, modelsOwnOrAny, instructionNouns],
    between: instructionFillers,
    notAfter: [...negations, ...questions]
  },
  {
    kind: "disregard-instructions",
    words: [overrideVerbs, ["your", "safety"], ruleNouns],
    between: instructionFillers,
    notAfter: [...negations, ...questions]
  },
  { kind: "reveal-prompt", words: [revealVerbs, promptNouns], between: promptFillers, notAfter: negations },
  {
    kind: "reveal-prompt",
    words: [revealVerbs, ["your"], ["prompt", "prompts"]],
    between: promptFillers,
    notAfter: negations
  },
  {
    kind: "reveal-prompt",
    words: [reciteVerbs, ["your"], ["instructions"]],
    between: promptFillers,
    notAfter: negations
  },
  {
    kind: "reveal-prompt",
    words: [reciteVerbs, listed("text above, words above, everything above")],
    between: promptFillers
  },
  {
    kind: "change-role",
    words: [
      listed("you are now, you're now, you will now be"),
      [
        ...modelNouns,
        ...listed("assistant, admin, administrator, root, developer mode, god mode, jailbreak mode, dan mode")
      ]
    ],
    between: roleFillers
  },
  {
    kind: "change-role",
    words: [noLonger, [...modelNouns, ...listed("bound, restricted, limited")]],
    between: roleFillers
  },
  {
    kind: "change-role",
    words: [noLonger, listed("required, obliged"), listed("follow, obey, comply, adhere")],
    between: roleFillers
  },
  {
    kind: "change-role",
    words: [respondVerbs, listed("as, like, being, to be, you are, you're"), modelNouns],
    between: roleFillers
  },
  {
    kind: "change-role",
    words: [listed("take on, assume, adopt, play"), listed("role, persona, identity"), modelNouns],
    between: roleFillers
  },
  {
    kind: "change-role",
    words: [respondVerbs, ["without"], listed("restrictions, filters, limitations, guidelines, censorship, rules")],
    between: listed("to, me, us, any, all, your, ethical, moral, safety, content, of, the, usual")
  },
  { kind: "change-role", words: [["do anything now"]] },
  {
    kind: "change-role",
    words: [
      listed("from now on, starting now, henceforth"),
      listed("obey, pretend, roleplay, ignore, disregard, unrestricted, no rules, no restrictions")
    ],
    between: listed("you, will, must, shall, should, are, to, only, always, have, going, need")
  },
  {
    kind: "change-role",
    words: [["your new"], listed("instructions, role, persona, identity, system prompt"), ["are", "is"]]
  }
]
