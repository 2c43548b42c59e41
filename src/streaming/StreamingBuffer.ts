/**
 * Holds a little audio between who makes it and who plays it, so that a voice that comes in bursts is heard without gaps.
 *
 * Playing starts when the `target` is held, or when the audio has ended before. When the buffer runs dry, that is an
 * underrun: the reader waits until the target is held again, or hears silence, as said. Above the `maximum` audio is
 * dropped, or its producer waits.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Pcm, StreamingBuffer } from "stageflow/streaming"
 *
 * const voice = Stream.make(Pcm.tone(Pcm.speech, { hertz: 220, duration: "1 second" }))
 *
 * const played = voice.pipe(
 *   StreamingBuffer.buffer({ overflow: "block" }),
 *   Pcm.inRealTime,
 *   Stream.runForEach((frame) => Effect.sync(() => frame.bytes.byteLength))
 * )
 * ```
 *
 * | setting | what it is | when left out |
 * |---|---|---|
 * | `format` | the format of the audio; another one is an error | `Pcm.speech` |
 * | `target` | how much is held before playing starts | 200 ms |
 * | `maximum` | how much is held at most | 2 seconds |
 * | `frame` | how much is read, and dropped, at once | 20 ms |
 * | `overflow` | what happens above the maximum: `"drop-oldest"`, `"drop-newest"` or `"block"` | `"drop-oldest"` |
 * | `underrun` | what a reader gets when there is nothing: it waits (`"wait"`) or gets a frame of silence (`"silence"`) | `"wait"` |
 * | `onSignal` | is told of overflow, underrun and waits, by a fiber of its own; see `StreamSignal` | nobody |
 *
 * `"silence"` is for readers that have a clock of their own, as a sound card: such a reader gets a frame whenever it asks.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import { Bounded, type Overflow } from "./internal/bounded.ts"
import { Remainder } from "./internal/bytes.ts"
import { formatOf, problemWith } from "./internal/format.ts"
import { listening, type Tell } from "./internal/listener.ts"
import * as Pcm from "./Pcm.ts"
import type { StreamSignal } from "./StreamSignal.ts"

/**
 * How a buffer is to be; the opening comment of the module has the table.
 */
export interface Settings<R = never> {
  /** The format of the audio. `Pcm.speech` when left out. */
  readonly format?: Pcm.Format | undefined
  /** How much is held before playing starts, and after an underrun. 200 ms when left out. */
  readonly target?: Duration.Input | undefined
  /** How much is held at most. 2 seconds when left out. */
  readonly maximum?: Duration.Input | undefined
  /** How much is read, and dropped, at once. 20 ms when left out. */
  readonly frame?: Duration.Input | undefined
  /** What happens above the maximum. `"drop-oldest"` when left out. */
  readonly overflow?: Overflow | undefined
  /** What a reader gets when there is nothing. `"wait"` when left out. */
  readonly underrun?: "wait" | "silence" | undefined
  /** Is told how the buffer is doing, by a fiber of its own. */
  readonly onSignal?: ((signal: StreamSignal) => Effect.Effect<void, never, R>) | undefined
}

/**
 * What became of the audio of a buffer so far, in bytes. `accepted` is the sum of `delivered`, `dropped` and `buffered`.
 */
export interface Stats {
  readonly accepted: number
  readonly delivered: number
  readonly dropped: number
  readonly buffered: number
  /** The same in milliseconds of audio. */
  readonly bufferedMs: number
  /** The most that was ever held, in milliseconds. */
  readonly highWaterMs: number
  /** How often it ran dry. */
  readonly underruns: number
  /** How often a producer had to wait, and for how many milliseconds. */
  readonly blocked: number
  readonly blockedMs: number
}

/**
 * A buffer of audio. `E` is what it can fail with.
 */
export interface StreamingBuffer<in out E = never> {
  /**
   * Hands audio in. With `"block"` it waits for room. It gives `false` once the buffer has ended, and fails for audio of
   * another format.
   */
  readonly write: (chunk: Pcm.Chunk) => Effect.Effect<boolean, Pcm.AudioInvalid>
  /** The next frame, when there is one to play. Fails with `Cause.Done` when the audio is over. */
  readonly read: Effect.Effect<Pcm.Chunk, E | Cause.Done>
  /** The frames, until the audio is over. */
  readonly stream: Stream.Stream<Pcm.Chunk, E>
  /** Says that no more audio comes: what is held is played, however little. */
  readonly end: Effect.Effect<void>
  /** The same, and then readers fail with this cause. */
  readonly failCause: (cause: Cause.Cause<E>) => Effect.Effect<void>
  /** What became of the audio so far. */
  readonly stats: Effect.Effect<Stats>
}

