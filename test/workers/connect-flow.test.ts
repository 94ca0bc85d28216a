/** The way of a consent, and everybody who tries to bend it. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sessionForWait } from "../../src/connections/making-sessions.ts";
import { objectName } from "../../src/platform/index.ts";
import { expectProblem, send } from "./api-support.ts";
import {
  addressIn,
  auditOf,
  AUTHORIZE,
  callbackOf,
  changeSettings,
  clock,
  FLOW_MS,
  formIn,
  issued,
  LINK_MS,
  lines,
  newIntegration,
  newSession,
  newTenant,
  object,
  ORIGIN,
  provider,
  RETURN_TO,
  room,
  serverKey,
  standing,
  stateOf,
  titleOf,
  Visitor,
} from "./connect-support.ts";
import { everythingKept, foundIn, listenToConsole } from "./kept.ts";

const ISSUER = "https://login.calendar.example";

const logged = listenToConsole();

beforeAll(async () => {
  await Promise.all([newTenant("corp"), newTenant("rival")]);
  await newIntegration("corp", "calendar");
  await newIntegration("corp", "other");
  await newIntegration("rival", "calendar");
  await newIntegration("corp", "direct", { mode: "link", linkEnabled: true, returnTo: [] });
  await newIntegration("corp", "issued", {}, { issuer: ISSUER, issRequired: true });
  await newIntegration("corp", "odd", {}, { displayName: "<b>Cal</b> & Co" });
});

beforeEach(() => {
  clock.now = Date.now();
  provider.account = { id: "acct-1", name: "ada@calendar.example" };
  provider.scopes = null;
  provider.asked.length = 0;
});

let users = 0;
/** Nobody else's, so that tests do not meet. */
function nobody(): string {
  return `user-${++users}`;
}

