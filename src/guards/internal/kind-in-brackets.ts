/**
 * Masks a finding with its kind in brackets, such as `[email]`.
 */
export const kindInBrackets = (kind: string): string => `[${kind}]`
