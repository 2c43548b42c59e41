/**
 * Tells characters that show nothing from all others.
 */
const invisible = /[\p{Cf}\p{Default_Ignorable_Code_Point}]|(?![\s\u0085])\p{Cc}/u
const allInvisible = new RegExp(invisible, "gu")

/** Whether a character shows nothing and is no white space either. */
export const isInvisible = (character: string): boolean => invisible.test(character)

/** The text without what shows nothing. */
export const withoutInvisible = (text: string): string => text.replace(allInvisible, "")
