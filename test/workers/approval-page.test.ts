/** The page on which a person without a key decides. */
import { beforeAll, describe, expect, test } from "vitest";
import type { ApprovalView, RunView } from "../../src/run/index.ts";
import { expectAnswer, newKey, newTenant, ORIGIN, send, type Sending } from "./api-support.ts";

let admin = "";
let starter = "";
let approver = "";
beforeAll(async () => {
  admin = await newTenant("page");
  starter = await newKey(admin, { scopes: ["*"] });
  approver = await newKey(admin, { scopes: ["runs:read", "outputs:read", "approvals:decide"] });
});

const FORM = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin" };

interface Opened {
  readonly run: string;
  readonly path: string;
  readonly text: string;
  readonly cookie: string;
  readonly form: string;
}

async function link(body: unknown = {}, steps?: unknown): Promise<{ run: string; path: string }> {
  const what = steps === undefined ? { workflow: "t-approval", input: { price: 7 } } : { open: true, steps };
  const started = await send("POST", "/v1/runs", { key: starter, body: what });
  const { id } = await expectAnswer<RunView>(started, "startRun", 202);
  const made = await send("POST", `/v1/approvals/${id}.ok.g1/links`, { key: approver, body });
  const { url } = await expectAnswer<{ url: string }>(made, "linkApproval", 201);
  expect(url.startsWith(`${ORIGIN}/approve/`)).toBe(true);
  return { run: id, path: new URL(url).pathname };
}

async function open(body: unknown = {}, steps?: unknown): Promise<Opened> {
  const { run, path } = await link(body, steps);
  const page = await send("GET", path);
  const text = await page.text();
  const cookie = /^(__Host-approve=[0-9a-f]{64});/.exec(page.headers.get("set-cookie") ?? "")?.[1] ?? "";
  const form = /name="form" value="([^"]+)"/.exec(text)?.[1] ?? "";
  return { run, path, text, cookie, form };
}

/** Sends the form, in this browser and from this page unless it is said otherwise. */
async function post(opened: Opened, fields: Record<string, string>, more: Sending = {}): Promise<Response> {
  const raw = new URLSearchParams({ form: opened.form, ...fields });
  return send("POST", opened.path, {
    raw,
    ...more,
    headers: { ...FORM, cookie: opened.cookie, ...more.headers },
  });
}

async function approval(run: string): Promise<ApprovalView> {
  return expectAnswer<ApprovalView>(
    await send("GET", `/v1/approvals/${run}.ok.g1`, { key: approver }),
    "getApproval",
    200,
  );
}

