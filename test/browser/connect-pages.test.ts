/**
 * Every page of a consent with the longest that can stand on it, those that no honest provider makes come up among them: both
 * colour schemes, axe, and the narrowest phone. How they come up, and their pictures, is connect.test.ts and connect-results.test.ts.
 */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConnectSession, SessionFailure } from "../../src/connections/sessions.ts";
import type { Integration } from "../../src/connections/integrations.ts";
import type { ListedConnection } from "../../src/connections/listing.ts";
import * as connect from "../../src/connections/pages/connect.ts";
import * as grants from "../../src/connections/pages/grants.ts";
import * as results from "../../src/connections/pages/results.ts";
import { bindProvider, findProvider } from "../../src/connections/providers/index.ts";
import { type Page, pageResponse } from "../../src/platform/index.ts";
import { launchChromium } from "./chromium.ts";
import { audit, visit } from "./visitor.ts";

const START_MS = 120_000;
const PAGES_MS = 120_000;
const NARROWEST = { width: 320, height: 640 };
const AT = Date.UTC(2027, 0, 15, 9);
const READ = "https://www.googleapis.com/auth/calendar.readonly";
const WRITE = "https://www.googleapis.com/auth/calendar.events";

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
}, START_MS);
afterAll(() => browser.close());

function google(): Integration {
  const found = findProvider("google");
  const bound = found === undefined ? null : bindProvider(found);
  if (bound?.ok !== true) throw new Error("the catalogue has no google");
  return {
    ...({
      tenant: "acme-travel",
      name: "google",
      provider: "google",
      kind: "oauth2",
      owner: "user",
    } as const),
    fixed: { provider: bound.value, clientId: "1042-abc.apps.googleusercontent.com" },
    settings: {
      ...({
        scopesAllowed: [READ, WRITE],
        scopesDefault: [READ],
        mode: "confirm",
        linkEnabled: false,
      } as const),
      returnTo: ["https://app.acme-travel.example/connected"],
    },
    ...{ version: 1, secretVersion: 1, createdAt: AT, createdBy: "key:k", updatedAt: AT, deletedAt: null },
  };
}

const session: ConnectSession = {
  id: "cs_0123456789abcdefghjkmnpqr0",
  slot: {
    ...{ tenant: "acme-travel", integration: "google", account: "work" },
    owner: { kind: "user", user: "ada.lovelace@acme-travel.example" },
  },
  ...({ connection: "conn_0123456789abcdefghjkmnpqr0", scopes: [READ, WRITE], mode: "confirm" } as const),
  ...{ returnTo: "https://app.acme-travel.example/connected", replaceAccount: true },
  purpose: "run:run_0123456789abcdefghjkmnpqr0:invite:plan-offsite",
  ...({ kid: "k1", state: "open", failure: null, createdBy: "key:k", createdAt: AT, expiresAt: AT } as const),
};

const connection: ListedConnection = {
  ...{ id: session.connection, tenant: "acme-travel", integration: "google", account: "work" },
  ...({
    user: "ada.lovelace@acme-travel.example",
    label: "ada.lovelace@gmail.example",
    status: "active",
  } as const),
  ...({ reason: null, scopes: [READ, WRITE], identityLevel: "confirm", workflows: null, epoch: 1 } as const),
  ...{ grantedAt: AT, expiresAt: AT, endsAt: null, revocation: null, updatedAt: AT },
};

const uses = [
  { workflow: "plan-offsite", firstAt: AT, lastAt: AT + 86_400_000, uses: 12 },
  { workflow: "remind", firstAt: AT, lastAt: AT, uses: 1 },
];

const whose = { tenant: "acme-travel", user: "ada.lovelace@acme-travel.example" };
const granted = { session, made: google(), label: "ada.lovelace@gmail.example", missing: [] };
const dead: ListedConnection = {
  ...connection,
  id: "conn_1",
  account: "default",
  status: "dead",
  reason: "revoked",
};
const revoking: ListedConnection = {
  ...connection,
  id: "conn_2",
  status: "revoking",
  scopes: null,
  label: null,
};
const shownGrants = [connection, dead, revoking].map((one) => ({
  ...{ connection: one, provider: "Google", form: "k1.form", uses: one === connection ? uses : [] },
}));

const FAILURES = [
  ...(["declined", "provider_error", "exchange_failed", "misconfigured", "callback_refused"] as const),
  ...([
    "account_mismatch",
    "identity_unverified",
    "identity_invalid",
    "user_mismatch",
    "unconfirmed",
  ] as const),
] satisfies readonly SessionFailure[];

const PAGES: readonly (readonly [string, Page])[] = [
  ["asking", connect.askingPage(session, google(), "k1.form")],
  ["going", { ...connect.goingPage(google(), "https://accounts.google.com/o/oauth2/v2/auth?x=1") }],
  ["only-from-the-app", connect.onlyFromTheApp("acme-travel")],
  ["unknown", connect.UNKNOWN_LINK],
  ["used", connect.USED_LINK],
  ["expired", connect.EXPIRED_LINK],
  ["declined", connect.DECLINED],
  ["not-offered", connect.NOT_OFFERED],
  ["untrusted", connect.UNTRUSTED_FORM],
  ["not-now", connect.NOT_NOW],
  ["done", results.connectedPage(granted)],
  ["narrower", results.connectedPage({ ...granted, missing: [WRITE] })],
  ["unconfirmed", results.unconfirmedPage(session)],
  ...FAILURES.map((failure) => [failure, results.failedPage(failure, session, "Google")] as const),
  ["not-yet", results.notYetPage(session.id)],
  ["still-working", results.STILL_WORKING],
  ["took-too-long", results.TOOK_TOO_LONG],
  ["other-browser", results.OTHER_BROWSER],
  ["noted", results.NOTICE],
  ["grants-entry", grants.entryPage(whose, "k1.form")],
  ["grants", grants.grantsPage(whose, shownGrants, { more: false, now: 0 })],
  ["grants-none", grants.grantsPage(whose, [], { more: false, now: 0 })],
  ["taken-back", grants.takenBackPage(revoking, "Google")],
  ["grants-link-over", grants.GRANTS_LINK_OVER],
  ["grants-over", grants.GRANTS_OVER],
];

test.each(PAGES)(
  "the page %s has nothing that axe finds wrong, and fits the narrowest phone",
  { timeout: PAGES_MS },
  async (_, page) => {
    const context = await visit(browser);
    try {
      const tab = await context.newPage();
      // Where it goes by itself is not what is looked at.
      const { goesTo: _, ...still } = page;
      await tab.setContent(await pageResponse(still).text());
      expect(await audit(browser, tab)).toEqual([]);
      await tab.setViewportSize(NARROWEST);
      const boxes = await tab.locator("main, main *").all();
      const widths = await Promise.all(
        boxes.map(async (box) => (await box.boundingBox()) ?? { x: 0, width: 0 }),
      );
      expect(Math.max(...widths.map(({ x, width }) => x + width))).toBeLessThanOrEqual(NARROWEST.width);
    } finally {
      await context.close();
    }
  },
);
