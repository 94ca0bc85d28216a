/** A key that somebody else may have: an API key with keys that it made, a client secret. Keyring and signing key: `gameday.ts`. */
import { setTimeout as sleep } from "node:timers/promises";
import { claim, House, until, type Play } from "./common.ts";
import { createApi } from "../../../src/cli/api.ts";
import { startBackend } from "../../../src/cli/backend.ts";
import { connect, integrate, personOf } from "../../../src/cli/consents.ts";

const HOLD = { steps: { hold: { action: "wait", with: { signal: "go", timeout: "2h" } } } };
const LOOK = {
  steps: {
    look: {
      action: "http",
      with: {
        ...{ method: "GET", url: "https://api.calendar.example/events", query: { day: "2027-03-14" } },
        auth: { connection: "agenda" },
      },
    },
  },
};

export const leakedKey: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ hold: HOLD });
  const { admin, root } = house.keys;
  const scopes = ["keys:read", "keys:write", "runs:read", "runs:write", "schedules:read", "schedules:write"];
  const stolen = await house.make<{ id: string; key: string }>("/v1/keys", { name: "stolen", scopes });
  const theirs = await house.make<{ id: string; key: string }>(
    ...(["/v1/keys", { name: "made by the thief", scopes: ["runs:read"] }, stolen.key] as const),
  );
  const { id: run } = await house.make<{ id: string }>("/v1/runs", { workflow: "hold" }, stolen.key);
  await house.call(
    ...([
      "PUT",
      "/v1/schedules/theirs",
      { timing: { kind: "interval", every_ms: 2_000 }, workflow: "hold", overlap: "allow" },
      stolen.key,
    ] as const),
  );
  for (const key of [stolen.key, theirs.key])
    claim((await house.status("GET", `/v1/runs/${run}`, key)).status === 200, "the key is taken");
  const revoked = await house.call<{ descendants: { revoked: number; complete: boolean } }>(
    ...(["DELETE", `/v1/keys/${stolen.id}?descendants=true`] as const),
  );
  const refusedMs = await until("both keys are refused", async () => {
    const said = await Promise.all(
      [stolen.key, theirs.key].map(async (key) => (await house.status("GET", `/v1/runs/${run}`, key)).code),
    );
    return said.every((code) => code === "key_revoked");
  });
  claim((await house.view(run)).status === "waiting", "the run that it started goes on");
  const pausedMs = await until(
    "the schedule that it wrote pauses itself",
    async () => (await house.call<{ paused: unknown }>("GET", "/v1/schedules/theirs")).paused !== null,
    90_000,
  );
  const audit = await house.call<{ data: { action: string; target: string | null }[] }>(
    "GET",
    "/v1/audit?kind=key",
  );
  claim(
    audit.data.some(({ action, target }) => action.startsWith("key.revoke") && target === stolen.id),
    "the audit has it",
  );

  // All keys of the tenant but a new one: with a key that the operator makes.
  const fresh = await house.make<{ id: string; key: string }>(
    "/v1/tenants/default/keys",
    { name: "fresh" },
    root,
  );
  const all = await house.call<{ data: { id: string; revoked_at: number | null }[] }>(
    ...(["GET", "/v1/keys?limit=100", undefined, fresh.key] as const),
  );
  let ended = 0;
  for (const { id, revoked_at: at } of all.data)
    if (at === null && id !== fresh.id) {
      await house.call("DELETE", `/v1/keys/${id}?descendants=true`, undefined, fresh.key);
      ended += 1;
    }
  claim(
    (await house.status("GET", "/v1/keys", admin)).code === "key_revoked",
    "the old admin key is refused",
  );
  house.keys = { ...house.keys, admin: fresh.key };

  const secret = await clientSecret(house);
  await house.kill();
  const { revoked: descendants } = revoked.descendants;
  return { descendants, refusedMs, pausedMs, keysEnded: ended, ...secret };
};

/** The secret of an OAuth app is another one: renewals are refused until the integration has it. */
async function clientSecret(house: House): Promise<{ waitedFor: string; afterMs: number }> {
  const { stage } = house;
  const api = createApi(house.caller.url, house.keys.admin);
  const backend = await startBackend(async (session, code) =>
    api.call("POST", `/v1/connect-sessions/${session}/confirm`, { code, user: "ada" }),
  );
  stage.world.login.change({ accessTokenSeconds: 2 });
  const { client } = stage.world.login;
  claim((await integrate(api, client, backend)).ok, "the integration is made");
  claim((await connect(api, personOf(false), () => {})).ok, "Ada has consented");
  await house.plan("look", LOOK);
  const first = await house.run("look", {}, { user: "ada" });
  await until("the connection works", () => stage.sink.hasEnded(first));
  // As if the provider had a new secret already, and the integration still the old one.
  await house.call("PATCH", "/v1/integrations/agenda", { client_secret: "the-secret-that-is-no-more" });
  // The access token lives for two seconds.
  await sleep(3_000);
  const second = await house.run("look", {}, { user: "ada" });
  const waitingFor = async (): Promise<string | null> => {
    const { steps } = await house.call<{ steps: { waiting_for?: { reason: string } }[] }>(
      ...(["GET", `/v1/runs/${second}`] as const),
    );
    return steps[0]?.waiting_for?.reason ?? null;
  };
  await until("the run waits", async () => (await waitingFor()) !== null);
  const waitedFor = (await waitingFor()) ?? "";
  await house.call("PATCH", "/v1/integrations/agenda", { client_secret: client.secret });
  const afterMs = await until("it goes on with the new secret", () => stage.sink.hasEnded(second), 180_000);
  claim((await house.view(second)).status === "succeeded", "nobody had to consent anew");
  await backend.end();
  return { waitedFor, afterMs };
}
