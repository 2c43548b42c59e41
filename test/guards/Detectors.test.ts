/**
 * What holds of every detector, whatever the text.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import {
  ContentFilter,
  type Detector,
  InstructionOverride,
  LengthLimit,
  PersonalData,
  Redaction
} from "stageflow/guards"
import { corpus, type Guard, unmark, words } from "./corpus.ts"
import { growth, hostile } from "./support/hostile.ts"
import { anyTexts, masks, options, texts } from "./support/texts.ts"

const detectors: Readonly<Record<string, Detector>> = {
  "personal data": PersonalData.make(),
  "one kind of personal data": PersonalData.make({ kinds: ["phone"] }),
  content: ContentFilter.make({ words }),
  "instruction overrides": InstructionOverride.make({
    patterns: [{ kind: "own", words: [["buy"], ["now", "previous prompt"]], between: ["all", "spam", "buy"] }]
  })
}

/** The redactor with this mask, or none when the mask is itself a finding. */
const redactorOf = (detector: Detector, mask: Redaction.Mask<string>): Redaction.Redactor<string> | undefined =>
  typeof mask === "string" && detector.detect(mask).length > 0 ? undefined : Redaction.make(detector, mask)

/** The text with masks, made in the simplest way that can be right. */
const masked = (text: string, findings: ReturnType<Detector["detect"]>, mask: string): string =>
  findings.reduceRight((rest, { end, start }) => rest.slice(0, start) + mask + rest.slice(end), text)

describe("whatever the text", () => {
  for (const [title, detector] of Object.entries(detectors)) {
    for (const [of, arbitrary] of Object.entries({ "texts that are nearly found": texts, "any texts": anyTexts })) {
      it.effect.prop(
        `${title}: findings are in order and inside the text, in ${of}`,
        [arbitrary],
        ([text]) =>
          Effect.sync(() => {
            let before = 0
            for (const { end, start } of detector.detect(text)) {
              assert.isAtLeast(start, before)
              assert.isAbove(end, start)
              before = end
            }
            assert.isAtMost(before, text.length)
          }),
        options
      )
    }

    it.effect.prop(
      `${title}: after redaction nothing is found, with any mask`,
      [texts, masks],
      ([text, mask]) =>
        Effect.sync(() => {
          const redacted = redactorOf(detector, mask)?.redact(text)
          if (redacted === undefined) return
          assert.deepStrictEqual(detector.detect(redacted.text), [])
          assert.strictEqual(redacted.text, masked(text, redacted.findings, mask))
        }),
      options
    )

    it.effect.prop(
      `${title}: what was found is masked, and no more when that is enough`,
      [texts],
      ([text]) =>
        Effect.sync(() => {
          const found = detector.detect(text)
          const redacted = Redaction.make(detector, " # ").redact(text)
          for (const { end, start } of found) {
            assert.isTrue(redacted.findings.some((finding) => finding.start <= start && finding.end >= end))
          }
          if (detector.detect(masked(text, found, " # ")).length === 0) {
            assert.deepStrictEqual(redacted.findings, found)
          }
          if (found.length === 0) assert.strictEqual(redacted.text, text)
        }),
      options
    )
  }
})

describe("positions", () => {
  const guards: Readonly<Partial<Record<Guard, Detector>>> = {
    personalData: detectors["personal data"] as Detector,
    contentFilter: detectors["content"] as Detector,
    instructionOverride: InstructionOverride.make()
  }
  // Nothing that is or joins a word or a number, and characters whose length changes when they are normalised.
  const fillers = [
    " hello, ",
    "\n\nﬃ。 ",
    " 😀 ",
    " e\u0301\u0302 ",
    " \u200b , \u200b ",
    " ﷺ; ",
    " İß ",
    " \u{1f3f4} ",
    " 각\u0000 ",
    " हि, "
  ]

  for (const [guard, detector] of Object.entries(guards)) {
    const items = corpus.filter((group) => group.guard === guard && group.finds !== undefined)
      .flatMap(({ finds, texts }) => texts.map((marked) => ({ kind: finds, ...unmark(marked) })))
    const index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))
    const parts = Arbitrary.array(Arbitrary.schema(Schema.Struct({ filler: index, item: index })), { maxLength: 8 })
    it.effect.prop(`of ${guard} are exact among anything else`, [parts], ([parts]) =>
      Effect.sync(() => {
        let text = ""
        const expected: Array<unknown> = []
        for (const { filler, item } of parts) {
          // A role marker may have to be at the start of a line.
          text += `${fillers[filler % fillers.length]}\n`
          const { kind, spans, text: found } = items[item % items.length] as typeof items[number]
          expected.push(
            ...spans.map(({ end, start }) => ({ kind, start: text.length + start, end: text.length + end }))
          )
          text += found
        }
        assert.deepStrictEqual(detector.detect(text), expected as never)
      }), options)
  }
})

describe("the cost of a search", () => {
  const all = { ...detectors, length: LengthLimit.make({ minimum: 1_000_000_000 }) }
  for (const [title, detector] of Object.entries(all)) {
    describe(title, () => {
      for (const [what, unit] of Object.entries(hostile)) {
        it(`grows as the text does: ${what}`, () => {
          assert.isAtMost(growth(unit, (text, meter) => detector.detect(text, meter)), 8.1)
        })
      }
    })
  }
})

describe("the cost of redaction", () => {
  for (const [title, detector] of Object.entries(detectors)) {
    for (const mask of ["", "1", "a", " # "]) {
      it(`${title}, masked with ${JSON.stringify(mask)}, grows as the text does`, () => {
        const { redact } = Redaction.make(detector, mask)
        for (
          const [what, unit] of Object.entries({
            ...hostile,
            "text that joins": "buy spam now",
            "digits that join": "1 4111111111111111 2.2"
          })
        ) {
          assert.isAtMost(growth(unit, (text, meter) => redact(text, meter), 2), 8.5, what)
        }
      })
    }
  }

  it("of findings inside findings grows as the text does", () => {
    const { redact } = Redaction.make(ContentFilter.make({ words: ["buy now", "x"] }), "")
    const stepsOf = (depth: number): number => {
      const meter = { steps: 0 }
      redact(`${"buy ".repeat(depth)}x ${"now ".repeat(depth)}`, meter)
      return meter.steps
    }
    assert.isAtMost(stepsOf(800) / stepsOf(100), 8.5)
  })
})
