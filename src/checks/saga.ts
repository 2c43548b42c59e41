/**
 * Checks, in the compiler, that what a stage did can be told to what takes it back.
 */
import type { OneOf } from "./sentence.ts"

type KeyOf<D> = D extends unknown ? keyof D : never

/** Whether nothing is in the data: its type has no keys, and is not just any object. */
type IsEmpty<D> = [D] extends [never] ? false
  : unknown extends D ? false
  : [KeyOf<D>] extends [never] ? string extends D ? true : false
  : false

/** What is wrong with a compensation of the stage `Name` that gives `D`. */
export type CompensationProblem<Name, D> = IsEmpty<D> extends true ? `stage '${
    & OneOf<Name>
    & string}' gives no data; return what its compensation has to know, such as an id`
  : never
