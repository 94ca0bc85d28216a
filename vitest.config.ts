import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-plugin";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
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

const WORLD = "./test/workers/world-setup.ts";

/** The whole product in workerd, beside a world. */
function onWorkerd(
  test: NonNullable<TestProjectInlineConfiguration["test"]>,
): TestProjectInlineConfiguration {
  return {
    define: { CRASH_POINTS: "false", DEVELOPMENT: "true" },
    plugins: [
      cloudflareTest(async ({ inject }) => {
        const { names, tokens }: ProvidedWorld = inject("world");
        return {
          main: "./test/workers/worker.ts",
          wrangler: { configPath: "./wrangler.toml" },
          miniflare: {
            bindings: {
              ...TEST_SECRETS,
              TEST_MIGRATIONS: await readD1Migrations("./migrations"),
              DEV_HOSTS: JSON.stringify(names),
              ISSUER_ORIGIN: "https://id.showcaller.test",
              PUBLIC_ORIGIN: "https://showcaller.test",
              SERVICE_TOKENS: JSON.stringify(serviceTokens(tokens, { inline: INLINE_TOKENS })),
            },
          },
        };
      }),
    ],
    test: { setupFiles: ["./test/workers/setup.ts"], ...test },
  };
}

export default defineConfig({
  test: {
    // Steps that fail on purpose are logged. Of a test that passes nobody wants to read that; of one that fails, all of it.
    silent: "passed-only",
    // Many tests wait, for a process to start or a moment to come: more of them than there are processors go on side by side.
    maxWorkers: 3,
    // No test claims a time: on a busy machine each may take its own.
    testTimeout: 30_000,
    hookTimeout: 60_000,
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
      onWorkerd({
        name: "workers",
        include: ["test/workers/**/*.test.ts"],
        exclude: ["test/workers/clouds/**"],
        globalSetup: ["./test/platform/loopback-server.ts", WORLD],
      }),
      // With a world of their own, one file after the other: they turn the clocks of its clouds.
      onWorkerd({
        name: "clouds",
        include: ["test/workers/clouds/**/*.test.ts"],
        globalSetup: [WORLD],
        fileParallelism: false,
      }),
    ],
  },
});
