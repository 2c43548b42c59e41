/**
 * Gives every property test the same random cases each time: what passed once passes again.
 *
 * `PROPERTY_SEED=7 npx vitest run test/property` tries others.
 */
import { Arbitrary } from "effect"

Arbitrary.configureGlobal({ check: { seed: process.env["PROPERTY_SEED"] ?? "stageflow" } })
