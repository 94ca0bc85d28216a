/**
 * The requests of a flow, as data: nothing here sends anything. Secrets stand in headers and bodies only; the exceptions are
 * the provider's (HubSpot's revocation has the token in its path).
 *
 * A missing code verifier, secret or assertion is a mistake of the caller and throws a TypeError, which never holds a value.
 */
import type { Bound, ClientAuth, ConsentProvider, MachineProvider } from "./descriptor.ts";
import { joinScopes } from "./scopes.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** How the client shows who it is. `auth` must be one of the descriptor's `clientAuth`. */
export interface Client {
  readonly clientId: string;
  readonly auth: ClientAuth;
  readonly clientSecret?: string;
  /** For `private_key_jwt`: the signed assertion, RFC 7523 2.2. Its claims: `clientAssertionClaims`. */
  readonly assertion?: string;
}

type WithTokens = Bound<ConsentProvider> | Bound<MachineProvider>;
type Fields = Readonly<Record<string, string>>;

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/** Long enough for a slow clock, short enough to be of no use to a thief. */
const ASSERTION_LIFE_S = 120;
/** GitHub answers 403 to requests without one. */
const ALWAYS = { accept: "application/json", "user-agent": "Showcaller" };

export interface AuthorizeInput {
  readonly clientId: string;
  readonly redirectUri: string;
  /** As `scopesToAsk` gives them. */
  readonly scopes: readonly string[];
  readonly state: string;
  /** S256 challenge, RFC 7636 4.2. Not sent to providers that must not get one. */
  readonly codeChallenge: string;
  /** OpenID Connect: comes back in the id token. */
  readonly nonce?: string;
  /** Further parameters of the provider (`login_hint`); those of the flow itself are not replaced. */
  readonly extra?: Fields;
}

/** Where the browser is sent. */
export function authorizeUrl(provider: Bound<ConsentProvider>, input: AuthorizeInput): string {
  const url = new URL(provider.authorizeUrl);
  const scope = joinScopes(provider, input.scopes);
  const fields: Fields = {
    ...input.extra,
    ...provider.authorizeParams,
    response_type: "code",
    client_id: input.clientId,
    redirect_uri: input.redirectUri,
    state: input.state,
    ...(scope === "" ? {} : { [provider.scopes?.param ?? "scope"]: scope }),
    ...(provider.pkce === "off"
      ? {}
      : { code_challenge: input.codeChallenge, code_challenge_method: "S256" }),
    ...(input.nonce === undefined ? {} : { nonce: input.nonce }),
  };
  for (const [name, value] of Object.entries(fields)) url.searchParams.set(name, value);
  // RFC 6749 appendix B allows "+" for a space, but some servers take it for a plus.
  url.search = url.searchParams.toString().replaceAll("+", "%20");
  return url.href;
}

/** Code for tokens, RFC 6749 4.1.3. `codeVerifier` is left out where the provider must not get one. */
export function exchangeRequest(
  provider: Bound<ConsentProvider>,
  client: Client,
  flow: { readonly code: string; readonly redirectUri: string; readonly codeVerifier: string },
): HttpRequest {
  return tokenRequest(provider, provider.tokenUrl, client, {
    ...provider.tokenParams,
    grant_type: "authorization_code",
    code: flow.code,
    redirect_uri: flow.redirectUri,
    ...(provider.pkce === "off" ? {} : { code_verifier: flow.codeVerifier }),
  });
}

/** RFC 6749 6. No scope is named: the same ones stay. */
export function refreshRequest(
  provider: Bound<ConsentProvider>,
  client: Client,
  refreshToken: string,
): HttpRequest {
  return tokenRequest(provider, provider.refreshUrl ?? provider.tokenUrl, client, {
    ...provider.refreshParams,
    grant_type: "refresh_token",
    refresh_token: refreshToken,
  });
}

