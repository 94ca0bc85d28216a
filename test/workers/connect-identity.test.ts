/** Whose browser it was: what each mode proves, and who tries to have somebody else's account for their own. */
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { confirm as confirmSession, redeem } from "../../src/connections/connecting.ts";
import type { ConnectMode } from "../../src/connections/index.ts";
import { openIntegration } from "../../src/connections/integrations-store.ts";
import type { IntegrationCopy } from "../../src/connections/rpc.ts";
import { selectSession } from "../../src/connections/sessions-store.ts";
import {
  auditOf,
  callbackOf,
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
  stateOf,
  TICKET_MS,
  titleOf,
  Visitor,
} from "./connect-support.ts";

beforeAll(async () => {
  await newTenant("corp");
  await newIntegration("corp", "calendar");
  await newIntegration("corp", "direct", { mode: "link", linkEnabled: true, returnTo: [] });
  await newIntegration("corp", "hosted", { mode: "host_session", returnTo: [] });
});

beforeEach(() => {
  clock.now = Date.now();
  provider.account = { id: "acct-1", name: "ada@calendar.example" };
  provider.asked.length = 0;
});

let users = 0;
function nobody(): string {
  return `user-${++users}`;
}

interface Consented {
  readonly session: { readonly id: string; readonly connection: string };
  readonly code: string;
  readonly user: string;
}

/** A consent in the mode `confirm`, whose code the browser brings to the tenant's backend. */
async function consented(user = nobody()): Promise<Consented> {
  const { session, token } = await newSession({ user });
  const { location } = await new Visitor().consent(token);
  return { session, user, code: new URL(location).searchParams.get("code") ?? "" };
}

async function confirm(
  { session, code, user }: Consented,
  more: Partial<{ code: string; user: string }> = {},
) {
  return room.confirm("corp", session.id, { code, user, by: "key:backend", ...more });
}

/** The integration as it is now, as an object is told of it. */
async function current(): Promise<IntegrationCopy> {
  const { db, vault } = room.flow;
  const made = await room.integration("corp", "calendar");
  if (made === null) throw new Error("there is no integration");
  return openIntegration(db, vault, made);
}

describe("a consent that is to be confirmed", () => {
  test("gives nothing until the tenant's backend has said who it was, and then what was granted", async () => {
    const made = await consented();
    const { connection } = made.session;
    expect(await standing("corp", connection)).toBe("nothing");
    expect(await confirm(made)).toEqual({ ok: true, value: { connection } });
    expect(await object("corp", connection).view("corp")).toMatchObject({
      standing: { status: "active" },
      identityLevel: "confirm",
      account: { id: "acct-1", label: "ada@calendar.example" },
    });
    expect(await stateOf(made.session.id)).toEqual(["done", null]);
    expect(await auditOf(connection)).toEqual(["connect_session granted", "key granted"]);
  });

  test("by another user is thrown away, and cannot be confirmed for anybody afterwards", async () => {
    const made = await consented();
    expect(await confirm(made, { user: "mallory" })).toEqual({ ok: false, error: "user_mismatch" });
    expect(await stateOf(made.session.id)).toEqual(["failed", "user_mismatch"]);
    expect(await confirm(made)).toEqual({ ok: false, error: "not_waiting" });
    expect(
      await object("corp", made.session.connection).confirm(
        "corp",
        made.session.id,
        "key:x",
        await current(),
      ),
    ).toEqual({
      kind: "not_found",
    });
    expect(await standing("corp", made.session.connection)).toBe("nothing");
    expect((await auditOf(made.session.connection)).at(-1)).toBe("key refused user_mismatch");
  });

  test("with a wrong code waits on for the right one", async () => {
    const made = await consented();
    for (const code of ["", "x", "x".repeat(43), (await consented()).code])
      expect(await confirm(made, { code })).toEqual({ ok: false, error: "code_wrong" });
    expect(await confirm(made)).toMatchObject({ ok: true });
  });

  test("is confirmed once, and whoever says the same again, at once or later, gets the same answer", async () => {
    const made = await consented();
    const { connection } = made.session;
    const confirmed = { ok: true, value: { connection } };
    expect(await Promise.all([confirm(made), confirm(made)])).toEqual([confirmed, confirmed]);
    const before = await object("corp", connection).view("corp");
    clock.now += FLOW_MS;
    expect(await confirm(made)).toEqual(confirmed);
    expect(await stateOf(made.session.id)).toEqual(["done", null]);
    expect(await object("corp", connection).view("corp")).toEqual(before);
    // Also when it was taken back since: it was confirmed, and is not again.
    await room.disconnect("corp", connection, "user");
    expect(await confirm(made)).toEqual(confirmed);
    expect(await standing("corp", connection)).not.toBe("active");
  });

  test("was confirmed: another code and another user are refused, and cannot be told from each other", async () => {
    const made = await consented();
    await confirm(made);
    const other = (await consented()).code;
    for (const wrong of [
      { code: other },
      { code: "" },
      { user: "mallory" },
      { code: other, user: "mallory" },
    ])
      expect(await confirm(made, wrong)).toEqual({ ok: false, error: "not_waiting" });
    expect(await stateOf(made.session.id)).toEqual(["done", null]);
    expect(await standing("corp", made.session.connection)).toBe("active");
  });

  test("in `link` mode had no code, and none confirms it afterwards", async () => {
    const user = nobody();
    const { session, token } = await newSession({ integration: "direct", user });
    await new Visitor().consent(token);
    expect(await stateOf(session.id)).toEqual(["done", null]);
    expect(await confirm({ session, user, code: "" })).toEqual({ ok: false, error: "not_waiting" });
  });

  test("is done for a caller whose first confirmation died before it was told, when it asks again", async () => {
    const { session, code, user } = await consented();
    const waiting = await selectSession(room.flow.db, session.id);
    if (waiting === null) throw new Error("there is no session");
    // The first one has the object's answer, and has not told the database yet.
    await object("corp", session.connection).confirm("corp", session.id, "key:first", await current());
    const second = await confirmSession(room.flow, waiting, { code, user, by: "key:second" });
    expect(second).toEqual({ ok: true, value: { connection: session.connection } });
    expect(await stateOf(session.id)).toEqual(["done", null]);
  });

  test("can be confirmed to the last millisecond of its quarter hour, and not at its end", async () => {
    const [early, late] = [await consented(), await consented()];
    clock.now += FLOW_MS - 1_000;
    expect(await confirm(early)).toMatchObject({ ok: true });
    clock.now += 1_000;
    expect(await confirm(late)).toEqual({ ok: false, error: "not_waiting" });
  });

  test("is of one tenant: another cannot confirm it with the right code", async () => {
    const { session, code, user } = await consented();
    const said = { code, user, by: "key:other" };
    expect(await room.confirm("rival", session.id, said)).toEqual({ ok: false, error: "not_waiting" });
    expect(await stateOf(session.id)).toEqual(["unconfirmed", null]);
  });

  test("on a reconnect leaves the old grant as it is until then", async () => {
    const first = await consented();
    await confirm(first);
    const before = await object("corp", first.session.connection).view("corp");
    const again = await consented(first.user);
    expect(await object("corp", first.session.connection).view("corp")).toMatchObject({
      standing: { status: "active" },
      version: before?.version,
    });
    await confirm(again);
    const after = await object("corp", first.session.connection).view("corp");
    expect(after?.version).toBeGreaterThan(before?.version ?? 0);
  });
});

