/**
 * Starts what the real tests need, a PostgreSQL of their own among it, and stops it after them. What is not installed is said
 * in one line, with the command that installs it.
 */
import { execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, globSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    readonly chromium: string
    readonly postgresUrl: string
  }
}

const firstThatExists = (paths: ReadonlyArray<string | undefined>): string | undefined =>
  paths.find((path) => path !== undefined && existsSync(path))

const chromiumPath = firstThatExists([
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome"
])

/** The folder with `initdb` and `postgres`; Debian has one for each version. */
const postgresFolder = firstThatExists([
  process.env["POSTGRES_BIN"],
  ...globSync("/usr/lib/postgresql/*/bin").toSorted().toReversed(),
  "/usr/local/bin",
  "/opt/homebrew/bin"
].map((folder) => folder === undefined ? undefined : join(folder, "initdb")))?.replace(/\/initdb$/, "")

const missing = [
  ...(chromiumPath === undefined ? ["Chromium (apt-get install -y chromium, or set CHROMIUM)"] : []),
  ...(postgresFolder === undefined ? ["PostgreSQL (apt-get install -y postgresql, or set POSTGRES_BIN)"] : [])
]

const freePort = async (): Promise<number> => {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, "127.0.0.1", resolve)
  await promise
  const address = server.address()
  server.close()
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

/** PostgreSQL does not run as root: then it is the user whom Debian's package makes. */
const user = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }))
  return { uid: idOf("-u"), gid: idOf("-g") }
}

const startPostgres = async (programs: string) => {
  const directory = mkdtempSync(join(tmpdir(), "stageflow-postgres-"))
  const owner = user()
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(directory, owner.uid, owner.gid)
  const data = join(directory, "data")
  const options = { ...owner, cwd: directory, stdio: "pipe" } as const
  execFileSync(
    join(programs, "initdb"),
    ["-D", data, "-U", "stageflow", "-A", "trust", "-E", "UTF8", "--no-sync"],
    options
  )
  const port = await freePort()
  const settings = ["-p", String(port), "-h", "127.0.0.1", "-k", directory, "-F"]
  const server = spawn(join(programs, "postgres"), ["-D", data, ...settings], {
    ...owner,
    cwd: directory,
    stdio: "ignore"
  })
  // Also when the tests end before anybody stops it.
  process.once("exit", () => server.kill("SIGINT"))
  const stop = async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    server.once("exit", () => resolve())
    // It ends the sessions that are left and then itself.
    if (server.exitCode === null && server.kill("SIGINT")) await promise
    rmSync(directory, { recursive: true, force: true })
  }
  for (let tries = 0; tries < 200; tries++) {
    try {
      execFileSync(join(programs, "pg_isready"), ["-h", "127.0.0.1", "-p", String(port)], { stdio: "ignore" })
      return { url: `postgres://stageflow@127.0.0.1:${port}/postgres`, stop }
    } catch {
      execFileSync("sleep", ["0.1"])
    }
  }
  await stop()
  throw new Error("PostgreSQL did not start")
}

export default async ({ provide }: TestProject) => {
  if (chromiumPath === undefined || postgresFolder === undefined) {
    process.stderr.write(`\nnpm run test:real needs ${missing.join(" and ")}.\n`)
    process.exit(1)
  }
  const postgres = await startPostgres(postgresFolder)
  provide("chromium", chromiumPath)
  provide("postgresUrl", postgres.url)
  return postgres.stop
}
