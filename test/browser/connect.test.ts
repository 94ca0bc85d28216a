/**
 * Connections in a real browser, with JavaScript off, against a real OAuth server: how a user lends an account, how it is
 * used, renewed, taken back and lent again, and every page that they see on the way.
 */
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  answer,
  BROWSER_MS,
  CALENDAR,
  Consents,
  heading,
  LOGIN,
  type Session,
  START_MS,
} from "./consents.ts";
import { keepPicture, PHONE } from "./visitor.ts";

/** A token is renewed once half of its life is over. */
const SHORT_LIFE_S = 2;

let consents: Consents;

beforeAll(async () => {
  consents = await Consents.begin();
}, START_MS);
afterEach(() => consents.everybodyLeaves());
afterAll(() => consents.end());

function refreshes(): number {
  return consents.stage.world.login.tokenRequests().filter(({ grantType }) => grantType === "refresh_token")
    .length;
}

describe("a user's calendar", { timeout: BROWSER_MS }, () => {
  test("is lent, used, renewed, taken back at the provider, waited for, lent again by the run's link, used, and taken back on the user's own page", async () => {
    consents.stage.world.login.change({ accessTokenSeconds: SHORT_LIFE_S });
    const page = await consents.person();

    const made = await consents.session("ada");
    await page.goto(made.url);
    expect(await heading(page)).toBe("Connect Agenda?");
    for (const fact of ["corp asks to use an account", LOGIN, CALENDAR, "calendar.write", "ada"])
      expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await consents.look(page, "asking");
    await page.emulateMedia({ colorScheme: "dark" });
    await keepPicture(page, "connect-asking-dark");
    await page.emulateMedia({ colorScheme: "light" });

    // Held up on the way: what somebody sees whose browser does not go on by itself.
    await page.route(`${consents.stage.world.origin(LOGIN)}/**`, (route) => route.abort("aborted"));
    await page.getByRole("button", { name: "Go on to Agenda" }).click();
    await page.getByRole("heading", { name: "On to Agenda" }).waitFor();
    await consents.look(page, "going");
    await page.unroute(`${consents.stage.world.origin(LOGIN)}/**`);
    await page.getByRole("link", { name: "Go on to Agenda" }).click();
    await answer(page, "ada");
    await consents.confirm(page, "ada");
    const connection = `/v1/connections/${made.connection}`;
    expect(await consents.call("GET", connection)).toMatchObject({
      status: "active",
      identity_level: "confirm",
    });

    // Used again and again, until it had to be renewed twice: each refresh token is good for one of them.
    await vi.waitFor(
      async () => {
        expect((await consents.ended(await consents.start("ada"))).status).toBe("succeeded");
        expect(refreshes()).toBeGreaterThanOrEqual(2);
      },
      { timeout: BROWSER_MS, interval: 200 },
    );

    expect(consents.stage.world.login.revokeUser("ada")).toBe(1);
    const run = await consents.start("ada");
    const wait = await consents.parked(run);
    expect([wait.reason, wait.connection]).toEqual(["revoked", made.connection]);
    expect(await consents.call("GET", connection)).toMatchObject({ status: "dead", reason: "revoked" });

    await page.goto(wait.connect?.url ?? "");
    for (const fact of [run, "read"]) expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await consents.look(page, "asking-run");
    await consents.goOn(page);
    expect(await page.getByText("You are ada.").count()).toBe(1);
    await answer(page, "ada");
    await consents.confirm(page, "ada");
    const seen = await consents.ended(run);
    expect([seen.status, seen.steps[0]?.status]).toEqual(["succeeded", "succeeded"]);

    const link = await consents.call<{ url: string }>("POST", "/v1/users/ada/grants-link");
    await page.goto(link.url);
    await consents.look(page, "grants-entry");
    await page.getByRole("button", { name: "Show it" }).click();
    await page.waitForURL(`${consents.stage.url}/grants`);
    for (const fact of ["calendar.read", "inline"]) await page.getByText(fact).first().waitFor();
    await consents.look(page, "grants");
    await page.getByRole("button", { name: "Take back Agenda" }).click();
    await page.waitForURL(`${consents.stage.url}/grants/taken-back/**`);
    await consents.look(page, "taken-back");
    await vi.waitFor(async () => {
      const { revocation } = await consents.call<{ revocation: { outcome: string } | null }>(
        "GET",
        connection,
      );
      expect(revocation?.outcome).toBe("revoked");
    });
    expect((await consents.parked(await consents.start("ada"))).reason).toBe("missing");

    // A link works once, also after all this; and the page is of the browser that opened it.
    await page.goto(link.url);
    expect([await heading(page), await page.locator("form").count()]).toEqual(["This link does not work", 0]);
    await consents.look(page, "grants-link-over");
    const elsewhere = await consents.person();
    await elsewhere.goto(`${consents.stage.url}/grants`);
    expect([await heading(elsewhere), await elsewhere.locator("form").count()]).toEqual(["Closed", 0]);
    await consents.look(elsewhere, "grants-over");
  });
});

