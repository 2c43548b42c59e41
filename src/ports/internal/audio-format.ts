/**
 * Checks a format of audio that is given as an option.
 */
import * as Schema from "effect/Schema"
import * as options from "../../internal/options.ts"
import { Pcm } from "../../streaming/index.ts"

const isFormat = Schema.is(Pcm.Format)

export const formatOption = (option: string, given: Pcm.Format): Pcm.Format =>
  options.ofKind(
    option,
    "a format with sampleRate, channels and bitsPerSample (8, 16, 24 or 32)",
    (value): value is Pcm.Format => isFormat(value),
    given
  )
