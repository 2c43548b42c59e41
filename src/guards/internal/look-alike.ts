/**
 * Tells what a character is read as: letters of other alphabets, digits of other scripts, punctuation, and the digits and
 * symbols that are written for letters.
 *
 * The lists have what is common, not all that Unicode calls confusable. They apply to text in lower case.
 */

const letters: Readonly<Record<string, string>> = {
  a: "аɑαᴀ",
  b: "вʙβ",
  c: "сϲᴄↄ",
  d: "ԁđɖᴅ",
  e: "еєεəᴇ",
  f: "ғꜰ",
  g: "ɡɢց",
  h: "нһħʜհ",
  i: "іıɪι",
  j: "јϳᴊ",
  k: "кκᴋ",
  l: "łʟӏ",
  m: "мᴍ",
  n: "ոɴηп",
  o: "оοօøɔᴏσ",
  p: "рρᴘ",
  q: "ԛզ",
  r: "ʀгᴦ",
  s: "ѕꜱʂ",
  t: "тτᴛŧ",
  u: "υսᴜ",
  v: "νѵᴠ",
  w: "ԝωѡᴡ",
  x: "хχ",
  y: "уүʏγ",
  z: "ᴢʐ"
}

const punctuation: Readonly<Record<string, string>> = {
  "-": "‐‑‒–−⁃ｰ֊᠆",
  // A dash between words, not inside them.
  "—": "―﹘",
  ".": "。·•۔‧․",
  "/": "⁄∕",
  ":": "∶꞉ː",
  "|": "∣ǀ",
  "'": "’‘ʼ",
  "<": "‹〈⟨❮",
  ">": "›〉⟩❯",
  "[": "【〔",
  "]": "】〕",
  " ": "\u1680\u2800",
  "\n": "\u2028\u2029"
}

// Letters in squares and circles that NFKC leaves alone, and the letters that flags are made of.
const alphabets: ReadonlyArray<number> = [0x1f150, 0x1f170, 0x1f1e6]

// Numbers in circles that NFKC leaves alone: the first character of a row, the first number, and how many there are.
const circled: ReadonlyArray<readonly [first: number, number: number, count: number]> = [
  [0x2776, 1, 10],
  [0x2780, 1, 10],
  [0x278a, 1, 10],
  [0x24f5, 1, 10],
  [0x24eb, 11, 10],
  [0x24ff, 0, 1],
  [0x1f10b, 0, 1],
  [0x1f10c, 0, 1]
]

const table: ReadonlyMap<number, string> = new Map([
  ...[...Object.entries(letters), ...Object.entries(punctuation)].flatMap(([plain, others]) =>
    Array.from(others, (other) => [other.codePointAt(0) ?? 0, plain] as const)
  ),
  ...alphabets.flatMap((first) =>
    Array.from("abcdefghijklmnopqrstuvwxyz", (letter, index) => [first + index, letter] as const)
  ),
  ...circled.flatMap(([first, number, count]) =>
    Array.from({ length: count }, (_, index) => [first + index, String(number + index)] as const)
  )
])

const digit = /\p{Nd}/u

const isDigit = (codePoint: number): boolean => digit.test(String.fromCodePoint(codePoint))

// The digits of every script follow each other from zero, and scripts whose digits touch have ten each.
const digitOf = (codePoint: number): string => {
  let first = codePoint
  while (isDigit(first - 1)) first--
  return String((codePoint - first) % 10)
}

/** What a character in lower case is read as: often itself. */
export const readAs = (character: string): string => {
  const codePoint = character.codePointAt(0) ?? 0
  if (codePoint < 0x80) return character
  return table.get(codePoint) ?? (isDigit(codePoint) ? digitOf(codePoint) : character)
}

/**
 * The letters that a digit or a symbol is written for.
 */
const spellings: ReadonlyMap<string, string> = new Map([
  ["0", "o"],
  ["1", "il"],
  ["3", "e"],
  ["4", "a"],
  ["5", "s"],
  ["7", "t"],
  ["8", "b"],
  ["9", "g"],
  ["@", "a"],
  ["$", "s"],
  ["!", "il"],
  ["|", "il"]
])

/** Whether a character can be written for this letter, or is it. */
export const isWrittenFor = (character: string, letter: string): boolean =>
  character === letter || (spellings.get(character)?.includes(letter) ?? false)

/** The one character that stands for all spellings of a word's character: two words that can be the same have the same. */
export const spellingOf = (character: string): string =>
  character === "l" ? "i" : spellings.get(character)?.charAt(0) ?? character
