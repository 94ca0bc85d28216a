/** What a plan is told of the connections that it names, before it runs. */
import { describe, expect, it } from "vitest";
import type { Integration } from "../../src/connections/integrations.ts";
import { refusalOfReference } from "../../src/connections/referring.ts";
import { boundOf } from "./quirk-client.ts";

function made(provider: string, more: Partial<Integration> = {}): Integration {
  return {
    ...{ tenant: "t", name: provider, provider, kind: "oauth2", owner: "user" },
    fixed: { provider: boundOf(provider), clientId: "c" },
    settings: {
      ...{ scopesAllowed: ["calendar.readonly", "mail"], scopesDefault: ["calendar.readonly"] },
      ...{ mode: "confirm", linkEnabled: false, returnTo: [] },
    },
    ...{ version: 1, secretVersion: 1, createdAt: 0, createdBy: "key:a", updatedAt: 0, deletedAt: null },
    ...more,
  };
}

const HOST = "www.googleapis.com";
const ask = (
  known: Integration | null,
  { host = HOST, scopes, user }: { host?: string; scopes?: string[]; user?: string | null } = {},
) => {
  const reference = { connection: "google", ...(scopes === undefined ? {} : { scopes }) };
  return refusalOfReference(reference, known, host, user);
};

describe("a step that names a connection", () => {
  it("is told that there is no such integration", () => {
    expect(ask(null)).toMatchObject({ at: "/connection", code: "unknown_integration" });
  });

  it("is told that nobody could lend it, where the run acts for no user; not where that is unknown", () => {
    const google = made("google");
    expect(ask(google, { user: null })).toMatchObject({ code: "connection_without_user" });
    expect(ask(google, { user: "ada" })).toBeUndefined();
    expect(ask(google)).toBeUndefined();
    expect(ask(made("google", { owner: "tenant" }), { user: null })).toBeUndefined();
  });

  it("is told which hosts the tokens go to, where its own is none of them", () => {
    const refusal = ask(made("google"), { host: "evil.example" });
    expect(refusal).toMatchObject({ at: "/connection", code: "connection_not_for_host" });
    expect(refusal?.allowed).toContain(HOST);
    // One that hands out tokens.
    expect(ask(made("google"), { host: "oauth2.googleapis.com" })).toMatchObject({
      code: "connection_not_for_host",
    });
  });

  it("is taken at its word where only the connection will tell the host", () => {
    const salesforce = made("salesforce");
    expect(ask(salesforce, { host: "acme.my.salesforce.com" })).toBeUndefined();
    expect(ask(salesforce, { host: "acme.my.salesforce.com.evil.example" })).toMatchObject({
      code: "connection_not_for_host",
    });
  });

  it("is told which scopes the integration may have", () => {
    expect(ask(made("google"), { scopes: ["mail"] })).toBeUndefined();
    expect(ask(made("google"), { scopes: ["mail", "drive"] })).toMatchObject({
      at: "/scopes",
      code: "scope_not_allowed",
      allowed: ["calendar.readonly", "mail"],
    });
    const { settings } = made("google");
    const any = made("google", { settings: { ...settings, scopesAllowed: null } });
    expect(ask(any, { scopes: ["drive"] })).toBeUndefined();
    expect(ask(made("google", { kind: "api_key" }), { scopes: ["mail"] })).toMatchObject({
      code: "scopes_not_taken",
    });
  });
});
