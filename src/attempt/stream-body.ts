/**
 * Runs the stream of a stage: passes its chunks on while they come, and makes the data of the stage of them.
 *
 * The stream runs in a fiber of its own, so that it can be stopped when nobody reads it any more while the stage goes on to
 * give what was collected so far.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constTrue, constVoid } from "effect/Function"
import * as Pull from "effect/Pull"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { Telling } from "../internal/chosen-events.ts"
import type { ChunkChannel, OnStall, Producing } from "../internal/chunk-channel.ts"
import { immutable } from "../internal/immutable.ts"
import { InterruptionGrace, interruptWithin } from "../internal/interruption.ts"
import { problemsOf } from "../internal/problems.ts"
import { StageContext } from "../StageContext.ts"
import { StageFault } from "../StageError.ts"
import { type Attempt, attemptOf } from "./attempt.ts"
import { StallLimit } from "./stall-limit.ts"

/** Makes the data of a stage of its chunks, one after the other. */
export interface Fold {
  readonly initial: () => unknown
  readonly step: (data: unknown, chunk: unknown) => unknown
}

/** What a stage that streams was told when it was made. */
export interface StreamBody {
  readonly run: unknown
  readonly collect: Fold | Sink.Sink<unknown, unknown, unknown, unknown, unknown>
  readonly chunk: Schema.Top | undefined
  readonly telling: Telling | undefined
}

type AnyStream = Stream.Stream<unknown, unknown, unknown>

/** Collects the chunks of one attempt. */
interface Collecting {
  readonly add: (chunk: unknown) => void
  /** What was made of the chunks; it fails when that failed. */
  readonly data: Effect.Effect<unknown, unknown, unknown>
}

/** Says that stages wait for each other through their streams. */
export const stallIn = (stage: string): OnStall => (stages) => ({
  limit: Effect.withFiber((fiber) => Effect.sleep(Context.get(fiber.context, StallLimit))),
  giveUp: Effect.suspend(() =>
    // A fault is in the type of whatever runs stages.
    Effect.fail(new StageFault({ stage, reason: { _tag: "StreamStalled", stages } })) as Effect.Effect<never>
  )
})

const folding = ({ initial, step }: Fold, producing: Producing): Collecting => {
  let data = initial()
  producing.collected = () => data
  return {
    add: (chunk) => {
      data = step(data, chunk)
    },
    data: Effect.sync(() => data)
  }
}

/** Says whether a chunk fits its schema; what does not fails with a fault that has its number. */
const checkOf = (schema: Schema.Top, stage: string) => {
  const decode = Schema.decodeUnknownExit(Schema.toType(schema) as Schema.Codec<unknown>)
  return (chunk: unknown, number: number): Effect.Effect<unknown, StageFault> => {
    const exit = decode(chunk, { errors: "all" })
    if (Exit.isSuccess(exit)) return Effect.succeed(exit.value)
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    const problems = error === undefined
      ? [{ path: [], message: "Its schema threw when it was checked" }]
      : problemsOf(error.issue)
    return Effect.fail(new StageFault({ stage, reason: { _tag: "InvalidChunk", chunk: number, problems } }))
  }
}

/** A list of the chunks that nobody can change. */
const immutableChunks = (chunks: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
  const copies: Array<unknown> = []
  for (const chunk of chunks) copies.push(immutable(chunk))
  return copies
}

/** Moves the chunks of one attempt from its stream to those who read and collect them. */
class Pump {
  private readonly channel: ChunkChannel
  private readonly producing: Producing
  private readonly collecting: Collecting
  private readonly attempt: Attempt
  private readonly telling: Telling | undefined
  private readonly check: ((chunk: unknown, number: number) => Effect.Effect<unknown, StageFault>) | undefined
  private readonly onStall: OnStall
  private told = 0

  constructor(attempt: Attempt, producing: Producing, collecting: Collecting, { chunk, telling }: StreamBody) {
    this.attempt = attempt
    this.channel = attempt.channel
    this.producing = producing
    this.collecting = collecting
    this.telling = telling
    this.check = chunk === undefined ? undefined : checkOf(chunk, attempt.stage)
    this.onStall = stallIn(attempt.stage)
  }