/** RFC 6749 4.4. */
export function clientCredentialsRequest(
  provider: Bound<MachineProvider>,
  client: Client,
  scopes: readonly string[],
): HttpRequest {
  return tokenRequest(provider, provider.tokenUrl, client, {
    ...provider.tokenParams,
    grant_type: "client_credentials",
    ...scopeField(provider, scopes),
  });
}

/** RFC 7523 2.1. The assertion is signed by the caller; its claims: `jwtBearerClaims`. */
export function jwtBearerRequest(
  provider: Bound<MachineProvider>,
  client: Client,
  input: { readonly assertion: string; readonly scopes: readonly string[] },
): HttpRequest {
  return tokenRequest(provider, provider.tokenUrl, client, {
    ...provider.tokenParams,
    grant_type: JWT_BEARER,
    assertion: input.assertion,
    ...scopeField(provider, input.scopes),
  });
}

/**
 * One request for each token that is to be revoked, in order; none if the provider has no such endpoint. 2xx is done, also
 * for a token that it does not know (RFC 7009 2.2); 503 is "later".
 */
export function revokeRequests(
  provider: Bound<ConsentProvider>,
  client: Client,
  tokens: { readonly accessToken: string; readonly refreshToken?: string },
): readonly HttpRequest[] {
  const { revoke } = provider;
  if (revoke === undefined) return [];
  const byName = { refresh: tokens.refreshToken, access: tokens.accessToken };
  // A grant without a refresh token is revoked by the token that there is.
  const sent = revoke.tokens.flatMap((name) => byName[name] ?? []);
  return (sent.length === 0 ? [tokens.accessToken] : sent).map((token) => {
    const url = revoke.url
      .replace("{client_id}", encodeURIComponent(client.clientId))
      .replace("{token}", revoke.how === "path" ? encodeURIComponent(token) : "");
    const field = { [revoke.field ?? "token"]: token };
    switch (revoke.how) {
      case "path":
        return { method: revoke.method, url, headers: ALWAYS, body: undefined };
      case "bearer":
        return {
          method: revoke.method,
          url,
          headers: { ...ALWAYS, authorization: `Bearer ${token}` },
          body: undefined,
        };
      case "form":
      case "json": {
        const auth = revoke.auth === "none" ? "none" : revoke.auth === "basic" ? "basic" : client.auth;
        const shown = revoke.auth === "none" ? NOTHING : credentials({ ...client, auth });
        return withBody(revoke.method, url, revoke.how, shown.headers, { ...field, ...shown.fields });
      }
    }
  });
}

/** Asks who the account is; undefined if the descriptor knows it from elsewhere. identity.ts reads the answer. */
export function identityRequest(
  provider: Bound<ConsentProvider>,
  accessToken: string,
): HttpRequest | undefined {
  const { identity } = provider;
  if (identity?.from !== "endpoint") return undefined;
  const headers = { ...ALWAYS, ...provider.apiHeaders, ...presented(provider, accessToken) };
  if (identity.json === undefined)
    return { method: identity.method, url: identity.url, headers, body: undefined };
  return {
    method: identity.method,
    url: identity.url,
    headers: { ...headers, "content-type": "application/json" },
    body: identity.json,
  };
}

/** Asks which sites or organisations the token reaches; undefined if the provider has none. */
export function resourcesRequest(provider: Bound, accessToken: string): HttpRequest | undefined {
  if (provider.resources === undefined) return undefined;
  const headers = { ...ALWAYS, ...provider.apiHeaders, ...presented(provider, accessToken) };
  return { method: "GET", url: provider.resources.url, headers, body: undefined };
}

/** The header that presents a token (or an API key) to the API. */
export function presented(provider: Bound, token: string): Readonly<Record<string, string>> {
  const { header, scheme } = provider.present ?? { header: "authorization", scheme: "Bearer" };
  return { [header]: scheme === "" ? token : `${scheme} ${token}` };
}

