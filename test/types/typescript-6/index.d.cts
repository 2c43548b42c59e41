// The types of the same: what tests say in TypeScript of TypeScript's own syntax tree.
import typescript = require("typescript")
export = typescript