describe("a `host_session`", { timeout: BROWSER_MS }, () => {
  /** The app's own page, with what it makes for the user who is logged in and clicks. */
  async function ticketOf(made: Session, user: string): Promise<string> {
    const path = `/v1/connect-sessions/${made.id}/ticket`;
    const { url } = await consents.call<{ url: string }>("POST", path, { user });
    return consents.app.page(`<h1>The app</h1><a href="${url}">Connect the agenda</a>`);
  }

  test("goes from the app through its ticket and the consent to a connection that a step uses", async () => {
    const page = await consents.person();
    const made = await consents.session("kim", "planner");
    const atTheApp = await ticketOf(made, "kim");
    await page.goto(atTheApp);
    await page.getByRole("link", { name: "Connect the agenda" }).click();
    await page.getByRole("heading", { name: "Connect Agenda?" }).waitFor();
    // The ticket is used up, and stands in no address or history any more.
    expect(page.url()).toBe(made.url);
    for (const fact of ["kim", CALENDAR]) expect(await page.getByText(fact).count()).toBeGreaterThan(0);
    await consents.check(page);

    const thief = await consents.person();
    for (const start of [made.url, atTheApp]) {
      await thief.goto(start);
      if (start === atTheApp) await thief.getByRole("link", { name: "Connect the agenda" }).click();
      await thief.getByRole("heading", { name: "Open this from the app" }).waitFor();
      expect(await thief.locator("form").count()).toBe(0);
    }

    await consents.goOn(page);
    await answer(page, "kim");
    await page.getByRole("heading", { name: "Connected" }).waitFor();
    const connection = await consents.call("GET", `/v1/connections/${made.connection}`);
    expect(connection).toMatchObject({
      ...{ status: "active", identity_level: "host_session", user: "kim", label: "kim" },
    });
    const run = await consents.ended(await consents.start("kim", "planner"));
    expect([run.status, run.steps[0]?.status]).toEqual(["succeeded", "succeeded"]);
  });

  test("that came to the wrong person is declined by them, and its ticket is of no use to anybody after that", async () => {
    const page = await consents.person();
    const made = await consents.session("lou", "planner");
    const atTheApp = await ticketOf(made, "lou");
    await page.goto(atTheApp);
    await page.getByRole("link", { name: "Connect the agenda" }).click();
    await page.getByRole("button", { name: "Do not connect" }).click();
    await page.getByRole("heading", { name: "Not connected" }).waitFor();
    const other = await consents.person();
    await other.goto(atTheApp);
    await other.getByRole("link", { name: "Connect the agenda" }).click();
    await other.getByRole("heading", { name: "Not connected" }).waitFor();
    expect(await other.locator("form").count()).toBe(0);
    const over = await consents.call("GET", `/v1/connect-sessions/${made.id}`);
    expect(over).toMatchObject({ state: "failed", failure: "declined" });
  });
});