interface Checked<R> {
  readonly format: Pcm.Format
  readonly frameBytes: number
  readonly targetFrames: number
  readonly maximumFrames: number
  readonly overflow: Overflow
  readonly underrun: "wait" | "silence"
  readonly onSignal: Settings<R>["onSignal"]
}

const keys = [
  "format",
  "target",
  "maximum",
  "frame",
  "overflow",
  "underrun",
  "onSignal"
] as const satisfies ReadonlyArray<keyof Settings>

const checked = <R>(given: Settings<R>): Checked<R> => {
  const settings = options.fields<Settings<R>>("settings", keys, given)
  const format = formatOf("format", settings.format ?? Pcm.speech)
  const millis = (option: "target" | "maximum" | "frame", otherwise: Duration.Input): number =>
    Duration.toMillis(options.positiveDuration(option, settings[option] ?? otherwise))
  const maximum = millis("maximum", "2 seconds")
  const target = options.atMost("target", millis("target", Math.min(200, maximum)), maximum)
  const frame = options.atMost("frame", millis("frame", Math.min(20, target)), maximum)
  return {
    format,
    frameBytes: Math.max(Pcm.bytesIn(format, frame), Pcm.frameBytes(format)),
    targetFrames: Math.ceil(target / frame),
    maximumFrames: Math.ceil(maximum / frame),
    overflow: options.oneOf("overflow", ["drop-oldest", "drop-newest", "block"], settings.overflow ?? "drop-oldest"),
    underrun: options.oneOf("underrun", ["wait", "silence"], settings.underrun ?? "wait"),
    onSignal: settings.onSignal === undefined ? undefined : options.callable("onSignal", settings.onSignal)
  }
}

type Frames<E> = Queue.Queue<Uint8Array, E | Cause.Done>

class Buffer<E> implements StreamingBuffer<E> {
  private readonly settings: Checked<unknown>
  private readonly tell: Tell
  private readonly frames: Bounded<Uint8Array, E>
  private readonly rest = new Remainder()
  private readonly silence: Pcm.Chunk
  /** Is open while there is something to play, or nothing more will come. */
  private readonly ready = Latch.makeUnsafe(false)
  private isPlaying = false
  private isRecovering = false
  private chunks = 0
  private acceptedBytes = 0
  private deliveredBytes = 0
  private droppedBytes = 0
  /** Of what was dropped, that which nobody was told of yet. */
  private untoldBytes = 0
  private underruns = 0

  constructor(settings: Checked<unknown>, frames: Frames<E>, tell: Tell) {
    this.settings = settings
    this.tell = tell
    const { format, frameBytes } = settings
    this.silence = { format, bytes: new Uint8Array(frameBytes).fill(format.bitsPerSample === 8 ? 128 : 0) }
    this.frames = new Bounded(frames, { capacity: settings.maximumFrames, overflow: settings.overflow }, {
      accepted: (frame) => void (this.acceptedBytes += frame.byteLength),
      delivered: (frame) => void (this.deliveredBytes += frame.byteLength),
      dropped: (frame) => {
        this.droppedBytes += frame.byteLength
        this.untoldBytes += frame.byteLength
      },
      blocked: (blockedMs) => tell({ _tag: "ProducerBlocked", blockedMs, size: this.frames.size }),
      resized: (size) => {
        if (!this.isPlaying && size >= settings.targetFrames) this.play()
      }
    })
  }

  private millisOf(bytes: number): number {
    return Pcm.millisOf(this.settings.format, bytes)
  }

  private get bufferedBytes(): number {
    return this.acceptedBytes - this.deliveredBytes - this.droppedBytes
  }

  private play(): void {
    const hasRecovered = this.isRecovering && !this.frames.isClosed
    this.isPlaying = true
    this.isRecovering = false
    if (hasRecovered) this.tell({ _tag: "BufferRecovered", bufferedMs: this.millisOf(this.bufferedBytes) })
    // The reader goes on within this call.
    this.ready.openUnsafe()
  }

  readonly write = (chunk: Pcm.Chunk): Effect.Effect<boolean, Pcm.AudioInvalid> =>
    Effect.suspend(() => {
      const reason = problemWith(this.settings.format, chunk)
      this.chunks++
      if (reason !== undefined) return Effect.fail(new Pcm.AudioInvalid({ chunk: this.chunks, reason }))
      if (this.frames.isClosed) return Effect.succeed(false)
      const { frameBytes } = this.settings
      const whole = this.rest.wholeOf(chunk.bytes, frameBytes)
      return this.writeFrames(Array.from(
        { length: whole.byteLength / frameBytes },
        (_, index) => whole.subarray(index * frameBytes, (index + 1) * frameBytes)
      ))
    })

