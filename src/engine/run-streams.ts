/**
 * Holds the streams of one run: a channel for each stage that streams, and who reads from it.
 */
import * as Context from "effect/Context"
import type * as Stream from "effect/Stream"
import { StreamedStage } from "../attempt/streamed.ts"
import {
  type ChannelSummary,
  ChunkChannel,
  type Consumer,
  Party,
  type Reading,
  type Settlement
} from "../internal/chunk-channel.ts"
import { type Holding, Holdings, StreamHoldings } from "../internal/interruption.ts"
import type { Settled, Skip } from "../internal/output-model.ts"
import { Missing, missing, type StreamUse } from "../internal/source-model.ts"
import type { Plan } from "./plan.ts"
import { readableStream } from "./readable-stream.ts"

/** What of a run its streams have to know. */
interface RunOfStreams {
  readonly plan: Plan
  readonly outputs: ReadonlyArray<Settled | undefined>
  /** The stream of a stage begins: who reads it can start. */
  readonly streamOpened: (index: number) => void
}

/** Whoever reads streams without being a stage: the caller of the run. It reads from the first chunk on. */
export interface OutsideReader {
  readonly stage: number
  readonly reading: Reading
}

/** One reading of a stream by a stage. */
interface ReaderOfStream {
  readonly use: StreamUse
  readonly consumer: Consumer
  isGiven: boolean
}

const defaultCapacity = 16

export class RunStreams {
  private readonly run: RunOfStreams
  private readonly channels = new Map<number, ChunkChannel>()
  private readonly parties = new Map<number, Party>()
  /** By reader, in the order of what it reads. */
  private readonly consumers = new Map<number, Array<ReaderOfStream>>()
  private readonly outside: ReadonlyArray<OutsideReader>
  private readonly outsideConsumers = new Map<number, Consumer>()
  /** What the stages hold whose streams have begun, for those who read them. */
  private readonly holdings = new Map<number, ReadonlyArray<Holding>>()

  constructor(run: RunOfStreams, outside: ReadonlyArray<OutsideReader>) {
    this.run = run
    this.outside = outside
  }

  private partyOf(index: number): Party {
    const known = this.parties.get(index)
    if (known !== undefined) return known
    const party = new Party(this.run.plan.names[index] as string)
    this.parties.set(index, party)
    return party
  }

  /** The channel of a stage, with all that read from it. */
  channelOf(index: number): ChunkChannel {
    const known = this.channels.get(index)
    if (known !== undefined) return known
    const { definition, isAwaited } = this.run.plan.stages[index] as Plan["stages"][number]
    const streamed = Context.get(definition.annotations, StreamedStage)
    const channel = new ChunkChannel(this.partyOf(index), {
      capacity: streamed?.capacity ?? defaultCapacity,
      isWanted: isAwaited || streamed?.goesOn === true,
      replay: streamed?.replay,
      onOpen: (fiber) => {
        this.holdings.set(index, [
          ...Context.get(fiber.context, Holdings),
          ...Context.get(fiber.context, StreamHoldings)
        ])
        this.run.streamOpened(index)
      }
    })
    this.channels.set(index, channel)
    for (const { reader, use } of this.run.plan.streams?.readings.get(index) ?? []) {
      const list = this.consumers.get(reader) ?? []
      this.consumers.set(reader, list)
      list.push({ use, consumer: channel.reader(use.reading), isGiven: false })
    }
    for (const { reading, stage } of this.outside) {
      if (stage !== index) continue
      const consumer = channel.reader(reading)
      consumer.hasStarted = true
      this.outsideConsumers.set(index, consumer)
    }
    return channel
  }

  /** The chunks of a stage for one of its readers, which starts now. */
  streamFor(reader: number, use: StreamUse): unknown {
    const producer = this.run.plan.indexOf.get(use.stage) as number
    const output = this.run.outputs[producer]
    if (output?._tag === "Skip" && use.onSkip === "skip") return missing(use.stage, output)
    this.channelOf(producer)
    // A source that is used twice is read twice.
    const found = this.consumers.get(reader)?.find((each) => each.use === use && !each.isGiven)
    if (found === undefined) return new Missing(use.stage, `stage "${use.stage}" has no stream`)
    found.isGiven = true
    return readableStream(found.consumer, this.run.plan.names[reader] as string, use)
  }

  /** The chunks of a stage for whoever is no stage. */
  streamOutside(stage: number, use: StreamUse): Stream.Stream<unknown, unknown> {
    this.channelOf(stage)
    return readableStream(this.outsideConsumers.get(stage) as Consumer, use.stage, use)
  }

  /** A stage starts, and reads what it reads. */
  started(reader: number): void {
    for (const producer of this.run.plan.streams?.producers.get(reader) ?? []) this.channelOf(producer)
    for (const { consumer } of this.consumers.get(reader) ?? []) {
      consumer.hasStarted = true
      consumer.party = this.partyOf(reader)
    }
  }

  /** What the stages hold whose streams this one reads. */
  holdingsOf(reader: number): ReadonlyArray<Holding> {
    const producers = this.run.plan.streams?.producers.get(reader) ?? []
    return producers.flatMap((producer) => this.holdings.get(producer) ?? [])
  }

  /** A stage has ended, or never starts. */
  ended(index: number, settlement: Settlement | undefined, isStopping: boolean): void {
    for (const producer of this.run.plan.streams?.producers.get(index) ?? []) this.channelOf(producer)
    for (const { consumer } of this.consumers.get(index) ?? []) consumer.leave()
    if (settlement !== undefined) this.knownChannel(index)?.settle(settlement, isStopping)
  }

  /** The channel of a stage that has one, or readers. */
  private knownChannel(index: number): ChunkChannel | undefined {
    const isRead = this.run.plan.streams?.readings.has(index) === true ||
      this.outside.some(({ stage }) => stage === index)
    return isRead ? this.channelOf(index) : this.channels.get(index)
  }

  /** The run has ended. */
  settle(): void {
    for (const { stage } of this.outside) this.channelOf(stage)
    for (const channel of this.channels.values()) channel.settleInterrupted()
  }

  /** What became of the chunks of each stage that streamed. */
  get summaries(): ReadonlyArray<readonly [index: number, summary: ChannelSummary]> {
    return Array.from(this.channels).toSorted(([one], [other]) => one - other).flatMap(([index, { summary }]) =>
      summary === undefined ? [] : [[index, summary] as const]
    )
  }
}

/** How a stage that ended without failing settles its stream. */
export const settlementOf = (output: Settled): Settlement | undefined =>
  output._tag === "Ok"
    ? { _tag: "Ok", data: output.data }
    : output._tag === "Skip"
    ? { _tag: "Skip", skip: output as Skip }
    : undefined
