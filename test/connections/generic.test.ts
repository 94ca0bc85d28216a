import { describe, expect, it } from "vitest";
import {
  asksForConsent,
  discoveredProvider,
  discoveryUrl,
  GENERIC_KINDS,
  genericProvider,
  type GenericSettings,
  readCallback,
} from "../../src/connections/providers/index.ts";

const OAUTH2: GenericSettings = {
  kind: "oauth2",
  displayName: "Acme",
  hosts: ["api.acme.example"],
  authorizeUrl: "https://id.acme.example/authorize",
  tokenUrl: "https://id.acme.example/token",
};
const ISSUER = "https://id.acme.example";
const METADATA = {
  issuer: ISSUER,
  authorization_endpoint: `${ISSUER}/authorize`,
  token_endpoint: `${ISSUER}/token`,
  revocation_endpoint: `${ISSUER}/revoke`,
  code_challenge_methods_supported: ["S256", "plain"],
  token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
  authorization_response_iss_parameter_supported: true,
};
const settings = { displayName: "Acme", hosts: ["api.acme.example"] };

const refusal = (change: object) => {
  const made = genericProvider({ ...OAUTH2, ...change });
  return made.ok ? null : [made.error.code, made.error.at];
};

describe("a generic provider", () => {
  it("is there for every kind, the discovered one aside", () => {
    for (const kind of GENERIC_KINDS.filter((one) => one !== "oidc")) {
      const made = genericProvider({ ...OAUTH2, kind });
      expect(made.ok && made.value.kind).toBe(kind);
      if (made.ok) expect(asksForConsent(made.value)).toBe(kind === "oauth2");
    }
  });

  it("uses PKCE, Basic and the careful reading of refresh tokens unless told otherwise", () => {
    expect(genericProvider(OAUTH2)).toMatchObject({
      ok: true,
      value: { pkce: "S256", clientAuth: ["basic"], refresh: { kind: "rotating", optional: true } },
    });
  });

  it.each([
    [{ tokenUrl: "http://id.acme.example/token" }, ["url_refused", "/tokenUrl"]],
    [{ tokenUrl: "https://10.0.0.1/token" }, ["url_refused", "/tokenUrl"]],
    [{ tokenUrl: "https://localhost/token" }, ["url_refused", "/tokenUrl"]],
    [{ tokenUrl: "https://id.acme.example:8443/token" }, ["url_refused", "/tokenUrl"]],
    [{ tokenUrl: "https://u:p@id.acme.example/token" }, ["url_refused", "/tokenUrl"]],
    [{ authorizeUrl: "https://id.acme.example/a#x" }, ["url_refused", "/authorizeUrl"]],
    [{ authorizeUrl: "javascript:alert(1)" }, ["url_refused", "/authorizeUrl"]],
    [{ revokeUrl: "https://id.acme.example/{token}" }, ["url_refused", "/revokeUrl"]],
    [{ refreshUrl: "https://metadata.internal/" }, ["url_refused", "/refreshUrl"]],
    [{ hosts: [] }, ["hosts_count", "/hosts"]],
    [{ hosts: ["*.acme.example"] }, ["host_refused", "/hosts/0"]],
    [{ hosts: ["api.acme.example", "API.acme.example"] }, ["host_refused", "/hosts/1"]],
    [{ present: { header: "cookie", scheme: "" } }, ["header_refused", "/present/header"]],
    [{ present: { header: "host", scheme: "" } }, ["header_refused", "/present/header"]],
    [{ present: { header: "x-api-key", scheme: "a b" } }, ["header_refused", "/present/scheme"]],
    [
      { authorizeParams: { redirect_uri: "https://evil.example" } },
      ["param_refused", "/authorizeParams/redirect_uri"],
    ],
    [{ authorizeParams: { state: "x" } }, ["param_refused", "/authorizeParams/state"]],
    [{ tokenParams: { client_secret: "x" } }, ["param_refused", "/tokenParams/client_secret"]],
    [
      { identity: { url: "https://evil.example/me", id: "/id", label: "/name" } },
      ["host_refused", "/identity/url"],
    ],
  ])("refuses %o", (change, expected) => {
    expect(refusal(change)).toEqual(expected);
  });
});

describe("a discovered provider", () => {
  it("is what the issuer publishes", () => {
    expect(discoveryUrl("https://id.acme.example/")).toBe(
      "https://id.acme.example/.well-known/openid-configuration",
    );
    expect(discoveredProvider(ISSUER, METADATA, settings)).toMatchObject({
      ok: true,
      value: {
        kind: "oidc",
        tokenUrl: `${ISSUER}/token`,
        clientAuth: ["post"],
        pkce: "S256",
        issuer: ISSUER,
        issRequired: true,
        revoke: { url: `${ISSUER}/revoke` },
        identity: { from: "id_token", issuer: ISSUER },
        scopes: { default: ["openid"] },
      },
    });
  });

  it.each([
    [{ issuer: `${ISSUER}/` }, "issuer_mismatch"],
    [{ issuer: "https://evil.example" }, "issuer_mismatch"],
    [{ issuer: undefined }, "issuer_mismatch"],
    [{ token_endpoint: undefined }, "metadata_invalid"],
    [{ token_endpoint: "https://192.168.0.1/token" }, "url_refused"],
    [{ authorization_endpoint: 7 }, "url_refused"],
    [{ token_endpoint_auth_methods_supported: ["tls_client_auth"] }, "metadata_invalid"],
  ])("is refused with %o", (change, code) => {
    expect(discoveredProvider(ISSUER, { ...METADATA, ...change }, settings)).toMatchObject({
      ok: false,
      error: { code },
    });
  });

  it("that knows offline access is asked with prompt=consent: without it no refresh token comes", () => {
    const promptWith = (scopes: readonly string[] | undefined): unknown => {
      const made = discoveredProvider(ISSUER, { ...METADATA, scopes_supported: scopes }, settings);
      return made.ok ? made.value.authorizeParams : made.error;
    };
    expect(promptWith(["openid", "offline_access"])).toEqual({ prompt: "consent" });
    expect(promptWith(["openid"])).toBeUndefined();
    expect(promptWith(undefined)).toBeUndefined();
  });

  it("of metadata that is no object is refused", () => {
    for (const metadata of [null, "x", [], 7])
      expect(discoveredProvider(ISSUER, metadata, settings).ok).toBe(false);
  });

  it("refuses a redirect back without `iss`, or with another's", async () => {
    const made = discoveredProvider(ISSUER, METADATA, settings);
    if (!made.ok) throw new Error(made.error.code);
    const back = async (query: string) => {
      const read = await readCallback(made.value, new URLSearchParams(query), undefined);
      return read.ok ? "ok" : read.error.code;
    };
    expect(await back(`code=c&iss=${encodeURIComponent(ISSUER)}`)).toBe("ok");
    expect(await back("code=c")).toBe("iss_missing");
    expect(await back("code=c&iss=https%3A%2F%2Fevil.example")).toBe("iss_mismatch");
  });
});
