import { describe, expect, it } from "vitest";
import {
  authorizeUrl,
  basicValue,
  clientAssertionClaims,
  clientCredentialsRequest,
  discoveredProvider,
  exchangeRequest,
  genericProvider,
  identityRequest,
  jwtBearerClaims,
  jwtBearerRequest,
  presented,
  readCallback,
  readIdToken,
  readIdentityAnswer,
  refreshRequest,
  revokeRequests,
  type Bound,
  type MachineProvider,
} from "../../src/connections/providers/index.ts";
import { boundOf, clientOf, NOW } from "./quirk-client.ts";

const FLOW = {
  clientId: "id",
  redirectUri: "https://app.example/oauth/callback/x",
  scopes: ["a", "b"],
  state: "s",
  codeChallenge: "challenge",
};
const GENERIC = {
  displayName: "Acme",
  hosts: ["api.acme.example"],
  tokenUrl: "https://id.acme.example/token",
};

function machine(kind: MachineProvider["kind"]): Bound<MachineProvider> {
  const made = genericProvider({ ...GENERIC, kind });
  if (!made.ok || made.value.kind !== kind) throw new Error("not made");
  return made.value;
}

describe("the authorize URL", () => {
  it("has no challenge where one does harm, and one everywhere else", () => {
    for (const name of ["slack", "slack-user"])
      expect(authorizeUrl(boundOf(name), FLOW)).not.toContain("challenge");
    for (const name of ["google", "airtable", "x"])
      expect(authorizeUrl(boundOf(name), FLOW)).toContain(
        "code_challenge=challenge&code_challenge_method=S256",
      );
  });

  it("writes spaces as %20, and keeps its own parameters whatever further ones say", () => {
    const url = authorizeUrl(boundOf("google"), {
      ...FLOW,
      extra: {
        login_hint: "ada@example.com",
        state: "theirs",
        prompt: "none",
        redirect_uri: "https://evil.example",
      },
    });
    expect(url).toContain("scope=a%20b");
    const query = new URL(url).searchParams;
    expect(["login_hint", "state", "prompt", "redirect_uri"].map((name) => query.getAll(name))).toEqual([
      ["ada@example.com"],
      ["s"],
      ["consent"],
      [FLOW.redirectUri],
    ]);
  });
});

describe("client authentication", () => {
  const client = { clientId: "i:d", clientSecret: "s e+c%", auth: "basic" } as const;
  const decoded = (headers: Readonly<Record<string, string>>) =>
    atob((headers["authorization"] ?? "").slice(6));

  it("in Basic is form-encoded before it is base64 (RFC 6749 2.3.1)", () => {
    expect(decoded(refreshRequest(boundOf("google"), client, "r").headers)).toBe("i%3Ad:s+e%2Bc%25");
  });

  it("in Basic is raw only where a descriptor says so", () => {
    const made = genericProvider({ ...GENERIC, kind: "client_credentials", clientAuth: "basic_raw" });
    if (!made.ok) throw new Error(made.error.code);
    const raw = { ...client, clientId: "id", auth: "basic_raw" } as const;
    expect(decoded(clientCredentialsRequest(made.value as Bound<MachineProvider>, raw, []).headers)).toBe(
      "id:s e+c%",
    );
  });

  it("by a signed assertion sends no secret", () => {
    const { body = "", headers } = refreshRequest(
      boundOf("microsoft"),
      { clientId: "id", auth: "private_key_jwt", assertion: "signed", clientSecret: "secret" },
      "r",
    );
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: "refresh_token",
      refresh_token: "r",
      client_id: "id",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: "signed",
    });
    expect(headers).not.toHaveProperty("authorization");
  });

  it("that a provider does not take, or that lacks its secret, is the caller's mistake", () => {
    expect(() => refreshRequest(boundOf("notion"), { ...client, auth: "post" }, "r")).toThrow(TypeError);
    expect(() => refreshRequest(boundOf("notion"), { clientId: "id", auth: "basic" }, "r")).toThrow(
      TypeError,
    );
  });
});

