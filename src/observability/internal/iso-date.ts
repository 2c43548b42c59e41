/**
 * Writes a time as people and files have it, whatever number a clock or a record gives.
 */
export const isoDate = (ms: number): string => Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms)