describe("somebody sends their own link to a victim", () => {
  test("whose consent is nobody's where the backend confirms, since it knows who is logged in", async () => {
    const attack = await newSession({ user: "mallory" });
    const victim = new Visitor();
    const { location } = await victim.consent(attack.token);
    const code = new URL(location).searchParams.get("code") ?? "";
    // The victim's browser is at the app, where the victim is logged in.
    const said = { code, user: "victim", by: "key:backend" };
    expect(await room.confirm("corp", attack.session.id, said)).toEqual({
      ok: false,
      error: "user_mismatch",
    });
    expect(await standing("corp", attack.session.connection)).toBe("nothing");
  });

  test("who is not even asked in a `host_session`, without a ticket of the app", async () => {
    const attack = await newSession({ integration: "hosted", user: "mallory" });
    const victim = new Visitor();
    const page = await victim.get(`/connect/${attack.token}`);
    expect([page.status, titleOf(page), formIn(page.text)]).toEqual([403, "Open this from the app", ""]);
  });

  test.each<ConnectMode>(["confirm", "link"])("who is told for whom it is, in the mode %s", async (mode) => {
    const integration = mode === "link" ? "direct" : "calendar";
    const attack = await newSession({ integration, user: "mallory" });
    const { text } = await new Visitor().get(`/connect/${attack.token}`);
    expect(text).toContain(
      'Are you <span class="code">mallory</span> at corp, and did you just ask for this?',
    );
    expect(text).toContain("your account at Calendar would be used for somebody else");
  });

  test("which only works where the tenant wants links that anybody may open, and is marked so", async () => {
    const made = await newSession({ integration: "direct", user: "mallory" });
    await new Visitor().consent(made.token);
    expect(await object("corp", made.session.connection).view("corp")).toMatchObject({
      identityLevel: "link",
    });
  });
});

