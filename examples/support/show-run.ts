/**
 * Shows a run: in a terminal its timeline is drawn while it goes on, everywhere else once when it is over.
 */
import { Clock, Console, Effect, Ref, Schedule, Stream } from "effect"
import { Pipeline, type Run } from "stageflow"
import * as Timeline from "./timeline.ts"

interface Terminal {
  readonly columns: number
  readonly rows: number
  readonly colours: boolean
}

/** The terminal that the output goes to, when it goes to one that can move its cursor. */
const terminal = Effect.sync((): Terminal | undefined =>
  process.stdout.isTTY && process.env.TERM !== "dumb"
    // A terminal that does not know its size says 0.
    ? {
      columns: process.stdout.columns || 80,
      rows: process.stdout.rows || 24,
      colours: process.env.NO_COLOR === undefined
    }
    : undefined
)

const plainColumns = 120

const cursorUp = (lines: number) => `\u001b[${lines}A`
const clearToEndOfLine = "\u001b[K"

/** Draws the timeline of a run until the run is over. */
export const showRun = Effect.fnUntraced(function*<Result, Error>(pipeline: Pipeline.Any, run: Run.Run<Result, Error>) {
  const timeline = yield* Ref.make(Timeline.make(yield* Pipeline.describe(pipeline)))
  const follow = Stream.runForEach(run.events, (event) => Ref.update(timeline, (known) => Timeline.add(known, event)))
  const { rows: { length } } = yield* Ref.get(timeline)
  const screen = yield* terminal

  // A drawing that is higher than the screen cannot be drawn over.
  if (screen === undefined || screen.rows <= length + 1) {
    yield* follow
    const now = yield* Clock.currentTimeMillis
    const lines = Timeline.draw(yield* Ref.get(timeline), { now, columns: plainColumns, colours: false })
    return yield* Console.log(lines.join("\n"))
  }

  const drawn = yield* Ref.make(0)
  const drawAgain = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const { colours, columns } = (yield* terminal) ?? screen
    const lines = Timeline.draw(yield* Ref.get(timeline), { now, columns: columns - 1, colours })
    const before = yield* Ref.getAndSet(drawn, lines.length)
    const up = before === 0 ? "" : cursorUp(before)
    yield* Console.log(`${up}${lines.map((line) => `${line}${clearToEndOfLine}`).join("\n")}`)
  })
  yield* Effect.raceFirst(follow, Effect.repeat(drawAgain, Schedule.spaced("50 millis")))
  yield* drawAgain
})
