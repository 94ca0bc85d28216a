/**
 * Every page on which a consent can end, or not begin, reached in a real browser with JavaScript off by what makes it come up:
 * what people do, what the provider does, time that passes. One picture of each is kept.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { consent as consentOf } from "../world/index.ts";
import { answer, BROWSER_MS, Consents, heading, LOGIN, type Session, START_MS } from "./consents.ts";

let consents: Consents;
let page: Page;

beforeAll(async () => {
  consents = await Consents.begin();
}, START_MS);
beforeEach(async () => {
  page = await consents.person();
});
afterEach(async () => {
  consents.stage.world.faults([]);
  await consents.everybodyLeaves();
});
afterAll(() => consents.end());

/** What a person reads: the heading, with nothing left to press, and a picture of it. */
async function ends(title: string, words: string, picture: string): Promise<void> {
  await page.getByRole("heading", { name: title, exact: true, level: 1 }).waitFor();
  expect(await page.getByText(words).count()).toBe(1);
  expect(await page.locator("form").count()).toBe(0);
  await consents.look(page, picture);
}

async function failure({ id }: Session): Promise<unknown> {
  return (await consents.call<{ failure: string | null }>("GET", `/v1/connect-sessions/${id}`)).failure;
}

/** A consent that everybody gives; where it ends is the test's. */
async function consent(user: string, integration: string): Promise<Session> {
  const made = await consents.session(user, integration);
  await consents.arrive(page, made);
  await answer(page, user);
  return made;
}