describe("a `host_session`", () => {
  async function ticketed(user = nobody()) {
    const made = await newSession({ integration: "hosted", user });
    const given = await room.ticket(made.session);
    if (given === null) throw new Error("no ticket was given");
    return {
      ...made,
      ticket: given.ticket,
      path: `/connect/${made.token}`,
      url: `/connect/${made.token}?ticket=${given.ticket}`,
    };
  }

  test("is for the browser that the app has sent, from the ticket to the connection", async () => {
    const { url, path, session, ticket } = await ticketed();
    const visitor = new Visitor();
    const arrived = await visitor.get(url);
    // The ticket leaves the address, and is not what the browser keeps.
    expect([arrived.status, arrived.location]).toEqual([303, path]);
    expect([...visitor.jar.values()].map(({ value }) => value)).not.toContain(ticket);
    const back = await visitor.consent(path.slice("/connect/".length));
    expect(titleOf(await visitor.get(back.location))).toBe("Connected");
    expect(await stateOf(session.id)).toEqual(["done", null]);
    expect(await object("corp", session.connection).view("corp")).toMatchObject({
      identityLevel: "host_session",
    });
  });

  test("takes a ticket once: a second browser with the same one is sent back to the app", async () => {
    const { url, path, session } = await ticketed();
    const [first, second] = [new Visitor(), new Visitor()];
    await first.get(url);
    const replayed = await second.get(url);
    expect([...second.jar]).toEqual([]);
    expect((await second.get(replayed.location)).status).toBe(403);
    expect((await first.get(path)).status).toBe(200);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });

  test("lets one of two browsers in that bring the same ticket at once", async () => {
    const { url } = await ticketed();
    const both = [new Visitor(), new Visitor()];
    await Promise.all(both.map((visitor) => visitor.get(url)));
    expect(both.filter(({ jar }) => jar.size === 1)).toHaveLength(1);
  });

  test("is not redeemed by a ticket that was not the one, or has ended since it was looked at", async () => {
    const { url, session, ticket } = await ticketed();
    const visitor = new Visitor();
    await visitor.get(url);
    const current = await selectSession(room.flow.db, session.id);
    const [{ value } = { value: "" }] = visitor.jar.values();
    if (current === null) throw new Error("there is no session");
    for (const wrong of [null, ticket, "x".repeat(43)])
      expect(await redeem(room.flow, current, wrong)).toEqual({ ok: false, error: "link_used" });
    clock.now += FLOW_MS;
    expect(await redeem(room.flow, current, value)).toEqual({ ok: false, error: "link_used" });
    clock.now -= 1;
    expect(await redeem(room.flow, current, value)).toMatchObject({ ok: true });
  });

  test("takes a ticket to the last millisecond of its minute, and not at its end", async () => {
    for (const [late, status] of [
      [-1, 200],
      [0, 403],
    ] as const) {
      clock.now = Date.now();
      const { url, path } = await ticketed();
      const visitor = new Visitor();
      clock.now += TICKET_MS + late;
      await visitor.get(url);
      expect([late, (await visitor.get(path)).status]).toEqual([late, status]);
    }
  });

  test("leaves a quarter of an hour to read, and then asks for another ticket", async () => {
    const { url, path, session } = await ticketed();
    const visitor = new Visitor();
    await visitor.get(url);
    const form = formIn((await visitor.get(path)).text);
    clock.now += FLOW_MS;
    const pressed = await visitor.post(path, { form, decision: "go_on" });
    expect(pressed.location).toBe(path);
    expect((await visitor.get(path)).status).toBe(403);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });

  test("takes no ticket of another session, none that was made up, none twice, and none but the last one", async () => {
    const [one, other] = [await ticketed(), await ticketed()];
    const newer = await room.ticket(one.session);
    for (const query of [
      `ticket=${other.ticket}`,
      `ticket=${"x".repeat(43)}`,
      "ticket=",
      `ticket=${newer?.ticket}&ticket=${newer?.ticket}`,
      `ticket=${one.ticket}`,
    ]) {
      const visitor = new Visitor();
      const { location } = await visitor.get(`${one.path}?${query}`);
      expect([query, location, (await visitor.get(location)).status]).toEqual([query, one.path, 403]);
    }
    const visitor = new Visitor();
    await visitor.get(`${one.path}?ticket=${newer?.ticket}`);
    expect((await visitor.get(one.path)).status).toBe(200);
  });

  test("cannot be redeemed or declined by a browser that has the form but not the ticket", async () => {
    const { url, path, session } = await ticketed();
    const visitor = new Visitor();
    await visitor.get(url);
    const form = formIn((await visitor.get(path)).text);
    for (const name of visitor.jar.keys()) if (name.startsWith("__Host-ticket-")) visitor.jar.delete(name);
    for (const decision of ["go_on", "decline"])
      expect((await visitor.post(path, { form, decision })).location).toBe(path);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });

  test("uses no ticket up for who only looks", async () => {
    const { url, path } = await ticketed();
    await new Visitor().get(url, "elsewhere", "HEAD");
    const visitor = new Visitor();
    await visitor.get(url);
    expect((await visitor.get(path)).status).toBe(200);
  });

  test("gives no ticket once it is over, and none for another mode", async () => {
    const { url, path, session } = await ticketed();
    const visitor = new Visitor();
    await visitor.get(url);
    await visitor.toProvider(path.slice("/connect/".length));
    expect(await room.ticket(session)).toBeNull();
    expect(await room.ticket((await newSession({ user: nobody() })).session)).toBeNull();
  });

  test("does not trust a callback in another browser, although that one had a ticket, too", async () => {
    const [mine, theirs] = [await ticketed(), await ticketed()];
    const [one, other] = [new Visitor(), new Visitor()];
    await one.get(mine.url);
    await other.get(theirs.url);
    const address = await one.toProvider(mine.token);
    const callback = callbackOf(address, { code: provider.consent(address) });
    expect((await other.get(callback)).location).toBe("/connect/done");
    expect(provider.asked).toEqual([]);
  });
});
