/** The page on which a user sees what they have granted, and takes it back. */
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  clock,
  FLOW_MS,
  formIn,
  newIntegration,
  newSession,
  newTenant,
  object,
  provider,
  room,
  standing,
  titleOf,
  Visitor,
} from "./connect-support.ts";

beforeAll(async () => {
  await newTenant("corp");
  await newTenant("rival");
  for (const tenant of ["corp", "rival"])
    await newIntegration(tenant, "calendar", { mode: "link", linkEnabled: true, returnTo: [] });
});

beforeEach(() => {
  clock.now = Date.now();
});

let users = 0;
function nobody(): string {
  return `user-${++users}`;
}

/** A connection of the user, of an account of its own, that is listed. */
async function connected(user: string, account = "default", tenant = "corp"): Promise<string> {
  provider.account = { id: `acct-${user}`, name: `${user}@calendar.example` };
  const { session, token } = await newSession({ tenant, integration: "calendar", user, account });
  await new Visitor().consent(token);
  await object(tenant, session.connection).poke(tenant);
  return session.connection;
}

async function linkFor(user: string, tenant = "corp"): Promise<string> {
  return `/grants/${(await room.grantsLink(tenant, user, "key:backend")).token}`;
}

async function open(user: string): Promise<Visitor> {
  const visitor = new Visitor();
  const entered = await visitor.press(await linkFor(user), {});
  expect([entered.status, entered.location]).toEqual([303, "/grants"]);
  return visitor;
}

describe("the link to what a user has granted", () => {
  test("is not used up by being looked at, works once, and is then of one browser", async () => {
    const path = await linkFor(nobody());
    const [visitor, other] = [new Visitor(), new Visitor()];
    for (const method of ["GET", "HEAD"]) await other.get(path, "elsewhere", method);
    const form = formIn((await other.get(path)).text);
    expect((await visitor.press(path, {})).location).toBe("/grants");
    expect((await visitor.get("/grants", "here")).status).toBe(200);
    expect((await other.post(path, { form })).status).toBe(410);
    expect((await other.get(path)).status).toBe(410);
    expect(titleOf(await other.get("/grants", "here"))).toBe("Closed");
  });

  test("is not redeemed by another site, another browser, or the form of another link", async () => {
    const [path, another] = [await linkFor(nobody()), await linkFor(nobody())];
    const visitor = new Visitor();
    const form = formIn((await visitor.get(path)).text);
    const foreign = formIn((await visitor.get(another)).text);
    const cross = { "sec-fetch-site": "cross-site" };
    for (const [token, headers] of [
      [form, cross],
      [form, { cookie: "" }],
      [foreign, {}],
      ["", {}],
    ] as const)
      expect((await visitor.post(path, { form: token }, headers)).status).toBe(403);
    expect((await visitor.post(path, { form })).location).toBe("/grants");
  });

  test("can be opened to the last millisecond of its quarter hour; the page has another one", async () => {
    const [path, late] = [await linkFor(nobody()), await linkFor(nobody())];
    const visitor = new Visitor();
    clock.now += FLOW_MS - 1;
    await visitor.press(path, {});
    clock.now += 1;
    expect((await visitor.get(late)).status).toBe(410);
    clock.now += FLOW_MS - 2;
    expect((await visitor.get("/grants", "here")).status).toBe(200);
    clock.now += 1;
    expect(titleOf(await visitor.get("/grants", "here"))).toBe("Closed");
  });

  test("that was made up leads nowhere", async () => {
    const path = await linkFor(nobody());
    for (const made of [path.slice(0, -1), `${path}x`, path.replace(/\..*/, `.${"x".repeat(43)}`)])
      expect((await new Visitor().get(made)).status).toBe(410);
  });
});

