/**
 * Connections in a real browser, with JavaScript off, against a real OAuth server: how a user lends an account, how it is
 * used, renewed, taken back and lent again, and every page that they see on the way.
 */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { ConnectionWait, RunView } from "../../src/run/index.ts";
import { launchChromium } from "./chromium.ts";
import { startNeighbour, type Neighbour } from "./neighbour.ts";
import { setStage, type Stage } from "./stage.ts";
import { audit, keepPicture, PHONE, visit } from "./visitor.ts";

const START_MS = 120_000;
const BROWSER_MS = 60_000;
const LOGIN = "login.agenda.example";
const CALENDAR = "api.calendar.example";
const SCOPES = ["offline_access", "calendar.read", "calendar.write"];
/** A token is renewed once half of its life is over. */
const SHORT_LIFE_S = 2;

let stage: Stage;
let browser: Browser;
let app: Neighbour;
/** Where browsers come back to. */
let returnTo: string;
let context: BrowserContext | null = null;

beforeAll(async () => {
  [stage, browser, app] = await Promise.all([setStage(), launchChromium(), startNeighbour()]);
  returnTo = app.page("<h1>Back at the app</h1>");
  const { id, secret } = stage.world.login.client;
  for (const [name, more] of [
    ["agenda", { return_to: [returnTo] }],
    ["diary", { mode: "link", link_enabled: true }],
    ["planner", { mode: "host_session" }],
  ] as const)
    await call("POST", "/v1/integrations", {
      ...{ name, provider: "oidc", client_id: id, client_secret: secret, scopes_default: SCOPES, ...more },
      custom: { display_name: "Agenda", issuer: stage.world.login.issuer, hosts: [CALENDAR] },
    });
}, START_MS);

afterEach(async () => {
  await context?.close();
  context = null;
});

afterAll(async () => {
  await browser.close();
  await app.close();
  await stage.close();
});

function call<T>(method: string, path: string, body?: unknown, prefer?: string): Promise<T> {
  const headers = prefer === undefined ? undefined : new Headers({ prefer });
  return stage.call<T>(stage.starter, method, path, body, headers);
}

async function person(): Promise<Page> {
  context = await visit(browser);
  return context.newPage();
}

interface Session {
  readonly id: string;
  readonly url: string;
  readonly connection: string;
}

function session(user: string, integration = "agenda", more: object = {}): Promise<Session> {
  return call<Session>("POST", "/v1/connect-sessions", { integration, user, ...more });
}

async function heading(page: Page): Promise<string | null> {
  return page.locator("h1").textContent();
}

/** From our page to the provider's, where somebody is asked. */
async function goOn(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Go on to Agenda" }).click();
  await page.waitForURL(`${stage.world.origin(LOGIN)}/interaction/**`);
}

/** Says who they are, unless the provider knows, and answers. */
async function answer(page: Page, who: string, button: "Allow" | "Deny" = "Allow"): Promise<void> {
  const field = page.getByLabel("User name");
  if ((await field.count()) > 0) await field.fill(who);
  await page.getByRole("button", { name: button }).click();
}

/** The tenant's backend: the browser is back with a code, and it knows who is logged in. */
async function confirm(page: Page, user: string): Promise<void> {
  await page.waitForURL(`${returnTo}?**`);
  const { searchParams } = new URL(page.url());
  const [id, code] = [searchParams.get("session"), searchParams.get("code")];
  await call("POST", `/v1/connect-sessions/${id}/confirm`, { code, user });
}

/** The whole way, with the account at the provider that has the user's name. */
async function lend(page: Page, user: string): Promise<Session> {
  const made = await session(user);
  await page.goto(made.url);
  await goOn(page);
  await answer(page, user);
  await confirm(page, user);
  return made;
}

async function start(user: string): Promise<string> {
  const read = { method: "GET", url: `https://${CALENDAR}/events`, auth: { connection: "agenda" } };
  const plan = { steps: { read: { action: "http", with: read } } };
  return (await call<RunView>("POST", "/v1/runs", { plan, user })).id;
}

function ended(run: string): Promise<RunView> {
  return vi.waitFor(
    async () => {
      const seen = await call<RunView>("GET", `/v1/runs/${run}`, undefined, "wait=10");
      expect(seen.ended_at).not.toBeNull();
      return seen;
    },
    { timeout: BROWSER_MS },
  );
}

type Wait = ConnectionWait & { readonly connect?: { readonly url: string } };

function parked(run: string): Promise<Wait> {
  return vi.waitFor(
    async () => {
      const seen = await call<RunView>("GET", `/v1/runs/${run}`);
      const found = seen.steps[0]?.waiting_for;
      const wait: Wait | undefined = found?.kind === "connection" ? found : undefined;
      if (wait?.connect === undefined) throw new Error(`the step is ${seen.steps[0]?.status}`);
      return wait;
    },
    { timeout: BROWSER_MS },
  );
}

