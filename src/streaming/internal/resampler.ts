/**
 * Makes samples of another rate and number of channels, chunk by chunk, with straight lines between the samples.
 *
 * Where a chunk is cut makes no difference: the last frame is kept for the line to the next one, and the time of each frame
 * is counted from the beginning, so that nothing drifts.
 */

interface Shape {
  readonly sampleRate: number
  readonly channels: number
}

export class Resampler {
  private readonly from: Shape
  private readonly to: Shape
  /** Frames of the source that one frame of the result takes. */
  private readonly step: number
  private readonly previous: Float64Array
  /** Frames that came, and frames that were made. */
  private came = 0
  private made = 0

  constructor(from: Shape, to: Shape) {
    this.from = from
    this.to = to
    this.step = from.sampleRate / to.sampleRate
    this.previous = new Float64Array(to.channels)
  }

  next(samples: Float64Array): ReadonlyArray<number> {
    const { from, previous, step, to } = this
    const made: Array<number> = []
    const current = new Float64Array(to.channels)
    for (let start = 0; start + from.channels <= samples.length; start += from.channels) {
      this.mix(samples, start, current)
      for (let time = this.made * step; time <= this.came; time = this.made * step) {
        const part = time - (this.came - 1)
        current.forEach((value, channel) => {
          const before = previous[channel] as number // as long as `current`
          made.push(before + (value - before) * part)
        })
        this.made++
      }
      previous.set(current)
      this.came++
    }
    return made
  }

  /** The frame that starts there, in the channels of the result: the mean of several, or one for all. */
  private mix(samples: Float64Array, start: number, into: Float64Array): void {
    const frame = samples.subarray(start, start + this.from.channels)
    if (this.from.channels === this.to.channels) into.set(frame)
    else into.fill(frame.reduce((sum, sample) => sum + sample, 0) / frame.length)
  }
}
