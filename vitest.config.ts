import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import type { ProvidedWorld } from "./test/workers/world-setup.ts";
import { serviceTokens } from "./test/world/index.ts";

/** Test-only values: the real ones are Worker secrets. */
const TEST_SECRETS = {
  SERVER_KEY: "dGVzdC1zZXJ2ZXIta2V5LW9mLTMyLWJ5dGVzLWxvbmc",
  KEYRING: '{"active":"k1","keys":{"k1":"dGVzdC1rZXlyaW5nLWtleS1vZi10aGlydHktdHdvLWI"}}',
  ROOT_API_KEY: "test-root-key-of-32-visible-chars",
};

/** Those that plans may use; the token of the voice service is for TypeScript only. */
const INLINE_TOKENS = ["SKYLINE", "HARBOUR", "CALENDAR", "MAIL", "PAY", "SHOP"].map(
  (name) => `${name}_TOKEN`,
);

export default defineConfig({
  test: {
    // Steps that fail on purpose are logged. Of a test that passes nobody wants to read that; of one that fails, all of it.
    silent: "passed-only",
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
        // One file after the other: each starts a server of its own.
        test: {
          name: "browser",
          include: ["test/browser/**/*.test.ts"],
          environment: "node",
          fileParallelism: false,
        },
      },
      {
        define: { CRASH_POINTS: "false", DEVELOPMENT: "true" },
        plugins: [
          cloudflareTest(async ({ inject }) => {
            const { names, tokens }: ProvidedWorld = inject("world");
            return {
              main: "./test/workers/worker.ts",
              wrangler: { configPath: "./wrangler.toml" },
              miniflare: {
                durableObjects: { SCHEDULE: { className: "ScheduleObject", useSQLite: true } },
                bindings: {
                  ...TEST_SECRETS,
                  TEST_MIGRATIONS: await readD1Migrations("./migrations"),
                  DEV_HOSTS: JSON.stringify(names),
                  ISSUER_ORIGIN: "https://id.showcaller.test",
                  SERVICE_TOKENS: JSON.stringify(serviceTokens(tokens, { inline: INLINE_TOKENS })),
                },
              },
            };
          }),
        ],
        test: {
          name: "workers",
          include: ["test/workers/**/*.test.ts"],
          globalSetup: ["./test/platform/loopback-server.ts", "./test/workers/world-setup.ts"],
          setupFiles: ["./test/workers/setup.ts"],
        },
      },
    ],
  },
});
