/**
 * Writes the tables of docs/api/events.md anew: `npm run docs:events`.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { withTables } from "./event-tables.ts"

const path = resolve(import.meta.dirname, "../../docs/api/events.md")
writeFileSync(path, withTables(readFileSync(path, "utf8")))
