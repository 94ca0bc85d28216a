import { describe, expect, it } from "vitest";
import { bindProvider, CATALOG, findProvider, TOKEN_HOSTS } from "../../src/connections/providers/index.ts";
import { descriptorSchema, typeFits } from "./descriptor-schema.ts";

/** Client authentication, separator, PKCE, refresh, what a revocation kills: written out again, so that the two must agree. */
const TABLE = `
google      basic,post            space S256     static   grant
github      basic,post            space S256     none     grant
github-app  post                  none  S256     rotating grant
slack       basic,post            comma off      rotating token
slack-user  basic,post            comma off      rotating token
microsoft   post,private_key_jwt  space S256     rotating -
notion      basic                 none  off      rotating token
atlassian   post                  space off      rotating -
hubspot     post,private_key_jwt  space S256     static   grant
salesforce  basic,post            space S256     rotating token
linear      post                  comma off      rotating token
zoom        basic                 none  S256     rotating token
dropbox     basic,post            space S256     static   token
box         post                  space off      rotating token
asana       post                  space S256     static   token
airtable    basic                 space required rotating -
discord     basic                 space S256     rotating grant
figma       basic                 comma off      static   -
gitlab      basic,post            space S256     rotating token
quickbooks  basic                 space off      rotating grant
xero        basic                 space S256     rotating grant
x           basic                 space required rotating token
shopify     post                  comma off      rotating -
`;
const DAY_MS = 86_400_000;

describe("the catalogue", () => {
  it.each(CATALOG)("$name fits the schema", (provider) => {
    const parsed = descriptorSchema.safeParse(provider);
    expect(parsed.success ? typeFits(parsed.data) : parsed.error.issues).toEqual(provider);
  });

  it("says of each provider what the table says", () => {
    const rows = CATALOG.map(({ name, clientAuth, scopes, pkce, refresh, revoke }) =>
      [
        name,
        clientAuth.join(),
        scopes?.none === true ? "none" : scopes?.separator === "," ? "comma" : "space",
        pkce,
        refresh.kind,
        revoke?.kills ?? "-",
      ].join(" "),
    );
    const table = TABLE.trim()
      .split("\n")
      .map((row) => row.replace(/ +/g, " "));
    expect(rows).toEqual(table);
  });

  it("finds each by its name, and no name twice", () => {
    expect(CATALOG.map(({ name }) => findProvider(name))).toEqual(CATALOG);
    expect(new Set(CATALOG.map(({ name }) => name)).size).toBe(CATALOG.length);
    expect(findProvider("__proto__")).toBeUndefined();
  });

  it("only Notion takes JSON at its token endpoint, and only Figma refreshes elsewhere", () => {
    expect(CATALOG.filter((one) => one.tokenFormat === "json").map(({ name }) => name)).toEqual(["notion"]);
    expect(CATALOG.filter((one) => one.refreshUrl !== undefined).map(({ name }) => name)).toEqual(["figma"]);
  });

  it("replays an old refresh token only where the provider takes it again", () => {
    const leeways = CATALOG.flatMap(({ name, refresh }) =>
      refresh.reuseLeewayMs === undefined ? [] : [[name, refresh.reuseLeewayMs / 60_000]],
    );
    expect(Object.fromEntries(leeways)).toEqual({ atlassian: 10, xero: 30, microsoft: 90 * 24 * 60 });
  });

  it("knows the limits that end a grant without a word", () => {
    const days = (name: string) => {
      const { idleLimitMs = 0, absoluteLimitMs = 0 } = findProvider(name)?.refresh ?? {};
      return [idleLimitMs / DAY_MS, absoluteLimitMs / DAY_MS];
    };
    expect(["atlassian", "box", "quickbooks", "zoom", "microsoft"].map(days)).toEqual([
      [90, 365],
      [60, 0],
      [100, 1_825],
      [90, 0],
      [90, 0],
    ]);
  });

  it("names no host that hands out tokens, and no wildcard", () => {
    const hosts = CATALOG.flatMap((provider) => provider.hosts);
    expect(hosts.filter((host) => TOKEN_HOSTS.includes(host) || host.includes("*"))).toEqual([]);
    expect(hosts.length).toBeGreaterThan(30);
  });

  it("asks who the account is only at a host that the token may be sent to", () => {
    for (const provider of CATALOG) {
      const urls = [
        provider.identity?.from === "endpoint" ? provider.identity.url : undefined,
        provider.resources?.url,
      ].filter((url) => url !== undefined);
      for (const url of urls) expect(provider.hosts).toContain(url.split("/")[2]);
    }
  });

  it("marks as unverified only what is there", () => {
    for (const provider of CATALOG) {
      for (const pointer of provider.unverified ?? []) {
        const found = pointer
          .slice(1)
          .split("/")
          .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], provider);
        expect([provider.name, pointer, found === undefined]).toEqual([provider.name, pointer, false]);
      }
    }
  });

  it("has every answer's host and every part that its texts speak of", () => {
    for (const provider of CATALOG) {
      if (provider.hostFrom !== undefined)
        expect(provider.answer?.extra).toHaveProperty(provider.hostFrom.extra);
      const spoken = new Set(
        [...JSON.stringify(provider).matchAll(/\{([a-z_]+)\}/g)].map(([, name]) => name ?? ""),
      );
      const known = [...Object.keys(provider.parts ?? {}), "client_id", "token", "tid"];
      expect([provider.name, [...spoken].filter((name) => !known.includes(name))]).toEqual([
        provider.name,
        [],
      ]);
    }
  });
});

