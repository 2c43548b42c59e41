import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { afterEach, beforeEach } from "vitest"

const root = resolve(import.meta.dirname, "../..")
const program = join(import.meta.dirname, "support/idempotent-process.ts")

/** A process whose lines can be waited for, however early they come. */
class Process {
  readonly lines: Array<string> = []
  readonly child: ChildProcess
  private wake: () => void = () => {}
  private errors = ""
  private closed = false

  constructor(store: string, folder: string, leaseSeconds: number, manner: string) {
    this.child = spawn(
      join(root, "node_modules/.bin/node"),
      ["--conditions=stageflow-source", program, store, folder, `${leaseSeconds}`, manner],
      {
        cwd: root,
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      this.lines.push(line)
      this.wake()
    })
    this.child.stderr?.on("data", (data) => {
      this.errors += String(data)
    })
    this.child.on("close", () => {
      this.closed = true
      this.wake()
    })
  }

  /** The first line that is one of these, from now on. */
  async says(...wanted: ReadonlyArray<string>): Promise<string> {
    for (let index = 0;;) {
      while (index < this.lines.length) {
        const line = this.lines[index++] as string
        if (wanted.includes(line)) return line
      }
      assert.isFalse(this.closed, `It ended without: ${wanted.join(", ")}. ${this.errors}`)
      await new Promise<void>((done) => {
        this.wake = done
      })
    }
  }

  async kill(): Promise<void> {
    if (this.closed) return
    const closed = once(this.child, "close")
    this.child.kill("SIGKILL")
    await closed
  }

  /** The result that it writes as its last line. */
  async result(): Promise<unknown> {
    if (!this.closed) await once(this.child, "close")
    assert.strictEqual(this.child.exitCode, 0, this.errors)
    return JSON.parse(this.lines.at(-1) ?? "")
  }
}

describe.each(["sql", "file"])("processes that share one %s store", (store) => {
  let folder: string
  const processes: Array<Process> = []

  const start = (leaseSeconds = 60, manner = "") => {
    const process = new Process(store, folder, leaseSeconds, manner)
    processes.push(process)
    return process
  }

  const executions = () => readFileSync(join(folder, "executions"), "utf8").trim().split("\n").map(Number)

  const letBodiesEnd = () => writeFileSync(join(folder, "end"), "")

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "stageflow-processes-"))
  })

  afterEach(async () => {
    for (const process of processes.splice(0)) await process.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  it("run the body once, and all get the same result", async () => {
    const all = [start(), start(), start()]
    const first = await Promise.all(all.map((process) => process.says("Claimed", "Running")))
    assert.deepStrictEqual(first.toSorted(), ["Claimed", "Running", "Running"])
    letBodiesEnd()
    const results = await Promise.all(all.map((process) => process.result()))
    const owner = all[first.indexOf("Claimed")] as Process
    assert.deepStrictEqual(results, all.map(() => ({ by: owner.child.pid })))
    assert.deepStrictEqual(executions(), [owner.child.pid])
    assert.deepStrictEqual(await start().result(), { by: owner.child.pid })
    assert.deepStrictEqual(executions(), [owner.child.pid])
  })

  it("hand over when the owner is killed, after its lease", async () => {
    const owner = start(3)
    await owner.says("started")
    const others = [start(3), start(3)]
    await Promise.all(others.map((process) => process.says("Running")))
    await owner.kill()
    assert.deepStrictEqual(executions(), [owner.child.pid])
    await Promise.race(others.map((process) => process.says("started")))
    letBodiesEnd()
    const [one, other] = await Promise.all(others.map((process) => process.result()))
    assert.deepStrictEqual(one, other)
    const next = others.map(({ child: { pid } }) => pid).find((pid) => executions().includes(pid as number))
    assert.deepStrictEqual(one, { by: next })
    assert.deepStrictEqual(executions(), [owner.child.pid, next])
  })

  it("do not run without end a body that blocks each of them for longer than its lease", async () => {
    // A third of the lease is what a store has to answer, also on a busy machine.
    const leaseSeconds = 3
    const all = [start(leaseSeconds, "blocking"), start(leaseSeconds, "blocking")]
    const results = await Promise.all(all.map((process) => process.result()))
    // How far a body gets depends on who blocks when. Both end, and neither with a result that the other has not.
    assert.deepStrictEqual(results[0], results[1])
    assert.isAtMost(executions().length, 3)
  })
})
