/**
 * Exports the embedded database: SQLite, as it comes with Node.
 */
export * as Sqlite from "./Sqlite.ts"
