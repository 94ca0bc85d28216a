import { describe, expect, it } from "vitest";
import {
  genericProvider,
  joinScopes,
  missingScopes,
  readApiAnswer,
  scopesToAsk,
  splitScopes,
} from "../../src/connections/providers/index.ts";
import { boundOf, NOW } from "./quirk-client.ts";

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

const read = (name: string, status: number, body: unknown = "", headers: Record<string, string> = {}) =>
  readFrom(boundOf(name).hosts[0] ?? "", name, status, body, { ...JSON_TYPE, ...headers });

const readFrom = (
  host: string,
  name: string,
  status: number,
  body: unknown,
  headers: Record<string, string>,
) =>
  readApiAnswer(
    boundOf(name),
    { host, status, headers, body: typeof body === "string" ? body : JSON.stringify(body) },
    { now: NOW },
  );

describe("an API's answer", () => {
  it("of 200, 404 or 500 says nothing about the connection", () => {
    for (const status of [200, 404, 409, 422, 500, 503])
      expect(read("google", status, { ok: false, error: "token_revoked" })).toBeUndefined();
  });

  it("of 401 asks for a refresh, and never kills by its status", () => {
    for (const name of ["google", "slack", "airtable", "x"])
      expect(read(name, 401, "<html>")).toEqual({ is: "token_refused" });
  });

  it("names the missing scopes of an RFC 6750 challenge, quoted or not, at any provider", () => {
    const challenge = 'Bearer realm="x", error="insufficient_scope", scope="calendar.read calendar.write"';
    expect(read("asana", 403, "", { "www-authenticate": challenge })).toEqual({
      is: "scope_missing",
      scopes: ["calendar.read", "calendar.write"],
    });
    expect(read("asana", 403, "", { "www-authenticate": "Bearer error=insufficient_scope" })).toEqual({
      is: "scope_missing",
      scopes: [],
    });
    expect(read("asana", 403, "", { "www-authenticate": 'Bearer error="invalid_token"' })).toBeUndefined();
    expect(
      read("asana", 403, "", { "www-authenticate": 'Basic realm="insufficient_scope"' }),
    ).toBeUndefined();
  });

  it.each([
    [
      "slack",
      200,
      { ok: false, error: "missing_scope", needed: "chat:write,users:read" },
      ["chat:write", "users:read"],
    ],
    [
      "hubspot",
      403,
      { category: "MISSING_SCOPES", errors: [{ context: { requiredGranularScopes: ["a", "b"] } }] },
      ["a", "b"],
    ],
    ["dropbox", 401, { error: { ".tag": "missing_scope", required_scope: "files.read" } }, ["files.read"]],
    ["gitlab", 403, { error: "insufficient_scope", scope: "api" }, ["api"]],
  ])("%s names the missing scopes in the body of a %i", (name, status, body, scopes) => {
    expect(read(name, status, body)).toEqual({ is: "scope_missing", scopes });
  });

  it("that Slack sends with 200 counts only with ok:false at the top", () => {
    expect(read("slack", 200, { ok: false, error: "token_revoked" })).toEqual({ is: "token_dead" });
    expect(read("slack", 200, { ok: true, error: "token_revoked" })).toBeUndefined();
    expect(read("slack", 200, { ok: true, message: { ok: false, error: "token_revoked" } })).toBeUndefined();
    expect(read("slack", 200, [{ ok: false, error: "token_revoked" }])).toBeUndefined();
  });

  it("that is a file says nothing, whatever somebody wrote into it", () => {
    const words = { ok: false, error: "token_revoked" };
    const limited = { ok: false, error: "ratelimited" };
    for (const name of ["slack", "slack-user"]) {
      for (const said of [words, limited, { ok: false, error: "token_expired" }])
        expect(readFrom("files.slack.com", name, 200, said, JSON_TYPE)).toBeUndefined();
      for (const type of ["text/plain", "application/octet-stream", "application/jsonl", "image/json-x"])
        expect(readFrom("slack.com", name, 200, words, { "content-type": type })).toBeUndefined();
      expect(readFrom("slack.com", name, 200, words, {})).toBeUndefined();
      expect(readFrom("files.slack.com", name, 401, words, JSON_TYPE)).toEqual({ is: "token_refused" });
    }
    for (const type of ["application/json", "application/vnd.github+json", "text/json;charset=utf-8"])
      expect(readFrom("slack.com", "slack", 200, words, { "content-type": type })?.is).toBe("token_dead");
  });

  it("is a limit only with the status that the provider gives it", () => {
    const said: readonly (readonly [string, number, object])[] = [
      ["notion", 429, { code: "rate_limited" }],
      ["hubspot", 429, { category: "RATE_LIMITS" }],
      ["quickbooks", 429, { Fault: { Error: [{ code: "003001" }] } }],
      ["shopify", 200, { errors: [{ extensions: { code: "THROTTLED" } }] }],
    ];
    for (const [name, status, body] of said) {
      expect(read(name, status, body)).toEqual({ is: "rate_limited" });
      expect(read(name, status === 200 ? 404 : 200, body)).toBeUndefined();
    }
  });

  it("says until when a limit lasts, in the unit of that provider", () => {
    const at = String(NOW / 1_000 + 90);
    expect(read("github", 403, "", { "x-ratelimit-remaining": "0", "x-ratelimit-reset": at })).toEqual({
      is: "rate_limited",
      waitMs: 90_000,
    });
    expect(read("github", 403, "", { "retry-after": "60" })).toEqual({ is: "rate_limited", waitMs: 60_000 });
    expect(read("github", 403, "", { "x-ratelimit-remaining": "11" })).toBeUndefined();
    expect(
      read(
        "linear",
        400,
        { errors: [{}, { extensions: { code: "RATELIMITED" } }] },
        {
          "x-ratelimit-requests-reset": String(NOW + 5_000),
        },
      ),
    ).toEqual({ is: "rate_limited", waitMs: 5_000 });
    expect(read("x", 429, "", { "x-rate-limit-reset": "1" })).toEqual({ is: "rate_limited", waitMs: 0 });
    expect(read("asana", 429)).toEqual({ is: "rate_limited" });
  });

  it("with a body that is cut, huge or no JSON is judged by status and headers", () => {
    expect(read("slack", 200, '{"ok":false,"error":"token_rev')).toBeUndefined();
    expect(
      read("slack", 200, `{"ok":false,"error":"token_revoked","x":"${"y".repeat(70_000)}"}`),
    ).toBeUndefined();
    expect(read("google", 401, "\0")).toEqual({ is: "token_refused" });
  });

  it("of a static key's service is read by the same rules", () => {
    const made = genericProvider({ kind: "api_key", displayName: "Acme", hosts: ["api.acme.example"] });
    if (!made.ok) throw new Error(made.error.code);
    const answer = { host: "api.acme.example", status: 401, headers: {}, body: "" };
    expect(readApiAnswer(made.value, answer, { now: NOW })).toEqual({ is: "token_refused" });
  });
});