describe("requests for tokens", () => {
  it("go to the place and in the form that the provider wants", () => {
    const figma = refreshRequest(boundOf("figma"), clientOf(boundOf("figma")), "r");
    expect(figma.url).toBe("https://api.figma.com/v1/oauth/refresh");
    const flow = { code: "c", redirectUri: "https://a.example/cb", codeVerifier: "v" };
    const notion = exchangeRequest(boundOf("notion"), clientOf(boundOf("notion")), flow);
    expect(notion.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(notion.body ?? "")).toEqual({
      grant_type: "authorization_code",
      code: "c",
      redirect_uri: "https://a.example/cb",
    });
  });

  it("of machines name the grant, the scopes and nothing else", () => {
    const client = { clientId: "id", clientSecret: "s", auth: "basic" } as const;
    const fields = (body: string | undefined) => Object.fromEntries(new URLSearchParams(body));
    expect(fields(clientCredentialsRequest(machine("client_credentials"), client, ["a", "b"]).body)).toEqual({
      grant_type: "client_credentials",
      scope: "a b",
    });
    expect(
      fields(jwtBearerRequest(machine("jwt_bearer"), client, { assertion: "signed", scopes: [] }).body),
    ).toEqual({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: "signed" });
  });

  it("carry claims of two minutes, for the token endpoint", () => {
    const at = { now: NOW + 999, jti: "j" };
    const times = { iat: NOW / 1_000, exp: NOW / 1_000 + 120, jti: "j", aud: GENERIC.tokenUrl };
    expect(clientAssertionClaims(machine("client_credentials"), "id", at)).toEqual({
      iss: "id",
      sub: "id",
      ...times,
    });
    const input = { issuer: "i", subject: "s", scopes: ["a"] };
    expect(jwtBearerClaims(machine("jwt_bearer"), input, at)).toEqual({
      iss: "i",
      sub: "s",
      scope: "a",
      ...times,
    });
  });
});

describe("requests that revoke", () => {
  const pair = { accessToken: "at", refreshToken: "rt/1" };
  const revoke = (name: string) =>
    revokeRequests(boundOf(name), clientOf(boundOf(name)), pair).map(({ method, url, body }) => [
      method,
      url,
      body,
    ]);

  it("send the refresh token first, then the access token", () => {
    expect(revoke("x").map(([, , body]) => body)).toEqual(["token=rt%2F1", "token=at"]);
  });

  it("fall back to the access token if it is all there is", () => {
    expect(
      revokeRequests(boundOf("google"), clientOf(boundOf("google")), { accessToken: "at" })[0]?.body,
    ).toBe("token=at");
  });

  it("have the token in the path at HubSpot only", () => {
    expect(revoke("hubspot")).toEqual([
      ["DELETE", "https://api.hubapi.com/oauth/v1/refresh-tokens/rt%2F1", undefined],
    ]);
    expect(revoke("github")).toEqual([
      ["DELETE", "https://api.github.com/applications/client-github/grant", '{"access_token":"at"}'],
    ]);
  });
});

describe("a token", () => {
  it("is shown as the provider wants it", () => {
    expect(presented(boundOf("google"), "t")).toEqual({ authorization: "Bearer t" });
    expect(presented(boundOf("shopify"), "t")).toEqual({ "x-shopify-access-token": "t" });
    const made = genericProvider({ displayName: "A", kind: "basic", hosts: ["api.acme.example"] });
    if (!made.ok) throw new Error(made.error.code);
    expect(presented(made.value, basicValue("ada", "pass:wörd"))).toEqual({
      authorization: "Basic YWRhOnBhc3M6d8O2cmQ=",
    });
    expect(() => basicValue("a:b", "c")).toThrow(TypeError);
  });

  it("of Notion comes with the version of the API", () => {
    expect(boundOf("notion").apiHeaders).toHaveProperty("notion-version");
    expect(identityRequest(boundOf("notion"), "t")).toBeUndefined();
  });
});

describe("the redirect back", () => {
  const back = async (name: string, query: string, secret = "the-secret-of-the-app-0123456789") => {
    const read = await readCallback(boundOf(name), new URLSearchParams(query), secret);
    return read.ok ? read.value : read.error.code;
  };

  it("must bring what QuickBooks brings, once, and as a number", async () => {
    expect(await back("quickbooks", "code=c&realmId=9341453474484455")).toEqual({
      realmId: "9341453474484455",
    });
    expect(await back("quickbooks", "code=c")).toBe("redirect_value_missing");
    expect(await back("quickbooks", "realmId=1/../2")).toBe("redirect_value_invalid");
    expect(await back("quickbooks", "realmId=9341453474484455&realmId=1")).toBe("redirect_value_repeated");
    expect(await back("github-app", "code=c")).toEqual({});
  });

  it("from Shopify is signed by the app's secret, for the very shop", async () => {
    const good =
      "code=c&host=aG9zdA&shop=acme-store.myshopify.com&state=s&timestamp=1&hmac=" +
      (await hmacOf("code=c&host=aG9zdA&shop=acme-store.myshopify.com&state=s&timestamp=1"));
    expect(await back("shopify", good)).toEqual({});
    expect(await back("shopify", good, "another-secret-0123456789-0123456789")).toBe("callback_forged");
    expect(await back("shopify", good, "")).toBe("callback_forged");
    expect(await back("shopify", good.replace("state=s", "state=t"))).toBe("callback_forged");
    expect(await back("shopify", `${good}&more=x`)).toBe("callback_forged");
    expect(await back("shopify", good.replace(/hmac=.*/, ""))).toBe("callback_forged");
    expect(await back("shopify", `${good}&${/hmac=.*/.exec(good)?.[0] ?? ""}`)).toBe("callback_forged");
    const other = "shop=other.myshopify.com&hmac=" + (await hmacOf("shop=other.myshopify.com"));
    expect(await back("shopify", other)).toBe("callback_forged");
  });
});

