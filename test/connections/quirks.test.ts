/** Every descriptor against a server that behaves as that provider does, and complains about everything it did not ask for. */
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import {
  exchangeRequest,
  identityOfFlow,
  identityRequest,
  mayReceive,
  missingScopes,
  presented,
  readApiAnswer,
  readIdentityAnswer,
  readIdToken,
  readResources,
  refreshRequest,
  resourcesRequest,
  revokeRequests,
  CATALOG,
} from "../../src/connections/providers/index.ts";
import { DEMANDS } from "../world/quirk-demands.ts";
import { Quirks } from "../world/quirks.ts";
import {
  asRequest,
  askedScopes,
  boundOf,
  clientOf,
  connect,
  consent,
  NOW,
  openStage,
  readAnswer,
  type Stage,
} from "./quirk-client.ts";

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(async () => {
  await stage.close();
});

test("every provider of the catalogue has its odd double, and no other is there", () => {
  expect(DEMANDS.map(({ name }) => name).toSorted()).toEqual(CATALOG.map(({ name }) => name).toSorted());
});

/** Where the account is known from, and what the double says. */
const ACCOUNTS: Readonly<Record<string, string>> = {
  google: "1001",
  github: "583231",
  "github-app": "583231",
  slack: "T1:U1",
  "slack-user": "T1:U1",
  microsoft: "9188040d-6c67-4c5b-b112-36a304b66dad:0001",
  notion: "w1:u1",
  atlassian: "a1",
  hubspot: "62515",
  salesforce: "https://login.salesforce.com/id/00D/005",
  linear: "o1:v1",
  zoom: "z1",
  dropbox: "dbid:1",
  box: "b1",
  asana: "4673218951",
  airtable: "usr1",
  discord: "80351110224678912",
  figma: "f1",
  gitlab: "7",
  quickbooks: "9341453474484455",
  xero: "x1",
  x: "2244994945",
  shopify: "acme-store",
};

