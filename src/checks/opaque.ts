/**
 * Names a record type so that editors show the name and not what is in it; its keys are there all the same.
 *
 * A type that is declared inside of a generic function is shown without type arguments. A declaration file has no bodies
 * of functions, so the package has this file as it is: it imports nothing and compiles under any options.
 */

const outputs = <O>() => {
  type Outputs = { readonly [K in keyof O]: O[K] }
  return undefined as unknown as Outputs
}

/** The outputs of a run, shown as `Outputs`. */
export type NamedOutputs<O> = ReturnType<typeof outputs<O>>
