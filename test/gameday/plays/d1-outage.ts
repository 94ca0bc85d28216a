/** The database answers nothing: what goes on, what says "not now", and that nothing has to be done but wait. */
import { claim, House, until, type Play } from "./common.ts";
import type { Outage } from "../database.ts";

const ALL: readonly Outage[] = [{ from: 0, to: 1_000_000, every: 1, afterEffect: 0 }];
const NAP = { steps: { nap: { action: "sleep", with: { for: "5s" } } } };
const HOLD = { steps: { hold: { action: "wait", with: { signal: "go", timeout: "2h" } } } };

export const d1Outage: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ nap: NAP, hold: HOLD });
  const [napper, holder] = await Promise.all([house.run("nap"), house.run("hold")]);
  await until("one waits", async () => (await house.view(holder)).status === "waiting");
  const order = async (outages: readonly Outage[]): Promise<void> => {
    const body = JSON.stringify(outages);
    await (await fetch(`${house.caller.url}/.gameday/database`, { method: "POST", body })).json();
  };
  await order(ALL);
  await until("a sleeper wakes and ends without it", () => stage.sink.hasEnded(napper));
  // A known key goes on to be known for a minute.
  const works: Record<string, string> = {};
  const asks: readonly (readonly [string, string, string, object?])[] = [
    ["look at a run", "GET", `/v1/runs/${holder}`],
    ["explain", "GET", `/v1/runs/${holder}/explain`],
    ["list runs", "GET", "/v1/runs"],
    ["start a stored plan", "POST", "/v1/runs", { workflow: "hold" }],
    ["signal", "POST", `/v1/runs/${holder}/signals/go`, { id: "1", payload: {} }],
    ["list keys", "GET", "/v1/keys"],
    ["make a key", "POST", "/v1/keys", { name: "x", scopes: ["runs:read"] }],
    ["store a plan", "PUT", "/v1/workflows/new", NAP],
    ["list endpoints", "GET", "/v1/endpoints"],
    ["audit", "GET", "/v1/audit"],
  ];
  for (const [what, method, path, body] of asks) {
    const { status, code } = await house.status(method, path, house.keys.admin, body);
    claim(status < 300 || (status === 503 && code === "unavailable"), `${what}: ${status} ${code}`);
    works[what] = status < 300 ? "works" : "503";
  }
  const unknown = await house.status(
    "GET",
    "/v1/runs",
    "sck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  );
  claim(unknown.status !== 200, "a key that is not known is not taken");
  // Every use of the root key is in the audit first, so health cannot be asked: that it says "not now" is the sign.
  const health = await house.status("GET", "/v1/health", house.keys.root);
  claim(health.status === 503 && health.code === "unavailable", "health says not now");
  const { status: alive } = await fetch(`${house.caller.url}/healthz`);
  claim(alive === 200, "the Worker answers");
  await until("the run that was signalled ended", () => stage.sink.hasEnded(holder));
  const laterMs = await until(
    "a key that was known is not any more",
    async () => (await house.status("GET", `/v1/runs/${holder}`)).status === 503,
    90_000,
  );
  await order([]);
  const backMs = await until(
    "all answers",
    async () => (await house.status("GET", "/v1/keys")).status === 200,
  );
  await until("health is well", async () => (await house.health()).status === "ok");
  await house.kill();
  return { works, keysKnownForMs: laterMs, backMs, health: `${health.status}, healthz ${alive}` };
};
