import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

/** The tests that need a browser, a database server and a voice: `npm run test:real`. */
export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  resolve: { conditions: ["stageflow-source"] },
  ssr: { resolve: { conditions: ["stageflow-source"] } },
  test: {
    include: ["test/real/**/*.test.ts"],
    setupFiles: [resolve(import.meta.dirname, "../support/seed.ts")],
    globalSetup: [resolve(import.meta.dirname, "support/servers.ts")],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
