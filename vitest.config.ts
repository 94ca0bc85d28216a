import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

/** Test-only values: the real ones are Worker secrets. */
const TEST_SECRETS = {
  SERVER_KEY: "dGVzdC1zZXJ2ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc",
  ROOT_API_KEY: "test-root-key-of-32-visible-chars",
};

export default defineConfig({
  test: {
    projects: [
      {
        define: { CRASH_POINTS: "false" },
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/workers/**", "test/browser/**"],
          environment: "node",
        },
      },
      {
        define: { CRASH_POINTS: "false", DEVELOPMENT: "true" },
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: { ...TEST_SECRETS, TEST_MIGRATIONS: await readD1Migrations("./migrations") },
            },
          })),
        ],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          globalSetup: ["./test/platform/loopback-server.ts"],
          setupFiles: ["./test/workers/setup.ts"],
        },
      },
    ],
  },
});