async function hmacOf(message: string): Promise<string> {
  const { createHmac } = await import("node:crypto");
  return createHmac("sha256", "the-secret-of-the-app-0123456789").update(message).digest("hex");
}

describe("an identity", () => {
  const xero = boundOf("xero");
  const claims = {
    iss: "https://identity.xero.com",
    aud: "id",
    exp: NOW / 1_000 + 60,
    sub: "x1",
    email: "a@b.example",
  };
  const token = (over: Record<string, unknown>) =>
    `e30.${Buffer.from(JSON.stringify({ ...claims, ...over })).toString("base64url")}.sig`;
  const read = (idToken: string, nonce?: string) => {
    const got = readIdToken(xero, idToken, {
      clientId: "id",
      now: NOW,
      ...(nonce === undefined ? {} : { nonce }),
    });
    return got.ok ? got.value : "claim" in got.error ? got.error.claim : got.error.code;
  };

  it("stands in an id token of that issuer, for us, that has not ended", () => {
    expect(read(token({}))).toEqual({ id: "x1", label: "a@b.example" });
    expect(read(token({ aud: ["other", "id"] }))).toMatchObject({ id: "x1" });
    expect(read(token({ nonce: "n" }), "n")).toMatchObject({ id: "x1" });
    expect(read(token({ email: undefined }))).toEqual({ id: "x1", label: "x1" });
  });

  it("of an issuer that says no address is called what the issuer calls it, not by its whole id", () => {
    const found = discoveredProvider(
      claims.iss,
      { issuer: claims.iss, authorization_endpoint: `${claims.iss}/a`, token_endpoint: `${claims.iss}/t` },
      { displayName: "Xero", hosts: ["api.xero.com"] },
    );
    if (!found.ok) throw new TypeError(found.error.code);
    const bound = { ...found.value, bound: {} };
    const named = readIdToken(bound, token({ email: undefined }), { clientId: "id", now: NOW });
    expect(named).toEqual({ ok: true, value: { id: `${claims.iss}:x1`, label: "x1" } });
  });

  it.each([
    ["iss", { iss: "https://evil.example" }],
    ["aud", { aud: "other" }],
    ["aud", { aud: "identity" }],
    ["exp", { exp: NOW / 1_000 - 400 }],
    ["exp", { exp: undefined }],
    ["nonce", { nonce: "other" }],
    ["identity_unreadable", { sub: undefined }],
  ])("is refused for its %s: %o", (claim, over) => {
    expect(read(token(over), "nonce" in over ? "n" : undefined)).toBe(claim);
  });

  it.each(["", "a.b", "a.b.c.d", "a.bm90IGpzb24.c", "a.%%%.c", "a.W10.c"])(
    "is refused in the form %o",
    (text) => {
      expect(read(text)).toBe("form");
    },
  );

  it("of Microsoft is of the directory that it names itself", () => {
    const microsoft = boundOf("microsoft");
    const of = (over: Record<string, unknown>) =>
      readIdToken(
        microsoft,
        token({ iss: "https://login.microsoftonline.com/t1/v2.0", tid: "t1", oid: "o1", ...over }),
        { clientId: "id", now: NOW },
      );
    expect(of({})).toMatchObject({ ok: true, value: { id: "t1:o1" } });
    expect(of({ tid: "t2" })).toMatchObject({ ok: false, error: { claim: "iss" } });
  });

  it("that cannot be read is none", () => {
    for (const [status, body] of [
      [401, "{}"],
      [200, "{}"],
      [200, '{"data":{"id":null}}'],
      [200, "<html>"],
      [200, '{"data":{"id":{}}}'],
    ] as const)
      expect(readIdentityAnswer(boundOf("x"), { status, body })).toMatchObject({ ok: false });
  });
});