describe.each(DEMANDS)("$name", (demand) => {
  const provider = boundOf(demand.name);
  const client = clientOf(provider);

  it("gives a pair for a code, and its answer is read", async () => {
    const { tokens } = await connect(stage, provider);
    expect(stage.quirks.complaints).toEqual([]);
    expect(tokens.accessToken.length).toBeGreaterThanOrEqual(demand.accessChars ?? 40);
    expect(tokens.accessToken).toMatch(/^access\./);
    expect(tokens.expiresAt).toBe(
      typeof demand.expires === "number" ? NOW + demand.expires * 1_000 : undefined,
    );
    expect(tokens.refreshToken !== undefined).toBe(demand.gives !== "never");
    if (demand.gives === "never") expect(provider.refresh.kind).toBe("none");
    // Nobody unticked anything, so nothing may look missing, however the answer writes its scopes.
    const asked = askedScopes(provider).split(/[ ,]/);
    if (tokens.scopes !== undefined) expect(missingScopes(provider, asked, tokens.scopes)).toEqual([]);
  });

  it("takes a code once", async () => {
    const { query, redirectUri } = await consent(stage, provider);
    const flow = { code: query.get("code") ?? "", redirectUri, codeVerifier: "" };
    const verifier = "verifier-of-at-least-forty-three-characters-0123456789";
    const request = exchangeRequest(provider, client, { ...flow, codeVerifier: verifier });
    expect(readAnswer(provider, await stage.send(request)).ok).toBe(true);
    expect(readAnswer(provider, await stage.send(request))).toMatchObject({
      ok: false,
      error: { class: "terminal" },
    });
    expect(stage.quirks.complaints).toEqual([]);
  });

  it("says who the account is", async () => {
    const { tokens, values } = await connect(stage, provider);
    const request = identityRequest(provider, tokens.accessToken);
    const account =
      identityOfFlow(provider, values) ??
      tokens.account ??
      (request === undefined
        ? readIdToken(provider, tokens.idToken ?? "", { clientId: client.clientId, now: NOW })
        : readIdentityAnswer(provider, await stage.send(request)));
    const found = "ok" in account ? (account.ok ? account.value : null) : account;
    expect(stage.quirks.complaints).toEqual([]);
    expect(found?.id).toBe(ACCOUNTS[demand.name]);
    expect(found?.label).toEqual(expect.any(String));
  });

  it("takes the token at its API, which the host list allows", async () => {
    const { tokens } = await connect(stage, provider);
    const url = `https://${demand.api}`;
    expect(mayReceive(provider, tokens.extra, url)).toMatchObject({ ok: true });
    const headers = { ...provider.apiHeaders, ...presented(provider, tokens.accessToken) };
    expect((await stage.send(asRequest(demand.api, headers))).status).toBe(200);
    expect(stage.quirks.complaints).toEqual([]);
  });

  it("gets no token of ours where it makes or ends tokens", async () => {
    const { tokens } = await connect(stage, provider);
    const ends = (demand.revoke?.at ?? demand.token).replace("CLIENT", client.clientId).replace("TOKEN", "x");
    for (const place of [demand.authorize, demand.token, demand.refresh ?? demand.token, ends])
      expect([place, mayReceive(provider, tokens.extra, `https://${place}`).ok]).toEqual([place, false]);
  });

  const errors = Object.entries(demand.errors);
  it.each(errors)("an API error that means %s is read as that", async (meaning, answer) => {
    const { tokens } = await connect(stage, provider);
    stage.quirks.arm(demand.api, answer);
    const heard = await stage.send(asRequest(demand.api, presented(provider, tokens.accessToken)));
    const finding = readApiAnswer(provider, { ...heard, host: demand.api.split("/")[0] ?? "" }, { now: NOW });
    expect(finding?.is).toBe(meaning);
    // Every double that says when says the same; some do not say.
    if (finding?.is === "rate_limited") expect(finding.waitMs).toBe("headers" in answer ? 30_000 : undefined);
  });

  it.runIf(demand.rotation !== "none")("refreshes, and the new token works", async () => {
    const { tokens } = await connect(stage, provider);
    const read = readAnswer(
      provider,
      await stage.send(refreshRequest(provider, client, tokens.refreshToken ?? "")),
    );
    expect(stage.quirks.complaints).toEqual([]);
    if (!read.ok) throw new Error(read.error.code);
    expect(read.value.accessToken).not.toBe(tokens.accessToken);
    const headers = { ...provider.apiHeaders, ...presented(provider, read.value.accessToken) };
    expect((await stage.send(asRequest(demand.api, headers))).status).toBe(200);
    // A provider that keeps the old one sends none, or the same; then the descriptor may say so or be more careful.
    const changed = read.value.refreshToken !== undefined && read.value.refreshToken !== tokens.refreshToken;
    if (changed) expect(provider.refresh.kind).toBe("rotating");
  });

  it.runIf(demand.rotation !== "none")("says terminally that a refresh token is dead", async () => {
    const { tokens } = await connect(stage, provider);
    stage.quirks.takeBack(demand.name);
    const refreshToken = tokens.refreshToken ?? "";
    const heard = await stage.send(refreshRequest(provider, client, refreshToken));
    const read = readAnswer(provider, heard, [refreshToken]);
    expect(read).toMatchObject({ ok: false, error: { class: "terminal" } });
    expect(JSON.stringify(read)).not.toContain(refreshToken);
    expect(stage.quirks.complaints).toEqual([]);
  });

  it.runIf(demand.rotation !== "none")("that is down, or asks to slow down, kills nothing", async () => {
    const { tokens } = await connect(stage, provider);
    const place = demand.refresh ?? demand.token;
    const request = refreshRequest(provider, client, tokens.refreshToken ?? "");
    for (const answer of [
      {
        status: 503,
        headers: { "retry-after": "7", "content-type": "text/html" },
        body: "<html>Bad gateway</html>",
      },
      { status: 429, headers: { "retry-after": "7" }, body: {} },
      {
        status: 400,
        headers: { "retry-after": "7" },
        body: { errors: [{ extensions: { code: "RATELIMITED" } }] },
      },
    ]) {
      stage.quirks.arm(place, answer);
      const read = readAnswer(provider, await stage.send(request));
      expect(read).toMatchObject({ ok: false, error: { class: "passing", retryAfterMs: 7_000 } });
    }
    expect(readAnswer(provider, await stage.send(request)).ok).toBe(true);
  });

  it.runIf(demand.revoke !== null)("ends the grant when it is told to", async () => {
    const { tokens } = await connect(stage, provider);
    const requests = revokeRequests(provider, client, tokens);
    expect(requests.length).toBeGreaterThan(0);
    for (const request of requests) expect((await stage.send(request)).status).toBe(200);
    expect(stage.quirks.complaints).toEqual([]);
    expect(stage.quirks.live(demand.name)).toBe(0);
  });

  it.runIf(demand.revoke === null)("has no way to end a grant, and none is claimed", () => {
    expect(revokeRequests(provider, client, { accessToken: "a", refreshToken: "r" })).toEqual([]);
  });

  it.runIf(demand.resources !== undefined)("names the sites that the token reaches", async () => {
    const { tokens } = await connect(stage, provider);
    const heard = await stage.send(resourcesRequest(provider, tokens.accessToken)!);
    expect(readResources(provider, heard)).toMatchObject([{ id: expect.stringMatching(/^(cloud-1|t1)$/) }]);
    expect(stage.quirks.complaints).toEqual([]);
  });
});

