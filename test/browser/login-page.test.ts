/** The world's login server, as a person meets it on the way of a connection. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWorld, type World } from "../world/index.ts";
import { launchChromium } from "./chromium.ts";
import { startNeighbour, type Neighbour } from "./neighbour.ts";
import { audit, visit } from "./visitor.ts";

const BROWSER_MS = 30_000;

let world: World;
let browser: Browser;
let app: Neighbour;

beforeAll(async () => {
  [world, browser, app] = await Promise.all([startWorld(), launchChromium(), startNeighbour()]);
}, BROWSER_MS);

afterAll(async () => {
  await browser.close();
  await app.close();
  await world.close();
});

function authorization(): { readonly url: string; readonly callback: string } {
  const callback = `${new URL(app.page("")).origin.replace("localhost", "127.0.0.1")}/oauth/callback/default/agenda`;
  const query = new URLSearchParams({
    client_id: world.login.client.id,
    redirect_uri: callback,
    response_type: "code",
    scope: "openid offline_access calendar.read calendar.write",
    state: "s",
    prompt: "consent",
    code_challenge: "x".repeat(43),
    code_challenge_method: "S256",
  });
  return { url: `${world.origin("login.agenda.example")}/auth?${query.toString()}`, callback };
}

test(
  "a person logs in, unticks a scope and consents without JavaScript; next time the name is known",
  { timeout: BROWSER_MS },
  async () => {
    const context = await visit(browser);
    const page = await context.newPage();
    const { url, callback } = authorization();
    await page.goto(url);
    expect(await audit(browser, page)).toEqual([]);
    await page.getByLabel("User name").fill("ada");
    await page.getByLabel("calendar.write").uncheck();
    await page.getByRole("button", { name: "Allow" }).click();
    await page.waitForURL(`${callback}?**`);
    const { searchParams } = new URL(page.url());
    expect([searchParams.get("state"), searchParams.get("iss")]).toEqual(["s", world.login.issuer]);
    expect(world.login.secrets()).toContain(searchParams.get("code"));

    await page.goto(url);
    expect(await page.getByText("You are ada.").count()).toBe(1);
    await page.getByRole("button", { name: "Deny" }).click();
    await page.waitForURL(`${callback}?**`);
    expect(new URL(page.url()).searchParams.get("error")).toBe("access_denied");
    await context.close();
  },
);
