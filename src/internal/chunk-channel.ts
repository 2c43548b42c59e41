/**
 * Passes the chunks of one stage to those who read them while it runs, and holds at most so many for each of them.
 *
 * What a reader was handed counts as held until it comes for more, so that a producer is never further ahead of its
 * slowest reader than the buffer. A producer asks for room before it makes a chunk. Nobody hears of the end of a stream
 * before the stage itself has ended: until then another attempt may begin it anew.
 *
 * Stages that wait for each other through their streams are found where one of them begins to wait: see `stalled`.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type { Skip } from "./output-model.ts"

/** Why there are no more chunks. */
export type End =
  /** The producer gave all. */
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Failed"; readonly error: unknown }
  | { readonly _tag: "Skipped"; readonly skip: Skip }
  /** The producer gave an output that was not made of these chunks: from a cache, or a fallback. */
  | { readonly _tag: "NotStreamed" }
  /** The run ended before the producer did. */
  | { readonly _tag: "Interrupted" }
  /** The reader was too slow for a producer that does not wait for it. */
  | { readonly _tag: "TooSlow" }
  /** The producer was run again, and its stream begins anew. */
  | { readonly _tag: "StartedOver" }

/** How a stage that has a stream ended. */
export type Settlement =
  | { readonly _tag: "Ok"; readonly data: unknown }
  | { readonly _tag: "Skip"; readonly skip: Skip }
  | { readonly _tag: "Failed"; readonly error: unknown }

const ended: End = { _tag: "Ended" }
const notStreamed: End = { _tag: "NotStreamed" }
const interrupted: End = { _tag: "Interrupted" }
const tooSlow: End = { _tag: "TooSlow" }
const startedOver: End = { _tag: "StartedOver" }

// ---------------------------------------------------------------------------------------------------------------------
// waiting for each other
// ---------------------------------------------------------------------------------------------------------------------

/** Something that a stage waits for: one of the parties in each of these lists has to go on. `undefined` is no stage. */
type Wait = () => ReadonlyArray<ReadonlyArray<Party | undefined>>

/** A stage that takes part in streams, and what it waits for now. */
export class Party {
  readonly name: string
  readonly waits = new Set<Wait>()
  constructor(name: string) {
    this.name = name
  }
}

const reachedFrom = (party: Party): ReadonlySet<Party> => {
  const reached = new Set([party])
  // A set gives what is added to it while it is gone through.
  for (const { waits } of reached) {
    for (const wait of waits) {
      for (const other of wait().flat()) if (other !== undefined) reached.add(other)
    }
  }
  return reached
}

/**
 * The stages that wait for each other, if the party is one of them. A stage goes on when anything that it waits for comes:
 * it may wait in several fibers.
 */
const stalled = (party: Party): ReadonlySet<Party> | undefined => {
  const stuck = new Set(Array.from(reachedFrom(party)).filter(({ waits }) => waits.size > 0))
  const isOver = (wait: Wait) =>
    wait().every((parties) => parties.some((other) => other === undefined || !stuck.has(other)))
  let isSettled = false
  while (!isSettled) {
    isSettled = true
    for (const one of stuck) {
      if (!Array.from(one.waits).some(isOver)) continue
      stuck.delete(one)
      isSettled = false
    }
  }
  return stuck.has(party) ? stuck : undefined
}

/** Gives up waiting when the stages that wait for each other still do. */
export type OnStall = (stages: ReadonlyArray<string>) => {
  /** How long they are given. */
  readonly limit: Effect.Effect<void>
  readonly giveUp: Effect.Effect<never, never>
}