/** The value of a `basic` credential, RFC 7617 in UTF-8; `presented` puts it into its header. Throws for a colon in the name. */
export function basicValue(user: string, password: string): string {
  if (user.includes(":")) throw new TypeError("a user name for Basic has no colon");
  return base64(`${user}:${password}`);
}

/** Claims of a client assertion (RFC 7523 3, OpenID Connect Core 9), to be signed by the caller. */
export function clientAssertionClaims(
  provider: WithTokens,
  clientId: string,
  at: { readonly now: number; readonly jti: string },
): Readonly<Record<string, string | number>> {
  const times = timesAt(at.now);
  return { iss: clientId, sub: clientId, aud: provider.tokenUrl, jti: at.jti, ...times };
}

/** Claims of a JWT bearer grant (RFC 7523 3), to be signed by the caller. Google's service accounts want the scope inside. */
export function jwtBearerClaims(
  provider: Bound<MachineProvider>,
  input: {
    readonly issuer: string;
    readonly subject: string;
    readonly audience?: string;
    readonly scopes: readonly string[];
  },
  at: { readonly now: number; readonly jti: string },
): Readonly<Record<string, string | number>> {
  return {
    iss: input.issuer,
    sub: input.subject,
    aud: input.audience ?? provider.tokenUrl,
    jti: at.jti,
    ...timesAt(at.now),
    ...scopeField(provider, input.scopes),
  };
}

function timesAt(nowMs: number): { readonly iat: number; readonly exp: number } {
  const iat = Math.floor(nowMs / 1_000);
  return { iat, exp: iat + ASSERTION_LIFE_S };
}

function scopeField(provider: WithTokens, scopes: readonly string[]): Fields {
  const scope = joinScopes(provider, scopes);
  return scope === "" ? {} : { scope };
}

function tokenRequest(provider: WithTokens, url: string, client: Client, fields: Fields): HttpRequest {
  if (!provider.clientAuth.includes(client.auth))
    throw new TypeError(`${provider.name} does not take the client authentication ${client.auth}`);
  const shown = credentials(client);
  return withBody("POST", url, provider.tokenFormat ?? "form", shown.headers, { ...fields, ...shown.fields });
}

interface Shown {
  readonly headers: Fields;
  readonly fields: Fields;
}

const NOTHING: Shown = { headers: {}, fields: {} };

function credentials(client: Client): Shown {
  const { clientId, clientSecret, assertion } = client;
  switch (client.auth) {
    case "none":
      return { headers: {}, fields: { client_id: clientId } };
    case "basic":
      return basic(formEncoded(clientId), formEncoded(needed(clientSecret, "secret")));
    case "basic_raw":
      return basic(clientId, needed(clientSecret, "secret"));
    case "post":
      return { headers: {}, fields: { client_id: clientId, client_secret: needed(clientSecret, "secret") } };
    case "private_key_jwt":
      return {
        headers: {},
        fields: {
          client_id: clientId,
          client_assertion_type: ASSERTION_TYPE,
          client_assertion: needed(assertion, "assertion"),
        },
      };
  }
}

function needed(value: string | undefined, what: string): string {
  if (value === undefined) throw new TypeError(`the client has no ${what}`);
  return value;
}

function basic(user: string, password: string): Shown {
  return { headers: { authorization: `Basic ${base64(`${user}:${password}`)}` }, fields: {} };
}

/** application/x-www-form-urlencoded, as RFC 6749 2.3.1 wants both halves before they are joined. */
function formEncoded(text: string): string {
  return new URLSearchParams({ v: text }).toString().slice(2);
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function withBody(
  method: HttpRequest["method"],
  url: string,
  format: "form" | "json",
  headers: Fields,
  fields: Fields,
): HttpRequest {
  const type = format === "json" ? "application/json" : "application/x-www-form-urlencoded";
  return {
    method,
    url,
    headers: { ...ALWAYS, "content-type": type, ...headers },
    body: format === "json" ? JSON.stringify(fields) : new URLSearchParams(fields).toString(),
  };
}