describe("a connect link", () => {
  test("says who asks, where, for whom, what for and how to take it back, and nobody reads a script", async () => {
    const { token } = await newSession({ user: "ada@corp.example", scopes: ["mail.send"] });
    const page = await new Visitor().get(`/connect/${token}`);
    expect(page.status).toBe(200);
    for (const fact of [
      "corp asks to use an account at Calendar",
      "ada@corp.example",
      "login.calendar.example",
      "events.read",
      "mail.send",
      "api.calendar.example",
      "app.corp.example",
      "What it is used for",
      "How to take it back",
      "Do not connect",
    ])
      expect(page.text).toContain(fact);
    expect(page.text).not.toContain("<script");
  });

  test("of a waiting step says which run, step and workflow it is for", async () => {
    const run = "run_0123456789abcdefghjkmnpqr0";
    const made = await sessionForWait(
      { ...room.flow, serverKey },
      {
        ...{
          tenant: "corp",
          run,
          unit: "invite",
          workflow: "onboarding",
          user: nobody(),
          integration: "calendar",
        },
        ...{ account: "default", scopes: [], since: clock.now, limitAt: clock.now + 86_400_000 },
      },
      "key:test",
    );
    if (!made.ok) throw new Error(made.error.code);
    const { text } = await new Visitor().get(`/connect/${made.value.token}`);
    for (const fact of [run, "invite", "onboarding"]) expect(text).toContain(fact);
  });

  test("of a waiting step asks for all that is lacking by now, so that a second one is not needed", async () => {
    const wait = {
      ...{ tenant: "corp", run: "run_0123456789abcdefghjkmnpqr1", unit: "invite", user: nobody() },
      ...{ integration: "calendar", account: "default", since: clock.now, limitAt: clock.now + 86_400_000 },
    };
    const look = async (...scopes: string[]) => {
      const made = await sessionForWait({ ...room.flow, serverKey }, { ...wait, scopes }, "key:test");
      if (!made.ok) throw new Error(made.error.code);
      return made.value;
    };
    const first = await look();
    const more = await look("events.write");
    expect(first.session.scopes).not.toContain("events.write");
    expect(more.session.scopes).toContain("events.write");
    expect(more.token).not.toBe(first.token);
    expect((await look("events.write")).token).toBe(more.token);
    expect((await look()).token).toBe(first.token);
  });

  test("is not framed, not stored, not told to anybody, and its form leads here only", async () => {
    const { token } = await newSession({ user: nobody() });
    const { headers } = await new Visitor().get(`/connect/${token}`);
    expect(headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'nonce-[^']+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    );
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("set-cookie")).toMatch(/^__Host-form-cs_\w+=[\w-]{43}; .*SameSite=Strict$/);
  });

  test("is not used up by being looked at, however often and by whom", async () => {
    const { session, token } = await newSession({ user: nobody() });
    for (const method of ["GET", "HEAD", "GET"]) {
      const { status } = await new Visitor().get(`/connect/${token}`, "elsewhere", method);
      expect(status).toBe(200);
    }
    expect(await stateOf(session.id)).toEqual(["open", null]);
    expect(await new Visitor().toProvider(token)).toContain(AUTHORIZE);
  });

  test("works once: the second browser learns that it was used, and the first goes on", async () => {
    const { session, token } = await newSession({ user: nobody() });
    const [first, second] = [new Visitor(), new Visitor()];
    const form = formIn((await second.get(`/connect/${token}`)).text);
    const address = await first.toProvider(token);
    const replayed = await second.post(`/connect/${token}`, { form, decision: "go_on" });
    expect([replayed.status, replayed.location]).toEqual([303, `/connect/${token}`]);
    const page = await second.get(replayed.location);
    expect([page.status, titleOf(page)]).toEqual([410, "This link was used"]);
    expect(addressIn((await second.get(`/connect/go/${session.id}`)).text)).toBe("");
    const back = await first.get(callbackOf(address, { code: provider.consent(address) }));
    expect(back.location).toContain("https://app.corp.example/connected?");
  });

  test("pressed twice at once goes on once", async () => {
    const { token } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const form = formIn((await visitor.get(`/connect/${token}`)).text);
    const fields = { form, decision: "go_on" };
    const pressed = await Promise.all([1, 2].map(() => visitor.post(`/connect/${token}`, fields)));
    expect(pressed.filter(({ location }) => location.startsWith("/connect/go/"))).toHaveLength(1);
  });

  test("works to the last millisecond of its half hour, and not at its end", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const form = formIn((await visitor.get(`/connect/${token}`)).text);
    clock.now += LINK_MS - 1;
    expect((await visitor.get(`/connect/${token}`)).status).toBe(200);
    clock.now += 1;
    expect(titleOf(await visitor.get(`/connect/${token}`))).toBe("This link has expired");
    await visitor.post(`/connect/${token}`, { form, decision: "go_on" });
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });

  test("that was tampered with, cut or made up leads nowhere", async () => {
    const [one, two] = [await newSession({ user: nobody() }), await newSession({ user: nobody() })];
    const [id = "", mac = ""] = one.token.split(".");
    const other = two.token.split(".")[1] ?? "";
    for (const token of [
      id,
      `${id}.`,
      `${id}.${mac.slice(1)}`,
      `${id}.${other}`,
      `${two.session.id}.${mac}`,
      "x",
    ])
      expect([token, (await new Visitor().get(`/connect/${token}`)).status]).toEqual([token, 404]);
  });

  test("can be declined: nothing is asked at the provider, and the link is over", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const said = await visitor.press(`/connect/${token}`, { decision: "decline" });
    expect([said.status, said.location]).toEqual([303, `/connect/${token}`]);
    const page = await visitor.get(said.location);
    expect([page.status, titleOf(page)]).toEqual([200, "Not connected"]);
    expect(await stateOf(session.id)).toEqual(["failed", "declined"]);
    expect(await auditOf(session.connection)).toEqual(["connect_session refused declined"]);
  });

  test("shows what a tenant calls its provider as text", async () => {
    const { token } = await newSession({ integration: "odd", user: "<i>eve</i>" });
    const { text } = await new Visitor().get(`/connect/${token}`);
    expect(text).toContain("&lt;b&gt;Cal&lt;/b&gt; &amp; Co");
    expect(text).toContain("&lt;i&gt;eve&lt;/i&gt;");
    expect(text).not.toMatch(/<b>Cal|<i>eve/);
  });

  test.each([
    ["a link that anybody may open", { linkEnabled: false }],
    ["a scope", { linkEnabled: true, scopesAllowed: ["mail.send"] }],
    ["its address to return to", { linkEnabled: true, returnTo: ["https://app.corp.example/elsewhere"] }],
  ])("is refused once the integration does not allow %s any more", async (_, settings) => {
    const name = `narrowed-${++users}`;
    await newIntegration("corp", name, { mode: "link", linkEnabled: true });
    const { token, session } = await newSession({ integration: name, user: nobody() });
    const visitor = new Visitor();
    const form = formIn((await visitor.get(`/connect/${token}`)).text);
    await changeSettings("corp", name, settings);
    const pressed = await visitor.post(`/connect/${token}`, { form, decision: "go_on" });
    expect(pressed.location).toBe(`/connect/${token}`);
    const page = await visitor.get(pressed.location);
    expect([page.status, titleOf(page)]).toEqual([410, "Not offered any more"]);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });
});