  run(stream: AnyStream): Effect.Effect<void, unknown, unknown> {
    // `Stream.toPull` guards each pull against others at the same time, which there are none of here.
    const pulls = Effect.flatMap(Effect.scope, (scope) => Channel.toPullScoped(Stream.toChannel(stream), scope))
    const moved = Effect.flatMap(pulls, (pull) => {
      const next = Effect.flatMap(pull, (chunks) => this.accept(chunks))
      // There is no end but that of the pull.
      return Effect.whileLoop({
        while: constTrue,
        body: () => this.channel.room > 0 ? next : Effect.andThen(this.room, next),
        step: constVoid
      })
    })
    return Pull.catchDone(Effect.scoped(moved), () => Effect.sync(() => this.tellLast()))
  }

  private get room(): Effect.Effect<void> {
    return this.channel.awaitRoom(this.onStall)
  }

  private accept(chunks: ReadonlyArray<unknown>): Effect.Effect<void, StageFault> {
    if (this.check === undefined && this.telling === undefined && chunks.length <= this.channel.room) {
      return this.passOn(immutableChunks(chunks), 0, chunks.length)
    }
    return this.acceptSlowly(chunks)
  }

  private passOn(chunks: ReadonlyArray<unknown>, from: number, to: number): Effect.Effect<void, StageFault> {
    const { channel, collecting, producing } = this
    if (!channel.owns(producing)) return Effect.fail(this.isTaken)
    for (let at = from; at < to; at++) collecting.add(chunks[at])
    producing.chunks += to - from
    channel.put(chunks, from, to)
    if (producing.isUnread) producing.stopEarly()
    return Effect.void
  }

  /** Takes chunks of which there are more than there is room for, or that are looked at one by one. */
  private acceptSlowly(chunks: ReadonlyArray<unknown>): Effect.Effect<void, StageFault> {
    let at = 0
    const isOneByOne = this.check !== undefined || this.telling !== undefined
    const copies = isOneByOne ? chunks : immutableChunks(chunks)
    return Effect.whileLoop({
      while: () => at < chunks.length,
      body: (): Effect.Effect<void, StageFault> => {
        const { room } = this.channel
        if (room <= 0) return this.room
        if (isOneByOne) return this.acceptOne(chunks[at++])
        const from = at
        at = Math.min(chunks.length, at + room)
        return this.passOn(copies, from, at)
      },
      step: constVoid
    })
  }

  private acceptOne(chunk: unknown): Effect.Effect<void, StageFault> {
    const number = this.producing.chunks + 1
    const pass = (checked: unknown) => {
      const copy = immutable(checked)
      return Effect.map(this.passOn([copy], 0, 1), () => this.tell(copy, number))
    }
    return this.check === undefined ? pass(chunk) : Effect.flatMap(this.check(chunk, number), pass)
  }

  private tell(chunk: unknown, number: number): void {
    this.last = chunk
    if (this.telling?.tells(number, 0) === true) this.tellOf(chunk, number)
  }
  private last: unknown = undefined

  private tellOf(chunk: unknown, number: number): void {
    this.told = number
    this.attempt.tell("stream.chunk", { number, chunk })
  }

  /** The last chunk is told of, too, if all that end are. */
  tellLast(): void {
    const { chunks } = this.producing
    if (this.telling?.last === true && chunks > 0 && this.told < chunks) this.tellOf(this.last, chunks)
  }

  /** Another attempt at the same time was the first to give a chunk. */
  private get isTaken(): StageFault {
    return restarted(this.attempt, this.channel)
  }
}

const restarted = ({ attempt, stage }: Attempt, { taken }: ChunkChannel): StageFault =>
  new StageFault({ stage, reason: { _tag: "StreamTaken", attempt, taken } })

