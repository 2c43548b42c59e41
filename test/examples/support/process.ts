import { Effect } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../..", import.meta.url))

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program in the project's folder, its output piped, to its end. */
export const run = (
  command: string,
  parameters: ReadonlyArray<string>,
  environment: NodeJS.ProcessEnv = {}
): Effect.Effect<Finished> =>
  Effect.callback((resume) => {
    const child = execFile(
      command,
      parameters,
      { cwd: root, env: { ...process.env, ...environment } },
      (_error, stdout, stderr) => resume(Effect.succeed({ code: child.exitCode ?? -1, stdout, stderr }))
    )
    child.stdin?.end()
    return Effect.sync(() => child.kill())
  })

const node = "node_modules/.bin/node"

/** Runs an example as the script `npm run example` does. */
export const runExample = (name: string, ...parameters: ReadonlyArray<string>) =>
  run(node, ["--conditions=stageflow-source", `examples/${name}.ts`, ...parameters])