describe("a form of a connect link", () => {
  test.each<[string, Record<string, string>, Record<string, string>]>([
    ["another site", {}, { "sec-fetch-site": "cross-site" }],
    ["another origin of the site", {}, { "sec-fetch-site": "same-site" }],
    ["a foreign origin", {}, { origin: "https://evil.example" }],
    ["no browser", {}, { "sec-fetch-site": "none" }],
    ["a browser without its cookie", {}, { cookie: "" }],
    ["a guess", { form: `k1.${"x".repeat(43)}` }, {}],
    ["nothing", { form: "" }, {}],
  ])("that comes from %s is not accepted, and the link is not used up", async (_, fields, headers) => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const form = formIn((await visitor.get(`/connect/${token}`)).text);
    const answer = await visitor.post(`/connect/${token}`, { form, decision: "go_on", ...fields }, headers);
    expect(answer.status).toBe(403);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });

  test("of another browser, or of another link, is not accepted", async () => {
    const [one, two] = [await newSession({ user: nobody() }), await newSession({ user: nobody() })];
    const [visitor, attacker] = [new Visitor(), new Visitor()];
    await visitor.get(`/connect/${one.token}`);
    const foreign = formIn((await attacker.get(`/connect/${one.token}`)).text);
    const another = formIn((await visitor.get(`/connect/${two.token}`)).text);
    for (const form of [foreign, another]) {
      const { status } = await visitor.post(`/connect/${one.token}`, { form, decision: "go_on" });
      expect(status).toBe(403);
    }
    expect(await stateOf(one.session.id)).toEqual(["open", null]);
  });

  test("whose cookie comes twice is not accepted, although the first of the two fits the form", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const [visitor, attacker] = [new Visitor(), new Visitor()];
    await visitor.get(`/connect/${token}`);
    const form = formIn((await attacker.get(`/connect/${token}`)).text);
    const cookie = [attacker, visitor]
      .flatMap(({ jar }) => [...jar].map(([name, { value }]) => `${name}=${value}`))
      .join("; ");
    const answer = await visitor.post(`/connect/${token}`, { form, decision: "go_on" }, { cookie });
    expect(answer.status).toBe(403);
    expect(await stateOf(session.id)).toEqual(["open", null]);
  });
});

describe("on the way to the provider", () => {
  test("the browser brings PKCE, a state of this flow, and the callback of this integration", async () => {
    const { token, session } = await newSession({ user: nobody(), scopes: ["events.write"] });
    const visitor = new Visitor();
    const address = new URL(await visitor.toProvider(token));
    expect(address.origin + address.pathname).toBe(AUTHORIZE);
    const query = Object.fromEntries(address.searchParams);
    expect(query).toMatchObject({
      response_type: "code",
      client_id: "client-1",
      redirect_uri: `${ORIGIN}/oauth/callback/corp/calendar`,
      scope: "events.read events.write",
      code_challenge_method: "S256",
    });
    expect(query["code_challenge"]).toMatch(/^[\w-]{43}$/);
    const cookie = visitor.jar.get(`__Host-flow-${session.id}`);
    expect(cookie?.strict).toBe(false);
    // The cookie is what the state cannot give away.
    expect(address.href).not.toContain(cookie?.value);
    expect([...visitor.jar.keys()]).toEqual([`__Host-flow-${session.id}`]);
  });

  test("the database alone knows neither state nor cookie nor verifier", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = new URL(await visitor.toProvider(token));
    const row = await env.DB.prepare("SELECT * FROM connect_sessions WHERE id = ?").bind(session.id).first();
    const kept = JSON.stringify(row);
    expect(kept).not.toContain(address.searchParams.get("state"));
    expect(kept).not.toContain(visitor.jar.get(`__Host-flow-${session.id}`)?.value);
    expect(kept).not.toContain(token.split(".")[1]);
  });

  test("another browser is shown nothing, with and without a cookie of its own", async () => {
    const { token, session } = await newSession({ user: nobody() });
    await new Visitor().toProvider(token);
    const other = new Visitor();
    for (const value of [null, "x".repeat(43)]) {
      if (value !== null) other.jar.set(`__Host-flow-${session.id}`, { value, strict: false });
      expect((await other.get(`/connect/go/${session.id}`)).location).toBe(`/connect/done/${session.id}`);
      expect(titleOf(await other.get(`/connect/done/${session.id}`))).toBe("Nothing to show");
    }
  });
});

