declare namespace Cloudflare {
  interface Env {
    /** The files of migrations/, read by vitest.config.ts and applied by setup.ts. */
    readonly TEST_MIGRATIONS: import("cloudflare:test").D1Migration[];
  }
}