/** The user agrees, and the browser is stopped on its way back: the address of the callback, and the flow's cookie. */
async function onTheWayBack(made: Session, user: string): Promise<{ callback: URL; cookie: string }> {
  const origin = consents.stage.world.origin(LOGIN);
  await page.goto(made.url);
  const leaving = page.waitForRequest(`${origin}/auth?**`);
  await page.route(`${origin}/**`, (route) => route.abort("aborted"));
  await page.getByRole("button", { name: "Go on to Agenda" }).click();
  const callback = new URL(await consentOf({ url: (await leaving).url(), origin, user }));
  const cookies = await page.context().cookies();
  return { callback, cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; ") };
}

/** Its half hour, or quarter, is over. */
function timePasses({ id }: Session): Promise<void> {
  return consents.stage.sql("UPDATE connect_sessions SET expires_at = ? WHERE id = ?", Date.now() - 1, id);
}

describe("a consent", { timeout: BROWSER_MS }, () => {
  test("ends with what was connected where nobody waits for the browser, and is shown once", async () => {
    await consent("cleo", "diary");
    await ends("Connected", "corp can use Agenda from now on.", "done");
    expect(new URL(page.url()).search).toBe("");
    await page.reload();
    await ends("Nothing to show", "has seen the result already", "other-browser");
  });

  test("that gives less says which scopes are missing", async () => {
    const made = await consents.session("dora", "diary");
    await consents.arrive(page, made);
    await page.getByLabel("calendar.write").uncheck();
    await answer(page, "dora");
    await ends("Connected, but with less", "calendar.write", "narrower");
    const { scopes } = await consents.call<{ scopes: string[] }>("GET", `/v1/connections/${made.connection}`);
    expect(scopes).toEqual(["openid", "offline_access", "calendar.read"]);
  });

  test("that is refused on our page, or at the provider, shares nothing", async () => {
    const here = await consents.session("emil");
    await page.goto(here.url);
    await page.getByRole("button", { name: "Do not connect" }).click();
    await ends("Not connected", "You said no, and nothing was shared.", "declined");
    const there = await consents.session("emil");
    await consents.arrive(page, there);
    await answer(page, "emil", "Deny");
    await ends("Not connected", "You said no, and nothing was shared.", "denied");
    expect([await failure(here), await failure(there)]).toEqual(["declined", "declined"]);
  });

  test("with another account changes nothing on a reconnect", async () => {
    const { connection } = await consents.lend(page, "bob");
    await page.context().clearCookies();
    const again = await consents.call<Session>("POST", `/v1/connections/${connection}/reconnect`, {});
    await consents.arrive(page, again);
    await answer(page, "mallory");
    await ends("Another account", "nothing was changed", "account-mismatch");
    expect(await failure(again)).toBe("account_mismatch");
    expect((await consents.ended(await consents.start("bob"))).status).toBe("succeeded");
    expect(await consents.call("GET", `/v1/connections/${connection}`)).toMatchObject({ label: "bob" });
  });

  test("at a provider that does not take the tenant's app says who can help", async () => {
    await consents.integrate("wrong", {
      ...{ mode: "link", link_enabled: true, client_secret: "not-the-secret-of-this-client" },
    });
    const made = await consent("nina", "wrong");
    await ends("Set up wrongly", "You can do nothing about it: tell corp.", "misconfigured");
    expect(await failure(made)).toBe("misconfigured");
  });

  test("that the provider refuses, or does not complete, is not called the user's no", async () => {
    const { issuer } = consents.stage.world.login;
    await consents.integrate(
      "silent",
      { mode: "link", link_enabled: true, provider: "oauth2" },
      {
        ...{ authorize_url: `${issuer}/auth`, token_url: `${issuer}/token` },
        // Nobody may be asked, and nobody is logged in: the provider can only refuse.
        authorize_params: { prompt: "none" },
      },
    );
    const refused = await consents.session("olga", "silent");
    await page.goto(refused.url);
    await page.getByRole("button", { name: "Go on to Agenda" }).click();
    await ends("Not connected", "Agenda did not grant it", "provider-error");

    consents.stage.world.faults([
      { service: "login", path: "/token", times: 9, fault: { kind: "status", status: 500 } },
    ]);
    const broken = await consent("olga", "diary");
    await ends("Not connected", "Agenda did not complete it", "exchange-failed");
    expect([await failure(refused), await failure(broken)]).toEqual(["provider_error", "exchange_failed"]);
  });

  test("whose answer names another provider is not used", async () => {
    const made = await consents.session("pia", "diary");
    const { callback } = await onTheWayBack(made, "pia");
    expect(callback.searchParams.get("iss")).toBe(consents.stage.world.login.issuer);
    callback.searchParams.set("iss", "https://login.evil.example");
    await page.goto(callback.href);
    await ends("Not connected", "The answer did not come from Agenda as it should", "callback-refused");
    expect(await failure(made)).toBe("callback_refused");
  });

  test("of an app that was installed at the provider, without a flow of ours, is noted and not used", async () => {
    await page.goto(`${consents.stage.url}/oauth/callback/corp/agenda?code=a-code&installation_id=7`);
    expect(page.url()).toBe(`${consents.stage.url}/connect/noted`);
    await ends("Noted", "no connection was made here", "noted");
  });
});

describe("in the middle of a consent", { timeout: BROWSER_MS }, () => {
  test("the page of the result leads back to the provider, and asks for patience while that is asked", async () => {
    const made = await consents.session("rita", "diary");
    await consents.arrive(page, made);
    const result = `${consents.stage.url}/connect/done/${made.id}`;
    await page.goto(result);
    await ends("Not there yet", "Nothing is connected yet.", "not-yet");
    await page.getByRole("link", { name: "Go on to the provider" }).click();
    await page.waitForURL(`${consents.stage.world.origin(LOGIN)}/interaction/**`);

    const { login, faults } = consents.stage.world;
    faults([{ service: "login", path: "/token", fault: { kind: "accept_then_timeout" } }]);
    login.forgetTokenRequests();
    const other = await page.context().newPage();
    const first = page;
    // Its browser waits for us, and we for the provider, until everybody leaves.
    const left = answer(first, "rita").catch(() => undefined);
    await expect.poll(() => login.tokenRequests().length, { timeout: BROWSER_MS }).toBe(1);
    page = other;
    await page.goto(result);
    await ends("Almost there", "The provider is being asked.", "still-working");
    await consents.everybodyLeaves();
    await left;
  });

  test("a browser that lost the way back to the app learns that the app has to confirm, and later that it did not", async () => {
    const made = await consents.session("sven");
    const { callback, cookie } = await onTheWayBack(made, "sven");
    // The first time, the answer gets lost on the way, and with it the code for the app.
    const lost = await fetch(callback, { headers: { cookie }, redirect: "manual" });
    expect(lost.headers.get("location")).toContain(`${consents.returnTo}?`);
    await page.goto(callback.href);
    await ends("Almost done", "corp still has to confirm that it was you.", "unconfirmed");
    await page.getByRole("link", { name: "Go back to localhost" }).waitFor();
    await timePasses(made);
    await page.reload();
    await ends("Not connected", "corp did not confirm that it was you", "not-confirmed");
  });

  test("who takes longer than a quarter of an hour is told so, and nothing is connected", async () => {
    const made = await consents.session("tess", "diary");
    await consents.arrive(page, made);
    await timePasses(made);
    await answer(page, "tess");
    await ends("That took too long", "Nothing was connected.", "took-too-long");
    expect(await consents.call("GET", `/v1/connect-sessions/${made.id}`)).toMatchObject({ state: "expired" });
  });
});

describe("a link", { timeout: BROWSER_MS }, () => {
  test("that was used, has ended, is none, or must come from the app, offers nothing", async () => {
    const used = await consents.session("fred", "diary");
    await consents.arrive(page, used);
    const expired = await consents.session("fred", "diary");
    await timePasses(expired);
    for (const [url, status, title, words, picture] of [
      [used.url, 410, "This link was used", "Each link works once.", "used"],
      [expired.url, 410, "This link has expired", "Nothing was connected.", "expired"],
      [`${consents.stage.url}/connect/made-up`, 404, "Nothing here", "This link is not valid.", "unknown"],
      [
        (await consents.session("fred", "planner")).url,
        ...([
          403,
          "Open this from the app",
          "only for who is logged in at corp",
          "only-from-the-app",
        ] as const),
      ],
    ] as const) {
      const shown = await page.goto(url);
      expect([url, shown?.status()]).toEqual([url, status]);
      await ends(title, words, picture);
    }
  });

  test("of an integration that was narrowed or deleted since offers nothing any more", async () => {
    await consents.integrate("passing", { mode: "link", link_enabled: true });
    const made = await consents.session("uma", "passing");
    await consents.call("PATCH", "/v1/integrations/passing", { link_enabled: false, mode: "host_session" });
    expect((await page.goto(made.url))?.status()).toBe(410);
    await ends("Not offered any more", "Nothing was connected", "not-offered");
    await consents.call("DELETE", "/v1/integrations/passing");
    await page.goto(made.url);
    expect(await heading(page)).toBe("Not offered any more");
  });

  test("that cannot be looked up just now says so, is not used up by that, and works after it", async () => {
    const made = await consents.session("vera", "diary");
    await consents.stage.sql("ALTER TABLE connect_sessions RENAME TO connect_sessions_away");
    try {
      expect((await page.goto(made.url))?.status()).toBe(503);
      await ends("Not now", "nothing happens twice", "not-now");
    } finally {
      await consents.stage.sql("ALTER TABLE connect_sessions_away RENAME TO connect_sessions");
    }
    await consents.arrive(page, made);
    await answer(page, "vera");
    await page.getByRole("heading", { name: "Connected" }).waitFor();
  });
});

test("who has granted nothing is told so on their own page", { timeout: BROWSER_MS }, async () => {
  const { url } = await consents.call<{ url: string }>("POST", "/v1/users/wanda/grants-link");
  expect((await page.goto(url))?.status()).toBe(200);
  await page.getByRole("button", { name: "Show it" }).click();
  await ends("What you have granted", "Nothing: no account of yours is connected.", "grants-none");
});
