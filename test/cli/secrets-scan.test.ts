/**
 * Everything that a whole run stored, logged, said or answers is searched for every secret that there was.
 *
 * The run is that of `npm start -- --browser`, with the consent, the revocation, the parked step and the new consent; a test
 * plays the person, so that it sees the links, cookies, forms and codes that only a browser sees. What may be found is named
 * one by one, and must be found: else the exception is out of date, or the search is blind.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { personOf } from "../../src/cli/consents.ts";
import { DEMOS } from "../../src/cli/demos.ts";
import { signedHeaders } from "../../src/cli/signed-delivery.ts";
import { parseSecrets } from "../../src/cli/state.ts";
import { SecretSearch } from "../platform/secret-search.ts";
import { cloudControl, loginControl } from "../world/index.ts";
import { run, START, type Started } from "./started.ts";

const TEST_TIMEOUT_MS = 90_000;
/** Shorter values of cookies and forms are words, no secrets. */
const MIN_SECRET_CHARS = 16;
const HOOK = "of-the-scan";

/** What may be found, as `<place>: <secret>, <form>`, and why that is right. */
const ALLOWED: readonly (readonly [found: RegExp, why: string])[] = [
  [
    /^secrets\.json: (server key|root key|key of the keyring|API key of the start), /,
    "the start keeps its own secrets there, for the next start",
  ],
  [
    /^\.dev\.vars: (server key|root key|key of the keyring|service token), /,
    "from there the runtime gets the Worker's secrets",
  ],
  [/^world\.jsonl: service token, /, "the services outside know their own tokens"],
  [/^terminal: API key of the start, /, "it is shown to who started it, to try with"],
  [/^terminal: client of the login server, /, "it is shown to who started it, to make an integration with"],
  [/^terminal: link, /, "with --browser the person before it opens the links"],
  [/^server\.log: link, /, "the local server logs paths: of links that were used up in that moment"],
];

let state: string;
beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), "showcaller-scan-"));
});
afterAll(() => {
  rmSync(state, { recursive: true, force: true });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Of all that a browser sends and is sent from now on. */
function watchBrowser(secrets: Map<string, string>): void {
  const keep = (name: string, value: string | null | undefined): void => {
    if (value !== null && value !== undefined && value.length >= MIN_SECRET_CHARS) secrets.set(value, name);
  };
  const real = globalThis.fetch;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const address = new URL(input instanceof Request ? input.url : input);
    keep("link", /^\/connect\/cs_\w+\.([\w-]+)$/.exec(address.pathname)?.[1]);
    const isBack = address.pathname === "/connected";
    keep(isBack ? "one-time code" : "code", address.searchParams.get("code"));
    keep("state", address.searchParams.get("state"));
    if (init?.body instanceof URLSearchParams) keep("form token", init.body.get("form"));
    const answer = await real(input, init);
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      keep(`cookie ${name.replace(/cs_\w+/, "*")}`, value);
    }
    return answer;
  });
}

/** Plays the person at each link that the start shows. */
async function consentTwice(started: Started): Promise<void> {
  const links = (): string[] => started.output().match(/^http:\S+\/connect\/cs_\S+$/gm) ?? [];
  await started.says("open this link to lend");
  for (const count of [1, 2]) {
    const url = await vi.waitFor(() => {
      expect(links()).toHaveLength(count);
      return links()[count - 1] ?? "";
    }, TEST_TIMEOUT_MS);
    await personOf(false).follow(url);
  }
}

interface Vars {
  readonly hosts: Record<string, number>;
  readonly tokens: readonly string[];
}

function readVars(): Vars {
  const text = readFileSync(join(state, ".dev.vars"), "utf8");
  const of = (name: string): unknown => JSON.parse(new RegExp(`^${name}='(.*)'$`, "m").exec(text)?.[1] ?? "");
  const tokens = Object.values(of("SERVICE_TOKENS") as Record<string, { readonly token: string }>);
  return { hosts: of("DEV_HOSTS") as Record<string, number>, tokens: tokens.map(({ token }) => token) };
}