describe("parts", () => {
  const bind = (name: string, parts?: Record<string, string>) => {
    const bound = bindProvider(findProvider(name)!, parts);
    return bound.ok ? [bound.value.tokenUrl, ...bound.value.hosts] : bound.error.code;
  };

  it("are filled in everywhere, with their defaults", () => {
    expect(bind("microsoft")).toEqual([
      "https://login.microsoftonline.com/common/oauth2/v2.0/token",
      "graph.microsoft.com",
    ]);
    expect(bind("gitlab", { host: "git.acme.example" })).toEqual([
      "https://git.acme.example/oauth/token",
      "git.acme.example",
    ]);
    expect(bind("salesforce", { host: "acme--dev.sandbox.my.salesforce.com" })).toEqual([
      "https://acme--dev.sandbox.my.salesforce.com/services/oauth2/token",
    ]);
  });

  it.each([
    ["shopify", {}, "part_missing"],
    ["shopify", { shop: "acme.myshopify.com@evil.example/" }, "part_invalid"],
    ["shopify", { shop: "acme/../x" }, "part_invalid"],
    ["shopify", { shop: "acme\n" }, "part_invalid"],
    ["shopify", { shop: "acme", more: "x" }, "part_unknown"],
    ["google", { host: "evil.example" }, "part_unknown"],
    ["salesforce", { host: "evil.example" }, "part_invalid"],
    ["salesforce", { host: "my.salesforce.com.evil.example" }, "part_invalid"],
    ["salesforce", { host: "xsalesforce.com" }, "part_invalid"],
    ["microsoft", { tenant: "common/../evil" }, "part_invalid"],
    ["gitlab", { host: "127.0.0.1" }, "url_refused"],
    ["gitlab", { host: "gitlab.internal" }, "url_refused"],
    ["gitlab", { host: "localhost" }, "url_refused"],
    ["gitlab", { host: "gitlab.example.com." }, "url_refused"],
    ["gitlab", { host: "gitlab.example.com:8443" }, "part_invalid"],
  ])("%s refuses %o", (name, parts, code) => {
    expect(bind(name, parts as Record<string, string>)).toBe(code);
  });

  it("a bound descriptor is plain JSON: stored and read it is the same", () => {
    for (const provider of CATALOG) {
      const bound = bindProvider(provider, provider.name === "shopify" ? { shop: "acme" } : {});
      expect(bound.ok).toBe(true);
      expect(JSON.parse(JSON.stringify(bound))).toEqual(bound);
    }
  });
});
