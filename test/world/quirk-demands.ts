/**
 * What each odd provider demands and answers, written down from what is known of the providers, and not from the product's
 * descriptors: the two must find each other over HTTP.
 */
import type { Answer } from "./http.ts";

export interface Pair {
  access_token: string;
  refresh_token?: string;
  expires_in?: number;
  scope?: string;
  token_type?: string;
}

export interface Demand {
  name: string;
  /** `host/path`. The product's requests to it come with the host as first segment of the path. */
  authorize: string;
  /** Beside the parameters of every flow; exactly these. */
  authorizeQuery?: Record<string, string>;
  /** How scopes are asked for: the parameter, what stands between them, and those that come on top of the user's. */
  scopes: { param?: string; separator?: string; own?: string[]; answered?: string | null } | null;
  token: string;
  refresh?: string;
  auth: "basic" | "post";
  body?: "json";
  pkce: "required" | "taken" | "never";
  tokenExtra?: Record<string, string>;
  redirectExtra?: Record<string, string>;
  signedRedirect?: "shopify";
  /** Seconds; null: not said. */
  expires?: number | null;
  /** Refresh tokens. `first_consent`: only for the first one, or if asked to prompt. */
  gives: "always" | "never" | "first_consent";
  rotation: "none" | "static" | "strict" | "leeway";
  /** A refresh kills the access token before it. */
  oldAccessDies?: boolean;
  accessChars?: number;
  /** From the plain pair to what is answered. */
  answer?: (pair: Pair, refreshed: boolean) => unknown;
  /** Answers a form unless JSON is asked for. */
  formUnlessAsked?: boolean;
  dead: Answer;
  revoke: {
    method: string;
    at: string;
    how: "form" | "json" | "path" | "bearer";
    field?: string;
    auth: "client" | "basic" | "none";
  } | null;
  present?: string;
  apiHeader?: string;
  /** Who the account is: a request with the token, and its answer. */
  whoami?: { method: string; at: string; answer: unknown; sends?: string };
  idToken?: Record<string, unknown>;
  resources?: { at: string; answer: unknown };
  api: string;
  /** Errors of the API by what they mean. */
  errors: Record<string, Answer>;
}

const gone = (
  status = 400,
  error = "invalid_grant",
  error_description = "The token is expired or revoked.",
): Answer => ({
  status,
  body: { error, error_description },
});
const ALL = { gives: "always", pkce: "taken", expires: 3_600 } as const;
const bearerChallenge = (scope: string): Answer => ({
  status: 403,
  headers: { "www-authenticate": `Bearer realm="api", error="insufficient_scope", scope="${scope}"` },
  body: {},
});
const TOO_MANY: Answer = { status: 429, headers: { "retry-after": "30" }, body: {} };

const SLACK = {
  authorize: "slack.com/oauth/v2/authorize",
  token: "slack.com/api/oauth.v2.access",
  auth: "basic",
  pkce: "never",
  gives: "always",
  rotation: "strict",
  expires: 43_200,
  dead: { status: 200, body: { ok: false, error: "invalid_refresh_token" } },
  revoke: { method: "POST", at: "slack.com/api/auth.revoke", how: "bearer", auth: "none" },
  whoami: {
    method: "POST",
    at: "slack.com/api/auth.test",
    answer: { ok: true, team: "Acme", user: "ada", team_id: "T1", user_id: "U1" },
  },
  api: "slack.com/api/chat.postMessage",
  errors: {
    token_dead: { status: 200, body: { ok: false, error: "token_revoked" } },
    token_refused: { status: 200, body: { ok: false, error: "token_expired" } },
    scope_missing: {
      status: 200,
      body: { ok: false, error: "missing_scope", needed: "gamma,delta", provided: "alpha" },
    },
    rate_limited: {
      status: 429,
      headers: { "retry-after": "30" },
      body: { ok: false, error: "ratelimited" },
    },
  },
} as const;

