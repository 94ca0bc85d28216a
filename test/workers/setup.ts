import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, inject } from "vitest";
import { leaks, learn, secrets, sees, watch } from "./log-watch.ts";

/** The server's key, the root key, one of the keyring, and the tokens of the world's services. */
const MIN_SECRETS = 8;

watch();
learn("server key", env.SERVER_KEY);
learn("root key", env.ROOT_API_KEY);
const keyring = JSON.parse(env.KEYRING ?? "{}") as { readonly keys?: Readonly<Record<string, string>> };
for (const key of Object.values(keyring.keys ?? {})) learn("key of the keyring", key);
for (const token of Object.values(inject("world").tokens)) learn("service token", token);
const given = secrets.size;

// Storage is isolated per test file, so every file starts from a freshly migrated database.
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);

/** Whatever the file did: nothing that was logged meanwhile holds a secret that was seen meanwhile; and the watch has not gone blind. */
afterAll(() => {
  if (given < MIN_SECRETS || secrets.size < given || !sees())
    throw new Error(
      `The watch over the log sees nothing: ${secrets.size} secrets, ${given} at the beginning.`,
    );
  const found = leaks();
  if (found.length > 0) throw new Error(`Secrets are in the log.\n${found.join("\n")}`);
});
