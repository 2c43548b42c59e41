/**
 * Writes text so that Mermaid shows it as it is, whatever is in it.
 */

// Whatever is not plain text to Mermaid, or to the Markdown and HTML that it makes of a label.
const special = /[^\p{L}\p{N}\p{M} ,?_-]|(?<![\p{L}\p{N}])[_-]|[_-](?![\p{L}\p{N}])/gu

/** The text as a label, without its quotes. */
export const mermaidText = (text: string): string =>
  text.split(/\r\n|\r|\n/).map((line) => line.replace(special, (character) => `#${character.codePointAt(0)};`)).join(
    "<br/>"
  )