/** One picture in each colour scheme, and what axe finds. */
async function look(page: Page, name: string): Promise<void> {
  expect(await audit(browser, page)).toEqual([]);
  await keepPicture(page, name);
}

function refreshes(): number {
  return stage.world.login.tokenRequests().filter(({ grantType }) => grantType === "refresh_token").length;
}

describe("a user's calendar", { timeout: BROWSER_MS }, () => {
  test("is lent, used, renewed, taken back at the provider, waited for, lent again by the run's link, used, and taken back on the user's own page", async () => {
    stage.world.login.change({ accessTokenSeconds: SHORT_LIFE_S });
    const page = await person();

    const made = await session("ada");
    await page.goto(made.url);
    expect(await heading(page)).toBe("Connect Agenda?");
    for (const fact of ["corp asks to use an account", LOGIN, CALENDAR, "calendar.write", "ada"])
      expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await look(page, "connect-asking");
    await page.emulateMedia({ colorScheme: "dark" });
    await keepPicture(page, "connect-asking-dark");
    await page.emulateMedia({ colorScheme: "light" });

    // Held up on the way: what somebody sees whose browser does not go on by itself.
    await page.route(`${stage.world.origin(LOGIN)}/**`, (route) => route.abort("aborted"));
    await page.getByRole("button", { name: "Go on to Agenda" }).click();
    await page.getByRole("heading", { name: "On to Agenda" }).waitFor();
    await look(page, "connect-going");
    await page.unroute(`${stage.world.origin(LOGIN)}/**`);
    await page.getByRole("link", { name: "Go on to Agenda" }).click();
    await answer(page, "ada");
    await confirm(page, "ada");
    const connection = `/v1/connections/${made.connection}`;
    expect(await call("GET", connection)).toMatchObject({ status: "active", identity_level: "confirm" });

    // Used again and again, until it had to be renewed twice: each refresh token is good for one of them.
    await vi.waitFor(
      async () => {
        expect((await ended(await start("ada"))).status).toBe("succeeded");
        expect(refreshes()).toBeGreaterThanOrEqual(2);
      },
      { timeout: BROWSER_MS, interval: 200 },
    );

    expect(stage.world.login.revokeUser("ada")).toBe(1);
    const run = await start("ada");
    const wait = await parked(run);
    expect([wait.reason, wait.connection]).toEqual(["revoked", made.connection]);
    expect(await call("GET", connection)).toMatchObject({ status: "dead", reason: "revoked" });

    await page.goto(wait.connect?.url ?? "");
    for (const fact of [run, "read"]) expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await look(page, "connect-asking-run");
    await goOn(page);
    expect(await page.getByText("You are ada.").count()).toBe(1);
    await answer(page, "ada");
    await confirm(page, "ada");
    const seen = await ended(run);
    expect([seen.status, seen.steps[0]?.status]).toEqual(["succeeded", "succeeded"]);

    const link = await call<{ url: string }>("POST", "/v1/users/ada/grants-link");
    await page.goto(link.url);
    await look(page, "connect-grants-entry");
    await page.getByRole("button", { name: "Show it" }).click();
    for (const fact of ["calendar.read", "inline"])
      expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await look(page, "connect-grants");
    await page.getByRole("button", { name: "Take back Agenda" }).click();
    await page.waitForURL(`${stage.url}/grants/taken-back/**`);
    await look(page, "connect-taken-back");
    await vi.waitFor(async () => {
      const { revocation } = await call<{ revocation: { outcome: string } | null }>("GET", connection);
      expect(revocation?.outcome).toBe("revoked");
    });
    expect((await parked(await start("ada"))).reason).toBe("missing");

    // A link works once, also after all this.
    await page.goto(link.url);
    expect(await page.locator("form").count()).toBe(0);
    await look(page, "connect-grants-over");
  });

  test("that another account takes the place of stays the first one's, and the page says so", async () => {
    const page = await person();
    await lend(page, "bob");
    await page.context().clearCookies();
    await page.goto((await session("bob")).url);
    await goOn(page);
    await answer(page, "mallory");
    await page.getByRole("heading", { name: "Another account" }).waitFor();
    await look(page, "connect-another-account");
    expect((await ended(await start("bob"))).status).toBe("succeeded");
  });
});

