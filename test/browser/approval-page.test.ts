/** The page on which a person without a key decides, in a real browser, with JavaScript off. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { ApprovalView, RunView } from "../../src/run/rpc.ts";
import { launchChromium } from "./chromium.ts";
import { startNeighbour, type Neighbour } from "./neighbour.ts";
import { setStage, type Stage } from "./stage.ts";
import { audit, keepPicture, PHONE, visit } from "./visitor.ts";

const START_MS = 120_000;
const BROWSER_MS = 30_000;
const ADA = { identity: "ada@corp.example" };

let stage: Stage;
let browser: Browser;
let neighbour: Neighbour;
let context: BrowserContext | null = null;

beforeAll(async () => {
  [stage, browser, neighbour] = await Promise.all([setStage(), launchChromium(), startNeighbour()]);
}, START_MS);

afterEach(async () => {
  await context?.close();
  context = null;
});

afterAll(async () => {
  await browser.close();
  await neighbour.close();
  await stage.close();
});

async function person(options: { script?: boolean } = {}): Promise<Page> {
  context = await visit(browser, options);
  return context.newPage();
}

interface Asked {
  readonly run: string;
  readonly url: string;
}

/** A run that waits for somebody to say yes, and the link to its approval. */
async function asked(body: unknown = ADA, timeout = "2h"): Promise<Asked> {
  const approval = "Book the flight OSL to LIS on 2027-03-01 for <b>Ada</b>? It costs 418 EUR.";
  const plan = { steps: { ok: { action: "wait", with: { approval, timeout } } } };
  const { id } = await stage.call<RunView>(stage.starter, "POST", "/v1/runs", { plan });
  return { run: id, url: await linkTo(`${id}.ok.g1`, body) };
}

async function linkTo(approval: string, body: unknown = ADA): Promise<string> {
  const made = `/v1/approvals/${approval}/links`;
  const { url } = await stage.call<{ url: string }>(stage.approver, "POST", made, body);
  return url;
}

function standing(run: string): Promise<ApprovalView> {
  return stage.call<ApprovalView>(stage.approver, "GET", `/v1/approvals/${run}.ok.g1`);
}

async function heading(page: Page): Promise<string | null> {
  return page.locator("h1").textContent();
}

async function decide(page: Page, button: "Approve" | "Deny"): Promise<void> {
  await page.getByRole("button", { name: button }).click();
  await page.waitForLoadState();
}