describe("the pages of a consent", { timeout: BROWSER_MS }, () => {
  test("know no flow of another browser: it is told nothing, and the first one still gets to its end", async () => {
    const page = await consents.person();
    const made = await consents.session("gina", "diary");
    await page.goto(made.url);
    await consents.goOn(page);
    const stranger = await consents.person();
    await stranger.goto(`${consents.stage.url}/connect/go/${made.id}`);
    expect(await heading(stranger)).toBe("Nothing to show");
    await answer(page, "gina");
    await page.getByRole("heading", { name: "Connected" }).waitFor();
  });

  test("fit a phone, with buttons for a thumb", async () => {
    const page = await consents.person();
    await page.setViewportSize(PHONE);
    await consents.lend(page, "hugo");
    const { url } = await consents.call<{ url: string }>("POST", "/v1/users/hugo/grants-link");
    const fits = async (names: readonly string[], picture: string): Promise<void> => {
      const width = await page.evaluate<number>("document.documentElement.scrollWidth");
      expect(width).toBeLessThanOrEqual(PHONE.width);
      for (const name of names) {
        const box = await page.getByRole("button", { name }).boundingBox();
        expect(box?.height).toBeGreaterThanOrEqual(44);
      }
      await keepPicture(page, picture);
    };
    await page.goto((await consents.session("hugo")).url);
    await fits(["Go on to Agenda", "Do not connect"], "connect-asking-phone");
    await page.goto(url);
    await page.getByRole("button", { name: "Show it" }).click();
    await page.waitForURL(`${consents.stage.url}/grants`);
    await fits(["Take back Agenda"], "connect-grants-phone");
  });

  test("are used by keyboard alone", async () => {
    const page = await consents.person();
    await page.goto((await consents.session("ines")).url);
    for (const key of ["Tab", "Tab", "Enter"]) await page.keyboard.press(key);
    await page.getByRole("heading", { name: "Not connected" }).waitFor();
    expect(await page.locator("form").count()).toBe(0);
  });
});

describe("another site", { timeout: BROWSER_MS }, () => {
  /** A page of another site that posts the form of a link, with the very token that the page of the link has. */
  async function trapFor(page: Page, made: Session, script: string): Promise<string> {
    await page.goto(made.url);
    const token = await page.locator("input[name=form]").inputValue();
    return consents.app.page(
      `<form method="post" action="${made.url}"><input name="form" value="${token}"><input name="decision" value="go_on"><button>Win</button></form>${script}`,
    );
  }

  /** Once the page says that it was not accepted: where the browser is, and how the link stands. */
  async function notAccepted(page: Page, made: Session): Promise<readonly [string, string]> {
    await page.getByRole("heading", { name: "Not accepted" }).waitFor();
    const { state } = await consents.call<{ state: string }>("GET", `/v1/connect-sessions/${made.id}`);
    return [page.url(), state];
  }

  test("cannot make a browser go on by a form that it posts, though the browser has the page's cookie", async () => {
    const page = await consents.person();
    const made = await consents.session("jane");
    await page.goto(await trapFor(page, made, ""));
    await page.getByRole("button", { name: "Win" }).click();
    expect(await notAccepted(page, made)).toEqual([made.url, "open"]);
    await consents.look(page, "untrusted");
  });

  test("cannot make it go on by a form that sends itself either", async () => {
    const page = await consents.person({ script: true });
    const made = await consents.session("jane");
    await page.goto(await trapFor(page, made, "<script>document.forms[0].submit()</script>"));
    expect(await notAccepted(page, made)).toEqual([made.url, "open"]);
  });

  test("cannot frame the page of a link, though it can frame its own, nor what was granted", async () => {
    const page = await consents.person();
    const made = await consents.session("jane");
    const granted = await consents.call<{ url: string }>("POST", "/v1/users/jane/grants-link");
    const own = consents.app.page("<h1>framed</h1>");
    const frames = [own, made.url, granted.url].map((url) => `<iframe src="${url}"></iframe>`);
    await page.goto(consents.app.page(frames.join("")));
    const [theirs, ...ours] = page.frames().filter((frame) => frame !== page.mainFrame());
    expect(await theirs?.locator("h1").textContent()).toBe("framed");
    expect(ours).toHaveLength(2);
    for (const frame of ours) {
      expect(frame.url()).not.toContain(consents.stage.url);
      expect(await frame.locator("h1, button").count()).toBe(0);
    }
  });
});
