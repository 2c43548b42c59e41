/**
 * Reads the modules of a folder: what each imports, and which exports of it the module names.
 */
import { globSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import ts from "typescript-6"

/** One `import`, one `export ... from` or one `import("...")` of a module. */
export interface Import {
  /** A module of the same folder by its path, "engine/plan.ts"; one of a package as it is written, "effect/Effect". */
  readonly module: string
  /** Whether it is a module of the same folder. */
  readonly own: boolean
  /** Whether only types are imported. */
  readonly types: boolean
  /** The exports of the imported module that are named, also through a namespace: `Effect.gen` names "gen". */
  readonly names: ReadonlyArray<string>
}

/** A module and what it imports. */
export interface Module {
  readonly path: string
  readonly imports: ReadonlyArray<Import>
}

/** The syntax tree of a module. */
export const parse = (path: string, text: string): ts.SourceFile =>
  ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)

const walk = (node: ts.Node, visit: (node: ts.Node) => void): void => {
  visit(node)
  ts.forEachChild(node, (child) => walk(child, visit))
}

/** The members that a module names of each of its namespaces: `Effect.gen(...)`, `Duration.Input`. */
const membersOf = (file: ts.SourceFile): ReadonlyMap<string, ReadonlySet<string>> => {
  const members = new Map<string, Set<string>>()
  const add = (space: string, member: string) => members.set(space, (members.get(space) ?? new Set()).add(member))
  walk(file, (node) => {
    if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      add(node.expression.text, node.name.text)
    } else if (ts.isQualifiedName(node) && ts.isIdentifier(node.left)) {
      add(node.left.text, node.right.text)
    }
  })
  return members
}

const namesOf = (
  clause: ts.ImportClause | undefined,
  members: ReadonlyMap<string, ReadonlySet<string>>
): ReadonlyArray<string> => {
  const bindings = clause?.namedBindings
  const named = bindings === undefined
    ? []
    : ts.isNamespaceImport(bindings)
    ? Array.from(members.get(bindings.name.text) ?? [])
    : bindings.elements.map((element) => (element.propertyName ?? element.name).text)
  return clause?.name === undefined ? named : ["default", ...named]
}

const isTypes = (clause: ts.ImportClause): boolean => {
  if (clause.isTypeOnly) return true
  const bindings = clause.namedBindings
  if (clause.name !== undefined || bindings === undefined || ts.isNamespaceImport(bindings)) return false
  return bindings.elements.length > 0 && bindings.elements.every((element) => element.isTypeOnly)
}

const isTypesAgain = ({ exportClause, isTypeOnly }: ts.ExportDeclaration): boolean =>
  isTypeOnly || (exportClause !== undefined && ts.isNamedExports(exportClause) && exportClause.elements.length > 0 &&
    exportClause.elements.every((element) => element.isTypeOnly))

const leftmost = (name: ts.EntityName): string => ts.isIdentifier(name) ? name.text : leftmost(name.left)

/** Reads one module. */
export const read = (path: string, text: string): Module => {
  const file = parse(path, text)
  const members = membersOf(file)
  const imports: Array<Import> = []
  const add = (specifier: ts.Node | undefined, types: boolean, names: ReadonlyArray<string>) => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return
    const own = specifier.text.startsWith(".")
    const module = own ? posix.join(posix.dirname(path), specifier.text) : specifier.text
    imports.push({ module, own, types, names })
  }
  walk(file, (node) => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      add(node.moduleSpecifier, clause !== undefined && isTypes(clause), namesOf(clause, members))
    } else if (ts.isExportDeclaration(node)) {
      const { exportClause } = node
      const elements = exportClause !== undefined && ts.isNamedExports(exportClause) ? exportClause.elements : []
      const names = elements.map(({ name, propertyName }) => (propertyName ?? name).text)
      add(node.moduleSpecifier, isTypesAgain(node), names)
    } else if (ts.isImportTypeNode(node)) {
      const specifier = ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined
      add(specifier, true, node.qualifier === undefined ? [] : [leftmost(node.qualifier)])
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false, [])
    }
  })
  return { path, imports }
}

/** Reads every module of a folder. */
export const readAll = (folder: string): ReadonlyArray<Module> =>
  globSync("**/*.ts", { cwd: folder }).toSorted().map((path) =>
    read(path.replaceAll("\\", "/"), readFileSync(join(folder, path), "utf8"))
  )
