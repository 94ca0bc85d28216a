/** All that a tenant of a game day has, before its first run. */
import { createApi } from "../../src/cli/api.ts";
import { startBackend } from "../../src/cli/backend.ts";
import { connect, integrate, personOf } from "../../src/cli/consents.ts";
import { trustRoles } from "../../src/cli/roles.ts";
import type { Caller } from "./calls.ts";
import { DESK } from "./kinds.ts";
import { storePlans, type Keys } from "./population.ts";
import { RECEIVER, type Stage } from "./stage.ts";
import { HOOK, hookSecret } from "./traffic.ts";

const CALENDAR = "api.calendar.example";
export const SCHEDULE = "gd-clock";
export const EVERY_MS = 5_000;

export interface Furnished {
  readonly keys: Keys;
  readonly strangers: { readonly key: string; readonly revoked: string };
  readonly endpoint: { readonly id: string; readonly effective_by: number };
  readonly close: () => Promise<void>;
}

/** All that a tenant has: keys, plans, a hook, a schedule, an endpoint, integrations, a connection that renews itself, a role. */
export async function furnish(stage: Stage, caller: Caller): Promise<Furnished> {
  const root = stage.rootKey;
  const make = async <T>(key: string, path: string, body: object): Promise<T> =>
    caller.insist<T>(`make ${path}`, { method: "POST", path, key, body }, [201]);
  const keyOf = async (tenant: string, name: string): Promise<string> => {
    const { key } = await make<{ key: string }>(root, `/v1/tenants/${tenant}/keys`, { name });
    stage.given.add(key);
    return key;
  };
  const admin = await keyOf("default", "game day");
  const keys: Keys = { admin, approver: await keyOf("default", "approver"), root };
  await make(root, "/v1/tenants", { id: "stranger" });
  const doomed = await make<{ id: string; key: string }>(admin, "/v1/keys", {
    ...{ name: "doomed", scopes: ["runs:read"] },
  });
  await caller.insist("key.revoke", { method: "DELETE", path: `/v1/keys/${doomed.id}`, key: admin }, [200]);
  const strangers = { key: await keyOf("stranger", "stranger"), revoked: doomed.key };

  await make(admin, "/v1/integrations", {
    ...{ name: DESK, provider: "api_key", custom: { hosts: [CALENDAR] } },
  });
  await storePlans(caller, keys);
  stage.world.login.change({ accessTokenSeconds: 20, leewayMs: 30_000 });
  const api = createApi(caller.url, admin);
  const backend = await startBackend(async (session, code) =>
    api.call("POST", `/v1/connect-sessions/${session}/confirm`, { code, user: "ada" }),
  );
  const done = await integrate(api, stage.world.login.client, backend);
  if (!done.ok) throw new Error(done.complaint.what);
  const lent = await connect(api, personOf(false), () => {});
  if (!lent.ok) throw new Error(lent.complaint.what);
  const trusted = await trustRoles(api, stage.referee);
  if (!trusted.ok) throw new Error(trusted.complaint.what);
  stage.given.add(hookSecret);
  await make(admin, "/v1/hooks", {
    ...{ name: HOOK, workflow: "gd-quick", scheme: { type: "github" }, secret: hookSecret },
    input: { n: "${{ input.body.n }}" },
  });
  const endpoint = await make<{ id: string; effective_by: number; key: { secret: string } }>(
    ...([admin, "/v1/endpoints", { url: `https://${RECEIVER}/in`, events: ["run.ended"] }] as const),
  );
  stage.given.add(endpoint.key.secret);
  await caller.insist(
    "schedule.put",
    {
      ...{ method: "PUT", path: `/v1/schedules/${SCHEDULE}`, key: admin },
      body: {
        ...{ timing: { kind: "interval", every_ms: EVERY_MS }, workflow: "gd-quick", input: {} },
        ...{ overlap: "allow", catch_up_ms: 3_600_000 },
      },
    },
    [201],
  );
  return { keys, strangers, endpoint, close: async () => backend.end() };
}
