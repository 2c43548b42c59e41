/**
 * Texts that make a careless search slow, and how the steps of a search grow with them.
 */
interface Meter {
  steps: number
}

/** What a hostile text repeats. */
export const hostile: Readonly<Record<string, string>> = {
  "one letter": "a",
  "single letters": "a ",
  "one digit": "4",
  "single digits": "4 ",
  "groups of digits": "4111 ",
  "groups with dashes": "411-",
  "dotted numbers": "1.",
  "numbers of an address": "192.168.",
  "zeros": "0",
  "pluses": "+1",
  "parentheses": "(1)",
  "at signs": "@",
  "letters and at signs": "a@",
  "encoded at signs": "%40",
  "letters and encoded at signs": "a%40",
  "quotation marks and at signs": "\"@",
  "quoted names": "\"a b\"@",
  "dots": ".",
  "labels": "a.",
  "almost an e-mail": "a@b.",
  "colons": ":",
  "hexadecimal": "a:",
  "double colons": "a::",
  "one combining mark": "\u0301",
  "marks that must be sorted": "a\u0315\u0301\u0316",
  "zero-width": "\u200b",
  "characters that become eighteen": "ﷺ",
  "Hangul": "ㅋ",
  "Chinese": "垃",
  "flags": "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
  "black flags": "\u{1f3f4}",
  "tags": "\u{e0067}",
  "emoji": "👨‍👩‍👧",
  "half a character": "\ud83d",
  "the start of a phrase": "ignore ",
  "what may stand inside a phrase": "all the previous ",
  "a phrase without its end": "ignore all the previous of the ",
  "words that turn a phrase around": "do not ",
  "phrases that are turned around": "do not ignore your instructions ",
  "blanks before a phrase": `not${" ".repeat(60)}ignore your instructions `,
  "a blocked word": "spam ",
  "the start of a blocked phrase": "buy ",
  "digits for letters": "1!|l",
  "markers": "<|",
  "brackets": "[<",
  "hashes": "\n# ",
  "role names": "\nsystem:",
  "blanks": " ",
  "words about phones": "call me at ",
  "bare numbers after a word": "phone 5 ",
  "numbers of a list after a word": "call 5550123, ",
  "a list of numbers": "5550123, ",
  "numbers in lines": "4111\n",
  "numbers with commas": "4111,",
  "single digits with commas": "4,",
  "numbers with many blanks": `4${" ".repeat(40)}`,
  "numbers with ever other separators": "4,4;4\n4 4  ",
  "words about phones and blanks": "phone  5  ",
  "words about social security": "ssn 1 2 3 4 5 6 7 8 ",
  "starts of accounts": "de89 ",
  "accounts that are none": "de89 3704 0044 0532 0130 01 ",
  "accounts in a word": "de89de89",
  "ampersands": "&",
  "starts of character references": "&#1",
  "almost character references": "&aaaaaaaaaaaaaaa ",
  "character references": "&#64;",
  "references to what is invisible": "&shy;"
}

const repeated = (unit: string, length: number): string => unit.repeat(Math.ceil(length / unit.length)).slice(0, length)

/** How many times as many steps a text costs that is eight times as long. */
export const growth = (
  unit: string,
  search: (text: string, meter: Meter) => unknown,
  kibibytes = 4
): number => {
  const stepsOf = (length: number): number => {
    const meter = { steps: 0 }
    search(repeated(unit, length), meter)
    return meter.steps
  }
  return stepsOf(kibibytes * 1024 * 8) / stepsOf(kibibytes * 1024)
}
