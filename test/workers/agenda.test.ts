/**
 * A workflow in TypeScript on a connection that its user lent through the pages, from the consent to the end: real objects, the
 * real database, the world's OAuth server and calendar. On its way the token expires, and the user takes it back at the provider.
 */
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, expect, inject, it, vi } from "vitest";
import { listAudit } from "../../src/access/index.ts";
import type { RunView } from "../../src/run/index.ts";
import { consent } from "../world/login-driver.ts";
import type { TokenRequest } from "../world/login.ts";
import { expectAnswer, newTenant, ORIGIN, send } from "./api-support.ts";
import { everythingKept, foundIn, listenToConsole } from "./kept.ts";
import { referee, step } from "./run-support.ts";

const HOUR_MS = 60 * 60_000;
const TENANT = "agenda-run";
const USER = "ada-of-the-agenda";

const logged = listenToConsole();
let admin = "";

beforeAll(async () => {
  admin = await newTenant(TENANT);
  await referee("PATCH", "/login", { redirectOrigins: [ORIGIN] });
  const [clientSecret] = (await referee<{ items: string[] }>("GET", "/login/secrets")).items;
  const made = await send("POST", "/v1/integrations", {
    key: admin,
    body: {
      ...{ name: "agenda", provider: "oidc", client_id: "showcaller", client_secret: clientSecret },
      custom: {
        display_name: "Agenda",
        issuer: "https://login.agenda.example",
        hosts: ["api.calendar.example"],
      },
      scopes_default: ["offline_access", "calendar.read", "calendar.write"],
      link_enabled: true,
      mode: "link",
    },
  });
  await expectAnswer(made, "createIntegration", 201);
  // The provider is loaded when it is first asked.
}, 30_000);

afterEach(() => {
  vi.useRealTimers();
});

