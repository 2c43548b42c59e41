/**
 * Shows what a change does: between two texts, two JSON values (RFC 6902), or the fields of two objects.
 *
 * A diff is plain data with a schema, so an approval can keep and show it. Applied to the old value it gives the new one.
 *
 * ```ts
 * import { Diff } from "stageflow/tools"
 *
 * const change = Diff.fields({ status: "open", owner: "ada" }, { status: "closed", owner: "ada" })
 *
 * Diff.format(change) // status: "open" -> "closed"
 * ```
 *
 * The texts of a `text` diff and the values of the others are in it. What is secret does not belong in there.
 */
import * as Arr from "effect/Array"
import { absurd } from "effect/Function"
import * as JsonPatch from "effect/JsonPatch"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as TextDiff from "effect/TextDiff"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"

const Edit = Schema.Struct({
  _tag: Schema.Literals(["Equal", "Insert", "Delete"]),
  items: Schema.Array(Schema.String)
})

/** The lines that a change keeps, adds and removes. */
export const OfText = Schema.TaggedStruct("Text", {
  edits: Schema.Array(Edit),
  added: Schema.Int,
  removed: Schema.Int
})

const description = { description: Schema.optionalKey(Schema.String) }
const Operation = Schema.Union([
  Schema.Struct({ op: Schema.Literals(["add", "replace"]), path: Schema.String, value: Schema.Json, ...description }),
  Schema.Struct({ op: Schema.Literal("remove"), path: Schema.String, ...description })
])

/** The operations that make one JSON value of another, as RFC 6902 has them. */
export const OfJson = Schema.TaggedStruct("Json", { patch: Schema.Array(Operation) })

const path = Schema.NonEmptyArray(Schema.String)
const Change = Schema.TaggedUnion({
  Added: { path, after: Schema.Json },
  Removed: { path, before: Schema.Json },
  Changed: { path, before: Schema.Json, after: Schema.Json }
})

/** One field that is there, gone or another one. */
export type Change = typeof Change.Type

/** The fields that differ, however deep they are. A list is one value. */
export const OfFields = Schema.TaggedStruct("Fields", { changes: Schema.Array(Change) })

/** What a change does. */
export const Diff = Schema.Union([OfText, OfJson, OfFields])

/** What a change does. */
export type Diff = typeof Diff.Type

/** A diff does not fit the value that it was to be applied to. */
export class DiffMismatch extends Schema.TaggedError<DiffMismatch>()("DiffMismatch", {
  kind: Schema.Literals(["Text", "Json", "Fields"])
}) {
  readonly code = "DIFF_MISMATCH"
  override get message(): string {
    return `The diff was made of another value than the one that it is applied to`
  }
}

const sizeOf = (edits: ReadonlyArray<TextDiff.Edit<string>>, tag: "Insert" | "Delete"): number =>
  edits.reduce((sum, edit) => edit._tag === tag ? sum + edit.items.length : sum, 0)

/** So many edits are looked for where two texts differ; past them the diff is longer than it had to be, and as true. */
const mostEdits = 2_000

/**
 * The difference between two texts, by lines.
 */
export const text = (before: string, after: string): typeof OfText.Type => {
  const edits = TextDiff.lines(options.text("before", before), options.text("after", after), { maxEdits: mostEdits })
  return { _tag: "Text", edits, added: sizeOf(edits, "Insert"), removed: sizeOf(edits, "Delete") }
}

/**
 * The difference between two JSON values, as a patch of RFC 6902.
 */
export const json = (before: Schema.Json, after: Schema.Json): typeof OfJson.Type => ({
  _tag: "Json",
  patch: JsonPatch.get(before, after)
})

const isObject = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What stands behind a key; keys of the prototype are no fields. */
const own = (object: Schema.JsonObject, key: string): Schema.Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined

const collect = (
  before: Schema.JsonObject,
  after: Schema.JsonObject,
  at: ReadonlyArray<string>,
  into: Array<Change>
): void => {
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const path = Arr.append(at, key)
    const [old, now] = [own(before, key), own(after, key)]
    if (old === undefined && now !== undefined) into.push({ _tag: "Added", path, after: now })
    else if (old !== undefined && now === undefined) into.push({ _tag: "Removed", path, before: old })
    else if (old !== undefined && now !== undefined) {
      if (isObject(old) && isObject(now)) collect(old, now, path, into)
      else if (JsonPatch.get(old, now).length > 0) into.push({ _tag: "Changed", path, before: old, after: now })
    }
  }
}

/**
 * The fields of two objects that differ.
 */
export const fields = (before: Schema.JsonObject, after: Schema.JsonObject): typeof OfFields.Type => {
  const changes: Array<Change> = []
  collect(before, after, [], changes)
  return { _tag: "Fields", changes }
}

/** Whether anything is different. */
export const isEmpty = (self: Diff): boolean => {
  switch (self._tag) {
    case "Text":
      return self.added === 0 && self.removed === 0
    case "Json":
      return self.patch.length === 0
    case "Fields":
      return self.changes.length === 0
    default:
      return absurd(self)
  }
}

const withChange = (object: Schema.JsonObject, change: Change, depth: number): Schema.JsonObject | undefined => {
  const key = change.path[depth] as string // the path is longer than what was gone through
  const copy = {}
  for (const [name, value] of Object.entries(object)) define(copy, name, value)
  const result = copy as Record<string, Schema.Json>
  const present = own(object, key)
  if (depth < change.path.length - 1) {
    const inner = present !== undefined && isObject(present) ? withChange(present, change, depth + 1) : undefined
    if (inner === undefined) return undefined
    define(result, key, inner)
    return result
  }
  if ((change._tag === "Added") !== (present === undefined)) return undefined
  if (change._tag === "Removed") delete result[key]
  else define(result, key, change.after)
  return result
}

/**
 * Applies a diff to the old value, which gives the new one.
 */
export const apply = (self: Diff, before: Schema.Json): Result.Result<Schema.Json, DiffMismatch> => {
  const mismatch = () => new DiffMismatch({ kind: self._tag })
  switch (self._tag) {
    case "Text":
      return typeof before === "string"
        ? Result.mapError(TextDiff.applyText(before, self.edits), mismatch)
        : Result.fail(mismatch())
    case "Json":
      // It throws where the patch was made of another value.
      return Result.try({ try: () => JsonPatch.apply(self.patch, before), catch: mismatch })
    case "Fields": {
      if (!isObject(before)) return Result.fail(mismatch())
      let value: Schema.JsonObject | undefined = before
      for (const change of self.changes) value = value === undefined ? undefined : withChange(value, change, 0)
      return value === undefined ? Result.fail(mismatch()) : Result.succeed(value)
    }
    default:
      return absurd(self)
  }
}

const line = (change: Change): string => {
  const at = change.path.join(".")
  const show = (value: Schema.Json) => JSON.stringify(value)
  switch (change._tag) {
    case "Added":
      return `${at}: added ${show(change.after)}`
    case "Removed":
      return `${at}: removed ${show(change.before)}`
    case "Changed":
      return `${at}: ${show(change.before)} -> ${show(change.after)}`
    default:
      return absurd(change)
  }
}

/**
 * Formats a diff for people: a unified diff, or a line for each operation or field.
 */
export const format = (self: Diff): string => {
  switch (self._tag) {
    case "Text":
      return TextDiff.unified(self.edits)
    case "Json":
      return self.patch.map((operation) =>
        operation.op === "remove"
          ? `remove ${operation.path}`
          : `${operation.op} ${operation.path} ${JSON.stringify(operation.value)}`
      ).join("\n")
    case "Fields":
      return self.changes.map(line).join("\n")
    default:
      return absurd(self)
  }
}