/** Waits, and gives up when that can never end. */
const waitingFor = <A, E>(
  party: Party | undefined,
  wait: Wait,
  waiting: Effect.Effect<A, E>,
  onStall: OnStall
): Effect.Effect<A, E> => {
  if (party === undefined) return waiting
  const look = () => {
    party.waits.add(wait)
    const stuck = stalled(party)
    party.waits.delete(wait)
    return stuck
  }
  // Nearly always the other one is running.
  if (wait().every((parties) => parties.some((other) => other === undefined || other.waits.size === 0))) return waiting
  const stuck = look()
  if (stuck === undefined) return waiting
  const { giveUp, limit } = onStall(Array.from(stuck, ({ name }) => name))
  const givingUp = Effect.andThen(limit, Effect.suspend(() => look() === undefined ? Effect.never : giveUp))
  return Effect.raceFirst(waiting, givingUp)
}

// ---------------------------------------------------------------------------------------------------------------------
// readers
// ---------------------------------------------------------------------------------------------------------------------

/** How somebody reads a stream. */
export interface Reading {
  /** Whether it is dropped when it is slow; otherwise the producer waits for it. */
  readonly isDropped: boolean
  /** Whether it shares the chunks with the others that say so. */
  readonly isShared: boolean
  /** Whether it can start over when the producer does. */
  readonly startsOver: boolean
}

/** Some chunks, at least one, or what becomes of a reader that comes for more when there are none. */
type Pulled = Effect.Effect<ReadonlyArray<unknown>, unknown>

/** What becomes of a reader that comes for more when there is no more. */
export type Ending = (end: End) => Effect.Effect<never, unknown>

/** One reader of a stream. */
export class Consumer {
  readonly channel: ChunkChannel
  readonly buffer: ChunkBuffer
  readonly reading: Reading
  /** The stage that reads; `undefined` while it has not started, and for whoever is no stage. */
  party: Party | undefined = undefined
  /** Whether it has started, and so counts as a reader. */
  hasStarted = false
  /** Whether it will never take anything any more. */
  isGone = false
  /** Whether somebody is reading. */
  isReading = false
  /** How many chunks it has taken. */
  taken = 0
  /** How many of these it has not come back from. */
  inHand = 0
  /** Why it gets no more, when that is its own business. */
  lost: End | undefined = undefined
  resume: ((pulled: Pulled) => void) | undefined = undefined
  ending: Ending | undefined = undefined
  readonly wait: Wait = () => [[this.channel.producer]]

  constructor(channel: ChunkChannel, buffer: ChunkBuffer, reading: Reading) {
    this.channel = channel
    this.buffer = buffer
    this.reading = reading
    buffer.consumers.push(this)
  }

  /** Gives some chunks, at least one, or what becomes of the reader. */
  pull(ending: Ending, onStall: OnStall): Pulled {
    const wait = Effect.callback<ReadonlyArray<unknown>, unknown>((resume) => {
      const now = this.available(ending)
      if (now !== undefined) return resume(now)
      this.resume = resume
      this.ending = ending
      this.party?.waits.add(this.wait)
      return Effect.sync(() => this.forget())
    })
    return Effect.suspend(() => {
      this.putDown()
      return this.available(ending) ?? waitingFor(this.party, this.wait, wait, onStall)
    })
  }

  private forget(): void {
    this.resume = undefined
    this.ending = undefined
    this.party?.waits.delete(this.wait)
  }

  /** It comes back from what it was handed. */
  private putDown(): void {
    if (this.inHand === 0) return
    this.inHand = 0
    this.channel.roomWasMade()
  }

  private available(ending: Ending): Pulled | undefined {
    if (this.lost !== undefined && this.buffer.isEmpty) return ending(this.lost)
    if (this.lost?._tag === "StartedOver") return ending(this.lost)
    if (this.channel.isHeldBack(this)) return undefined
    if (this.buffer.isOverrun) return ending(tooSlow)
    const chunks = this.buffer.take()
    if (chunks !== undefined) {
      this.taken += chunks.length
      this.inHand = chunks.length
      return Effect.succeed(chunks)
    }
    const { end } = this.channel
    return end === undefined ? undefined : ending(end)
  }