describe("the approval page", () => {
  test("shows what the engine knows, and the author's words as text, apart and marked", async () => {
    const { run, text } = await open({ identity: "ada@corp.example" });
    for (const fact of [run, "t-approval, version 1", "ada@corp.example", "Expires"])
      expect(text).toContain(fact);
    expect(text).toContain("Written by the author of the workflow, not checked by anybody");
    expect(text).toContain("Pay 7 &lt;b&gt;now&lt;/b&gt;?");
    expect(text).not.toContain("<b>now</b>");
  });

  test("makes characters that turn text around stand out", async () => {
    const steps = { ok: { action: "wait", with: { approval: "Pay \u202e001\u202c?" } } };
    const { text } = await open({}, steps);
    expect(text).toContain("Pay \ufffd001\ufffd?");
  });

  test("runs nothing, loads nothing, is framed by nobody, leaves no trace of its address", async () => {
    const { path } = await link();
    const { headers } = await send("GET", path);
    const policy = headers.get("content-security-policy") ?? "";
    expect(policy).toMatch(
      /^default-src 'none'; style-src 'nonce-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("set-cookie")).toMatch(/; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
  });

  test("decides nothing by being looked at", async () => {
    const { run, path } = await open();
    await send("GET", `${path}?decision=approved`);
    await send("HEAD", path);
    expect((await approval(run)).status).toBe("pending");
  });

  test("takes no decision by a link of a key whose maker has come to append to the run", async () => {
    const steps = { ok: { action: "wait", with: { approval: "Go on?" } } };
    const opened = await open({}, steps);
    const more = { more: { action: "transform", with: { value: 1 } } };
    const answer = await send("POST", `/v1/runs/${opened.run}/steps`, { key: admin, body: { steps: more } });
    await expectAnswer(answer, "appendSteps", 202);
    expect((await post(opened, { decision: "approved" })).status).toBe(403);
    expect((await approval(opened.run)).status).toBe("pending");
  });

  test("shows the address that is sent, with its query, and without what looks like a secret", async () => {
    const policy = { hosts: [{ host: "api.skyline.example", approval: "always" }] };
    const own = await newKey(admin, { scopes: ["*"], policy });
    const url = "https://api.skyline.example/pages?danger=delete";
    const query = { signature: "0123456789abcdef" };
    const steps = { ok: { action: "http", with: { method: "GET", url, query } } };
    const started = await send("POST", "/v1/runs", { key: own, body: { open: true, steps } });
    const { id } = await expectAnswer<RunView>(started, "startRun", 202);
    const shown = "?danger=delete&signature=[REDACTED]";
    expect((await approval(id)).query).toBe(shown);
    const made = await send("POST", `/v1/approvals/${id}.ok.g1/links`, { key: approver, body: {} });
    const link = await expectAnswer<{ url: string }>(made, "linkApproval", 201);
    const page = await (await send("GET", new URL(link.url).pathname)).text();
    expect(page).toContain(`GET api.skyline.example/pages${shown.replace("&", "&amp;")}`);
    const blind = await newKey(admin, { scopes: ["runs:read"] });
    for (const path of [`/v1/approvals/${id}.ok.g1`, `/v1/runs/${id}/events`])
      expect(await (await send("GET", path, { key: blind })).text()).not.toContain("danger");
  });

  test.each([
    [{ identity: "ada@corp.example" }, "identity:ada@corp.example"],
    [{}, "bearer_link"],
  ])("records who decided as the link says (%j)", async (body, by) => {
    const opened = await open(body);
    const answer = await post(opened, { decision: "approved", note: "fine" });
    expect([answer.status, answer.headers.get("location")]).toEqual([303, opened.path]);
    const { status, decided } = await approval(opened.run);
    expect([status, decided?.by, decided?.note]).toEqual(["approved", by, "fine"]);
    expect(decided?.via).toMatch(/^key:key_/);
    const page = await (await send("GET", opened.path)).text();
    expect(page).toContain("<h1>Approved</h1>");
    expect(page).not.toContain("<form");
  });

  test("decides once: a second form changes nothing and is shown the first decision", async () => {
    const opened = await open();
    await post(opened, { decision: "denied" });
    expect((await post(opened, { decision: "approved" })).status).toBe(303);
    expect((await approval(opened.run)).status).toBe("denied");
    expect(await (await send("GET", opened.path)).text()).toContain("<h1>Denied</h1>");
  });
});

describe("a form that does not come from the page", () => {
  test.each<[string, Record<string, string>, Record<string, string>]>([
    ["another site", {}, { "sec-fetch-site": "cross-site" }],
    ["another origin of the site", {}, { "sec-fetch-site": "same-site" }],
    ["a foreign origin", {}, { origin: "https://evil.example" }],
    ["no browser", {}, { "sec-fetch-site": "none" }],
    ["another browser", {}, { cookie: `__Host-approve=${"0".repeat(64)}` }],
    ["a browser without the cookie", {}, { cookie: "" }],
    ["a guess", { form: "x".repeat(43) }, {}],
    ["nothing", { form: "" }, {}],
  ])("but from %s is not accepted, and nothing is decided", async (_, fields, headers) => {
    const opened = await open();
    const answer = await post(opened, { decision: "approved", ...fields }, { headers });
    expect(answer.status).toBe(403);
    expect((await approval(opened.run)).status).toBe("pending");
  });

  test("but from that of another link is not accepted", async () => {
    const one = await open();
    const other = await open();
    const answer = await post({ ...one, form: other.form, cookie: other.cookie }, { decision: "approved" });
    expect(answer.status).toBe(403);
  });

  test.each([{ decision: "maybe" }, { note: "n" }, { decision: "approved", note: "x".repeat(501) }])(
    "or does not say what it should (%j) is not understood",
    async (fields) => {
      const opened = await open();
      expect((await post(opened, fields)).status).toBe(400);
      expect((await approval(opened.run)).status).toBe("pending");
    },
  );
});

describe("a link", () => {
  test("that was tampered with, cut or made up leads nowhere", async () => {
    const { path } = await link();
    const [body = "", mac = ""] = path.slice("/approve/".length).split(".");
    const other = btoa(atob(body.replaceAll("-", "+").replaceAll("_", "/")).replace("page", "pagf"));
    for (const token of [
      `${other.replaceAll("=", "")}.${mac}`,
      `${body}.${mac.slice(1)}`,
      `${body}=.${mac}`,
      `${body}.`,
      body,
      "x",
      `${body}.${mac}.${mac}`,
    ])
      expect([token, (await send("GET", `/approve/${token}`)).status]).toEqual([token, 404]);
    expect((await send("GET", path)).status).toBe(200);
  });

  test("to what was cancelled says so, and takes no decision", async () => {
    const opened = await open();
    await send("POST", `/v1/runs/${opened.run}/cancel`, {
      key: starter,
      body: { mode: "immediate" },
      headers: { prefer: "wait=20" },
    });
    expect(await (await send("GET", opened.path)).text()).toContain("Nothing to decide any more");
    expect((await post(opened, { decision: "approved" })).status).toBe(303);
    expect((await approval(opened.run)).status).toBe("closed");
  });

  test("to what is asked anew after a redrive leads nowhere", async () => {
    const opened = await open();
    await post(opened, { decision: "denied" });
    const wait = { prefer: "wait=20" };
    await send("GET", `/v1/runs/${opened.run}`, { key: starter, headers: wait });
    await send("POST", `/v1/runs/${opened.run}/redrive`, { key: starter });
    expect((await send("GET", opened.path)).status).toBe(404);
    const again = await send("GET", `/v1/approvals/${opened.run}.ok.g2`, { key: approver });
    expect((await expectAnswer<ApprovalView>(again, "getApproval", 200)).status).toBe("pending");
  });
});