describe("back from the provider", () => {
  test("the browser goes at once to the address that was fixed, with a code for the backend, and its cookie goes", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const back = await visitor.consent(token);
    expect(back.status).toBe(303);
    const url = new URL(back.location);
    expect(url.origin + url.pathname).toBe("https://app.corp.example/connected");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      from: "showcaller",
      session: session.id,
      code: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(back.headers.get("referrer-policy")).toBe("no-referrer");
    expect(back.headers.get("cache-control")).toBe("no-store");
    expect([...visitor.jar]).toEqual([]);
    expect(await stateOf(session.id)).toEqual(["unconfirmed", null]);
    expect(await standing("corp", session.connection)).toBe("nothing");
  });

  test("a code is not for a browser that did not begin the flow, and the right one can still end it", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const callback = callbackOf(address, { code: provider.consent(address) });
    const guesser = new Visitor();
    guesser.jar.set(`__Host-flow-${session.id}`, { value: "x".repeat(43), strict: false });
    for (const thief of [new Visitor(), guesser]) {
      const stolen = await thief.get(callback);
      expect([stolen.status, stolen.location]).toEqual([303, "/connect/done"]);
    }
    expect(provider.asked).toEqual([]);
    expect(await stateOf(session.id)).toEqual(["redeemed", null]);
    expect((await visitor.get(callback)).location).toContain("app.corp.example");
  });

  test("a flow of one's own does not open that of somebody else: the cookie is of one session", async () => {
    const [mine, theirs] = [await newSession({ user: nobody() }), await newSession({ user: nobody() })];
    const [attacker, victim] = [new Visitor(), new Visitor()];
    const own = await attacker.toProvider(mine.token);
    const address = await victim.toProvider(theirs.token);
    const code = provider.consent(own);
    // The attacker's code with the victim's state, in the attacker's browser; and the other way round, in the victim's.
    expect((await attacker.get(callbackOf(address, { code }))).location).toBe("/connect/done");
    expect((await victim.get(callbackOf(own, { code }))).location).toBe("/connect/done");
    expect(provider.asked).toEqual([]);
  });

  test("a code of somebody else's flow, with the right state in the right browser, is refused by PKCE", async () => {
    const [mine, theirs] = [await newSession({ user: nobody() }), await newSession({ user: nobody() })];
    const [attacker, victim] = [new Visitor(), new Visitor()];
    const code = provider.consent(await attacker.toProvider(mine.token));
    const address = await victim.toProvider(theirs.token);
    const back = await victim.get(callbackOf(address, { code }));
    expect(back.location).toBe(`/connect/done/${theirs.session.id}`);
    expect(await stateOf(theirs.session.id)).toEqual(["failed", "exchange_failed"]);
    expect(await standing("corp", theirs.session.connection)).toBe("nothing");
  });

  test.each([
    ["another integration", "/oauth/callback/corp/other"],
    ["another tenant", "/oauth/callback/rival/calendar"],
    ["nobody", "/oauth/callback/corp/nothing"],
  ])("the callback of %s takes no code of this one", async (_, path) => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const callback = new URL(callbackOf(address, { code: provider.consent(address) }));
    expect((await visitor.get(`${path}${callback.search}`)).location).toBe("/connect/done");
    expect(provider.asked).toEqual([]);
    expect(await stateOf(session.id)).toEqual(["redeemed", null]);
  });

  test.each([
    ["another one", { iss: "https://login.evil.example" }, "callback_refused"],
    ["a look-alike", { iss: `${ISSUER}/` }, "callback_refused"],
    ["none, where there must be one", {}, "callback_refused"],
    ["none, with an error", { error: "access_denied" }, "callback_refused"],
  ])("an answer whose issuer is %s is not used", async (_, query, failure) => {
    const { token, session } = await newSession({ integration: "issued", user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    await visitor.get(callbackOf(address, { code: provider.consent(address), ...query }));
    expect(provider.asked).toEqual([]);
    expect(await stateOf(session.id)).toEqual(["failed", failure]);
  });

  test("an answer of the right issuer is used", async () => {
    const { token, session } = await newSession({ integration: "issued", user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    await visitor.get(callbackOf(address, { code: provider.consent(address), iss: ISSUER }));
    expect(await stateOf(session.id)).toEqual(["unconfirmed", null]);
  });

  test.each(["code", "iss", "error"])("%s twice is refused, and no code is used", async (name) => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const callback = callbackOf(address, { code: provider.consent(address) });
    await visitor.get(`${callback}&${name}=a&${name}=b`);
    expect(provider.asked).toEqual([]);
    expect(await stateOf(session.id)).toEqual(["failed", "callback_refused"]);
  });

  test("a state that stands there twice is nobody's", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const callback = callbackOf(address, { code: provider.consent(address) });
    expect((await visitor.get(`${callback}&state=x`)).location).toBe("/connect/done");
    expect(await stateOf(session.id)).toEqual(["redeemed", null]);
  });

  test("a callback that comes again, or twice at once, uses the code once", async () => {
    const { token, session } = await newSession({ integration: "direct", user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const callback = callbackOf(address, { code: provider.consent(address) });
    await Promise.all([visitor.get(callback), visitor.get(callback)]);
    expect((await visitor.get(callback)).location).toBe(`/connect/done/${session.id}`);
    expect(provider.asked).toHaveLength(1);
    expect(await stateOf(session.id)).toEqual(["done", null]);
    expect(await standing("corp", session.connection)).toBe("active");
  });

  test("who only looks at a callback uses no code up", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    await visitor.get(callbackOf(address, { code: provider.consent(address) }), "elsewhere", "HEAD");
    expect(await stateOf(session.id)).toEqual(["redeemed", null]);
    expect(provider.asked).toEqual([]);
  });

  test("nothing of the address is shown, stored or logged, and where it leads is not asked from it", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    lines.length = 0;
    const back = await visitor.get(
      callbackOf(address, {
        error: "server_error",
        error_description: "<script>call 555-0100</script>",
        error_uri: "https://evil.example/help",
        return_to: "https://evil.example/",
      }),
    );
    expect(back.location).toBe(`/connect/done/${session.id}`);
    const page = await visitor.get(back.location);
    expect(titleOf(page)).toBe("Not connected");
    expect(page.text).toContain("Calendar did not grant it");
    expect(page.text).toContain(RETURN_TO);
    const row = await env.DB.prepare("SELECT * FROM connect_sessions WHERE id = ?").bind(session.id).first();
    for (const text of [page.text, JSON.stringify(row), lines.join("\n")])
      expect(text).not.toMatch(/555-0100|evil\.example|server_error/);
  });

  test("a session cannot be made for an address that is not the integration's own, not even for one like it", async () => {
    for (const returnTo of [
      "https://evil.example/",
      `${RETURN_TO}&x=1`,
      `${RETURN_TO}#x`,
      "//app.corp.example",
    ]) {
      const made = await room.makeSession({
        ...{ tenant: "corp", integration: "calendar", user: "ada", account: "default" },
        ...{ replaceAccount: false, by: "key:test", returnTo },
      });
      expect(made).toMatchObject({ ok: false, error: { code: "return_to_not_allowed" } });
    }
  });

  test("a session cannot ask for a scope that the integration does not allow, nor be of a mode that it does not", async () => {
    const request = {
      ...{ tenant: "corp", integration: "calendar", user: "ada", account: "default" },
      ...{ replaceAccount: false, by: "key:test" },
    };
    expect(await room.makeSession({ ...request, scopes: ["admin"] })).toMatchObject({
      error: { code: "scopes_not_allowed", scopes: ["admin"] },
    });
    expect(await room.makeSession({ ...request, mode: "link" })).toMatchObject({
      error: { code: "mode_not_enabled" },
    });
  });

  test("who says no at the provider is told so, and it is in the audit", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    const address = await visitor.toProvider(token);
    const back = await visitor.get(callbackOf(address, { error: "access_denied" }));
    const page = await visitor.get(back.location);
    expect(page.text).toContain("You said no, and nothing was shared.");
    expect(await stateOf(session.id)).toEqual(["failed", "declined"]);
    expect(await auditOf(session.connection)).toEqual(["connect_session refused declined"]);
    expect([...visitor.jar]).toEqual([]);
  });

  test("a flow may last to the last millisecond of its quarter hour, and not longer", async () => {
    for (const [late, state] of [
      [-1, "unconfirmed"],
      [0, "redeemed"],
    ] as const) {
      clock.now = Date.now();
      const { token, session } = await newSession({ user: nobody() });
      const visitor = new Visitor();
      const address = await visitor.toProvider(token);
      const callback = callbackOf(address, { code: provider.consent(address) });
      clock.now += FLOW_MS + late;
      const back = await visitor.get(callback);
      expect(await stateOf(session.id)).toEqual([state, null]);
      if (late === 0) expect(titleOf(await visitor.get(back.location))).toBe("That took too long");
    }
    expect(provider.asked).toHaveLength(1);
  });

  test("a provider that does not take the tenant's app is said to be set up wrongly", async () => {
    const { token, session } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    provider.next = { status: 401, body: { error: "invalid_client", error_description: "secret of corp" } };
    const back = await visitor.consent(token);
    const page = await visitor.get(back.location);
    expect(titleOf(page)).toBe("Set up wrongly");
    expect(page.text).not.toContain("secret of corp");
    expect(await stateOf(session.id)).toEqual(["failed", "misconfigured"]);
  });

  test("an app that was installed at the provider is noted, and its code is not used", async () => {
    const visitor = new Visitor();
    const back = await visitor.get(
      "/oauth/callback/corp/calendar?code=abc&installation_id=1&setup_action=install",
    );
    expect([back.status, back.location]).toEqual([303, "/connect/noted"]);
    expect(titleOf(await visitor.get(back.location))).toBe("Noted");
    expect(provider.asked).toEqual([]);
  });

  test("less than was asked for is said, by name", async () => {
    const { token, session } = await newSession({
      integration: "direct",
      user: nobody(),
      scopes: ["mail.send"],
    });
    const visitor = new Visitor();
    provider.scopes = ["events.read"];
    const back = await visitor.consent(token);
    expect(back.location).toBe(`/connect/done/${session.id}`);
    const page = await visitor.get(back.location);
    expect(titleOf(page)).toBe("Connected, but with less");
    expect(page.text).toContain("mail.send");
    expect(page.text).toContain("ada@calendar.example");
    // Shown once, to the browser of the flow.
    expect([...visitor.jar]).toEqual([]);
    expect(titleOf(await visitor.get(back.location))).toBe("Nothing to show");
  });

  test("another account is refused on a reconnect, and the first goes on; it is taken where that was asked for", async () => {
    const user = nobody();
    await new Visitor().consent((await newSession({ integration: "direct", user })).token);
    provider.account = { id: "acct-2", name: "bob@calendar.example" };
    const again = await newSession({ integration: "direct", user });
    const visitor = new Visitor();
    const back = await visitor.consent(again.token);
    expect(titleOf(await visitor.get(back.location))).toBe("Another account");
    expect(await stateOf(again.session.id)).toEqual(["failed", "account_mismatch"]);
    const { connection } = again.session;
    expect((await object("corp", connection).view("corp"))?.account.id).toBe("acct-1");
    const asked = await newSession({ integration: "direct", user, replaceAccount: true });
    await new Visitor().consent(asked.token);
    expect(await object("corp", connection).view("corp")).toMatchObject({
      account: { id: "acct-2" },
      epoch: 2,
    });
  });

  test.each(["down", "unreadable"] as const)(
    "an account that the provider does not tell (%s) takes no place, unless that was asked for: then runs wait",
    async (whoami) => {
      const user = nobody();
      const { session, token } = await newSession({ integration: "direct", user });
      await new Visitor().consent(token);
      const { connection } = session;
      const before = await object("corp", connection).view("corp");
      provider.whoami = whoami;
      try {
        const again = await newSession({ integration: "direct", user });
        const visitor = new Visitor();
        const back = await visitor.consent(again.token);
        expect(titleOf(await visitor.get(back.location))).toBe("Not connected");
        expect(await stateOf(again.session.id)).toEqual(["failed", "identity_unverified"]);
        expect(await object("corp", connection).view("corp")).toEqual(before);
        const asked = await newSession({ integration: "direct", user, replaceAccount: true });
        await new Visitor().consent(asked.token);
        expect(await object("corp", connection).view("corp")).toMatchObject({
          account: { id: null },
          epoch: 2,
        });
      } finally {
        provider.whoami = "told";
      }
      // Nor is one that is told again the one that was not.
      await new Visitor().consent((await newSession({ integration: "direct", user })).token);
      expect(await object("corp", connection).view("corp")).toMatchObject({
        account: { id: "acct-1" },
        epoch: 3,
      });
    },
  );
});

