/** What leaves over HTTP is whole, is only what its reader may see, and has no secret in it. */
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { evolve, statusOf, type RunState } from "../../src/kernel/index.ts";
import { readExport } from "../run/read-export.ts";
import { expectProblem, newKey, newTenant, send } from "./api-support.ts";

const TENANT = "taken-out";
const STRANGER = "not-taken-out";
const HOOK_SECRET = "whsec_bWFyay1vZi10aGUtc2VjcmV0LW9mLWEtaG9vaw";
const CLIENT_SECRET = "mark-of-the-secret-of-a-client";
const LARGE = "x".repeat(5_000);

const plan = (value: unknown, sensitive = false): object => ({
  steps: { one: { action: "transform", with: { value }, ...(sensitive ? { sensitive: true } : {}) } },
});

let admin: string;
let stranger: string;

async function started(key: string, body: object): Promise<string> {
  const answer = await send("POST", "/v1/runs", { key, body, headers: { prefer: "wait=10" } });
  const view = await answer.json<{ id: string; status: string }>();
  expect(view.status).toBe("succeeded");
  return view.id;
}

beforeAll(async () => {
  admin = await newTenant(TENANT);
  stranger = await newTenant(STRANGER);
});

const exportOf = async (run: string, key: string): Promise<Response> =>
  send("GET", `/v1/runs/${run}/export`, { key });

describe("the export of a run", () => {
  it("is whole: its facts fold to the run that the API shows, its values are there, its last line counts them", async () => {
    const id = await started(admin, { plan: plan({ large: LARGE }), tags: ["mine"] });
    const answer = await exportOf(id, admin);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const { facts, values, others } = readExport(await answer.text());
    const state = facts.reduce<RunState | null>(evolve, null);
    if (state === null) throw new Error("there are no facts");
    expect([statusOf(state), state.run.tags]).toEqual(["succeeded", ["mine"]]);
    expect(values.map(({ value }) => value)).toContainEqual({ large: LARGE });
    const [first, last] = others;
    expect(first).toMatchObject({
      ...{ format: "showcaller.run/1", type: "run", through: facts.length, readable: true },
      run: { id, status: "succeeded", seq: facts.length },
    });
    expect(last).toEqual({ type: "end", facts: facts.length, values: values.length, withheld: 0 });
  });

  it("without outputs:read has no output, and without outputs:reveal none that is sensitive", async () => {
    const mark = "mark-of-an-output";
    const open = await started(admin, { plan: plan(mark) });
    const secret = await started(admin, { plan: plan(mark, true) });
    const reader = await newKey(admin, { scopes: ["runs:read"] });
    const seer = await newKey(admin, { scopes: ["runs:read", "outputs:read"] });
    const sees = async (run: string, key: string): Promise<boolean> =>
      (await (await exportOf(run, key)).text()).includes(mark);
    expect(await sees(open, reader)).toBe(false);
    expect(await sees(open, seer)).toBe(true);
    expect(await sees(secret, admin)).toBe(true);
    const text = await (await exportOf(secret, seer)).text();
    // The run's own output is not marked, and is what its step gave: what the API shows of it stands there.
    expect(readExport(text).facts.filter((fact) => fact.t === "succeeded")).toMatchObject([
      { output: { redacted: true } },
    ]);
    await expectProblem(await exportOf(open, stranger), 404, "not_found");
  });
});

async function pagesOf(key: string): Promise<string[]> {
  const pages: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const answer = await send("GET", `/v1/export${cursor === "" ? "" : `?cursor=${cursor}`}`, { key });
    expect(answer.status).toBe(200);
    const text = await answer.text();
    pages.push(text);
    const last = JSON.parse(text.trimEnd().split("\n").at(-1) ?? "") as { next_cursor: string | null };
    cursor = last.next_cursor;
  }
  return pages;
}

