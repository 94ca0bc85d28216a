import { describe, expect, it } from "vitest";
import { MAX_TOKEN_CHARS, readTokenAnswer } from "../../src/connections/providers/index.ts";
import { boundOf, NOW } from "./quirk-client.ts";

const CONTEXT = { now: NOW, secrets: ["the-old-refresh-token", "the-client-secret"] };

function read(name: string, status: number, body: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return readTokenAnswer(
    boundOf(name),
    { status, body: text, headers: { "content-type": "application/json", ...headers } },
    CONTEXT,
  );
}

const success = (name: string, body: unknown, headers?: Record<string, string>) => {
  const got = read(name, 200, body, headers);
  if (!got.ok) throw new Error(got.error.code);
  return got.value;
};
const failure = (...args: Parameters<typeof read>) => {
  const got = read(...args);
  return got.ok ? got.value : { class: got.error.class, code: got.error.code };
};

describe("a token answer that succeeds", () => {
  it("says nothing of an expiry, scopes or a refresh token that the provider did not name", () => {
    expect(success("google", { access_token: "a" })).toEqual({ accessToken: "a", extra: {} });
    expect(
      success("google", { access_token: "a", refresh_token: null, expires_in: null, scope: null }),
    ).toEqual({
      accessToken: "a",
      extra: {},
    });
  });

  it.each([
    [3_600, NOW + 3_600_000],
    ["3600", NOW + 3_600_000],
    [0.5, NOW + 500],
    [0, undefined],
    [-1, undefined],
    ["soon", undefined],
    [1e12, undefined],
    [[3_600], undefined],
  ])("reads expires_in %o", (expires, at) => {
    expect(success("google", { access_token: "a", expires_in: expires }).expiresAt).toBe(at);
  });

  it.each([
    ["a b", ["a", "b"]],
    ["a,b", ["a", "b"]],
    ["b, a  b", ["b", "a"]],
    [
      ["a", "b"],
      ["a", "b"],
    ],
    ["", []],
  ])("reads scopes %o as a set", (scope, scopes) => {
    expect(success("github", { access_token: "a", scope }).scopes).toEqual(scopes);
  });

  it("does not care about token_type", () => {
    for (const token_type of ["Bearer", "bot", "whatever", 7])
      expect(success("slack", { ok: true, access_token: "a", token_type }).accessToken).toBe("a");
  });

  it("reads a form, also if it is called plain text", () => {
    for (const type of ["application/x-www-form-urlencoded; charset=utf-8", "text/plain"])
      expect(
        success("github", "access_token=a%2Bb&scope=repo%2Cgist&token_type=bearer", { "content-type": type }),
      ).toMatchObject({ accessToken: "a+b", scopes: ["repo", "gist"] });
  });

  it("keeps an instance only if it is one of Salesforce's own hosts", () => {
    const instance = (url: string) => success("salesforce", { access_token: "a", instance_url: url }).extra;
    expect(instance("https://acme.my.salesforce.com")).toEqual({
      instance_url: "https://acme.my.salesforce.com",
    });
    for (const url of [
      "https://evil.example",
      "https://salesforce.com.evil.example",
      "https://evilsalesforce.com",
      "http://acme.my.salesforce.com",
      "https://acme.my.salesforce.com:8443",
      "https://u@acme.my.salesforce.com",
      "https://acme.my.salesforce.com.",
      "acme.my.salesforce.com",
    ])
      expect([url, instance(url)]).toEqual([url, {}]);
  });

  it("holds a token of 4 KiB whole", () => {
    const token = "x".repeat(4_096);
    expect(success("microsoft", { access_token: token, refresh_token: token })).toMatchObject({
      accessToken: token,
      refreshToken: token,
    });
  });
});

describe("a token that cannot be used", () => {
  it.each([
    ["too long", "x".repeat(MAX_TOKEN_CHARS + 1)],
    ["with a line break", "abc\r\nx-evil: 1"],
    ["with a space", "abc def"],
    ["not ASCII", "abcé"],
    ["with a NUL", "abc\0"],
  ])("%s is refused, as access token and as refresh token", (_, token) => {
    expect(failure("google", 200, { access_token: token })).toEqual({
      class: "passing",
      code: "token_unusable",
    });
    expect(failure("google", 200, { access_token: "a", refresh_token: token })).toEqual({
      class: "passing",
      code: "token_unusable",
    });
  });
});

