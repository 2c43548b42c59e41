/**
 * Writes the tables of events in docs/api/events.md from their schemas: when each comes, and what it says besides its
 * envelope.
 */
import type { Schema } from "effect"
import * as SchemaAST from "effect/SchemaAST"
import { Event } from "stageflow"

type Family = keyof typeof Event.families
type AnyEvent = typeof Event.families[Family][number]

/** What every event has, or every event about a stage. */
const common: ReadonlySet<string> = new Set(["_tag", ...Object.keys(Event.envelope)])
const commonOfStages: ReadonlySet<string> = new Set([...common, "stage", "attempt"])

const isSummary = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isObjects(ast) && ast.propertySignatures.map(({ name }) => name).join() === "tag,code,message"

/** A type as TypeScript writes it. */
const typeOf = (ast: SchemaAST.AST): string => {
  if (isSummary(ast)) return "ErrorSummary"
  switch (ast._tag) {
    case "String":
      return "string"
    case "Number":
      return "number"
    case "Boolean":
      return "boolean"
    case "Unknown":
      return "unknown"
    case "Literal":
      return JSON.stringify(ast.literal)
    case "Union":
      return ast.types.map(typeOf).join(" | ")
    case "Arrays":
      return `Array<${ast.rest.map(typeOf).join(", ")}>`
    case "Objects":
      return `{ ${ast.propertySignatures.map(({ name, type }) => property(String(name), type)).join(", ")} }`
    default:
      throw new Error(`There is no name for a type of ${ast._tag}`)
  }
}

const property = (name: string, ast: SchemaAST.AST): string =>
  `${name}${ast.context?.isOptional === true ? "?" : ""}: ${typeOf(ast)}`

const fieldOf = (name: string, { ast }: Schema.Top): string => {
  const description = SchemaAST.resolveDescription(ast)
  // A cell ends at a bar, also inside of code.
  const code = `\`${property(name, ast).replaceAll("|", "\\|")}\``
  return description === undefined ? code : `${code} (${description})`
}

const rowOf = (event: AnyEvent, skipped: ReadonlySet<string>): string => {
  const fields: Readonly<Record<string, Schema.Top>> = event.fields
  const tag = event.fields._tag.schema.literal
  const besides = Object.entries(fields).filter(([name]) => !skipped.has(name)).map(([name, field]) =>
    fieldOf(name, field)
  )
  return `| \`Event.${tag}\` | ${SchemaAST.resolveDescription(event.ast)} | ${besides.join(", ")} |`
}

const tableOf = (family: Family): string =>
  [
    "| event | when | more fields |",
    "|---|---|---|",
    ...Event.families[family].map((event) => rowOf(event, family === "runs" ? common : commonOfStages))
  ].join("\n")

const isFamily = (name: string): name is Family => name in Event.families

const place = /(<!-- events: (\w+) -->\n\n)[\s\S]*?(\n\n<!-- end -->)/g

/** The families whose tables a page has. */
export const familiesIn = (page: string): ReadonlyArray<string> =>
  Array.from(page.matchAll(place), ([, , family = ""]) => family)

/** The page with its tables as the schemas say them. */
export const withTables = (page: string): string =>
  page.replace(place, (_, before: string, family: string, after: string) => {
    if (!isFamily(family)) throw new Error(`There are no events of "${family}"`)
    return `${before}${tableOf(family)}${after}`
  })
