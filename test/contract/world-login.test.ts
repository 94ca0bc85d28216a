/** The world's OAuth server against an independent client, oauth4webapi. */
import * as oauth from "oauth4webapi";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { consent, loginControl, startWorld, type Visit, type World } from "../world/index.ts";
import { ask } from "./world-client.ts";

const LOGIN = "login.agenda.example";
const CALENDAR = "api.calendar.example";
const CALLBACK = "http://127.0.0.1:8787/oauth/callback/default/agenda";
const ALL = "openid offline_access calendar.read calendar.write";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.close());

/** As the product does it: the name stands in the URL, the request goes to the port. */
const viaName = async (
  url: string,
  { body, method, headers: given }: oauth.CustomFetchOptions<string, oauth.ProtectedResourceRequestBody>,
): Promise<Response> => {
  const { pathname, search, hostname } = new URL(url);
  const headers = new Headers(given);
  headers.set("x-forwarded-host", hostname);
  headers.set("x-forwarded-proto", "https");
  return fetch(world.origin(hostname) + pathname + search, {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined || body === null ? {} : { body }),
  });
};
const options = { [oauth.customFetch]: viaName };

const client: oauth.Client = { client_id: "showcaller" };
const secret = (): oauth.ClientAuth => oauth.ClientSecretBasic(world.login.client.secret);

async function discover(): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(world.login.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options));
}

interface Begun {
  readonly server: oauth.AuthorizationServer;
  readonly verifier: string;
  readonly state: string;
  readonly url: string;
}

async function begin(scope = ALL, redirectUri = CALLBACK): Promise<Begun> {
  const server = await discover();
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(server.authorization_endpoint ?? "");
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: "code",
    scope,
    state,
    prompt: "consent",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  }).toString();
  return { server, verifier, state, url: url.href };
}

function visit(url: string, more: Partial<Visit> = {}): Promise<string> {
  return consent({ url, origin: world.origin(LOGIN), user: "ada", ...more });
}

type Tokens = oauth.TokenEndpointResponse;

async function exchange({ server, verifier, state }: Begun, callback: string): Promise<Tokens> {
  const params = oauth.validateAuthResponse(server, client, new URL(callback), state);
  const answer = await oauth.authorizationCodeGrantRequest(
    server,
    client,
    secret(),
    params,
    CALLBACK,
    verifier,
    options,
  );
  return oauth.processAuthorizationCodeResponse(server, client, answer);
}

async function connect(more: Partial<Visit> = {}): Promise<Tokens> {
  const begun = await begin();
  return exchange(begun, await visit(begun.url, more));
}

async function refresh(token: string | undefined): Promise<Tokens> {
  const server = await discover();
  const answer = await oauth.refreshTokenGrantRequest(server, client, secret(), token ?? "", options);
  return oauth.processRefreshTokenResponse(server, client, answer);
}

/** Status of a look at the calendar with a token. */
async function look(token: string): Promise<number> {
  return (await ask(world, CALENDAR, "GET", "/events", { token })).status;
}

const DEAD = { error: "invalid_grant" };