const GITHUB = {
  authorize: "github.com/login/oauth/authorize",
  token: "github.com/login/oauth/access_token",
  pkce: "taken",
  formUnlessAsked: true,
  revoke: {
    method: "DELETE",
    at: "api.github.com/applications/CLIENT/grant",
    how: "json",
    field: "access_token",
    auth: "basic",
  },
  whoami: { method: "GET", at: "api.github.com/user", answer: { id: 583_231, login: "octocat" } },
  api: "api.github.com/repos/o/r",
  errors: {
    token_refused: { status: 401, body: { message: "Bad credentials" } },
    rate_limited: {
      status: 403,
      headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000030" },
      body: { message: "API rate limit exceeded" },
    },
  },
} as const;

export const DEMANDS: readonly Demand[] = [
  {
    name: "google",
    authorize: "accounts.google.com/o/oauth2/v2/auth",
    authorizeQuery: { access_type: "offline", prompt: "consent", include_granted_scopes: "true" },
    scopes: { own: ["openid", "email"] },
    token: "oauth2.googleapis.com/token",
    auth: "basic",
    ...ALL,
    gives: "first_consent",
    rotation: "static",
    dead: gone(),
    revoke: { method: "POST", at: "oauth2.googleapis.com/revoke", how: "form", auth: "none" },
    whoami: {
      method: "GET",
      at: "openidconnect.googleapis.com/v1/userinfo",
      answer: { sub: "1001", email: "ada@example.com" },
    },
    api: "www.googleapis.com/calendar/v3/calendars/primary/events",
    errors: {
      token_refused: { status: 401, body: { error: { code: 401, status: "UNAUTHENTICATED" } } },
      scope_missing: {
        status: 403,
        headers: {
          "www-authenticate":
            'Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="gamma delta"',
        },
        body: { error: { code: 403, details: [{ reason: "ACCESS_TOKEN_SCOPE_INSUFFICIENT" }] } },
      },
      rate_limited: { status: 403, body: { error: { errors: [{ reason: "userRateLimitExceeded" }] } } },
    },
  },
  {
    ...GITHUB,
    name: "github",
    scopes: { answered: "," },
    auth: "basic",
    gives: "never",
    expires: null,
    rotation: "none",
    dead: {
      status: 200,
      body: { error: "bad_verification_code", error_description: "The code passed is incorrect or expired." },
    },
  },
  {
    ...GITHUB,
    name: "github-app",
    scopes: null,
    auth: "post",
    gives: "always",
    expires: 28_800,
    rotation: "strict",
    oldAccessDies: true,
    redirectExtra: { installation_id: "38631545" },
    answer: (pair) => ({ ...pair, scope: "", refresh_token_expires_in: 15_811_200 }),
    dead: {
      status: 200,
      body: {
        error: "bad_refresh_token",
        error_description: "The refresh token passed is incorrect or expired.",
      },
    },
  },
  {
    ...SLACK,
    name: "slack",
    scopes: { separator: "," },
    answer: (pair) => ({
      ok: true,
      ...pair,
      token_type: "bot",
      team: { id: "T1" },
      authed_user: { id: "U1" },
    }),
  },
  {
    ...SLACK,
    name: "slack-user",
    scopes: { separator: ",", param: "user_scope" },
    answer: (pair, refreshed) =>
      refreshed
        ? { ok: true, ...pair, token_type: "user", team: { id: "T1" } }
        : {
            ok: true,
            token_type: "bot",
            access_token: "xoxb-the-bots",
            authed_user: { id: "U1", ...pair, token_type: "user" },
          },
  },
  {
    name: "microsoft",
    authorize: "login.microsoftonline.com/common/oauth2/v2.0/authorize",
    authorizeQuery: { response_mode: "query" },
    scopes: { own: ["offline_access", "openid", "profile"] },
    token: "login.microsoftonline.com/common/oauth2/v2.0/token",
    auth: "post",
    ...ALL,
    rotation: "leeway",
    accessChars: 4_096,
    dead: {
      status: 400,
      body: {
        error: "invalid_grant",
        error_description: "AADSTS700082: idle for 90 days",
        error_codes: [700_082],
      },
    },
    revoke: null,
    idToken: {
      iss: "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
      tid: "9188040d-6c67-4c5b-b112-36a304b66dad",
      oid: "0001",
      preferred_username: "ada@example.com",
    },
    api: "graph.microsoft.com/v1.0/me/messages",
    errors: {
      token_refused: { status: 401, body: { error: { code: "InvalidAuthenticationToken" } } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "notion",
    authorize: "api.notion.com/v1/oauth/authorize",
    authorizeQuery: { owner: "user" },
    scopes: null,
    token: "api.notion.com/v1/oauth/token",
    auth: "basic",
    body: "json",
    pkce: "never",
    gives: "always",
    expires: null,
    rotation: "strict",
    answer: (pair) => ({
      ...pair,
      workspace_id: "w1",
      workspace_name: "Acme",
      owner: { type: "user", user: { id: "u1" } },
    }),
    dead: gone(),
    revoke: { method: "POST", at: "api.notion.com/v1/oauth/revoke", how: "json", auth: "client" },
    apiHeader: "notion-version",
    api: "api.notion.com/v1/pages",
    errors: {
      token_refused: { status: 401, body: { object: "error", code: "unauthorized" } },
      refused: { status: 403, body: { object: "error", code: "restricted_resource" } },
      rate_limited: { status: 429, headers: { "retry-after": "30" }, body: { code: "rate_limited" } },
    },
  },
  {
    name: "atlassian",
    authorize: "auth.atlassian.com/authorize",
    authorizeQuery: { audience: "api.atlassian.com", prompt: "consent" },
    scopes: { own: ["offline_access", "read:me"] },
    token: "auth.atlassian.com/oauth/token",
    auth: "post",
    ...ALL,
    pkce: "never",
    rotation: "leeway",
    dead: gone(403, "unauthorized_client", "refresh_token is invalid"),
    revoke: null,
    whoami: {
      method: "GET",
      at: "api.atlassian.com/me",
      answer: { account_id: "a1", email: "ada@example.com" },
    },
    resources: {
      at: "api.atlassian.com/oauth/token/accessible-resources",
      answer: [{ id: "cloud-1", url: "https://acme.atlassian.net", name: "acme", scopes: [] }],
    },
    api: "api.atlassian.com/ex/jira/cloud-1/rest/api/3/issue",
    errors: {
      token_refused: { status: 401, body: { code: 401, message: "Unauthorized" } },
      scope_missing: { status: 401, body: { code: 401, message: "Unauthorized; scope does not match" } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "hubspot",
    authorize: "app.hubspot.com/oauth/authorize",
    scopes: { own: ["oauth"], answered: null },
    token: "api.hubapi.com/oauth/2026-03/token",
    auth: "post",
    ...ALL,
    expires: 1_800,
    rotation: "static",
    accessChars: 300,
    dead: { status: 400, body: { status: "BAD_REFRESH_TOKEN", message: "missing or invalid refresh token" } },
    revoke: {
      method: "DELETE",
      at: "api.hubapi.com/oauth/v1/refresh-tokens/TOKEN",
      how: "path",
      auth: "none",
    },
    whoami: {
      method: "GET",
      at: "api.hubapi.com/account-info/v3/details",
      answer: { portalId: 62_515, uiDomain: "app.hubspot.com" },
    },
    api: "api.hubapi.com/crm/v3/objects/contacts",
    errors: {
      token_refused: { status: 401, body: { category: "EXPIRED_AUTHENTICATION" } },
      scope_missing: {
        status: 403,
        body: {
          category: "MISSING_SCOPES",
          errors: [{ context: { requiredGranularScopes: ["gamma", "delta"] } }],
        },
      },
      rate_limited: { status: 429, headers: { "retry-after": "30" }, body: { category: "RATE_LIMITS" } },
    },
  },
  {
    name: "salesforce",
    authorize: "login.salesforce.com/services/oauth2/authorize",
    scopes: { own: ["refresh_token"] },
    token: "login.salesforce.com/services/oauth2/token",
    auth: "basic",
    ...ALL,
    expires: null,
    rotation: "static",
    answer: (pair) => ({
      ...pair,
      instance_url: "https://acme.my.salesforce.com",
      id: "https://login.salesforce.com/id/00D/005",
      issued_at: "1800000000000",
    }),
    dead: gone(400, "invalid_grant", "expired access/refresh token"),
    revoke: { method: "POST", at: "login.salesforce.com/services/oauth2/revoke", how: "form", auth: "none" },
    api: "acme.my.salesforce.com/services/data/v62.0/sobjects/Account",
    errors: {
      token_refused: {
        status: 401,
        body: [{ errorCode: "INVALID_SESSION_ID", message: "Session expired or invalid" }],
      },
      rate_limited: { status: 403, body: [{ errorCode: "REQUEST_LIMIT_EXCEEDED" }] },
      refused: { status: 403, body: [{ errorCode: "INSUFFICIENT_ACCESS_OR_READONLY" }] },
    },
  },
  {
    name: "linear",
    authorize: "linear.app/oauth/authorize",
    authorizeQuery: { prompt: "consent" },
    scopes: { separator: ",", own: ["read"] },
    token: "api.linear.app/oauth/token",
    auth: "post",
    ...ALL,
    pkce: "never",
    rotation: "strict",
    dead: gone(),
    revoke: { method: "POST", at: "api.linear.app/oauth/revoke", how: "bearer", auth: "none" },
    whoami: {
      method: "POST",
      at: "api.linear.app/graphql",
      sends: "viewer",
      answer: { data: { viewer: { id: "v1", email: "ada@example.com", organization: { id: "o1" } } } },
    },
    api: "api.linear.app/graphql",
    errors: {
      token_refused: { status: 401, body: { errors: [{ extensions: { code: "AUTHENTICATION_ERROR" } }] } },
      rate_limited: {
        status: 400,
        headers: { "x-ratelimit-requests-reset": "1800000030000" },
        body: { errors: [{ message: "Rate limit exceeded", extensions: { code: "RATELIMITED" } }] },
      },
    },
  },
  {
    name: "zoom",
    authorize: "zoom.us/oauth/authorize",
    scopes: null,
    token: "zoom.us/oauth/token",
    auth: "basic",
    ...ALL,
    rotation: "strict",
    dead: gone(401),
    revoke: { method: "POST", at: "zoom.us/oauth/revoke", how: "form", auth: "client" },
    whoami: { method: "GET", at: "api.zoom.us/v2/users/me", answer: { id: "z1", email: "ada@example.com" } },
    api: "api.zoom.us/v2/users/me/meetings",
    errors: {
      token_refused: { status: 401, body: { code: 124, message: "Invalid access token." } },
      scope_missing: {
        status: 400,
        body: { code: 4_711, message: "Invalid access token, does not contain scopes." },
      },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "dropbox",
    authorize: "www.dropbox.com/oauth2/authorize",
    authorizeQuery: { token_access_type: "offline" },
    scopes: { own: ["account_info.read"] },
    token: "api.dropboxapi.com/oauth2/token",
    auth: "basic",
    ...ALL,
    expires: 14_400,
    rotation: "static",
    dead: gone(),
    revoke: { method: "POST", at: "api.dropboxapi.com/2/auth/token/revoke", how: "bearer", auth: "none" },
    whoami: {
      method: "POST",
      at: "api.dropboxapi.com/2/users/get_current_account",
      answer: { account_id: "dbid:1", email: "ada@example.com" },
    },
    api: "api.dropboxapi.com/2/files/list_folder",
    errors: {
      token_refused: { status: 401, body: { error: { ".tag": "expired_access_token" } } },
      scope_missing: { status: 401, body: { error: { ".tag": "missing_scope", required_scope: "gamma" } } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "box",
    authorize: "account.box.com/api/oauth2/authorize",
    scopes: {},
    token: "api.box.com/oauth2/token",
    auth: "post",
    ...ALL,
    pkce: "never",
    rotation: "strict",
    dead: gone(),
    revoke: { method: "POST", at: "api.box.com/oauth2/revoke", how: "form", auth: "client" },
    whoami: { method: "GET", at: "api.box.com/2.0/users/me", answer: { id: "b1", login: "ada@example.com" } },
    api: "api.box.com/2.0/folders/0",
    errors: {
      token_refused: { status: 401, headers: { "www-authenticate": 'Bearer error="invalid_token"' } },
      scope_missing: { status: 403, body: { type: "error", code: "insufficient_scope" } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "asana",
    authorize: "app.asana.com/-/oauth_authorize",
    scopes: {},
    token: "app.asana.com/-/oauth_token",
    auth: "post",
    ...ALL,
    rotation: "static",
    answer: (pair) => ({ ...pair, data: { gid: "4673218951", email: "ada@example.com" } }),
    dead: gone(),
    revoke: { method: "POST", at: "app.asana.com/-/oauth_revoke", how: "form", auth: "client" },
    whoami: {
      method: "GET",
      at: "app.asana.com/api/1.0/users/me",
      answer: { data: { gid: "4673218951", email: "ada@example.com" } },
    },
    api: "app.asana.com/api/1.0/tasks",
    errors: {
      token_refused: { status: 401, body: { errors: [{ message: "Not Authorized" }] } },
      scope_missing: bearerChallenge("gamma delta"),
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "airtable",
    authorize: "airtable.com/oauth2/v1/authorize",
    scopes: { own: ["user.email:read"] },
    token: "airtable.com/oauth2/v1/token",
    auth: "basic",
    ...ALL,
    pkce: "required",
    rotation: "strict",
    answer: (pair) => ({ ...pair, refresh_expires_in: 5_184_000 }),
    dead: gone(),
    revoke: null,
    whoami: {
      method: "GET",
      at: "api.airtable.com/v0/meta/whoami",
      answer: { id: "usr1", email: "ada@example.com" },
    },
    api: "api.airtable.com/v0/app1/Table",
    errors: {
      token_refused: { status: 401, body: { error: { type: "AUTHENTICATION_REQUIRED" } } },
      refused: { status: 403, body: { error: { type: "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND" } } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "discord",
    authorize: "discord.com/oauth2/authorize",
    scopes: { own: ["identify"] },
    token: "discord.com/api/oauth2/token",
    auth: "basic",
    ...ALL,
    expires: 604_800,
    rotation: "strict",
    dead: gone(),
    revoke: { method: "POST", at: "discord.com/api/oauth2/token/revoke", how: "form", auth: "client" },
    whoami: {
      method: "GET",
      at: "discord.com/api/v10/users/@me",
      answer: { id: "80351110224678912", username: "nelly" },
    },
    api: "discord.com/api/v10/users/@me/guilds",
    errors: {
      token_refused: { status: 401, body: { code: 0, message: "401: Unauthorized" } },
      refused: { status: 403, body: { code: 50_001, message: "Missing Access" } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "figma",
    authorize: "www.figma.com/oauth",
    scopes: { separator: ",", own: ["current_user:read"], answered: null },
    token: "api.figma.com/v1/oauth/token",
    refresh: "api.figma.com/v1/oauth/refresh",
    auth: "basic",
    ...ALL,
    pkce: "never",
    expires: 7_776_000,
    rotation: "static",
    // A refresh brings an access token only.
    answer: ({ refresh_token, ...pair }, refreshed) =>
      refreshed ? pair : { ...pair, refresh_token, user_id: "f1" },
    dead: gone(),
    revoke: null,
    whoami: { method: "GET", at: "api.figma.com/v1/me", answer: { id: "f1", email: "ada@example.com" } },
    api: "api.figma.com/v1/files/key",
    errors: {
      token_refused: { status: 403, body: { status: 403, err: "Invalid token" } },
      scope_missing: {
        status: 403,
        body: { status: 403, err: "Invalid scope(s): alpha. This endpoint requires gamma." },
      },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "gitlab",
    authorize: "gitlab.com/oauth/authorize",
    scopes: { own: ["read_user"] },
    token: "gitlab.com/oauth/token",
    auth: "basic",
    ...ALL,
    expires: 7_200,
    rotation: "strict",
    dead: gone(),
    revoke: { method: "POST", at: "gitlab.com/oauth/revoke", how: "form", auth: "client" },
    whoami: { method: "GET", at: "gitlab.com/api/v4/user", answer: { id: 7, username: "ada" } },
    api: "gitlab.com/api/v4/projects",
    errors: {
      token_dead: {
        status: 401,
        body: {
          error: "invalid_token",
          error_description: "Token was revoked. You have to re-authorize from the user.",
        },
      },
      token_refused: {
        status: 401,
        body: { error: "invalid_token", error_description: "Token is expired." },
      },
      scope_missing: { status: 403, body: { error: "insufficient_scope", scope: "gamma delta" } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "quickbooks",
    authorize: "appcenter.intuit.com/connect/oauth2",
    scopes: { own: ["com.intuit.quickbooks.accounting"], answered: null },
    token: "oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
    auth: "basic",
    ...ALL,
    pkce: "never",
    rotation: "strict",
    redirectExtra: { realmId: "9341453474484455" },
    answer: (pair) => ({
      ...pair,
      x_refresh_token_expires_in: 8_640_000,
      x_refresh_token_hard_expires_in: 157_680_000,
    }),
    dead: gone(),
    revoke: {
      method: "POST",
      at: "developer.api.intuit.com/v2/oauth2/tokens/revoke",
      how: "json",
      auth: "client",
    },
    api: "quickbooks.api.intuit.com/v3/company/9341453474484455/companyinfo/1",
    errors: {
      token_refused: { status: 401, body: { Fault: { Error: [{ code: "3200" }] } } },
      rate_limited: {
        status: 429,
        headers: { "retry-after": "30" },
        body: { Fault: { Error: [{ code: "3001" }] } },
      },
    },
  },
  {
    name: "xero",
    authorize: "login.xero.com/identity/connect/authorize",
    scopes: { own: ["offline_access", "openid", "profile", "email"] },
    token: "identity.xero.com/connect/token",
    auth: "basic",
    ...ALL,
    expires: 1_800,
    rotation: "leeway",
    dead: gone(),
    revoke: { method: "POST", at: "identity.xero.com/connect/revocation", how: "form", auth: "client" },
    idToken: { iss: "https://identity.xero.com", sub: "x1", email: "ada@example.com" },
    resources: {
      at: "api.xero.com/connections",
      answer: [{ id: "c1", tenantId: "t1", tenantName: "Acme Ltd", tenantType: "ORGANISATION" }],
    },
    api: "api.xero.com/api.xro/2.0/Invoices",
    errors: {
      token_refused: { status: 401, body: { Title: "Unauthorized", Detail: "TokenExpired" } },
      refused: { status: 403, body: { Title: "Forbidden", Detail: "AuthenticationUnsuccessful" } },
      rate_limited: TOO_MANY,
    },
  },
  {
    name: "x",
    authorize: "x.com/i/oauth2/authorize",
    scopes: { own: ["offline.access", "users.read", "tweet.read"] },
    token: "api.twitter.com/2/oauth2/token",
    auth: "basic",
    ...ALL,
    pkce: "required",
    expires: 7_200,
    rotation: "strict",
    dead: gone(400, "invalid_request", "Value passed for the token was invalid."),
    revoke: { method: "POST", at: "api.twitter.com/2/oauth2/revoke", how: "form", auth: "client" },
    whoami: {
      method: "GET",
      at: "api.x.com/2/users/me",
      answer: { data: { id: "2244994945", username: "ada" } },
    },
    api: "api.x.com/2/tweets",
    errors: {
      token_refused: { status: 401, body: { title: "Unauthorized" } },
      misconfigured: { status: 403, body: { reason: "client-not-enrolled" } },
      rate_limited: {
        status: 429,
        headers: { "x-rate-limit-reset": "1800000030" },
        body: { title: "Too Many Requests" },
      },
    },
  },
  {
    name: "shopify",
    authorize: "acme-store.myshopify.com/admin/oauth/authorize",
    scopes: { separator: ",", answered: "," },
    token: "acme-store.myshopify.com/admin/oauth/access_token",
    auth: "post",
    ...ALL,
    pkce: "never",
    tokenExtra: { expiring: "1" },
    signedRedirect: "shopify",
    rotation: "strict",
    answer: (pair) => ({ ...pair, refresh_token_expires_in: 7_776_000 }),
    dead: gone(),
    revoke: null,
    present: "x-shopify-access-token",
    api: "acme-store.myshopify.com/admin/api/2026-07/graphql.json",
    errors: {
      token_refused: { status: 401, body: { errors: "[API] Invalid API key or access token" } },
      scope_missing: {
        status: 200,
        body: { errors: [{ extensions: { code: "ACCESS_DENIED" } }], data: null },
      },
      rate_limited: { status: 200, body: { errors: [{ extensions: { code: "THROTTLED" } }] } },
    },
  },
];
