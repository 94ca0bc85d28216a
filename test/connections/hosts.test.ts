import { describe, expect, it } from "vitest";
import { apiHosts, genericProvider, mayReceive, TOKEN_HOSTS } from "../../src/connections/providers/index.ts";
import { boundOf } from "./quirk-client.ts";

const judge = (name: string, url: string, extra: Record<string, string> = {}) => {
  const got = mayReceive(boundOf(name), extra, url);
  return got.ok ? "ok" : got.error.code;
};

describe("a token may be sent", () => {
  it.each([
    ["google", "https://gmail.googleapis.com/gmail/v1/users/me/messages"],
    ["google", "https://www.googleapis.com:443/calendar/v3/calendars/primary"],
    ["github", "https://uploads.github.com/repos/o/r/releases/1/assets"],
    ["slack", "https://slack.com/api/chat.postMessage"],
    ["slack", "https://slack.com/api/auth.test"],
    ["microsoft", "https://graph.microsoft.com/v1.0/me/drive/items/a%20b;version=1"],
    ["gitlab", "https://gitlab.com/api/v4/projects/group%2Fproject/issues"],
    ["shopify", "https://acme-store.myshopify.com/admin/api/2026-07/orders.json"],
  ])("%s: %s", (name, url) => {
    expect(judge(name, url)).toBe("ok");
  });

  it("to Salesforce's instance once the answer has named it, and nowhere before", () => {
    const url = "https://acme.my.salesforce.com/services/data/v62.0/query";
    expect(judge("salesforce", url)).toBe("host_not_allowed");
    expect(judge("salesforce", url, { instance_url: "https://acme.my.salesforce.com" })).toBe("ok");
    expect(judge("salesforce", url, { instance_url: "https://other.my.salesforce.com" })).toBe(
      "host_not_allowed",
    );
    const evil = { instance_url: "https://evil.example" };
    expect(judge("salesforce", "https://evil.example/x", evil)).toBe("host_not_allowed");
    expect(apiHosts(boundOf("salesforce"), evil)).toEqual([]);
    const instance = { instance_url: "https://acme.my.salesforce.com" };
    expect(judge("salesforce", "https://acme.my.salesforce.com/services/oauth2/token", instance)).toBe(
      "path_denied",
    );
  });
});