function keepOwn(secrets: Map<string, string>): { readonly rootKey: string; readonly apiKey: string } {
  const own = parseSecrets(readFileSync(join(state, "secrets.json"), "utf8"));
  if (own?.apiKey === undefined) throw new Error("the start left no secrets");
  const { keys } = JSON.parse(own.keyring ?? "{}") as { readonly keys: Record<string, string> };
  for (const key of Object.values(keys)) secrets.set(key, "key of the keyring");
  secrets
    .set(own.serverKey, "server key")
    .set(own.rootKey, "root key")
    .set(own.apiKey, "API key of the start");
  return { rootKey: own.rootKey, apiKey: own.apiKey };
}

/** Every GET of the API, of everything that there is, with each of the keys: what was answered, by `<key> <path>`. */
async function answersOf(
  url: string,
  keys: Readonly<Record<string, string>>,
  known: Readonly<Record<string, readonly string[]>>,
): Promise<Map<string, { readonly status: number; readonly text: string }>> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    readonly paths: Record<string, Record<string, unknown>>;
  };
  const paths = Object.entries(document.paths).flatMap(([path, methods]) =>
    methods["get"] === undefined ? [] : filled(path, known),
  );
  const answers = new Map<string, { readonly status: number; readonly text: string }>();
  for (const [name, key] of Object.entries(keys))
    for (const path of paths) {
      const answer = await fetch(url + path, { headers: { authorization: `Bearer ${key}` } });
      const text = `${JSON.stringify([...answer.headers])}\n${await answer.text()}`;
      answers.set(`${name} ${path}`, { status: answer.status, text });
    }
  return answers;
}

