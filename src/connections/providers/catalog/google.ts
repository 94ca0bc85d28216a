import { DAY_MS, type ConsentProvider } from "../descriptor.ts";

export const google: ConsentProvider = {
  name: "google",
  displayName: "Google",
  docs: "https://developers.google.com/identity/protocols/oauth2/web-server",
  kind: "oauth2",
  authorizeUrl: "https://accounts.google.com/o/oauth2/v2/auth",
  tokenUrl: "https://oauth2.googleapis.com/token",
  clientAuth: ["basic", "post"],
  pkce: "S256",
  // Without both, only the first consent ever brings a refresh token.
  authorizeParams: { access_type: "offline", prompt: "consent", include_granted_scopes: "true" },
  scopes: { identity: ["openid", "email"] },
  refresh: { kind: "static", idleLimitMs: 180 * DAY_MS },
  revoke: {
    method: "POST",
    url: "https://oauth2.googleapis.com/revoke",
    tokens: ["refresh"],
    how: "form",
    auth: "none",
    kills: "grant",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://openidconnect.googleapis.com/v1/userinfo",
    id: ["/sub"],
    label: ["/email"],
  },
  // Not *.googleapis.com: oauth2, sts and iamcredentials under it make tokens out of tokens.
  hosts: [
    "www.googleapis.com",
    "gmail.googleapis.com",
    "sheets.googleapis.com",
    "docs.googleapis.com",
    "slides.googleapis.com",
    "forms.googleapis.com",
    "people.googleapis.com",
    "tasks.googleapis.com",
    "chat.googleapis.com",
    "meet.googleapis.com",
    "openidconnect.googleapis.com",
  ],
  denied: ["www.googleapis.com/oauth2/", "www.googleapis.com/batch", "www.googleapis.com/identitytoolkit/"],
  apiErrors: [
    {
      is: "scope_missing",
      status: 403,
      body: { "/error/details/*/reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT" },
    },
    {
      is: "rate_limited",
      status: 403,
      body: { "/error/errors/*/reason": ["rateLimitExceeded", "userRateLimitExceeded"] },
    },
  ],
  unverified: [
    "/authorizeParams/include_granted_scopes",
    "/identity",
    "/denied",
    "/apiErrors",
    "/revoke/kills",
  ],
};