describe("a token is not sent", () => {
  it.each([
    ["http://gmail.googleapis.com/", "url_scheme"],
    ["https://gmail.googleapis.com:8443/", "url_port"],
    ["https://user@gmail.googleapis.com/", "url_userinfo"],
    ["https://gmail.googleapis.com@evil.example/", "url_userinfo"],
    ["https://gmail.googleapis.com./", "host_invalid"],
    ["https://gmail.googleapis.com.evil.example/", "host_not_allowed"],
    ["https://evilgmail.googleapis.com/", "host_not_allowed"],
    ["https://googleapis.com/", "host_not_allowed"],
    ["https://storage.googleapis.com/bucket", "host_not_allowed"],
    ["https://142.250.74.106/", "host_address"],
    ["https://0x8efa4a6a/", "host_address"],
    ["https://2398767722/", "host_address"],
    ["https://[2a00:1450::1]/", "host_address"],
    ["https://oauth2.googleapis.com/token", "host_not_allowed"],
    ["https://sts.googleapis.com/v1/token", "host_not_allowed"],
    ["https://iamcredentials.googleapis.com/v1/x", "host_not_allowed"],
    ["/relative", "url_invalid"],
  ])("of Google to %s", (url, code) => {
    expect(judge("google", url)).toBe(code);
  });

  it.each([
    ["slack", "https://slack.com/api/oauth.v2.access"],
    ["slack", "https://slack.com/api/OAuth.v2.exchange"],
    ["slack", "https://slack.com/api/auth.revoke?token=x"],
    ["slack", "https://slack.com//api/auth.revoke"],
    ["slack", "https://slack.com/api/x/../auth.revoke"],
    ["slack", "https://slack.com/api/%61uth.revoke"],
    ["slack", "https://slack.com/api/%2561uth.revoke"],
    ["slack", "https://slack.com/api;v=1/auth.revoke"],
    ["slack", "https://slack.com/api%2Fauth.revoke"],
    ["slack", "https://slack.com/api%5Cauth.revoke"],
    ["notion", "https://api.notion.com/v1/oauth/introspect"],
    ["github", "https://api.github.com/applications/id/token"],
    ["github-app", "https://api.github.com/app/installations/1/access_tokens"],
    ["microsoft", "https://graph.microsoft.com/v1.0/$batch"],
    ["microsoft", "https://graph.microsoft.com/v1.0/%24batch"],
    ["microsoft", "https://graph.microsoft.com/beta/applications/1/addPassword"],
    ["microsoft", "https://graph.microsoft.com/v1.0/me/revokeSignInSessions"],
    ["gitlab", "https://gitlab.com/oauth/token"],
    ["gitlab", "https://gitlab.com/api/v4/user/personal_access_tokens"],
    ["gitlab", "https://gitlab.com/api/v4/projects/1/access_tokens"],
    ["gitlab", "https://gitlab.com/api/v4/users/1/impersonation_tokens"],
    ["figma", "https://api.figma.com/v1/oauth/refresh"],
    ["dropbox", "https://api.dropboxapi.com/2/auth/token/revoke"],
    ["discord", "https://discord.com/api/v10/oauth2/token"],
    ["hubspot", "https://api.hubapi.com/oauth/v1/refresh-tokens/x"],
    ["shopify", "https://acme-store.myshopify.com/admin/oauth/access_token"],
  ])("of %s to %s, where tokens are made or ended", (name, url) => {
    expect(judge(name, url)).toBe("path_denied");
  });

  it.each(["/api/%zz", "/api/%2e%2e%2fauth.revoke", "/api/%252e%252e/auth.revoke", "/api/%00", "/api/%ff"])(
    "along a path that can be read in two ways, where paths count: %s",
    (path) => {
      expect(["path_ambiguous", "path_denied"]).toContain(judge("slack", `https://slack.com${path}`));
    },
  );

  it("to another shop, or another GitLab than the chosen one", () => {
    expect(judge("shopify", "https://other.myshopify.com/admin/api/x")).toBe("host_not_allowed");
    expect(judge("gitlab", "https://git.acme.example/api/v4/user")).toBe("host_not_allowed");
  });

  it("by a generic integration to a host that makes tokens, for it cannot list one", () => {
    for (const host of TOKEN_HOSTS) {
      const made = genericProvider({ kind: "api_key", displayName: "A", hosts: ["api.acme.example", host] });
      expect(made).toMatchObject({ ok: false, error: { code: "host_mints_tokens", at: "/hosts/1" } });
    }
  });

  it("to a host that makes tokens, whoever has come to list it", () => {
    for (const host of TOKEN_HOSTS) {
      const listing = { ...boundOf("google"), hosts: [host] };
      expect(mayReceive(listing, {}, `https://${host}/`)).toMatchObject({
        error: { code: "host_mints_tokens" },
      });
    }
  });

  it("by a generic integration to its own token endpoint, also on the API's host", () => {
    const made = genericProvider({
      kind: "oauth2",
      displayName: "A",
      hosts: ["api.acme.example"],
      authorizeUrl: "https://api.acme.example/authorize",
      tokenUrl: "https://api.acme.example/v1/token",
      revokeUrl: "https://api.acme.example/v1/revoke",
    });
    if (!made.ok) throw new Error(made.error.code);
    const judged = ["/v1/things", "/v1/Token", "/v1/revoke", "/authorize?x=1"].map(
      (path) => mayReceive(made.value, {}, `https://api.acme.example${path}`).ok,
    );
    expect(judged).toEqual([true, false, false, false]);
  });
});
