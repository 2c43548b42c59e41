/**
 * Reads what a module exports with the comments in front of it, through every `export ... from`.
 */
import { readFileSync } from "node:fs"
import { join, posix } from "node:path"
import ts from "typescript-6"
import { parse } from "./modules.ts"

/** One export: where it is declared and what is written in front of it. */
export interface Exported {
  readonly module: string
  /** The comments in front of its declarations, `/**` and all. */
  readonly comments: ReadonlyArray<string>
  /** Whether it is a whole module: `export * as Stage from "./Stage.ts"`. */
  readonly space: string | undefined
}

type Exports = ReadonlyMap<string, Exported>

const commentsBefore = (node: ts.Node): ReadonlyArray<string> => {
  const text = node.getSourceFile().text
  return (ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [])
    .map(({ end, pos }) => text.slice(pos, end))
    .filter((comment) => comment.startsWith("/**"))
}

/** The path of a module of the same folder that is imported; `undefined` for one of a package. */
const ownModule = (path: string, specifier: ts.Expression | undefined): string | undefined =>
  specifier !== undefined && ts.isStringLiteral(specifier) && specifier.text.startsWith(".")
    ? posix.join(posix.dirname(path), specifier.text)
    : undefined

const isExported = (node: ts.Statement): boolean =>
  ts.canHaveModifiers(node) &&
  (ts.getModifiers(node) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

const declaredNames = (node: ts.Statement): ReadonlyArray<string> => {
  if (ts.isVariableStatement(node)) {
    return node.declarationList.declarations.flatMap(({ name }) => ts.isIdentifier(name) ? [name.text] : [])
  }
  const isNamed = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) || ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node)
  return isNamed && node.name !== undefined ? [node.name.text] : []
}

/** The comment that opens a module: one before its first statement that is not that statement's own. */
const openingOf = (file: ts.SourceFile): string | undefined => {
  const [first] = file.statements
  const comments = commentsBefore(first ?? file.endOfFileToken)
  const isOwn = first !== undefined && isExported(first) && comments.length === 1
  return isOwn ? undefined : comments[0]
}

/** Reads the exports of modules below a folder, each module once. */
export class ExportReader {
  private readonly folder: string
  private readonly known = new Map<string, Exports>()
  private readonly openings = new Map<string, string | undefined>()

  constructor(folder: string) {
    this.folder = folder
  }

  /** The comment that opens a module. */
  openingOf(path: string): string | undefined {
    if (!this.openings.has(path)) this.openings.set(path, openingOf(this.treeOf(path)))
    return this.openings.get(path)
  }

  /** Every export of a module by its name. */
  exportsOf(path: string): Exports {
    const known = this.known.get(path)
    if (known !== undefined) return known
    const found = this.readExports(path)
    this.known.set(path, found)
    return found
  }

  private treeOf(path: string): ts.SourceFile {
    return parse(path, readFileSync(join(this.folder, path), "utf8"))
  }

  private readExports(path: string): Exports {
    const file = this.treeOf(path)
    const found = new Map<string, Exported>()
    const add = (name: string, exported: Exported) => {
      const comments = [...(found.get(name)?.comments ?? []), ...exported.comments]
      found.set(name, { ...exported, comments })
    }
    const locals = new Map<string, Array<string>>()
    /** What is imported by name, so that it can be exported again: the module and its name there. */
    const imported = new Map<string, readonly [module: string, name: string]>()
    for (const statement of file.statements) {
      if (ts.isImportDeclaration(statement)) {
        const bindings = statement.importClause?.namedBindings
        const from = ownModule(path, statement.moduleSpecifier)
        if (bindings === undefined || !ts.isNamedImports(bindings) || from === undefined) continue
        for (const { name, propertyName } of bindings.elements) {
          imported.set(name.text, [from, (propertyName ?? name).text])
        }
      }
      for (const name of declaredNames(statement)) {
        const comments = commentsBefore(statement).slice(-1)
        locals.set(name, [...(locals.get(name) ?? []), ...comments])
        if (isExported(statement)) add(name, { module: path, comments, space: undefined })
      }
    }
    for (const statement of file.statements) {
      if (!ts.isExportDeclaration(statement)) continue
      const { exportClause, moduleSpecifier } = statement
      const from = ownModule(path, moduleSpecifier)
      if (exportClause === undefined) {
        if (from !== undefined) this.exportsOf(from).forEach((exported, name) => add(name, exported))
      } else if (ts.isNamespaceExport(exportClause)) {
        if (from === undefined) continue
        const opening = this.openingOf(from)
        add(exportClause.name.text, { module: from, comments: opening === undefined ? [] : [opening], space: from })
      } else {
        for (const element of exportClause.elements) {
          const original = (element.propertyName ?? element.name).text
          const own = commentsBefore(element)
          const [module, name] = from === undefined ? imported.get(original) ?? [path, original] : [from, original]
          const declared: Exported = module === path
            ? { module, comments: locals.get(name) ?? [], space: undefined }
            : this.exportsOf(module).get(name) ?? { module, comments: [], space: undefined }
          add(element.name.text, { ...declared, comments: [...declared.comments, ...own] })
        }
      }
    }
    return found
  }
}
