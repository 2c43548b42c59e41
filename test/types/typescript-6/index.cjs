// A folder of its own keeps the `tsc` of this version out of the project's `node_modules/.bin`.
module.exports = require("typescript")
