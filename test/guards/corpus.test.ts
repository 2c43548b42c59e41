import { assert, describe, it } from "@effect/vitest"
import { ContentFilter, type Detector, InstructionOverride, LengthLimit, PersonalData } from "stageflow/guards"
import { corpus, type Guard, limits, unmark, words } from "./corpus.ts"

const detectors: Readonly<Record<Guard, Detector>> = {
  personalData: PersonalData.make(),
  contentFilter: ContentFilter.make({ words }),
  instructionOverride: InstructionOverride.make(),
  lengthLimit: LengthLimit.make(limits)
}

describe("the corpus", () => {
  for (const { finds, guard, name, texts } of corpus) {
    describe(`${guard}: ${name}`, () => {
      for (const marked of texts) {
        it(JSON.stringify(marked), () => {
          const { spans, text } = unmark(marked)
          assert.strictEqual(spans.length > 0, finds !== undefined, "a text is marked as its group says")
          const found = detectors[guard].detect(text)
          assert.deepStrictEqual(
            found.map(({ end, kind, start }) => `${kind}: ${text.slice(start, end)}`),
            spans.map(({ end, start }) => `${finds}: ${text.slice(start, end)}`)
          )
          assert.deepStrictEqual(found.map(({ end, start }) => ({ start, end })), spans)
        })
      }
    })
  }
})