describe("what a user has granted", () => {
  test("is shown with account, scopes, since when, and which workflows used it when", async () => {
    const user = nobody();
    const connection = await connected(user);
    await env.DB.prepare(
      "INSERT INTO connection_uses VALUES (?, 'onboarding', 1767225600000, 1767312000000, 3)",
    )
      .bind(connection)
      .run();
    const page = await (await open(user)).get("/grants", "here");
    for (const fact of [
      `${user}@calendar.example`,
      "in use",
      "events.read",
      "onboarding",
      "3 times",
      "first on Thu, 01 Jan 2026 00:00:00 GMT, last on Fri, 02 Jan 2026 00:00:00 GMT",
      "What happens when you take something back",
    ])
      expect(page.text).toContain(fact);
    expect(page.headers.get("x-frame-options")).toBe("DENY");
    expect(page.text).not.toMatch(/access-code|refresh-code/);
  });

  test("holds nothing of another user, nor of a user of the same name elsewhere", async () => {
    const [user, other] = [nobody(), nobody()];
    const foreign = [await connected(other), await connected(user, "default", "rival")];
    const { text } = await (await open(user)).get("/grants", "here");
    expect(text).toContain("no account of yours is connected");
    for (const id of foreign) expect(text).not.toContain(id);
  });

  test("is taken back at once by its button, by the user's own word", async () => {
    const user = nobody();
    const connection = await connected(user);
    const visitor = await open(user);
    const form = formIn((await visitor.get("/grants", "here")).text);
    const taken = await visitor.post("/grants", { form, connection });
    expect([taken.status, taken.location]).toEqual([303, `/grants/taken-back/${connection}`]);
    expect(["revoking", "disconnected"]).toContain(await standing("corp", connection));
    expect(titleOf(await visitor.get(taken.location, "here"))).toBe("Taken back");
    const { text } = await visitor.get("/grants", "here");
    expect(text).toContain("taken back");
    expect(text).not.toContain(`value="${connection}"`);
    await object("corp", connection).poke("corp");
    const row = await env.DB.prepare(
      `SELECT whose.user FROM access_audit JOIN audit_users AS whose ON actor = 'user:' || whose.pseudonym
       WHERE target = ? AND action = 'connection.disconnect'`,
    )
      .bind(connection)
      .first();
    expect(row).toEqual({ user });
  });

  test("says so where the provider is not told, as another connection lives on the same account", async () => {
    const user = nobody();
    const [work, home] = [await connected(user, "work"), await connected(user, "home")];
    const visitor = await open(user);
    const form = formIn((await visitor.get("/grants", "here")).text);
    const taken = await visitor.post("/grants", { form, connection: work });
    expect((await visitor.get(taken.location, "here")).text).toContain(
      "is not told of this one: the same account",
    );
    expect(await standing("corp", home)).toBe("active");
  });

  test("is not taken back by a form that another site, another browser or nobody has sent", async () => {
    const user = nobody();
    const connection = await connected(user);
    const [visitor, other] = [await open(user), await open(user)];
    const form = formIn((await visitor.get("/grants", "here")).text);
    const foreign = formIn((await other.get("/grants", "here")).text);
    for (const [token, headers] of [
      [form, { "sec-fetch-site": "cross-site" }],
      [form, { origin: "https://evil.example" }],
      [form, { cookie: "" }],
      [foreign, {}],
      ["", {}],
    ] as const)
      expect((await visitor.post("/grants", { form: token, connection }, headers)).status).toBe(403);
    expect(await standing("corp", connection)).toBe("active");
  });

  test("is only one's own to take back: that of another user or tenant stays", async () => {
    const [user, other] = [nobody(), nobody()];
    const foreign = [await connected(other), await connected(user, "default", "rival")];
    await connected(user);
    const visitor = await open(user);
    const form = formIn((await visitor.get("/grants", "here")).text);
    for (const connection of [...foreign, "conn_x", ""])
      expect((await visitor.post("/grants", { form, connection })).location).toBe("/grants");
    expect(await standing("corp", foreign[0] ?? "")).toBe("active");
    expect(await standing("rival", foreign[1] ?? "")).toBe("active");
    expect((await visitor.get(`/grants/taken-back/${foreign[0]}`, "here")).location).toBe("/grants");
  });

  test("cannot be taken back once the page is closed", async () => {
    const user = nobody();
    const connection = await connected(user);
    const visitor = await open(user);
    const form = formIn((await visitor.get("/grants", "here")).text);
    clock.now += FLOW_MS;
    expect((await visitor.post("/grants", { form, connection })).status).toBe(403);
    expect(await standing("corp", connection)).toBe("active");
  });
});