describe("the Worker", () => {
  test.each([
    ["GET", "/connect/x", 404],
    ["POST", "/connect/x", 404],
    ["GET", "/connect/done", 200],
    ["GET", "/grants", 403],
    ["POST", "/grants", 403],
    ["GET", "/grants/gl_x", 410],
  ])("answers %s %s with a page of its own", async (method, path, status) => {
    const answer = await send(method, path);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "text/html; charset=utf-8"]);
    expect(answer.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  });

  test("leads a callback of nobody to a clean address", async () => {
    const answer = await send("GET", "/oauth/callback/corp/calendar?code=a&state=b");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, "/connect/done"]);
  });

  test("answers as everywhere where there is no page", async () => {
    await expectProblem(await send("GET", "/connect/a/b"), 404, "not_found");
    await expectProblem(await send("DELETE", "/grants"), 404, "not_found");
  });
});

describe("no page", () => {
  test("is answered to another method, or at another address", async () => {
    const { token } = await newSession({ user: nobody() });
    const visitor = new Visitor();
    for (const [path, method] of [
      [`/connect/${token}`, "PUT"],
      ["/oauth/callback/corp/calendar?state=x", "POST"],
      ["/connect/", "GET"],
      [`/connect/${token}/x`, "GET"],
      ["/oauth/callback/corp", "GET"],
    ] as const)
      await expect(visitor.get(path, "here", method)).rejects.toThrow("There is no page");
  });
});