/** A path with each of the values that its parameters can have. */
function filled(path: string, known: Readonly<Record<string, readonly string[]>>): string[] {
  const name = /\{(\w+)\}/.exec(path)?.[1];
  if (name === undefined) return [path];
  const values = known[name];
  if (values === undefined) throw new Error(`${path}: nobody knows a ${name}`);
  return values.flatMap((value) => filled(path.replace(`{${name}}`, value), known));
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Of every file in the folder as it lies there, by `<file>: <secret>, <form>`. */
function foundInFiles(folder: string, search: SecretSearch): string[] {
  return filesIn(folder).flatMap((file) =>
    search.in(readFileSync(file)).map((what) => `${relative(folder, file)}: ${what}`),
  );
}

interface Rows {
  readonly found: readonly string[];
  /** How many there were, by `<kind of database> <table>`. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Of every value in every table of every database: pages of a file can divide one. */
function foundInRows(folder: string, search: SecretSearch): Rows {
  const found: string[] = [];
  const counts = new Map<string, number>();
  for (const file of filesIn(folder).filter((name) => name.endsWith(".sqlite"))) {
    const database = new DatabaseSync(file, { readBigInts: true });
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    for (const { name } of tables as { name: string }[]) {
      const rows = database.prepare(`SELECT * FROM "${name}"`).all();
      const place = `${relative(folder, file).split("/").at(-2) ?? ""} ${name}`;
      counts.set(place, (counts.get(place) ?? 0) + rows.length);
      for (const value of rows.flatMap((row) => Object.values(row)))
        if (typeof value === "string" || value instanceof Uint8Array)
          found.push(...search.in(value).map((what) => `${place}: ${what}`));
    }
    database.close();
  }
  return { found: [...new Set(found)], counts };
}

it(
  "no secret of a run with two consents and a revocation, and of one that a cloud trusts, is in what was stored, logged, said or is answered",
  { timeout: TEST_TIMEOUT_MS },
  async () => {
    const secrets = new Map<string, string>();
    watchBrowser(secrets);
    const started = run(process.execPath, [START, "--port", "0", "--state", state, "--browser"]);
    await consentTwice(started);
    await started.says("Ctrl-C ends everything.");
    expect(started.output()).toContain("waits for a consent: it was taken back");

    const { rootKey, apiKey } = keepOwn(secrets);
    const { hosts, tokens } = readVars();
    for (const token of tokens) secrets.set(token, "service token");
    const login = loginControl(`http://127.0.0.1:${hosts["referee.example"] ?? 0}`);
    const issued = await login.secrets();
    // The client's, and of each of two consents a code and both tokens.
    expect(issued.length).toBeGreaterThanOrEqual(7);
    const [, client = ""] = /^\s*secret (\S+)$/m.exec(started.output()) ?? [];
    expect(issued).toContain(client);
    secrets.set(client, "client of the login server");
    for (const secret of issued) if (!secrets.has(secret)) secrets.set(secret, "of the login server");

    const [, url = ""] = /address\s+(http\S+)/.exec(started.output()) ?? [];
    const call = async <T>(
      path: string,
      { prefer = "", ...init }: RequestInit & { readonly prefer?: string } = {},
    ): Promise<T> => {
      const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json", prefer };
      return (await (await fetch(url + path, { ...init, headers })).json()) as T;
    };
    const body = JSON.stringify({ name: "another", scopes: ["runs:read"] });
    const another = await call<{ readonly key: string }>("/v1/keys", { method: "POST", body });
    secrets.set(another.key, "API key that was made");

    // Another run stores its invoice at AWS, by the workflow's own identity.
    const order = { workflow: "process-order", input: DEMOS["process-order"].good.input };
    const stores = await call<{ readonly id: string; readonly status: string }>("/v1/runs", {
      ...{ method: "POST", body: JSON.stringify(order), prefer: "wait=30" },
    });
    expect(stores).toMatchObject({ status: "succeeded" });
    const lent = await cloudControl(`http://127.0.0.1:${hosts["referee.example"] ?? 0}`).secrets();
    // Of one session the secret key and the token, at least.
    expect(lent.length).toBeGreaterThanOrEqual(2);
    for (const secret of lent) secrets.set(secret, "of the clouds");

    // A system of the tenant is to be told of what ends from here on. It answers 404.
    const told = { url: "https://api.skyline.example/told", events: ["run.ended"] };
    const endpoint = await call<{ readonly id: string; readonly key: { readonly secret: string } }>(
      "/v1/endpoints",
      { method: "POST", body: JSON.stringify(told) },
    );
    secrets.set(endpoint.key.secret, "signing key of an endpoint");
    await call(`/v1/endpoints/${endpoint.id}/ping`, { method: "POST" });

    // A service delivers to a hook, and so does somebody who has not its secret.
    const hookSecret = "secret-of-the-hook-0123456789";
    secrets.set(hookSecret, "secret of a hook");
    const plan = { steps: { one: { action: "transform", with: { value: "${{ input }}" } } } };
    await call(`/v1/workflows/${HOOK}`, { method: "PUT", body: JSON.stringify(plan) });
    const hook = { name: HOOK, workflow: HOOK, scheme: { type: "github" }, secret: hookSecret };
    await call("/v1/hooks", { method: "POST", body: JSON.stringify(hook) });
    const sent = JSON.stringify({ ref: "refs/heads/main" });
    for (const secret of [hookSecret, "a-guess-of-somebody-else"]) {
      const unsigned = { id: "scan-1", event: "push", body: sent, now: Date.now() };
      const signed = signedHeaders("github", secret, unsigned);
      secrets.set(signed["x-hub-signature-256"]?.slice("sha256=".length) ?? "", "signature of a delivery");
      const headers = { "content-type": "application/json", ...signed };
      const { status } = await fetch(`${url}/hooks/default/${HOOK}`, { method: "POST", headers, body: sent });
      expect(status).toBe(secret === hookSecret ? 202 : 404);
    }
    await vi.waitFor(async () =>
      expect((await call<Listed>(`/v1/hooks/${HOOK}/deliveries`)).data).toHaveLength(2),
    );
    const event = { name: "scanned.event", id: "scan-1", data: { order: "o-1" } };
    expect(await call<object>("/v1/events", { method: "POST", body: JSON.stringify(event) })).toMatchObject({
      duplicate: false,
    });

    interface Listed {
      readonly data: readonly Readonly<Record<string, string>>[];
    }
    const ids = async (path: string, member = "id"): Promise<string[]> =>
      (await call<Listed>(path)).data.map((one) => one[member] ?? "");
    const [runId = ""] = await ids("/v1/runs?workflow=book-trip");
    const { steps } = await call<{ readonly steps: { readonly name: string }[] }>(`/v1/runs/${runId}`);
    const known = {
      ...{ run: [runId], step: steps.map(({ name }) => name), approval: [`${runId}.entry.g1`] },
      ...{ role: await ids("/v1/cloud-roles", "name"), issuer: ["default"], name: [HOOK] },
      ...{ connection: await ids("/v1/connections"), integration: await ids("/v1/integrations", "name") },
      ...{ schedule: ["nobodys-schedule"], tenant: ["default"], erasure: ["era_of_nobody"] },
      session: [...new Set(started.output().match(/cs_\w+(?=\.)/g))],
      ...{ key: await ids("/v1/keys"), workflow: await ids("/v1/workflows", "name"), code: ["not_found"] },
      ...{ event: [event.name], event_id: [event.id], endpoint: [endpoint.id] },
    };
    expect(Object.entries(known).filter(([, values]) => values.length === 0)).toEqual([]);
    const keys = { tenant: apiKey, root: rootKey };
    const answers = await answersOf(url, keys, known);
    expect(answers.get(`tenant /v1/runs/${runId}/events`)?.text).toContain('"parked"');
    const refused = [...answers].filter(
      ([place, { status }]) => place.startsWith("tenant ") && status !== 200,
    );
    // An approval that nobody asked for, what only the root key may, and what is shown under the issuer's own name.
    expect(refused.map(([place, { status }]) => `${status} ${place.split("/")[2] ?? ""}`).toSorted()).toEqual(
      [
        "403 deployment",
        "403 health",
        "403 metrics",
        "403 tenants",
        "403 tenants",
        "403 vault",
        "404 approvals",
        "404 default",
        "404 default",
        "404 erasures",
        "404 schedules",
        "404 schedules",
        "404 trusted-issuers",
      ],
    );

    const search = new SecretSearch(secrets);
    const found = new Set(foundInFiles(state, search));
    started.child.kill("SIGINT");
    await started.endsWith(0);
    const rows = foundInRows(state, search);
    for (const one of [...foundInFiles(state, search), ...rows.found]) found.add(one);
    for (const what of search.in(started.output())) found.add(`terminal: ${what}`);
    for (const [place, { text }] of answers)
      for (const what of search.in(text)) found.add(`answer to ${place}: ${what}`);

    expect([...found].filter((one) => !ALLOWED.some(([allowed]) => allowed.test(one)))).toEqual([]);
    for (const [allowed, why] of ALLOWED)
      expect([why, [...found].some((one) => allowed.test(one))]).toEqual([why, true]);
    // The tables in which a token would lie were there, and not empty.
    for (const table of [
      ...[
        ...["connections", "connect_sessions", "integrations", "access_audit", "api_keys"],
        ...["cloud_roles", "issuers", "credential_uses", "hooks", "hook_secrets"],
        ...["endpoints", "endpoint_keys"],
      ].map((name) => `miniflare-D1DatabaseObject ${name}`),
      "showcaller-IssuerObject _cf_KV",
      "showcaller-ConnectionObject _cf_KV",
      "showcaller-RunObject turns",
      "showcaller-HookObject log",
      "showcaller-HookObject bodies",
      "showcaller-EndpointObject messages",
      "showcaller-EventsObject events",
      "showcaller-DirectoryObject runs",
    ])
      expect([table, rows.counts.get(table) ?? 0]).toEqual([table, expect.toSatisfy((count) => count > 0)]);
  },
);

it("a token that somebody planted is found: in a file, in a row, and divided by the pages of a database", () => {
  const folder = mkdtempSync(join(tmpdir(), "showcaller-planted-"));
  const token = "planted-access-token-0123456789abcdef";
  const search = new SecretSearch(new Map([[token, "token"]]));
  mkdirSync(join(folder, "object"));
  writeFileSync(join(folder, "a.log"), `cookie=${Buffer.from(`a:${token}`).toString("base64")};`);
  const database = new DatabaseSync(join(folder, "object/a.sqlite"));
  database.exec("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; CREATE TABLE rows (value)");
  const insert = database.prepare("INSERT INTO rows VALUES (?)");
  insert.run(Buffer.from(`a${token}`).toString("base64"));
  // Not closed: it is nowhere but in the log of the database.
  expect(foundInFiles(folder, search)).toEqual([
    "a.log: token, in base64 behind 2",
    "object/a.sqlite-wal: token, in base64 behind 1",
  ]);
  database.exec("DELETE FROM rows; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
  // Of a text of 4578 bytes the first 486 are in the page of its row, and the others in a page of their own.
  insert.run(`${"x".repeat(486 - 10)}${token}`.padEnd(4_578, "x"));
  database.close();
  expect(foundInFiles(folder, search)).not.toContain("object/a.sqlite: token, itself");
  expect(foundInRows(folder, search)).toEqual({
    found: [
      "object rows: token, itself",
      "object rows: token, its first half",
      "object rows: token, its second half",
    ],
    counts: new Map([["object rows", 1]]),
  });
  rmSync(folder, { recursive: true });
});
