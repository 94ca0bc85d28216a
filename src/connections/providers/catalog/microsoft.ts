import { DAY_MS, type ConsentProvider } from "../descriptor.ts";

export const microsoft: ConsentProvider = {
  name: "microsoft",
  displayName: "Microsoft",
  docs: "https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow",
  kind: "oauth2",
  parts: {
    tenant: {
      pattern:
        "^(?:common|organizations|consumers|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9-]{1,63}(?:\\.[a-z0-9-]{1,63}){1,5})$",
      example: "contoso.onmicrosoft.com",
      default: "common",
    },
  },
  authorizeUrl: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
  tokenUrl: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
  clientAuth: ["post", "private_key_jwt"],
  pkce: "S256",
  authorizeParams: { response_mode: "query" },
  // Answers leave offline_access out and may write scopes as URLs of the resource.
  scopes: { default: ["offline_access"], identity: ["openid", "profile"], comparable: false },
  // The old one is replaced on each use, and not revoked.
  refresh: { kind: "rotating", reuseLeewayMs: 90 * DAY_MS, idleLimitMs: 90 * DAY_MS },
  identity: {
    from: "id_token",
    issuer: "https://login.microsoftonline.com/{tid}/v2.0",
    id: ["/tid", "/oid"],
    label: ["/preferred_username"],
  },
  hosts: ["graph.microsoft.com"],
  denied: [
    "graph.microsoft.com/*/$batch",
    "graph.microsoft.com/*addpassword",
    "graph.microsoft.com/*addkey",
    "graph.microsoft.com/*revokesigninsessions",
    "graph.microsoft.com/*invalidateallrefreshtokens",
  ],
  tokenErrors: [
    // The number stands at the beginning of the description, and in a list.
    { is: "token_dead", body: { "/error": "interaction_required" } },
    { is: "misconfigured", body: { "/error_codes/*": ["700022", "7000215", "7000222", "700016"] } },
  ],
  apiErrors: [{ is: "rate_limited", status: [429, 503], headers: { "retry-after": "*" } }],
  unverified: ["/identity", "/scopes/comparable", "/denied", "/tokenErrors", "/apiErrors"],
};
