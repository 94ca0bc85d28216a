/** Hooks, wired: what they need from the other rooms. */
import { waitUntil } from "cloudflare:workers";
import { createAccessAudit, createSeenCache, makerStands } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import type { Connections } from "./connections/index.ts";
import { createValueExpressions } from "./define/index.ts";
import { type Logger, objectName, type RunSource } from "./platform/index.ts";
import {
  createHookDesk,
  type HookDesk,
  type HookRpc,
  type KnownHook,
  type Starter,
} from "./triggers/index.ts";
import type { Vault } from "./vault/index.ts";

interface HookParts {
  readonly vault: () => Vault;
  readonly starter: Starter;
  readonly runIdOf: (source: RunSource) => Promise<string>;
  readonly connections: () => Connections;
  readonly deliver: (tenant: string) => Promise<{ readonly retryMs: number } | null>;
  readonly log: Logger;
}

/** One of each per isolate. */
export function composeHooks(
  env: Env,
  { vault, starter, runIdOf, connections, deliver, log }: HookParts,
): HookDesk {
  return createHookDesk({
    ...{ db: env.DB, vault, starter, deliver, runIdOf, log, now: () => Date.now() },
    expressions: createValueExpressions(),
    audit: createAccessAudit(env.DB),
    seen: createSeenCache<KnownHook>(),
    makerStands: (tenant, maker, now) => makerStands({ db: env.DB }, tenant, maker, now),
    object: (tenant, hook) => hookObject(env, tenant, hook),
    revoke: (tenant, integration, what) => connections().takenBack(tenant, integration, what),
    defer: (work) => {
      waitUntil(work);
    },
  });
}

export function hookObject(env: Env, tenant: string, hook: string): HookRpc {
  return objectNamed(env.HOOK, env.DB, objectName("hook", tenant, hook)) as HookRpc;
}