describe("the login server", () => {
  test("names itself by its issuer, and its endpoints by the name that it was asked by", async () => {
    const server = await discover();
    expect(server).toMatchObject({
      issuer: `https://${LOGIN}`,
      authorization_endpoint: `https://${LOGIN}/auth`,
      token_endpoint: `https://${LOGIN}/token`,
      authorization_response_iss_parameter_supported: true,
      code_challenge_methods_supported: ["S256"],
    });
    expect(server.revocation_endpoint).toBeDefined();
    expect(server.introspection_endpoint).toBeDefined();
    const direct = await fetch(`${world.origin(LOGIN)}/.well-known/openid-configuration`);
    expect(await direct.json()).toMatchObject({
      issuer: `https://${LOGIN}`,
      authorization_endpoint: `${world.origin(LOGIN)}/auth`,
    });
  });

  test("gives a user's consent to a client: code, iss, tokens, userinfo", async () => {
    const begun = await begin();
    const callback = await visit(begun.url);
    expect(new URL(callback).searchParams.get("iss")).toBe(`https://${LOGIN}`);
    const tokens = await exchange(begun, callback);
    expect(tokens).toMatchObject({ token_type: "bearer", expires_in: 3600, scope: ALL });
    const info = await oauth.userInfoRequest(begun.server, client, tokens.access_token, options);
    expect(await oauth.processUserInfoResponse(begun.server, client, "ada", info)).toMatchObject({
      sub: "ada",
    });
  });

  test("gives the client a token of its own, which the calendar takes for its scopes", async () => {
    const server = await discover();
    const asked = { scope: "calendar.read" };
    const answer = await oauth.clientCredentialsGrantRequest(server, client, secret(), asked, options);
    const { access_token: token } = await oauth.processClientCredentialsResponse(server, client, answer);
    expect([await look(token), await look(`${token}x`)]).toEqual([200, 401]);
    const made = await ask(world, CALENDAR, "POST", "/events", { token, body: {} });
    expect(made.status).toBe(403);
    expect(world.login.secrets()).toContain(token);
  });

  test("lets the browser in by its port, and says the same issuer", async () => {
    const begun = await begin();
    const direct = begun.url.replace(`https://${LOGIN}`, world.origin(LOGIN));
    expect((await exchange(begun, await visit(direct))).scope).toBe(ALL);
  });

  test("gives less if the user unticks a scope, and says so", async () => {
    const tokens = await connect({ untick: ["calendar.write"] });
    expect(tokens.scope).toBe("openid offline_access calendar.read");
  });

  test("tells the client when the user says no", async () => {
    const { url } = await begin();
    expect(new URL(await visit(url, { deny: true })).searchParams.get("error")).toBe("access_denied");
  });

  test.each([
    "https://evil.example/oauth/callback/default/agenda",
    "http://127.0.0.1:8787/oauth/callback/default/agenda?next=x",
    "http://127.0.0.1:8787/oauth/callback/default/agenda/more",
    "http://127.0.0.1:8787/elsewhere",
    "http://127.0.0.1.evil.example:8787/oauth/callback/default/agenda",
    "https://showcaller.example/oauth/callback/default/agenda",
  ])("sends nobody to %s", async (redirectUri) => {
    const { url } = await begin(ALL, redirectUri);
    await expect(visit(url)).rejects.toThrow("400");
  });

  test("takes callbacks at an origin that it was told", async () => {
    await loginControl(world.origin("referee.example")).change({
      redirectOrigins: ["https://showcaller.example"],
    });
    const { url } = await begin(ALL, "https://showcaller.example/oauth/callback/default/agenda");
    expect(await visit(url)).toMatch(
      /^https:\/\/showcaller\.example\/oauth\/callback\/default\/agenda\?code=/,
    );
  });

  test("wants PKCE, the right verifier, the secret, and each code once", async () => {
    const { url } = await begin();
    const plain = new URL(url);
    plain.searchParams.delete("code_challenge");
    plain.searchParams.delete("code_challenge_method");
    expect(new URL(await visit(plain.href)).searchParams.get("error")).toBe("invalid_request");

    const begun = await begin();
    const callback = await visit(begun.url);
    const other = { ...begun, verifier: oauth.generateRandomCodeVerifier() };
    await expect(exchange(other, callback)).rejects.toMatchObject(DEAD);

    const again = await begin();
    const second = await visit(again.url);
    const tokens = await exchange(again, second);
    await expect(exchange(again, second)).rejects.toMatchObject(DEAD);
    // RFC 6749 section 4.1.2: what the code had given is revoked.
    expect(await look(tokens.access_token)).toBe(401);
  });
});

describe("refresh tokens", () => {
  test("rotate, and using an old one again ends the whole family", async () => {
    const first = await connect();
    const second = await refresh(first.refresh_token);
    expect(second.refresh_token).not.toBe(first.refresh_token);
    expect(await look(second.access_token)).toBe(200);
    await expect(refresh(first.refresh_token)).rejects.toMatchObject(DEAD);
    await expect(refresh(second.refresh_token)).rejects.toMatchObject(DEAD);
    expect(await look(second.access_token)).toBe(401);
  });

  test("may be used again within the leeway, if there is one, and not after it", async () => {
    world.login.change({ leewayMs: 60_000 });
    const first = await connect();
    await refresh(first.refresh_token);
    const third = await refresh(first.refresh_token);
    expect(await look(third.access_token)).toBe(200);
    world.login.change({ leewayMs: 0 });
    await expect(refresh(first.refresh_token)).rejects.toMatchObject(DEAD);
  });

  test("end with the user's consent, and so do access tokens", async () => {
    const ada = await connect();
    const eve = await connect({ user: "eve" });
    const control = loginControl(world.origin("referee.example"));
    expect(await control.revokeUser("ada")).toBe(1);
    expect([await look(ada.access_token), await look(eve.access_token)]).toEqual([401, 200]);
    await expect(refresh(ada.refresh_token)).rejects.toMatchObject(DEAD);
    expect(await control.revokeUser("ada")).toBe(0);
  });

  test("revoked by the client take the grant with them", async () => {
    const tokens = await connect();
    const server = await discover();
    const token = tokens.refresh_token ?? "";
    await oauth.processRevocationResponse(
      await oauth.revocationRequest(server, client, secret(), token, options),
    );
    await expect(refresh(token)).rejects.toMatchObject(DEAD);
    expect(await look(tokens.access_token)).toBe(401);
  });
});

