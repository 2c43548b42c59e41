/**
 * Counts the steps that a search takes. They grow with the text and not faster, whatever is in it.
 */
export interface Meter {
  steps: number
}
