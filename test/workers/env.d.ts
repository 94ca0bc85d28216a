import type { D1Migration } from "cloudflare:test";

declare global {
  namespace Cloudflare {
    interface Env {
      /** The files of migrations/, read by vitest.config.ts and applied by setup.ts. */
      readonly TEST_MIGRATIONS: D1Migration[];
    }
  }
}