describe("a token answer that fails", () => {
  it.each([
    [200, "invalid_grant", "terminal"],
    [400, "invalid_grant", "terminal"],
    [401, "invalid_refresh_token", "terminal"],
    [403, "invalid_grant", "terminal"],
    [403, "bad_refresh_token", "terminal"],
    [500, "token_revoked", "terminal"],
    [400, "invalid_client", "misconfigured"],
    [401, "invalid_client", "misconfigured"],
    [200, "unauthorized_client", "misconfigured"],
    [400, "invalid_scope", "misconfigured"],
    [503, "invalid_client", "passing"],
    [503, "temporarily_unavailable", "passing"],
    [429, "slow_down", "passing"],
    [400, "some_new_code", "passing"],
    [403, "access_denied", "passing"],
  ])("%i with %s is %s", (status, error, kind) => {
    expect(failure("google", status, { error })).toEqual({ class: kind, code: error });
  });

  it.each([
    [400, "", "passing"],
    [403, "<html>", "passing"],
    [404, "", "misconfigured"],
    [401, "", "misconfigured"],
    [302, "", "passing"],
    [500, "null", "passing"],
    [429, "[]", "passing"],
  ])("%i without a code is its status, and kills nothing", (status, body, kind) => {
    expect(failure("google", status, body)).toEqual({ class: kind, code: `http_${status}` });
  });

  it.each([
    "",
    "null",
    "[]",
    "{}",
    '"access_token=a"',
    "<html>access_token=a</html>",
    '{"access_token":""}',
    '{"access_token":7}x',
  ])("200 with %s is passing", (body) => {
    expect(failure("google", 200, body)).toEqual({ class: "passing", code: "answer_unreadable" });
  });

  it("is a failure even with a token beside the error", () => {
    expect(failure("google", 200, { error: "invalid_grant", access_token: "a" })).toMatchObject({
      class: "terminal",
    });
    expect(
      failure("slack", 200, { ok: false, error: "invalid_refresh_token", access_token: "a" }),
    ).toMatchObject({
      class: "terminal",
    });
  });

  it("Atlassian's unauthorized_client kills only if it is about the refresh token", () => {
    const said = (error_description: string) =>
      failure("atlassian", 403, { error: "unauthorized_client", error_description });
    expect(said("refresh_token is invalid")).toMatchObject({ class: "terminal" });
    expect(said("the client is not allowed")).toMatchObject({ class: "misconfigured" });
  });

  it("says when to ask again, in seconds or as a date by the other side's clock", () => {
    const wait = (headers: Record<string, string>) => {
      const got = read("google", 503, "", headers);
      return got.ok ? null : got.error.retryAfterMs;
    };
    expect(wait({ "retry-after": "30" })).toBe(30_000);
    expect(
      wait({ "retry-after": "Fri, 15 Jan 2027 08:01:00 GMT", date: "Fri, 15 Jan 2027 08:00:00 GMT" }),
    ).toBe(60_000);
    expect(wait({ "retry-after": "soon" })).toBeUndefined();
    expect(wait({ "retry-after": "99999999999" })).toBe(365 * 86_400_000);
    expect(wait({})).toBeUndefined();
  });

  it("holds nothing of what was sent, nor what looks like a token, wherever the provider echoes it", () => {
    const secretish = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg";
    const body = {
      error: "the-old-refresh-token",
      error_description: `bad the-old-refresh-token with the-client-secret near ${secretish} ${"k".repeat(40)} é\r\n`,
    };
    const got = read("google", 400, body);
    const text = JSON.stringify(got);
    for (const secret of [...CONTEXT.secrets, secretish, "k".repeat(40), "\\r"])
      expect(text).not.toContain(secret);
    expect(got).toMatchObject({ ok: false, error: { code: "http_400", class: "passing" } });
    expect(text).toContain("bad [REDACTED] with [REDACTED]");
  });

  it("cuts long words and odd codes", () => {
    const got = read("google", 400, { error: "no such thing!", error_description: "word ".repeat(200) });
    expect(got).toMatchObject({ ok: false, error: { code: "http_400" } });
    expect(got.ok ? 0 : got.error.description?.length).toBe(200);
  });
});
