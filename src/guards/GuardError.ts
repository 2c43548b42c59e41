/**
 * Reports why a guard failed: what was found and where, and never what the text was.
 */
import * as Schema from "effect/Schema"
import { Finding, summary } from "./Finding.ts"

/**
 * There was no text to check, so nothing passes.
 */
export class TextMissing extends Schema.TaggedError<TextMissing>()("TextMissing", {
  stage: Schema.String,
  from: Schema.Literals(["snapshot", "input"])
}) {
  readonly code = "TEXT_MISSING"
  override get message(): string {
    const where = this.from === "snapshot" ? "the snapshot has no inputText" : "its input \"text\" is no string"
    return `Guard "${this.stage}" has no text to check: ${where}`
  }
}

const fields = { stage: Schema.String, findings: Schema.Array(Finding) }

/**
 * There is personal data in the text.
 */
export class PersonalDataFound extends Schema.TaggedError<PersonalDataFound>()("PersonalDataFound", fields) {
  readonly code = "PERSONAL_DATA_FOUND"
  override get message(): string {
    return `Guard "${this.stage}" found personal data: ${summary(this.findings)}`
  }
}

/**
 * There are words in the text that are not allowed.
 */
export class ContentBlocked extends Schema.TaggedError<ContentBlocked>()("ContentBlocked", fields) {
  readonly code = "CONTENT_BLOCKED"
  override get message(): string {
    return `Guard "${this.stage}" found content that is not allowed: ${this.findings.length} in all`
  }
}

/**
 * The text tries to change what a model was told to do.
 */
export class InstructionOverrideFound
  extends Schema.TaggedError<InstructionOverrideFound>()("InstructionOverrideFound", fields)
{
  readonly code = "INSTRUCTION_OVERRIDE_FOUND"
  override get message(): string {
    return `Guard "${this.stage}" found an attempt to change instructions: ${summary(this.findings)}`
  }
}

/**
 * The text is shorter or longer than it may be.
 */
export class LengthOutOfRange extends Schema.TaggedError<LengthOutOfRange>()("LengthOutOfRange", fields) {
  readonly code = "LENGTH_OUT_OF_RANGE"
  override get message(): string {
    return `Guard "${this.stage}" found a text of a length that is not allowed: ${summary(this.findings)}`
  }
}