  /** Goes on when it waits and there is something for it. */
  wake(): void {
    const { ending, resume } = this
    if (resume === undefined || ending === undefined) return
    const now = this.available(ending)
    if (now === undefined) return
    this.forget()
    resume(now)
  }

  /** It takes nothing any more. */
  leave(): void {
    if (this.isGone) return
    this.isGone = true
    this.inHand = 0
    this.party?.waits.delete(this.wait)
    this.channel.left(this)
  }

  /** It starts over with the stream. */
  startOver(): void {
    this.lost = undefined
    this.taken = 0
    this.inHand = 0
  }
}

/** How many chunks that were taken a buffer keeps before it forgets them. */
const compactedAfter = 64

/** The chunks that are on their way to one reader, or to those that share them. */
export class ChunkBuffer {
  readonly consumers: Array<Consumer> = []
  /** Whether there was no room for a chunk that did not wait for it: who reads it gets no more, rather than a gap. */
  isOverrun = false
  private readonly capacity: number
  private items: Array<unknown> = []
  private head = 0
  /** The chunks of an output that was not streamed. */
  private replayed: Iterator<unknown> | undefined = undefined

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** Whether the producer goes on when this is full: nobody is left who wants to be waited for. */
  private get isDropped(): boolean {
    const { consumers } = this
    if (consumers.length === 1) return (consumers[0] as Consumer).reading.isDropped
    return consumers.every(({ isGone, reading }) => isGone || reading.isDropped)
  }

  get isEmpty(): boolean {
    return this.head === this.items.length && this.replayed === undefined
  }

  /** How many chunks it holds, those included that readers have not come back from. */
  get held(): number {
    const waiting = this.items.length - this.head
    if (this.consumers.length === 1) return waiting + (this.consumers[0] as Consumer).inHand
    return this.consumers.reduce((held, { inHand }) => held + inHand, waiting)
  }

  /** For how many more there is room; no limit where the producer does not wait. */
  get room(): number {
    return this.isDropped ? Number.POSITIVE_INFINITY : this.capacity - this.held
  }

  get isOver(): boolean {
    return this.consumers.every(({ isGone }) => isGone)
  }

  put(chunks: ReadonlyArray<unknown>, from: number, to: number): void {
    if (this.isOverrun) return
    if (this.isDropped && to - from > this.capacity - this.held) {
      this.clear()
      this.isOverrun = true
      return
    }
    for (let at = from; at < to; at++) this.items.push(chunks[at])
  }

  /** Hands out half of what it may hold at most, so that the producer goes on meanwhile; to several one each. */
  take(): ReadonlyArray<unknown> | undefined {
    const { head, items } = this
    const most = this.consumers.length > 1 ? 1 : Math.ceil(this.capacity / 2)
    if (this.replayed !== undefined) return this.takeReplayed(this.replayed, most)
    if (head === items.length) return undefined
    const to = Math.min(head + most, items.length)
    const chunks = head === 0 && to === items.length ? items : items.slice(head, to)
    if (to === items.length) {
      this.items = []
      this.head = 0
    } else if (to < compactedAfter) {
      this.head = to
    } else {
      // A reader that never catches up would otherwise leave all behind that it has taken.
      this.items = items.slice(to)
      this.head = 0
    }
    return chunks
  }

  private takeReplayed(from: Iterator<unknown>, most: number): ReadonlyArray<unknown> | undefined {
    const chunks: Array<unknown> = []
    while (chunks.length < most) {
      const next = from.next()
      if (next.done === true) {
        this.replayed = undefined
        break
      }
      chunks.push(next.value)
    }
    return chunks.length === 0 ? undefined : chunks
  }

  clear(): void {
    this.items = []
    this.head = 0
    this.isOverrun = false
  }

