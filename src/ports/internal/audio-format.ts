/**
 * Checks a format of audio that is given as an option, and says what audio of another one means for a port.
 */
import * as Schema from "effect/Schema"
import * as options from "../../internal/options.ts"
import { Pcm } from "../../streaming/index.ts"
import type { Reason } from "./failure.ts"

/** What audio means that was not what it should be: cut within a frame, its sender stopped. */
export const unfitReason = ({ message, reason }: Pcm.AudioInvalid): Reason =>
  reason._tag === "PartOfFrame" ? { _tag: "BrokenOff" } : { _tag: "UnfitAudio", problem: message }

const isFormat = Schema.is(Pcm.Format)

export const formatOption = (option: string, given: Pcm.Format): Pcm.Format =>
  options.ofKind(
    option,
    "a format with sampleRate, channels and bitsPerSample (8, 16, 24 or 32)",
    (value): value is Pcm.Format => isFormat(value),
    given
  )