  private readonly writeFrames = Effect.fnUntraced({ self: this }, function*(
    this: Buffer<E>,
    frames: ReadonlyArray<Uint8Array>
  ) {
    let isOpen = true
    for (const frame of frames) isOpen = isOpen && (yield* this.frames.offer(frame))
    if (this.untoldBytes > 0) this.tellOverflow()
    return isOpen
  })

  private tellOverflow(): void {
    const { frameBytes, maximumFrames } = this.settings
    this.tell({
      _tag: "BufferOverflow",
      bytesDropped: this.untoldBytes,
      bufferedMs: this.millisOf(this.bufferedBytes),
      maximumMs: this.millisOf(maximumFrames * frameBytes)
    })
    this.untoldBytes = 0
  }

  readonly read: Effect.Effect<Pcm.Chunk, E | Cause.Done> = Effect.suspend(() => {
    if (this.isPlaying) {
      const taken = this.frames.takeNow()
      if (taken !== undefined) {
        return Exit.map(taken, (bytes) => ({ format: this.settings.format, bytes }))
      }
      this.runDry()
    }
    return this.isRecovering && this.settings.underrun === "silence"
      ? Effect.succeed(this.silence)
      : Effect.andThen(this.ready.await, this.read)
  })

  private runDry(): void {
    this.isPlaying = false
    this.isRecovering = true
    this.ready.closeUnsafe()
    this.underruns++
    this.tell({
      _tag: "BufferUnderrun",
      bytesRequested: this.settings.frameBytes,
      bytesAvailable: this.rest.size,
      bufferedMs: this.millisOf(this.rest.size)
    })
  }

  readonly stream: Stream.Stream<Pcm.Chunk, E> = Stream.fromPull(
    Effect.succeed(Effect.map(this.read, (frame) => [frame] as const))
  )

  readonly failCause = (cause: Cause.Cause<E | Cause.Done>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.frames.isClosed) return Effect.void
      // What is left is less than a frame, and audio all the same.
      const last = this.rest.takeAll()
      if (last.byteLength > 0) this.frames.addLast(last)
      return Effect.andThen(this.frames.failCause(cause), Effect.sync(() => this.play()))
    })

  readonly end: Effect.Effect<void> = Effect.suspend(() => this.failCause(Cause.fail(Cause.Done())))

  readonly stats: Effect.Effect<Stats> = Effect.sync(() => {
    const { blocked, blockedMs, highWater } = this.frames.stats
    const { acceptedBytes, deliveredBytes, droppedBytes, rest, settings, underruns } = this
    const buffered = this.bufferedBytes + rest.size
    return {
      accepted: acceptedBytes + rest.size,
      delivered: deliveredBytes,
      dropped: droppedBytes,
      buffered,
      bufferedMs: this.millisOf(buffered),
      highWaterMs: this.millisOf(highWater * settings.frameBytes),
      underruns,
      blocked,
      blockedMs
    }
  })
}

const makeChecked = <E, R>(settings: Checked<R>): Effect.Effect<Buffer<E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const tell = yield* listening(settings.onSignal)
    const buffer = new Buffer<E>(settings, yield* Queue.unbounded<Uint8Array, E | Cause.Done>(), tell)
    yield* Effect.addFinalizer(() => buffer.end)
    return buffer
  })

/**
 * Makes a buffer. Closing its scope ends it, so that nobody waits for room in it.
 */
export const make = <E = never, R = never>(
  settings: Settings<R> = {}
): Effect.Effect<StreamingBuffer<E>, never, R | Scope.Scope> => makeChecked(checked(settings))

/**
 * Plays a stream of audio through a buffer. The stream runs in a fiber that ends with its reader; what it fails with comes
 * after the audio before.
 */
export const buffer: {
  <R2 = never>(
    settings: Settings<R2>
  ): <E, R>(self: Stream.Stream<Pcm.Chunk, E, R>) => Stream.Stream<Pcm.Chunk, E | Pcm.AudioInvalid, R | R2>
  <E, R, R2 = never>(
    self: Stream.Stream<Pcm.Chunk, E, R>,
    settings: Settings<R2>
  ): Stream.Stream<Pcm.Chunk, E | Pcm.AudioInvalid, R | R2>
} = dual(
  2,
  <E, R, R2 = never>(
    self: Stream.Stream<Pcm.Chunk, E, R>,
    given: Settings<R2>
  ): Stream.Stream<Pcm.Chunk, E | Pcm.AudioInvalid, R | R2> => {
    const settings = checked(given)
    return Stream.unwrap(Effect.gen(function*() {
      const buffer = yield* makeChecked<E | Pcm.AudioInvalid, R2>(settings)
      yield* Effect.forkScoped(Effect.matchCauseEffect(Stream.runForEach(self, buffer.write), {
        onFailure: buffer.failCause,
        onSuccess: () => buffer.end
      }))
      return buffer.stream
    }))
  }
)