describe("the pages of a consent", { timeout: BROWSER_MS }, () => {
  test("end with what was connected where nobody waits for the browser, and are shown once", async () => {
    const page = await person();
    await page.goto((await session("cleo", "diary")).url);
    await goOn(page);
    await answer(page, "cleo");
    await page.getByRole("heading", { name: "Connected" }).waitFor();
    expect(new URL(page.url()).search).toBe("");
    await look(page, "connect-done");
    await page.reload();
    expect(await heading(page)).toBe("Nothing to show");
    await look(page, "connect-nothing");
  });

  test("say which scopes the user did not give", async () => {
    const page = await person();
    await page.goto((await session("dora", "diary")).url);
    await goOn(page);
    await page.getByLabel("calendar.write").uncheck();
    await answer(page, "dora");
    await page.getByRole("heading", { name: "Connected, but with less" }).waitFor();
    expect(await page.getByText("calendar.write").count()).toBe(1);
    await look(page, "connect-less");
  });

  test("say that nothing was shared where the user says no, here or at the provider", async () => {
    const page = await person();
    await page.goto((await session("emil")).url);
    await page.getByRole("button", { name: "Do not connect" }).click();
    expect(await heading(page)).toBe("Not connected");
    await look(page, "connect-not");

    const made = await session("emil");
    await page.goto(made.url);
    await goOn(page);
    await answer(page, "emil", "Deny");
    await page.getByRole("heading", { name: "Not connected" }).waitFor();
    await look(page, "connect-declined");
    const over = await call("GET", `/v1/connect-sessions/${made.id}`);
    expect(over).toMatchObject({ state: "failed", failure: "declined" });
  });

  test("of a link that was used, that is none, or that must come from the app, offer nothing", async () => {
    const page = await person();
    const used = await session("fred", "diary");
    await page.goto(used.url);
    await goOn(page);
    for (const [url, status, title, picture] of [
      [used.url, 410, "This link was used", "connect-used"],
      [`${stage.url}/connect/made-up`, 404, "Nothing here", "connect-unknown"],
      [(await session("fred", "planner")).url, 403, "Open this from the app", "connect-from-the-app"],
    ] as const) {
      const shown = await page.goto(url);
      expect([shown?.status(), await heading(page)]).toEqual([status, title]);
      expect(await page.locator("form").count()).toBe(0);
      await look(page, picture);
    }
  });

  test("know no flow of another browser: it is told nothing, and the first one still gets to its end", async () => {
    const page = await person();
    const made = await session("gina", "diary");
    await page.goto(made.url);
    await goOn(page);
    const other = await visit(browser);
    const stranger = await other.newPage();
    await stranger.goto(`${stage.url}/connect/go/${made.id}`);
    expect(await heading(stranger)).toBe("Nothing to show");
    await other.close();
    await answer(page, "gina");
    await page.getByRole("heading", { name: "Connected" }).waitFor();
  });

  test("fit a phone, with buttons for a thumb", async () => {
    const page = await person();
    await page.setViewportSize(PHONE);
    await lend(page, "hugo");
    const { url } = await call<{ url: string }>("POST", "/v1/users/hugo/grants-link");
    const fits = async (names: readonly string[], picture: string): Promise<void> => {
      const width = await page.evaluate<number>("document.documentElement.scrollWidth");
      expect(width).toBeLessThanOrEqual(PHONE.width);
      for (const name of names) {
        const box = await page.getByRole("button", { name }).boundingBox();
        expect(box?.height).toBeGreaterThanOrEqual(44);
      }
      await keepPicture(page, picture);
    };
    await page.goto((await session("hugo")).url);
    await fits(["Go on to Agenda", "Do not connect"], "connect-asking-phone");
    await page.goto(url);
    await page.getByRole("button", { name: "Show it" }).click();
    await page.waitForURL(`${stage.url}/grants`);
    await fits(["Take back Agenda"], "connect-grants-phone");
  });

  test("are used by keyboard alone", async () => {
    const page = await person();
    await page.goto((await session("ines")).url);
    for (const key of ["Tab", "Tab", "Enter"]) await page.keyboard.press(key);
    await page.getByRole("heading", { name: "Not connected" }).waitFor();
    expect(await page.locator("form").count()).toBe(0);
  });
});

describe("another site", { timeout: BROWSER_MS }, () => {
  test("cannot make a browser go on by a form that it posts, though the browser has the page's cookie", async () => {
    const page = await person();
    const made = await session("jane");
    await page.goto(made.url);
    const token = await page.locator("input[name=form]").inputValue();
    const trap = app.page(
      `<form method="post" action="${made.url}"><input name="form" value="${token}"><button name="decision" value="go_on">Win</button></form>`,
    );
    await page.goto(trap);
    await page.getByRole("button", { name: "Win" }).click();
    expect(await heading(page)).toBe("Not accepted");
    expect(await call("GET", `/v1/connect-sessions/${made.id}`)).toMatchObject({ state: "open" });
    await look(page, "connect-not-accepted");
  });
});