describe("scopes", () => {
  it("are joined as each provider wants them, each once", () => {
    expect(joinScopes(boundOf("slack"), ["a", "b", "a"])).toBe("a,b");
    expect(joinScopes(boundOf("google"), ["a", "b"])).toBe("a b");
  });

  it("that are asked for hold the provider's own, and identity's on demand", () => {
    expect(scopesToAsk(boundOf("atlassian"), ["read:jira-work"], { identity: true })).toEqual([
      "offline_access",
      "read:me",
      "read:jira-work",
    ]);
    expect(scopesToAsk(boundOf("atlassian"), ["read:jira-work"], { identity: false })).toEqual([
      "offline_access",
      "read:jira-work",
    ]);
    expect(scopesToAsk(boundOf("notion"), ["a"], { identity: true })).toEqual([]);
  });

  it("that a user unticked are missing, whatever separates and orders the rest", () => {
    const granted = splitScopes("b,a c");
    expect(missingScopes(boundOf("google"), ["a", "b"], granted)).toEqual([]);
    expect(missingScopes(boundOf("google"), ["a", "d"], granted)).toEqual(["d"]);
    expect(missingScopes(boundOf("zoom"), ["a", "d"], granted)).toEqual([]);
    expect(missingScopes(boundOf("microsoft"), ["offline_access"], granted)).toEqual([]);
  });
});
