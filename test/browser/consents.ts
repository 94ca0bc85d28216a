/** What the tests of consents in a browser share: a tenant with an app at the login server, its backend, and people with browsers. */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { vi } from "vitest";
import type { ConnectionWait, RunView } from "../../src/run/index.ts";
import { launchChromium } from "./chromium.ts";
import { startNeighbour, type Neighbour } from "./neighbour.ts";
import { setStage, type Stage } from "./stage.ts";
import { audit, keepPicture, visit } from "./visitor.ts";

export const START_MS = 120_000;
export const BROWSER_MS = 60_000;
export const LOGIN = "login.agenda.example";
export const CALENDAR = "api.calendar.example";
const SCOPES = ["offline_access", "calendar.read", "calendar.write"];

export interface Session {
  readonly id: string;
  readonly url: string;
  readonly connection: string;
}

export type Wait = ConnectionWait & { readonly connect?: { readonly url: string } };

export class Consents {
  readonly stage: Stage;
  readonly browser: Browser;
  /** The tenant's own site, which is another one than ours. */
  readonly app: Neighbour;
  /** Where browsers come back to. */
  readonly returnTo: string;
  readonly #open: BrowserContext[] = [];

  private constructor(stage: Stage, browser: Browser, app: Neighbour) {
    this.stage = stage;
    this.browser = browser;
    this.app = app;
    this.returnTo = app.page("<h1>Back at the app</h1>");
  }

  static async begin(): Promise<Consents> {
    const [stage, browser, app] = await Promise.all([setStage(), launchChromium(), startNeighbour()]);
    const begun = new Consents(stage, browser, app);
    await begun.integrate("agenda", { return_to: [begun.returnTo] });
    await begun.integrate("diary", { mode: "link", link_enabled: true });
    await begun.integrate("planner", { mode: "host_session" });
    return begun;
  }

  async end(): Promise<void> {
    await this.browser.close();
    await this.app.close();
    await this.stage.close();
  }

  /** An app at the login server, shown as "Agenda". */
  async integrate(name: string, settings: object, custom: object = {}): Promise<void> {
    const { client, issuer } = this.stage.world.login;
    await this.call("POST", "/v1/integrations", {
      ...{ name, provider: "oidc", client_id: client.id, client_secret: client.secret },
      ...{ scopes_default: SCOPES, ...settings },
      custom: {
        display_name: "Agenda",
        hosts: [CALENDAR],
        ...("authorize_url" in custom ? {} : { issuer }),
        ...custom,
      },
    });
  }

  call<T>(method: string, path: string, body?: unknown, prefer?: string): Promise<T> {
    const headers = prefer === undefined ? undefined : new Headers({ prefer });
    return this.stage.call<T>(this.stage.starter, method, path, body, headers);
  }

  /** Somebody with a browser of their own. */
  async person(options: { script?: boolean } = {}): Promise<Page> {
    const context = await visit(this.browser, options);
    this.#open.push(context);
    return context.newPage();
  }

  async everybodyLeaves(): Promise<void> {
    await Promise.all(this.#open.splice(0).map((context) => context.close()));
  }

  session(user: string, integration = "agenda", more: object = {}): Promise<Session> {
    return this.call<Session>("POST", "/v1/connect-sessions", { integration, user, ...more });
  }

  /** From our page to the provider's, where somebody is asked. */
  async goOn(page: Page): Promise<void> {
    await page.getByRole("button", { name: "Go on to Agenda" }).click();
    await page.waitForURL(`${this.stage.world.origin(LOGIN)}/interaction/**`);
  }

  /** From a link to where the provider asks. */
  async arrive(page: Page, { url }: Pick<Session, "url">): Promise<void> {
    await page.goto(url);
    await this.goOn(page);
  }

  /** The tenant's backend: the browser is back with a code, and it knows who is logged in. */
  async confirm(page: Page, user: string): Promise<void> {
    await page.waitForURL(`${this.returnTo}?**`);
    const { searchParams } = new URL(page.url());
    const [id, code] = [searchParams.get("session"), searchParams.get("code")];
    await this.call("POST", `/v1/connect-sessions/${id}/confirm`, { code, user });
  }

  /** The whole way, with the account at the provider that has the user's name. */
  async lend(page: Page, user: string): Promise<Session> {
    const made = await this.session(user);
    await this.arrive(page, made);
    await answer(page, user);
    await this.confirm(page, user);
    return made;
  }

  /** A run of a plan that reads the calendar. */
  async start(user: string, connection = "agenda"): Promise<string> {
    const read = { method: "GET", url: `https://${CALENDAR}/events`, auth: { connection } };
    const plan = { steps: { read: { action: "http", with: read } } };
    return (await this.call<RunView>("POST", "/v1/runs", { plan, user })).id;
  }

  ended(run: string): Promise<RunView> {
    return vi.waitFor(
      async () => {
        const seen = await this.call<RunView>("GET", `/v1/runs/${run}`, undefined, "wait=10");
        if (seen.ended_at === null) throw new Error(`the run is ${seen.status}`);
        return seen;
      },
      { timeout: BROWSER_MS },
    );
  }

  parked(run: string): Promise<Wait> {
    return vi.waitFor(
      async () => {
        const seen = await this.call<RunView>("GET", `/v1/runs/${run}`);
        const found = seen.steps[0]?.waiting_for;
        const wait: Wait | undefined = found?.kind === "connection" ? found : undefined;
        if (wait?.connect === undefined) throw new Error(`the step is ${seen.steps[0]?.status}`);
        return wait;
      },
      { timeout: BROWSER_MS },
    );
  }

  /** Throws what axe finds wrong, in either colour scheme. */
  async check(page: Page): Promise<void> {
    const found = await audit(this.browser, page);
    if (found.length > 0) throw new Error(`axe has found:\n${found.join("\n")}`);
  }

  /** That, and a picture for the documentation. */
  async look(page: Page, name: string): Promise<void> {
    await this.check(page);
    await keepPicture(page, `connect-${name}`);
  }
}

export async function heading(page: Page): Promise<string | null> {
  return page.locator("h1").textContent();
}

/** At the provider: says who they are, unless it knows, and answers. */
export async function answer(page: Page, who: string, button: "Allow" | "Deny" = "Allow"): Promise<void> {
  const field = page.getByLabel("User name");
  if ((await field.count()) > 0) await field.fill(who);
  await page.getByRole("button", { name: button }).click();
}
