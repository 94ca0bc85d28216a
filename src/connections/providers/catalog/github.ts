import { DAY_MS, type ConsentProvider, type ErrorRule } from "../descriptor.ts";

const API_ERRORS: readonly ErrorRule[] = [
  {
    is: "rate_limited",
    status: [403, 429],
    headers: { "x-ratelimit-remaining": "0" },
    until: { header: "x-ratelimit-reset", unit: "epoch_s" },
  },
  { is: "rate_limited", status: [403, 429], headers: { "retry-after": "*" } },
  {
    is: "refused",
    status: 403,
    body: {
      "/message": ["Resource not accessible by integration", "Resource protected by organization SAML*"],
    },
  },
];

const BOTH = {
  docs: "https://docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps",
  kind: "oauth2",
  authorizeUrl: "https://github.com/login/oauth/authorize",
  tokenUrl: "https://github.com/login/oauth/access_token",
  pkce: "S256",
  revoke: {
    method: "DELETE",
    url: "https://api.github.com/applications/{client_id}/grant",
    tokens: ["access"],
    how: "json",
    field: "access_token",
    auth: "basic",
    kills: "grant",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://api.github.com/user",
    id: ["/id"],
    label: ["/login"],
  },
  denied: ["api.github.com/applications/", "api.github.com/app/", "api.github.com/app-manifests/"],
  apiHeaders: { accept: "application/vnd.github+json", "user-agent": "Showcaller" },
  apiErrors: API_ERRORS,
  tokenErrors: [
    { is: "misconfigured", body: { "/error": ["incorrect_client_credentials", "redirect_uri_mismatch"] } },
    { is: "token_dead", body: { "/error": "bad_verification_code" } },
  ],
} as const satisfies Partial<ConsentProvider>;

export const github: ConsentProvider = {
  ...BOTH,
  name: "github",
  displayName: "GitHub (OAuth App)",
  clientAuth: ["basic", "post"],
  refresh: { kind: "none" },
  hosts: ["api.github.com", "uploads.github.com"],
  unverified: ["/revoke", "/tokenErrors", "/identity", "/denied", "/apiHeaders", "/apiErrors"],
};

export const githubApp: ConsentProvider = {
  ...BOTH,
  name: "github-app",
  displayName: "GitHub (App, on behalf of a user)",
  docs: "https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens",
  clientAuth: ["post"],
  scopes: { none: true },
  redirectValues: [{ name: "installation_id", pattern: "^[0-9]{1,19}$", required: false }],
  // Optional: an app can switch expiry off.
  refresh: { kind: "rotating", optional: true, idleLimitMs: 180 * DAY_MS },
  answer: { refreshExpiresIn: "/refresh_token_expires_in" },
  hosts: ["api.github.com"],
  unverified: [
    "/revoke",
    "/tokenErrors",
    "/identity",
    "/denied",
    "/apiHeaders",
    "/apiErrors",
    "/answer/refreshExpiresIn",
    "/refresh/optional",
  ],
};