  replay(chunks: Iterable<unknown>): void {
    this.clear()
    this.replayed = chunks[Symbol.iterator]()
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the producer
// ---------------------------------------------------------------------------------------------------------------------

/** One attempt of the producer. */
export class Producing {
  /** Whether it goes on, and how it ended. */
  state: "running" | "complete" | "failed" = "running"
  /** How many chunks it has given. */
  chunks = 0
  /** Stops it: nobody reads it any more. */
  stop: (() => void) | undefined = undefined
  /** Whether it was stopped because nobody reads it. */
  isStopped = false
  /** Whether it is to be stopped at its first chunk: nobody reads it, but only that says that it does not fail again. */
  isUnread = false
  /** What was made of its chunks so far. */
  collected: (() => unknown) | undefined = undefined
  /** Reads along for what collects the chunks, when that is more than a function. */
  collector: Consumer | undefined = undefined

  stopEarly(): void {
    if (this.state !== "running" || this.isStopped) return
    this.isStopped = true
    this.stop?.()
  }
}

/** What a channel has to know of its stage. */
export interface ChannelSettings {
  /** How many chunks are held for each reader at most. */
  readonly capacity: number
  /** Whether the producer goes on though nobody reads its chunks any more: somebody waits for all of them. */
  readonly isWanted: boolean
  /** Makes chunks of an output that was not streamed, where that can be done. */
  readonly replay: ((data: unknown) => Iterable<unknown>) | undefined
  /** Hears of each attempt that begins, in the fiber that it runs in. */
  readonly onOpen: (fiber: Fiber.Fiber<unknown, unknown>) => void
}

/** What became of the chunks of a stage. */
export interface ChannelSummary {
  readonly chunks: number
  readonly end: "all" | "stopped" | "failed" | "interrupted" | "not-streamed"
  /** What was made of the chunks of a stage that did not come to its end. */
  readonly collected: (() => unknown) | undefined
}

/** The stream of one stage of one run. */
export class ChunkChannel {
  readonly producer: Party
  end: End | undefined = undefined
  private readonly settings: ChannelSettings
  private readonly buffers: Array<ChunkBuffer> = []
  private readonly consumers: Array<Consumer> = []
  private shared: ChunkBuffer | undefined = undefined
  /** The attempt whose chunks these are: the first that gave one. */
  private owner: Producing | undefined = undefined
  private readonly running = new Set<Producing>()
  private hasSettled = false
  /** Whether an attempt has failed. */
  private hasFailed = false
  /** Whether what is left is held back: the attempt failed, and another may follow. */
  private isFrozen = false
  /** Whether the run is being stopped, and every stage of it is about to be interrupted. */
  private isStopping = false
  private isWaking = false
  private resumeProducer: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  private readonly wait: Wait = () =>
    this.buffers.filter(({ room }) => room <= 0).map(({ consumers }) =>
      consumers.filter(({ isGone }) => !isGone).map(({ party }) => party)
    )

  constructor(producer: Party, settings: ChannelSettings) {
    this.producer = producer
    this.settings = settings
  }

  /** A reader that is known before the producer starts. */
  reader(reading: Reading): Consumer {
    const consumer = new Consumer(this, this.bufferFor(reading), reading)
    this.consumers.push(consumer)
    return consumer
  }

  private bufferFor({ isShared }: Reading): ChunkBuffer {
    if (isShared && this.shared !== undefined) return this.shared
    const buffer = new ChunkBuffer(this.settings.capacity)
    this.buffers.push(buffer)
    if (isShared) this.shared = buffer
    return buffer
  }

  /** Whether what there is must wait: for another attempt, or for the interruption that is on its way. */
  isHeldBack({ party, reading }: Consumer): boolean {
    if (reading === collecting) return false
    return this.isFrozen || (this.isStopping && party !== undefined)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // attempts
  // -------------------------------------------------------------------------------------------------------------------

  /** Begins an attempt, unless somebody has taken chunks of another before who cannot start over. */
  open(fiber: Fiber.Fiber<unknown, unknown>): Producing | undefined {
    if (!this.hasSettled && this.owner !== undefined && this.owner.state !== "running" && !this.restart()) {
      return undefined
    }
    const producing = new Producing()
    this.running.add(producing)
    if (this.isUnread) {
      if (this.hasFailed) producing.isUnread = true
      else producing.isStopped = true
    }
    this.settings.onOpen(fiber)
    return producing
  }

  private restart(): boolean {
    const readers = this.consumers.filter(({ taken }) => taken > 0)
    if (readers.some(({ reading }) => !reading.startsOver)) return false
    this.owner = undefined
    this.isFrozen = false
    for (const buffer of this.buffers) buffer.clear()
    for (const reader of readers) {
      reader.lost = startedOver
      reader.inHand = 0
      later(() => reader.wake())
    }
    return true
  }

  /** Whether its data is what there was when its readers had left, and not the whole. */
  get isCutShort(): boolean {
    return this.owner?.state === "complete" && this.owner.isStopped
  }

  /** How many chunks those have taken who read the stream. */
  get taken(): number {
    return this.consumers.reduce((most, { taken }) => Math.max(most, taken), 0)
  }

  /** Reads along with an attempt, without being a reader. */
  collectorOf(producing: Producing): Consumer {
    const buffer = new ChunkBuffer(this.settings.capacity)
    this.buffers.push(buffer)
    const consumer = new Consumer(this, buffer, collecting)
    consumer.hasStarted = true
    producing.collector = consumer
    return consumer
  }

  /** Whether the chunks of an attempt are those of the stream. The first chunk decides it. */
  owns(producing: Producing): boolean {
    if (this.hasSettled) return false
    // One that was left behind is over, whatever it still gives.
    if (producing.state !== "running") return false
    this.owner ??= producing
    return this.owner === producing
  }

  /** For how many chunks there is room. */
  get room(): number {
    let room = Number.POSITIVE_INFINITY
    for (const buffer of this.buffers) room = Math.min(room, buffer.room)
    return room
  }

  /** Waits until there is room for a chunk. */
  awaitRoom(onStall: OnStall): Effect.Effect<void> {
    return waitingFor(this.producer, this.wait, this.waitForRoom, onStall)
  }

  private readonly waitForRoom = Effect.callback<void>((resume) => {
    if (this.room > 0) return resume(Effect.void)
    this.resumeProducer = resume
    this.producer.waits.add(this.wait)
    return Effect.sync(() => {
      this.resumeProducer = undefined
      this.producer.waits.delete(this.wait)
    })
  })

  roomWasMade(): void {
    const resume = this.resumeProducer
    if (resume === undefined || this.room <= 0) return
    this.resumeProducer = undefined
    this.producer.waits.delete(this.wait)
    resume(Effect.void)
  }

  /** Passes on some chunks, for which there is room. */
  put(chunks: ReadonlyArray<unknown>, from: number, to: number): void {
    for (const buffer of this.buffers) buffer.put(chunks, from, to)
    if (this.isWaking || !this.isAwaited) return
    // When the producer has done what it can do at once: who is woken then takes many chunks and not one.
    this.isWaking = true
    queueMicrotask(this.wakeReaders)
  }

  /** Whether anybody waits for chunks. */
  private get isAwaited(): boolean {
    for (const { consumers } of this.buffers) {
      for (const { resume } of consumers) if (resume !== undefined) return true
    }
    return false
  }

  private readonly wakeReaders = (): void => {
    this.isWaking = false
    // Whoever is woken goes on at once, and may leave.
    for (const buffer of this.buffers.slice()) {
      for (const consumer of buffer.consumers) consumer.wake()
    }
  }

  /** An attempt has ended. */
  close(producing: Producing, state: "complete" | "failed"): void {
    if (producing.state !== "running") return
    producing.state = state
    if (state === "failed") this.hasFailed = true
    this.running.delete(producing)
    // One that gave nothing is the stream when no other is.
    if (!this.hasSettled && producing.chunks === 0) this.owner ??= producing
    if (this.owner === producing && state === "failed" && !this.hasSettled) this.isFrozen = true
    const { collector } = producing
    if (collector === undefined) return
    collector.lost = ended
    collector.wake()
  }

  /** What was made of the chunks of an attempt failed, and the attempt with it. */
  spoil(producing: Producing): void {
    producing.state = "failed"
    this.hasFailed = true
    if (this.owner === producing && !this.hasSettled) this.isFrozen = true
  }

  forgetCollector({ collector }: Producing): void {
    collector?.leave()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // readers that leave
  // -------------------------------------------------------------------------------------------------------------------

  /** Whether it had readers, and nobody reads it any more. */
  private get isUnread(): boolean {
    return !this.settings.isWanted && this.consumers.some(({ hasStarted }) => hasStarted) && !this.isRead
  }

  private get isRead(): boolean {
    return this.consumers.some(({ isGone }) => !isGone)
  }

  left(consumer: Consumer): void {
    const { buffer } = consumer
    if (buffer.isOver) {
      const at = this.buffers.indexOf(buffer)
      if (at >= 0) this.buffers.splice(at, 1)
    }
    for (const producing of Array.from(this.running)) {
      const isCollected = producing.collector?.isGone === true
      if (this.isUnread || (isCollected && !this.isRead)) producing.stopEarly()
    }
    this.roomWasMade()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------------------

  /** The stage has ended; `isStopping` says that the run is about to be interrupted, and its stages are not to hear of it. */
  settle(settlement: Settlement, isStopping: boolean): void {
    if (this.hasSettled) return
    this.hasSettled = true
    this.isStopping = isStopping
    this.isFrozen = false
    this.end = this.endOf(settlement)
    this.wakeAll()
  }

  /** The run has ended, and with it the stream. */
  settleInterrupted(): void {
    if (this.hasSettled) return
    this.hasSettled = true
    this.isStopping = true
    this.isFrozen = false
    this.end = interrupted
    this.wakeAll()
  }

  private wakeAll(): void {
    // The engine is in the middle of the end of a stage.
    later(() => {
      for (const consumer of this.consumers) consumer.wake()
    })
  }

  private endOf(settlement: Settlement): End {
    switch (settlement._tag) {
      case "Failed":
        return { _tag: "Failed", error: settlement.error }
      case "Skip":
        return { _tag: "Skipped", skip: settlement.skip }
      case "Ok":
        return this.owner?.state === "complete" ? ended : this.endOfReplay(settlement.data)
    }
  }

  private endOfReplay(data: unknown): End {
    const { replay } = this.settings
    if (replay === undefined || this.taken > 0) return notStreamed
    const replayed = Result.try(() => {
      for (const buffer of this.buffers) buffer.replay(replay(data))
    })
    return Result.isFailure(replayed) ? { _tag: "Failed", error: replayed.failure } : ended
  }

  /** What became of the chunks; `undefined` for a stage that never streamed. */
  get summary(): ChannelSummary | undefined {
    const { end, owner } = this
    const attempt = owner ?? Array.from(this.running).at(-1)
    if (attempt === undefined && end?._tag !== "Ended" && end?._tag !== "NotStreamed") return undefined
    const chunks = attempt?.chunks ?? 0
    if (attempt?.state === "complete" && end?._tag === "Ended") {
      return { chunks, end: attempt.isStopped ? "stopped" : "all", collected: undefined }
    }
    const how = end?._tag === "Failed" ?
      "failed"
      : end?._tag === "Ended" || end?._tag === "NotStreamed" || end?._tag === "Skipped" ?
      "not-streamed"
      : "interrupted"
    return { chunks, end: how, collected: how === "not-streamed" ? undefined : attempt?.collected }
  }
}

/** How what collects the chunks reads them. */
const collecting: Reading = { isDropped: false, isShared: false, startsOver: false }

const later = (f: () => void): void => queueMicrotask(f)