/** Collects by a Sink, which reads along in a fiber of its own. */
const sinking = Effect.fnUntraced(function*(
  sink: Sink.Sink<unknown, unknown, unknown, unknown, unknown>,
  attempt: Attempt,
  producing: Producing
): Effect.fn.Return<
  { readonly collecting: Collecting; readonly fiber: Fiber.Fiber<unknown, unknown> },
  never,
  unknown
> {
  const consumer = attempt.channel.collectorOf(producing)
  const ending = () => Cause.done()
  const pull = consumer.pull(ending, stallIn(attempt.stage)) as Pull.Pull<readonly [unknown, ...Array<unknown>]>
  const chunks = Stream.fromPull(Effect.succeed(pull))
  const fiber = yield* Effect.forkChild(
    Effect.onExit(Stream.run(chunks, sink), (exit) =>
      Effect.sync(() => {
        consumer.leave()
        // Without what collects them the chunks are for nothing.
        if (Exit.isFailure(exit)) producing.stopEarly()
      }))
  )
  return { collecting: { add: () => undefined, data: Fiber.join(fiber) }, fiber }
})

/** Runs a stream to its end, or until nobody reads it any more. */
const streamed = Effect.fnUntraced(function*(
  body: StreamBody,
  stream: AnyStream,
  attempt: Attempt
): Effect.fn.Return<unknown, unknown, unknown> {
  const { channel } = attempt
  const producing = yield* Effect.withFiber((fiber) => Effect.succeed(channel.open(fiber)))
  if (producing === undefined) return yield* Effect.fail(restarted(attempt, channel))
  return yield* Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    const sink = Sink.isSink(body.collect)
      ? yield* restore(sinking(body.collect as AnySink, attempt, producing))
      : undefined
    const collecting = sink?.collecting ?? folding(body.collect as Fold, producing)
    const pump = new Pump(attempt, producing, collecting, body)
    const exit = yield* restore(moved(pump, stream, producing)).pipe(
      Effect.exit
    )
    const isStopped = producing.isStopped && (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause))
    channel.close(producing, isStopped || Exit.isSuccess(exit) ? "complete" : "failed")
    if (isStopped) {
      pump.tellLast()
      attempt.tell("stream.stopped", { chunks: producing.chunks })
    }
    const collected = yield* Effect.exit(restore(collecting.data))
    if (sink !== undefined) {
      channel.forgetCollector(producing)
      yield* Fiber.interrupt(sink.fiber)
      if (Exit.isSuccess(collected)) producing.collected = () => collected.value
    }
    if (Exit.isFailure(exit) && !isStopped) return yield* exit
    if (Exit.isFailure(collected)) channel.spoil(producing)
    return yield* collected
  }))
})

type AnySink = Sink.Sink<unknown, unknown, unknown, unknown, unknown>

/** Ends when a fiber does, or when it is told to stop. */
const endedOrStopped = (fiber: Fiber.Fiber<void, unknown>, producing: Producing): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    fiber.addObserver(() => resume(Effect.void))
    producing.stop = () => {
      fiber.interruptUnsafe()
      resume(Effect.void)
    }
    if (producing.isStopped) producing.stop()
  })

/**
 * Moves the chunks of a stream in a fiber of its own, which can be stopped: what then cleans up for longer than the grace is
 * left behind.
 */
const moved = (pump: Pump, stream: AnyStream, producing: Producing): Effect.Effect<void, unknown, unknown> =>
  Effect.uninterruptibleMask(Effect.fnUntraced(function*(restore) {
    if (producing.isStopped) return
    const grace = yield* InterruptionGrace
    // A child would be waited for without a limit.
    const fiber = yield* Effect.forkDetach(restore(pump.run(stream)))
    yield* Effect.onInterrupt(
      restore(Effect.andThen(
        endedOrStopped(fiber, producing),
        Effect.suspend(() => fiber.pollUnsafe() === undefined ? interruptWithin([fiber], grace) : Effect.void)
      )),
      () => Fiber.interrupt(fiber)
    )
    return yield* fiber.pollUnsafe() ?? Exit.interrupt()
  }))

/** What a stage that streams runs. */
export const runStream = (body: StreamBody) => (inputs: unknown): Effect.Effect<unknown, unknown, unknown> =>
  Effect.flatMap(StageContext, (context) => {
    const attempt = attemptOf(context)
    const stream: unknown = typeof body.run === "function" ? body.run(inputs) : body.run
    if (Stream.isStream(stream)) return streamed(body, stream as AnyStream, attempt)
    return Effect.fail(
      new StageFault({
        stage: attempt.stage,
        reason: {
          _tag: "InvalidOutput",
          problems: [{ path: [], message: "Expected `run` to be or to return a Stream" }]
        }
      })
    )
  })