/** The user opens the link, and says yes here and at the provider. */
async function follow(link: string): Promise<void> {
  const cookies = new Map<string, string>();
  const visit = async (address: string, form?: URLSearchParams): Promise<Response> => {
    const { pathname, search } = new URL(address, ORIGIN);
    const answer = await send(form === undefined ? "GET" : "POST", pathname + search, {
      ...(form === undefined ? {} : { raw: form }),
      headers: {
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join("; "),
        ...(form === undefined
          ? {}
          : {
              ...{ origin: ORIGIN, "sec-fetch-site": "same-origin" },
              "content-type": "application/x-www-form-urlencoded",
            }),
      },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    return answer;
  };
  const asked = await (await visit(link)).text();
  const [, form = ""] = /name="form" value="([^"]+)"/.exec(asked) ?? [];
  const [, name = "", value = ""] = /<button[^>]*name="([^"]+)"[^>]*value="([^"]+)"/.exec(asked) ?? [];
  let answer = await visit(link, new URLSearchParams({ form, [name]: value }));
  let provider = await onwards(answer);
  while (new URL(provider, ORIGIN).origin === ORIGIN) {
    answer = await visit(provider);
    provider = await onwards(answer);
  }
  const origin = `http://127.0.0.1:${inject("world").names["login.agenda.example"]}`;
  const back = await visit(await consent({ url: provider, origin, user: USER }));
  expect(back.status).toBeLessThan(400);
}

/** Where an answer sends the browser. */
async function onwards(answer: Response): Promise<string> {
  const page = await answer.text();
  const [, address] = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(page) ?? [];
  const next = answer.headers.get("location") ?? address?.replaceAll("&amp;", "&");
  if (next === undefined) throw new Error(`nothing leads on from ${answer.status}: ${page}`);
  return next;
}

async function look(id: string): Promise<RunView> {
  const looked = await send("GET", `/v1/runs/${id}`, { key: admin, headers: { prefer: "wait=1" } });
  return JSON.parse(await looked.text()) as RunView;
}

/** Looks until it holds; vitest's own limit ends a look in vain. */
async function until(id: string, holds: (view: RunView) => boolean): Promise<RunView> {
  for (;;) {
    const seen = await look(id);
    if (holds(seen)) return seen;
  }
}

const waitsFor = (name: string) => (seen: RunView) => step(seen, name).status === "waiting";
const go = (id: string, name: string) =>
  send("POST", `/v1/runs/${id}/signals/${name}`, { key: admin, body: { id: name, payload: null } });
const tokenRequests = async () =>
  (await referee<{ items: TokenRequest[] }>("GET", "/login/token-requests")).items.map(
    ({ grantType }) => grantType,
  );

/** The operator's numbers tell of the refresh that failed for good, and of the run that waits for it. */
async function numbersTell(): Promise<boolean> {
  const answer = await send("GET", `/v1/metrics?tenant=${TENANT}`, { key: env.ROOT_API_KEY ?? "" });
  expect(answer.status).toBe(200);
  const text = await answer.text();
  const parked = `showcaller_runs_parked{tenant="${TENANT}",workflow="t-agenda",awaits="connection"} 1\n`;
  const failed = `showcaller_refresh_failures_total{tenant="${TENANT}",reason="dead"} 1\n`;
  return text.includes(parked) && text.includes(failed);
}

it("goes on with a new token where the old one has expired, parks where it was taken back, and ends after another consent", async () => {
  const session = await send("POST", "/v1/connect-sessions", {
    key: admin,
    body: { integration: "agenda", user: USER },
  });
  await follow((await expectAnswer<{ url: string }>(session, "createConnectSession", 201)).url);
  const started = await send("POST", "/v1/runs", { key: admin, body: { workflow: "t-agenda", user: USER } });
  const { id } = await expectAnswer<RunView>(started, "startRun", 202);
  await until(id, waitsFor("go"));
  expect(await tokenRequests()).toEqual(["authorization_code"]);

  // The first token is over.
  vi.setSystemTime(Date.now() + 2 * HOUR_MS);
  await go(id, "go");
  await until(id, waitsFor("on"));
  expect(await tokenRequests()).toEqual(["authorization_code", "refresh_token"]);

  // Alarms ring by the real time.
  vi.useRealTimers();
  // The next one lives, as far as anybody here knows: the calendar refuses it, and so does the provider the refresh.
  await referee("POST", `/login/users/${USER}/revoke`);
  await go(id, "on");
  const parked = await until(id, (seen) => step(seen, "third").waiting_for !== undefined);
  expect(step(parked, "third").waiting_for).toMatchObject({ integration: "agenda", reason: "revoked" });
  expect(await tokenRequests()).toHaveLength(3);
  await vi.waitUntil(numbersTell, { timeout: 15_000, interval: 250 });
  // The door adds the link to what the run says of itself.
  const waiting = step(parked, "third").waiting_for as
    | { readonly connect?: { readonly url: string } }
    | undefined;
  await follow(waiting?.connect?.url ?? "");
  const over = await until(id, ({ ended_at }) => ended_at !== null);
  expect(over.status).toBe("succeeded");
  expect((await referee<{ items: unknown[] }>("GET", `/deeds?reference=${id}`)).items).toHaveLength(3);

  const uses = async () =>
    (await listAudit(env.DB, TENANT, { run: id }, { limit: 100 })).entries.map(({ detail }) => detail);
  await vi.waitUntil(async () => (await uses()).length === 4, { timeout: 5_000, interval: 20 });
  const of = async (unit: string) => (await uses()).filter((use) => use["unit"] === unit);
  const hosts = ["api.calendar.example"];
  expect(await of("first")).toMatchObject([{ attempt: 1, hosts, ended: "success" }]);
  // Not declared: found by the function.
  expect(await of("second")).toMatchObject([{ attempt: 1, hosts, ended: "success" }]);
  expect(new Set((await of("third")).map(({ ended }) => ended))).toEqual(new Set(["needs", "success"]));
  const { items: secrets } = await referee<{ items: string[] }>("GET", "/login/secrets");
  const kept = new Map(await everythingKept());
  kept.set("log", logged());
  expect(foundIn(kept, new Map(secrets.map((secret, i) => [secret, `secret ${i} of the provider`])))).toEqual(
    [],
  );
}, 30_000);
