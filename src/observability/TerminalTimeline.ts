/**
 * Shows runs in a terminal while they go on: a timeline that is drawn in place, as large as the window allows.
 *
 * Provide the Layer around what runs pipelines. A run that is over stays on the screen, and the next one is drawn below it.
 * Where the output is no terminal, or one that cannot move its cursor, each run is written once, when it is over, as plain
 * lines. `NO_COLOR` in the environment takes the colours away.
 *
 * ```ts
 * import * as NodeStdio from "@effect/platform-node-shared/NodeStdio"
 * import * as NodeTerminal from "@effect/platform-node-shared/NodeTerminal"
 * import { Effect, Layer } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { TerminalTimeline } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").work("wait", { run: Effect.sleep("1 second") })
 *
 * const program = Pipeline.run(pipeline, Snapshot.make()).pipe(
 *   Effect.provide(TerminalTimeline.layer),
 *   Effect.provide(Layer.mergeAll(NodeStdio.layer, NodeTerminal.layer))
 * )
 * ```
 *
 * It draws ten times a second at most, in a fiber of its own, and rests longer the longer a drawing took. A terminal that
 * is slow, hangs or fails changes no run.
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stdio from "effect/Stdio"
import * as Terminal from "effect/Terminal"
import { EventSink } from "../EventSink.ts"
import { Screen, type Surface } from "./internal/screen.ts"
import { SeenEvents } from "./internal/seen-events.ts"
import type { SeenRun } from "./internal/seen-run.ts"

const pause = Duration.millis(100)

/** A drawing may take this part of the time. */
const share = 20

/** After so long without anything printed by the program, what is drawn is back at once when it has printed. */
const quietMillis = 20

/** How long the last drawing may take when the Layer is closed. */
const closeTimeout = Duration.seconds(1)

/** So many runs that are over wait to be drawn; of more, the oldest are left out and counted. */
const waitingRuns = 100

const setting = (name: string) => Effect.map(Effect.option(Config.String(name)), Option.getOrElse(() => ""))

/** A terminal that does not know its size says 0. Lines in a file have one width for everybody. */
const measured = Effect.fnUntraced(function*(terminal: Terminal.Terminal, inPlace: boolean) {
  if (!inPlace) return { columns: 100, rows: 100 }
  const columns = yield* terminal.columns
  const rows = yield* terminal.rows
  return { columns: columns > 0 ? columns : 80, rows: rows > 0 ? rows : 24 }
})

const make = Effect.gen(function*() {
  const terminal = yield* Terminal.Terminal
  const stdio = yield* Stdio.Stdio
  const clock = yield* Clock.Clock
  const console = yield* Console.Console
  const run = Effect.runForkWith(yield* Effect.context<never>())

  const inPlace = (yield* stdio.stdoutIsTerminal) && (yield* setting("TERM")) !== "dumb"
  const colours = inPlace && (yield* setting("NO_COLOR")) === ""
  let surface: Surface = { ...yield* measured(terminal, inPlace), inPlace, colours }

  const seen = new SeenEvents()
  const screen = new Screen()
  const somethingToDraw = Latch.makeUnsafe(false)
  let over: Array<SeenRun> = []
  let leftOut = 0

  /** The runs that are over and were not drawn as such. */
  const takeOver = (): ReadonlyArray<SeenRun> => {
    const taken = over
    over = []
    return taken
  }

  /** Starts to write at once, so that nothing is written in between by others. */
  const write = (text: string) =>
    run(Effect.exit(Effect.suspend(() => text === "" ? Effect.void : terminal.display(text))))

  const draw = Effect.gen(function*() {
    surface = { ...yield* measured(terminal, inPlace), inPlace, colours }
    yield* Fiber.await(write(screen.draw(takeOver(), seen.runs, clock.currentTimeMillisUnsafe(), surface)))
  })

  const drawAgain = Effect.gen(function*() {
    yield* somethingToDraw.await
    const [took] = yield* Effect.timed(Effect.exit(draw))
    if (over.length === 0 && (!inPlace || seen.runs.length === 0)) somethingToDraw.closeUnsafe()
    yield* Effect.sleep(Duration.max(pause, Duration.times(took, share)))
  })

  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      // What still goes on is left as it is now.
      const last = write(screen.settle([...takeOver(), ...seen.runs], clock.currentTimeMillisUnsafe(), surface))
      yield* Effect.timeoutOption(Fiber.await(last), closeTimeout)
      yield* Effect.forkDetach(Fiber.interrupt(last))
      if (leftOut > 0) yield* Effect.logWarning(`Terminal timeline closed: ${leftOut} run(s) were not shown`)
    })
  )
  yield* Effect.forkScoped(Effect.forever(drawAgain))

  const offer: EventSink["Service"]["offer"] = (event) => {
    const ended = seen.add(event)
    if (ended !== undefined && over.push(ended) > waitingRuns) {
      over.shift()
      leftOut++
    }
    if (ended !== undefined || inPlace) somethingToDraw.openUnsafe()
  }

  let lastPrinted = Number.NEGATIVE_INFINITY

  /** What a program prints itself stands between the drawings, not in them. */
  const print = <A>(call: () => A): A => {
    const now = clock.currentTimeMillisUnsafe()
    write(screen.settle(takeOver(), now, surface))
    const printed = call()
    // A program that prints very much is not slowed: the next drawing is soon enough.
    if (inPlace && now - lastPrinted >= quietMillis) write(screen.again(surface))
    lastPrinted = now
    return printed
  }

  return Context.make(EventSink, { offer }).pipe(Context.add(Console.Console, calledBy(print, console)))
})

/** The same console; `print` makes each call of it. */
const calledBy = (print: (call: () => unknown) => unknown, console: Console.Console): Console.Console =>
  new Proxy(console, {
    get: (target, name) => {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== "function") return method
      return (...parameters: ReadonlyArray<unknown>) => print(() => Reflect.apply(method, target, parameters))
    }
  })

/**
 * Shows every run below it on the terminal in the environment; an `EventSink`.
 *
 * What the program writes to its `Console`, Effect's loggers included, appears between the drawings.
 */
export const layer: Layer.Layer<EventSink, never, Terminal.Terminal | Stdio.Stdio> = Layer.effectContext(make)
