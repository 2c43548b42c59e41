/**
 * A terminal in memory, with everything that a program may ask of one.
 */
import { ConfigProvider, Console, Effect, Layer, type PlatformError, Stdio, Terminal } from "effect"
import { screenOf } from "../../support/screen.ts"

export interface Settings {
  readonly isTerminal?: boolean
  readonly columns?: number
  readonly rows?: number
  readonly environment?: Readonly<Record<string, string>>
  /** What the terminal does when it is asked to display something, before it does. */
  readonly display?: Effect.Effect<void, PlatformError.PlatformError>
}

export class FakeTerminal {
  /** Everything that was written, one text for each time. */
  readonly written: Array<string> = []
  columns: number
  rows: number
  private readonly settings: Settings

  constructor(settings: Settings = {}) {
    this.settings = settings
    this.columns = settings.columns ?? 80
    this.rows = settings.rows ?? 24
  }

  get output(): string {
    return this.written.join("")
  }

  /** The lines on the screen and those that have scrolled out of it. */
  get lines(): ReadonlyArray<string> {
    return screenOf(this.output, this)
  }

  /** The terminal, what says whether it is one, its environment, and the console that writes to it. */
  get layer(): Layer.Layer<Terminal.Terminal | Stdio.Stdio> {
    const { display = Effect.void, environment = {}, isTerminal = true } = this.settings
    const write = (text: string) => {
      this.written.push(text)
    }
    const print = (...texts: ReadonlyArray<unknown>) => write(`${texts.map(String).join(" ")}\n`)
    const console: Console.Console = Object.assign(Object.create(globalThis.console), { log: print, error: print })
    return Layer.mergeAll(
      Layer.succeed(
        Terminal.Terminal,
        Terminal.make({
          columns: Effect.sync(() => this.columns),
          rows: Effect.sync(() => this.rows),
          size: Effect.never,
          readInput: Effect.never,
          readLine: Effect.never,
          display: (text) => Effect.andThen(display, Effect.sync(() => write(text)))
        })
      ),
      Stdio.layerTest({ stdoutIsTerminal: Effect.succeed(isTerminal) }),
      ConfigProvider.layer(ConfigProvider.fromUnknown(environment)),
      Layer.succeed(Console.Console, console)
    )
  }
}
