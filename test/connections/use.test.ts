/** What a step gets of a connection, from what its object answers. */
import type { LeaseAnswer } from "../../src/platform/index.ts";
import { describe, expect, test } from "vitest";
import { basicValue, type Bound } from "../../src/connections/providers/index.ts";
import type { AcquireAnswer, ConnectionRpc } from "../../src/connections/rpc.ts";
import { createUse } from "../../src/connections/use.ts";

const NOW = 1_800_000_000_000;
const PINNED = { connection: "conn_1", owner: "tenant", account: "default", epoch: 1 };

async function used(answer: AcquireAnswer): Promise<LeaseAnswer> {
  const object: Pick<ConnectionRpc, "acquire"> = { acquire: async () => Promise.resolve(answer) };
  const use = createUse({
    serverKey: async () => Promise.reject(new Error("Nothing is derived for what is pinned.")),
    integration: async () => Promise.resolve(null),
    ofOwner: async () => Promise.resolve([]),
    object: () => object as ConnectionRpc,
    now: () => NOW,
  });
  return use({
    ...{ tenant: "default", run: "run_1", user: null, workflow: "mail", stepTimeoutMs: 60_000 },
    ...{ reference: { connection: "app" }, pinned: PINNED },
  });
}

function token(kind: "api_key" | "basic", accessToken: string): AcquireAnswer {
  const provider: Bound = {
    ...{ kind, name: kind, displayName: "App", bound: {}, hosts: ["api.app.example"] },
    ...(kind === "basic" ? { present: { header: "authorization", scheme: "Basic" } } : {}),
  };
  return {
    ...{ kind: "token", accessToken, version: 1, consent: 1, epoch: 1, expiresAt: null, scopes: null },
    ...{ extra: {}, provider },
  };
}

async function secretsOf(kind: "api_key" | "basic", accessToken: string): Promise<readonly string[]> {
  const answer = await used(token(kind, accessToken));
  if (answer.kind !== "ready") throw new Error(answer.kind);
  return answer.lease.secrets;
}

describe("the secrets of a lease", () => {
  test("are every part of a name with its password", async () => {
    const value = basicValue("name-or-key", "pass:wörd-123");
    expect(await secretsOf("basic", value)).toEqual([value, "name-or-key", "pass:wörd-123"]);
  });

  test("are not a name that stands everywhere", async () => {
    const value = basicValue("api", "password-123");
    expect(await secretsOf("basic", value)).toEqual([value, "password-123"]);
  });

  test("are a key as it is, whatever it looks like", async () => {
    const value = basicValue("name-or-key", "password-123");
    expect(await secretsOf("api_key", value)).toEqual([value]);
  });
});

describe("how long a step waits", () => {
  const HOUR = 3_600_000;
  const waits = async (reason: "rate_limited" | "unavailable" | "missing", retryAfterMs?: number) => {
    const more = retryAfterMs === undefined ? {} : { retryAfterMs };
    const answer = await used({ kind: "needs", reason, version: 1, ...more });
    return answer.kind === "needs" ? answer.need.limitMs : null;
  };

  test("is until the time that a provider told, within a day, and an hour where it told none", async () => {
    expect(await waits("rate_limited")).toBe(HOUR);
    expect(await waits("rate_limited", 60_000)).toBe(HOUR);
    expect(await waits("rate_limited", 5 * HOUR)).toBe(5 * HOUR + 600_000);
    expect(await waits("rate_limited", 90 * HOUR)).toBe(24 * HOUR);
    expect(await waits("unavailable", 5 * HOUR)).toBe(HOUR);
    expect(await waits("missing")).toBe(24 * HOUR);
  });
});
