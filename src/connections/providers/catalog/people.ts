/** Where people talk. */
import { DAY_MS, type ConsentProvider } from "../descriptor.ts";

export const zoom: ConsentProvider = {
  name: "zoom",
  displayName: "Zoom",
  docs: "https://developers.zoom.us/docs/integrations/oauth/",
  kind: "oauth2",
  authorizeUrl: "https://zoom.us/oauth/authorize",
  tokenUrl: "https://zoom.us/oauth/token",
  clientAuth: ["basic"],
  pkce: "S256",
  // Scopes are a setting of the app; answers tell them.
  scopes: { none: true },
  refresh: { kind: "rotating", idleLimitMs: 90 * DAY_MS },
  revoke: {
    method: "POST",
    url: "https://zoom.us/oauth/revoke",
    tokens: ["access"],
    how: "form",
    auth: "client",
    kills: "token",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://api.zoom.us/v2/users/me",
    id: ["/id"],
    label: ["/email"],
  },
  hosts: ["api.zoom.us"],
  denied: ["api.zoom.us/oauth/"],
  apiErrors: [
    { is: "scope_missing", body: { "/code": ["4711", "104"] } },
    { is: "token_refused", status: [400, 401], body: { "/code": "124" } },
  ],
  unverified: ["/identity", "/apiErrors", "/revoke/kills", "/revoke/tokens"],
};

export const discord: ConsentProvider = {
  name: "discord",
  displayName: "Discord",
  docs: "https://discord.com/developers/docs/topics/oauth2",
  kind: "oauth2",
  authorizeUrl: "https://discord.com/oauth2/authorize",
  tokenUrl: "https://discord.com/api/oauth2/token",
  clientAuth: ["basic"],
  pkce: "S256",
  scopes: { identity: ["identify"] },
  refresh: { kind: "rotating" },
  revoke: {
    method: "POST",
    url: "https://discord.com/api/oauth2/token/revoke",
    tokens: ["refresh"],
    how: "form",
    auth: "client",
    kills: "grant",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://discord.com/api/v10/users/@me",
    id: ["/id"],
    label: ["/username"],
  },
  hosts: ["discord.com"],
  denied: ["discord.com/api/oauth2/", "discord.com/api/*/oauth2/", "discord.com/oauth2/"],
  apiErrors: [{ is: "refused", status: 403, body: { "/code": ["50001", "50013"] } }],
  unverified: ["/refresh/kind", "/identity", "/denied", "/apiErrors", "/revoke/kills"],
};

export const x: ConsentProvider = {
  name: "x",
  displayName: "X",
  docs: "https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code",
  kind: "oauth2",
  authorizeUrl: "https://x.com/i/oauth2/authorize",
  tokenUrl: "https://api.twitter.com/2/oauth2/token",
  clientAuth: ["basic"],
  pkce: "required",
  scopes: { default: ["offline.access"], identity: ["users.read", "tweet.read"] },
  refresh: { kind: "rotating" },
  revoke: {
    method: "POST",
    url: "https://api.twitter.com/2/oauth2/revoke",
    tokens: ["refresh", "access"],
    how: "form",
    auth: "client",
    kills: "token",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://api.x.com/2/users/me",
    id: ["/data/id"],
    label: ["/data/username"],
  },
  hosts: ["api.x.com", "api.twitter.com"],
  denied: ["api.x.com/2/oauth2/", "api.twitter.com/2/oauth2/", "api.x.com/oauth", "api.twitter.com/oauth"],
  tokenErrors: [
    {
      is: "token_dead",
      body: { "/error": "invalid_request", "/error_description": "Value passed for the token was invalid*" },
    },
  ],
  apiErrors: [
    { is: "misconfigured", status: 403, body: { "/reason": "client-not-enrolled" } },
    { is: "rate_limited", status: 429, until: { header: "x-rate-limit-reset", unit: "epoch_s" } },
  ],
  unverified: ["/identity", "/denied", "/tokenErrors", "/apiErrors", "/revoke/kills", "/scopes/identity"],
};
