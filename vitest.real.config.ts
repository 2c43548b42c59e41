import { defineConfig } from "vitest/config"

/** The tests that need a browser and a database server: `npm run test:real`. */
export default defineConfig({
  resolve: { conditions: ["stageflow-source"] },
  ssr: { resolve: { conditions: ["stageflow-source"] } },
  test: {
    include: ["test/real/**/*.test.ts"],
    setupFiles: ["test/support/seed.ts"],
    globalSetup: ["test/real/support/servers.ts"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000
  }
})