describe("of all these consents, and those who bent them", () => {
  test("nothing that was kept or logged holds a code, token, cookie, verifier, link or state in any form", async () => {
    // Alone, too: one consent that is used, and one that waits to be confirmed.
    const { session, token } = await newSession({ integration: "direct", user: nobody() });
    await new Visitor().consent(token);
    expect(await standing("corp", session.connection)).toBe("active");
    await new Visitor().consent((await newSession({ user: nobody() })).token);
    expect(new Set(issued.values())).toEqual(
      new Set([
        ...["link", "cookie", "form token", "state", "code", "verifier", "client secret"],
        ...["access token", "refresh token", "one-time code"],
      ]),
    );
    const kept = new Map(await everythingKept());
    expect([...kept.keys()]).toEqual(
      expect.arrayContaining([
        "D1 connections",
        "D1 connect_sessions",
        "D1 access_audit",
        "connection record",
      ]),
    );
    kept.set("log", [...lines, ...logged()]);
    expect(lines.length).toBeGreaterThan(0);
    expect(foundIn(kept, issued)).toEqual([]);
  });

  test("a token that somebody put into a row, an object's storage or the log would be found", async () => {
    const { session, token } = await newSession({ integration: "direct", user: nobody() });
    await new Visitor().consent(token);
    const secret = [...issued].findLast(([, what]) => what === "access token")?.[0] ?? "";
    await env.DB.prepare("UPDATE connect_sessions SET return_to = ? WHERE id = ?")
      .bind(`a${btoa(`b${secret}`)}`, session.id)
      .run();
    const stub = env.CONNECTION.getByName(objectName("connection", "corp", session.connection));
    await runInDurableObject(stub, (_object, { storage }) => {
      storage.kv.put("planted", { deep: [encodeURIComponent(secret)] });
      storage.sql.exec("INSERT INTO audit (body) VALUES (?)", secret);
    });
    console.debug("planted", { secret });
    const kept = new Map(await everythingKept());
    kept.set("log", logged());
    const found = foundIn(kept, new Map([[secret, "token"]]));
    expect(found.toSorted()).toEqual([
      "D1 connect_sessions: token, in base64 behind 1",
      "connection audit: token, itself",
      "connection planted: token, itself",
      "log: token, itself",
    ]);
  });
});