describe("the approval page", { timeout: BROWSER_MS }, () => {
  test("opens without JavaScript, shows the author's words as text, and passes axe in both colour schemes", async () => {
    const { run, url } = await asked();
    const page = await person();
    const answer = await page.goto(url);
    expect(answer?.status()).toBe(200);
    expect(await page.title()).toBe("Approve? – Showcaller");
    expect(await page.locator("html").getAttribute("lang")).toBe("en");
    expect(await page.getByText(run).count()).toBe(1);
    expect(await page.locator("blockquote b").count()).toBe(0);
    expect(await page.locator("blockquote").textContent()).toContain("<b>Ada</b>");
    expect(await audit(browser, page)).toEqual([]);
    await keepPicture(page, "approval-waiting");
    await page.emulateMedia({ colorScheme: "dark" });
    await keepPicture(page, "approval-waiting-dark");
  });

  test.each([
    ["Approve", "approved", "Approved"],
    ["Deny", "denied", "Denied"],
  ] as const)(
    "takes %s with a note, and then shows who decided what and no form",
    async (button, status, title) => {
      const { run, url } = await asked();
      const page = await person();
      await page.goto(url);
      await page.getByLabel("Note").fill("Within the budget.");
      await decide(page, button);
      expect([await heading(page), page.url()]).toEqual([title, url]);
      expect(await page.getByText("identity:ada@corp.example").count()).toBe(1);
      expect(await page.getByText("Within the budget.").count()).toBe(1);
      expect(await page.locator("form").count()).toBe(0);
      const { decided, ...approval } = await standing(run);
      expect([approval.status, decided?.by, decided?.note]).toEqual([
        status,
        "identity:ada@corp.example",
        "Within the budget.",
      ]);
      expect(await audit(browser, page)).toEqual([]);
      await keepPicture(page, `approval-${status}`);
    },
  );

  test("decided in one tab shows that decision in the other, whatever is pressed there", async () => {
    const { run, url } = await asked();
    const first = await person();
    await first.goto(url);
    const second = await first.context().newPage();
    await second.goto(url);
    await decide(first, "Deny");
    await decide(second, "Approve");
    expect(await heading(second)).toBe("Denied");
    expect((await standing(run)).status).toBe("denied");
    // A person who goes back in the history and presses again is told the same.
    await second.goto(url);
    expect(await second.locator("form").count()).toBe(0);
  });

  test("of a call that is held back shows the request and the digest of what is sent", async () => {
    const approval = { hosts: [{ host: "api.skyline.example", approval: "writes" }] };
    const scopes = ["runs:*", "outputs:read"];
    const body = { name: "held", scopes, policy: approval };
    const { key } = await stage.call<{ key: string }>(stage.starter, "POST", "/v1/keys", body);
    const trip = { from: "OSL", to: "LIS", date: "2027-03-01", traveller: "Ada" };
    const step = {
      action: "http",
      effect: "keyed",
      with: { method: "POST", url: "https://api.skyline.example/bookings", json: trip },
    };
    const run = await stage.call<RunView>(key, "POST", "/v1/runs", { open: true, steps: { book: step } });
    const id = await vi.waitFor(async () => {
      const { steps } = await stage.call<RunView>(stage.approver, "GET", `/v1/runs/${run.id}`);
      expect(steps[0]?.awaits_approval).toBeTypeOf("string");
      return steps[0]?.awaits_approval ?? "";
    });
    const page = await person();
    await page.goto(await linkTo(id));
    expect(await page.getByText("POST api.skyline.example/bookings").count()).toBe(1);
    expect(await page.getByText("Digest of what is sent").count()).toBe(1);
    expect(await audit(browser, page)).toEqual([]);
    await keepPicture(page, "approval-request");
  });

  test("of an approval that has expired says so, and offers nothing", async () => {
    const { run, url } = await asked(ADA, "1s");
    const prefer = new Headers({ prefer: "wait=20" });
    await stage.call<RunView>(stage.starter, "GET", `/v1/runs/${run}`, undefined, prefer);
    const page = await person();
    await page.goto(url);
    expect(await heading(page)).toBe("Nothing to decide any more");
    expect(await page.locator("form").count()).toBe(0);
    expect(await audit(browser, page)).toEqual([]);
    await keepPicture(page, "approval-expired");
  });

  test("that is no link of ours is a page of its own", async () => {
    const page = await person();
    const answer = await page.goto(`${stage.url}/approve/made-up`);
    expect([answer?.status(), await heading(page)]).toEqual([404, "Nothing here"]);
    expect(await audit(browser, page)).toEqual([]);
    await keepPicture(page, "approval-unknown");
  });

  test("fits a phone: nothing is wider than the screen, buttons are large enough for a thumb", async () => {
    const { url } = await asked();
    const page = await person();
    await page.setViewportSize(PHONE);
    await page.goto(url);
    const width = await page.evaluate<number>("document.documentElement.scrollWidth");
    expect(width).toBeLessThanOrEqual(PHONE.width);
    for (const name of ["Approve", "Deny"]) {
      const box = await page.getByRole("button", { name }).boundingBox();
      expect(box?.height).toBeGreaterThanOrEqual(44);
    }
    await keepPicture(page, "approval-phone");
    await decide(page, "Approve");
    expect(await heading(page)).toBe("Approved");
  });

  test("is decided by keyboard alone", async () => {
    const { run, url } = await asked();
    const page = await person();
    await page.goto(url);
    for (const key of ["Tab", "Tab", "Tab", "Enter"]) await page.keyboard.press(key);
    await page.getByRole("heading", { name: "Denied" }).waitFor();
    expect((await standing(run)).status).toBe("denied");
  });

  test("opened twice from a mail, for two runs, can be decided in both tabs", async () => {
    const one = await asked();
    const other = await asked();
    const mail = neighbour.page(
      `<a href="${one.url}" target="_blank" rel="opener">one</a> <a href="${other.url}" target="_blank">other</a>`,
    );
    const inbox = await person();
    await inbox.goto(mail);
    const tabs: Page[] = [];
    for (const name of ["one", "other"]) {
      const opens = inbox.context().waitForEvent("page");
      await inbox.getByRole("link", { name, exact: true }).click();
      const tab = await opens;
      await tab.waitForLoadState();
      tabs.push(tab);
    }
    for (const tab of tabs) {
      await decide(tab, "Approve");
      expect(await heading(tab)).toBe("Approved");
    }
  });
});

describe("another site", { timeout: BROWSER_MS }, () => {
  test("cannot frame the page, though it can frame others", async () => {
    const { url } = await asked();
    const own = neighbour.page("<h1>framed</h1>");
    const trap = neighbour.page(
      `<iframe id="own" src="${own}"></iframe><iframe id="theirs" src="${url}"></iframe>`,
    );
    const page = await person({ script: true });
    await page.goto(trap);
    expect(await page.frameLocator("#own").locator("h1").textContent()).toBe("framed");
    const handle = await page.locator("#theirs").elementHandle();
    const frame = await handle?.contentFrame();
    expect(frame?.url()).not.toContain("/approve/");
    expect(await frame?.locator("h1").count()).toBe(0);
    expect(await frame?.locator("button").count()).toBe(0);
  });

  test.each(["with the form's token", "without one"])(
    "cannot decide by a form that it posts %s, though the browser has the cookie",
    async (how) => {
      const { run, url } = await asked();
      const page = await person();
      await page.goto(url);
      const token = await page.locator("input[name=form]").inputValue();
      const field = how === "without one" ? "" : `<input name="form" value="${token}">`;
      const trap = neighbour.page(
        `<form method="post" action="${url}">${field}<button name="decision" value="approved">Win</button></form>`,
      );
      await page.goto(trap);
      await page.getByRole("button", { name: "Win" }).click();
      expect(await heading(page)).toBe("Not accepted");
      expect((await standing(run)).status).toBe("pending");
      expect(await audit(browser, page)).toEqual([]);
      await keepPicture(page, "approval-not-accepted");
    },
  );

  test("is not told the link: what the page leads to gets no referrer", async () => {
    const { url } = await asked();
    const page = await person({ script: true });
    await page.goto(url);
    expect(await page.evaluate<string>("document.referrer")).toBe("");
    const away = neighbour.page("<h1>away</h1>");
    const asks = page.waitForRequest(away);
    await page.evaluate(`location.href = ${JSON.stringify(away)}`);
    expect((await (await asks).allHeaders())["referer"]).toBeUndefined();
  });
});