interface Line {
  readonly type: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe("the export of a tenant", () => {
  it("has all of it over several answers, nothing of another tenant, and no secret", async () => {
    for (let i = 0; i < 45; i++)
      await send("PUT", `/v1/workflows/plan-${i}`, {
        key: admin,
        body: plan(`of-${TENANT}-${"y".repeat(55_000)}`),
      });
    await send("PUT", "/v1/workflows/other", { key: stranger, body: plan(`of-${STRANGER}`) });
    await send("PUT", "/v1/policy", { key: admin, body: { hosts: [{ host: "*" }] } });
    const hook = { name: "shop", workflow: "plan-1", scheme: { type: "github" }, secret: HOOK_SECRET };
    const hooked = await send("POST", "/v1/hooks", { key: admin, body: hook });
    const app = {
      ...{ name: "lent", provider: "github", client_id: "an-app", client_secret: CLIENT_SECRET },
      return_to: ["https://app.example/connected"],
    };
    const integrated = await send("POST", "/v1/integrations", { key: admin, body: app });
    const run = await started(admin, { plan: plan(1) });
    const pages = await pagesOf(admin);
    const text = pages.join("");
    const lines = linesOf(text);
    const of = (type: string): Line[] => lines.filter((line) => line.type === type);
    expect(of("plan").map(({ data }) => data?.["name"])).toHaveLength(45);
    expect(of("export")).toMatchObject([{ format: "showcaller.tenant/1", tenant: TENANT }]);
    expect(of("tenant")).toMatchObject([{ data: { id: TENANT } }]);
    expect(of("policy")).toMatchObject([{ data: { policy: { hosts: [{ host: "*" }] } } }]);
    expect([hooked.status, of("hook").length, of("hook_secret").length]).toEqual([201, 1, 1]);
    expect([integrated.status, of("integration").length]).toEqual([201, 1]);
    expect(of("run").map(({ data }) => data?.["id"])).toContain(run);
    expect(of("page").at(-1)).toEqual({ type: "page", next_cursor: null });
    expect(text).not.toContain(STRANGER);
    // Everything of the tenant that is sealed, or the hash of a secret, as the database has it.
    const sealed = await env.DB.prepare(
      `SELECT hash AS secret FROM api_keys WHERE tenant = ?1 UNION SELECT sealed FROM hook_secrets WHERE tenant = ?1
       UNION SELECT secret FROM integrations WHERE tenant = ?1 AND secret IS NOT NULL`,
    )
      .bind(TENANT)
      .all<{ secret: string }>();
    expect(sealed.results.length).toBeGreaterThanOrEqual(3);
    for (const { secret } of [
      ...sealed.results,
      { secret: HOOK_SECRET },
      { secret: CLIENT_SECRET },
      { secret: admin },
    ])
      expect(text.includes(secret)).toBe(false);
  });

  it("goes on where a cursor says, and takes no cursor of another tenant, nor one that was edited", async () => {
    const [first = "", second] = await pagesOf(admin);
    const { next_cursor: cursor } = linesOf(first).at(-1) as unknown as { next_cursor: string };
    expect(cursor).not.toBeNull();
    expect(await (await send("GET", `/v1/export?cursor=${cursor}`, { key: admin })).text()).toBe(second);
    for (const [key, text] of [
      [stranger, cursor],
      [admin, `${cursor}A`],
      [admin, cursor.slice(1)],
      [admin, "bm9uZQ"],
    ] as const)
      await expectProblem(await send("GET", `/v1/export?cursor=${text}`, { key }), 400, "invalid_request");
  });

  it("is for keys that have tenant:export, which none of a user and not the root key has", async () => {
    const narrow = await newKey(admin, { scopes: ["runs:read", "outputs:read", "keys:read"] });
    await expectProblem(await send("GET", "/v1/export", { key: narrow }), 403, "insufficient_scope");
    await expectProblem(
      await send("GET", "/v1/export", { key: env.ROOT_API_KEY ?? "" }),
      403,
      "insufficient_scope",
    );
    const keyed = await send("POST", "/v1/keys", {
      key: admin,
      body: { name: "u", scopes: ["tenant:export"], user: "ada", expires_in: 60 },
    });
    expect((await keyed.json<{ code: string }>()).code).toMatch(/scope_not_for_users|invalid_request/);
  });
});