describe("the calendar", () => {
  test("takes access tokens for what their scopes allow, and says which is missing", async () => {
    const { access_token: token } = await connect({ untick: ["calendar.write"] });
    const body = { day: "2027-03-01", title: "Trip" };
    expect(await look(token)).toBe(200);
    const refused = await ask(world, CALENDAR, "POST", "/events", { token, body });
    expect(refused).toMatchObject({ status: 403, body: { code: "insufficient_scope" } });
    expect(refused.headers.get("www-authenticate")).toBe(
      `Bearer realm="${CALENDAR}", error="insufficient_scope", scope="calendar.write"`,
    );
    const full = await connect();
    expect((await ask(world, CALENDAR, "POST", "/events", { token: full.access_token, body })).status).toBe(
      201,
    );
    expect((await ask(world, "api.mail.example", "GET", "/messages", { token })).status).toBe(401);
  });

  test("takes no token that is over its time, which introspection says, too", async () => {
    world.login.change({ accessTokenSeconds: 1 });
    const tokens = await connect();
    expect(tokens.expires_in).toBe(1);
    await expect.poll(() => look(tokens.access_token), { timeout: 5_000 }).toBe(401);
    const server = await discover();
    const answer = await oauth.introspectionRequest(server, client, secret(), tokens.access_token, options);
    expect(await oauth.processIntrospectionResponse(server, client, answer)).toEqual({ active: false });
  });
});

describe("a token endpoint that misbehaves", () => {
  const rule = { service: "login", path: "/token" };

  test("loses its answer after it rotated: the old token is used, the new one nobody has", async () => {
    const first = await connect();
    world.faults([{ ...rule, fault: { kind: "lost_answer" } }]);
    await expect(refresh(first.refresh_token)).rejects.toThrow("fetch failed");
    await expect(refresh(first.refresh_token)).rejects.toMatchObject(DEAD);
  });

  test("is forgiven with leeway: the same token once more heals it", async () => {
    world.login.change({ leewayMs: 60_000 });
    const first = await connect();
    world.faults([{ ...rule, fault: { kind: "lost_answer" } }]);
    await expect(refresh(first.refresh_token)).rejects.toThrow("fetch failed");
    expect(await look((await refresh(first.refresh_token)).access_token)).toBe(200);
  });

  test("answers 503, or late, and goes on", async () => {
    const first = await connect();
    world.faults([
      { ...rule, fault: { kind: "status", status: 503, retryAfterSeconds: 1 } },
      { ...rule, fault: { kind: "slow", ms: 200 } },
    ]);
    await expect(refresh(first.refresh_token)).rejects.toHaveProperty("cause.status", 503);
    const before = performance.now();
    expect((await refresh(first.refresh_token)).refresh_token).toBeDefined();
    expect(performance.now() - before).toBeGreaterThanOrEqual(190);
  });

  test("is counted by grant type and refresh token, and no secret is missing from the list", async () => {
    const first = await connect();
    const second = await refresh(first.refresh_token);
    await expect(refresh(first.refresh_token)).rejects.toMatchObject(DEAD);
    const control = loginControl(world.origin("referee.example"));
    const requests = await control.tokenRequests();
    expect(requests.map(({ grantType }) => grantType)).toEqual([
      "authorization_code",
      "refresh_token",
      "refresh_token",
    ]);
    expect(requests[0]?.refreshToken).toBeNull();
    expect(requests[1]?.refreshToken).toMatch(/^[0-9a-f]{64}$/);
    expect(requests[2]?.refreshToken).toBe(requests[1]?.refreshToken);
    const secrets = await control.secrets();
    for (const { access_token, refresh_token } of [first, second])
      expect(secrets).toEqual(expect.arrayContaining([access_token, refresh_token]));
    expect(secrets).toContain(world.login.client.secret);
    // One code, two pairs, the client's secret.
    expect(secrets).toHaveLength(6);
    await control.forgetTokenRequests();
    expect(await control.tokenRequests()).toEqual([]);
  });

  test("takes no settings that it does not know", async () => {
    const answer = await ask(world, "referee.example", "PATCH", "/login", {
      body: { leeway: 1 },
      token: null,
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ pointer: "/leeway" }] } });
  });
});
