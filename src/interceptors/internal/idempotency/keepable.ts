/**
 * Says of a schema, before there is any data, where it describes something that cannot be written as JSON.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type { FieldProblem } from "../../../internal/problems.ts"

type Problems = ReadonlyArray<FieldProblem>
type Path = ReadonlyArray<string | number>

/** A part of a schema that has not been looked at. */
interface Part {
  readonly path: Path
  readonly ast: SchemaAST.AST
}

const part = (path: Path, ast: SchemaAST.AST, ...keys: Path): Part => ({ path: [...path, ...keys], ast })

/** Whether a declaration says how its values are written; one that does not is taken for JSON, which instances are not. */
const saysHow = ({ annotations }: SchemaAST.Declaration): boolean =>
  typeof (annotations?.["toCodecJson"] ?? annotations?.["toCodec"]) === "function"

const partsOf = ({ ast, path }: Part): ReadonlyArray<Part> => {
  switch (ast._tag) {
    case "Declaration":
      return ast.typeParameters.map((parameter) => part(path, parameter))
    case "Objects":
      return [
        ...ast.propertySignatures.map(({ name, type }) => part(path, type, String(name))),
        ...ast.indexSignatures.map(({ type }) => part(path, type, "*"))
      ]
    case "Arrays":
      return [
        ...ast.elements.map((type, index) => part(path, type, index)),
        ...ast.rest.map((type) => part(path, type, "*"))
      ]
    case "Union":
      return ast.types.map((type) => part(path, type))
    case "Suspend":
      return [part(path, ast.thunk())]
    default:
      return []
  }
}

/** A schema that makes another one each time it is asked has no end. */
const deepest = 100

const problemsIn = (root: SchemaAST.AST): Problems => {
  const problems: Array<FieldProblem> = []
  const seen = new Set<SchemaAST.AST>()
  const pending: Array<Part> = [{ path: ["data"], ast: root }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { ast, path } = next
    if (seen.has(ast) || path.length > deepest) continue
    seen.add(ast)
    const link = ast.encoding?.at(-1)
    if (link !== undefined) pending.push({ path, ast: link.to })
    else if (ast._tag === "Declaration" && !saysHow(ast)) {
      problems.push({ path, message: "Its schema does not say how it is written as JSON" })
    } else pending.push(...partsOf(next))
  }
  return problems
}

const look = (schema: Schema.Top): Problems =>
  Result.getOrElse(
    Result.try(() => {
      Schema.toCodecJson(schema)
      return problemsIn(schema.ast)
    }),
    (error) => [{ path: ["data"], message: error instanceof Error ? error.message : "Its schema has no JSON" }]
  )

// A schema is looked at once.
const known = new WeakMap<Schema.Top, Problems>()

/** Where a schema describes data that cannot be kept; nothing is wrong without a schema, or with one that can be written. */
export const unkeepable = (schema: Schema.Top | undefined): Problems => {
  if (schema === undefined) return []
  const found = known.get(schema) ?? look(schema)
  known.set(schema, found)
  return found
}