describe("single providers", () => {
  it("Google gives a refresh token on the first consent only, unless it is asked to prompt", async () => {
    const google = boundOf("google");
    const ours = await connect(stage, google);
    const again = await connect(stage, google);
    const unasked = await connect(stage, google, (url) => url.searchParams.delete("prompt"));
    expect([ours, again, unasked].map(({ tokens }) => tokens.refreshToken !== undefined)).toEqual([
      true,
      true,
      false,
    ]);
    expect(stage.quirks.complaints).toEqual([]);
  });

  it("GitHub answers with a form to those who do not ask for JSON, and that is read as well", async () => {
    const github = boundOf("github");
    const { query, redirectUri } = await consent(stage, github);
    const request = exchangeRequest(github, clientOf(github), {
      code: query.get("code") ?? "",
      redirectUri,
      codeVerifier: "verifier-of-at-least-forty-three-characters-0123456789",
    });
    stage.quirks.arm("github.com/login/oauth/access_token", {
      status: 200,
      headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
      body: "access_token=gho_abc&scope=alpha%2Cbeta&token_type=bearer",
    });
    const read = readAnswer(github, await stage.send(request));
    expect(read).toMatchObject({ ok: true, value: { accessToken: "gho_abc", scopes: ["alpha", "beta"] } });
  });

  it("Slack's bot token beside the user's is not taken for it", async () => {
    const { tokens } = await connect(stage, boundOf("slack-user"));
    expect(tokens.accessToken).toMatch(/^access\./);
    stage.quirks.arm("slack.com/api/oauth.v2.access", {
      status: 200,
      body: { ok: true, access_token: "xoxb-1", token_type: "bot", authed_user: { id: "U1" } },
    });
    const slackUser = boundOf("slack-user");
    const heard = await stage.send(refreshRequest(slackUser, clientOf(slackUser), "r"));
    expect(readAnswer(slackUser, heard)).toMatchObject({ ok: false, error: { class: "passing" } });
  });

  it("an old refresh token is taken again where the descriptor promises leeway, and kills the grant where it does not", async () => {
    for (const { name, rotation } of DEMANDS.filter(
      (one) => one.rotation === "leeway" || one.rotation === "strict",
    )) {
      const provider = boundOf(name);
      const { tokens } = await connect(stage, provider);
      const again = refreshRequest(provider, clientOf(provider), tokens.refreshToken ?? "");
      await stage.send(again);
      const read = readAnswer(provider, await stage.send(again));
      expect([name, read.ok, provider.refresh.reuseLeewayMs !== undefined]).toEqual([
        name,
        rotation === "leeway",
        rotation === "leeway",
      ]);
    }
  });

  it("QuickBooks' hard end and GitHub's end of the refresh token are kept", async () => {
    const quickbooks = await connect(stage, boundOf("quickbooks"));
    expect(quickbooks.tokens.hardExpiresAt).toBe(NOW + 157_680_000_000);
    expect(quickbooks.tokens.refreshExpiresAt).toBe(NOW + 8_640_000_000);
    expect(quickbooks.values).toEqual({ realmId: "9341453474484455" });
    const app = await connect(stage, boundOf("github-app"));
    expect(app.tokens.refreshExpiresAt).toBe(NOW + 15_811_200_000);
    expect(app.values).toEqual({ installation_id: "38631545" });
  });

  it("a client that is unknown is a matter of the integration, not of the user", async () => {
    for (const [name, body, status] of [
      ["google", { error: "invalid_client" }, 401],
      ["github", { error: "incorrect_client_credentials" }, 200],
      ["slack", { ok: false, error: "bad_client_secret" }, 200],
      ["hubspot", { status: "BAD_CLIENT_SECRET", message: "missing or invalid client secret" }, 400],
      ["microsoft", { error: "invalid_client", error_codes: [7_000_215] }, 401],
    ] as const) {
      const provider = boundOf(name);
      stage.quirks.arm(DEMANDS.find((one) => one.name === name)!.token, { status, body });
      const heard = await stage.send(refreshRequest(provider, clientOf(provider), "r"));
      expect([name, readAnswer(provider, heard)]).toMatchObject([
        name,
        { ok: false, error: { class: "misconfigured" } },
      ]);
    }
  });

  it("the double complains about a wrong secret, so that what passes above means something", async () => {
    const google = boundOf("google");
    const { tokens } = await connect(stage, google);
    const client = { ...clientOf(google), clientSecret: "another" };
    await stage.send(refreshRequest(google, client, tokens.refreshToken ?? ""));
    await stage.send(
      refreshRequest(google, { ...clientOf(google), auth: "post" }, tokens.refreshToken ?? ""),
    );
    expect(stage.quirks.complaints).toEqual(["google: client credentials in Basic", "google: no Basic"]);
    expect(Quirks.clientSecret("google")).not.toBe("another");
  });
});
