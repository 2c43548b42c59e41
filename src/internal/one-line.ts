/**
 * Writes text from anywhere on one line, without anything that a terminal would act on.
 */

/** Controls, ends of lines, and what changes the direction of what comes after it. */
const moving = /[\p{Cc}\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]+/gu

/** The text on one line. */
export const oneLine = (text: string): string => text.replaceAll(moving, " ")
