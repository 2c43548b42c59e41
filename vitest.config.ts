import { resolve } from "node:path"
import { defineConfig } from "vitest/config"

export default defineConfig({
  resolve: { conditions: ["stageflow-source"] },
  ssr: { resolve: { conditions: ["stageflow-source"] } },
  test: {
    include: ["test/**/*.test.ts"],
    // They need more than what npm installs: npm run test:real
    exclude: ["test/real/**"],
    // From here, whatever the root is.
    setupFiles: [resolve(import.meta.dirname, "test/support/seed.ts")],
    testTimeout: 60_000,
    // Some compile everything before their first test.
    hookTimeout: 120_000
  }
})
