/** Customers, books and shops. */
import { DAY_MS, MINUTE_MS, type ConsentProvider } from "../descriptor.ts";

export const hubspot: ConsentProvider = {
  name: "hubspot",
  displayName: "HubSpot",
  docs: "https://developers.hubspot.com/docs/api/oauth/tokens",
  kind: "oauth2",
  authorizeUrl: "https://app.hubspot.com/oauth/authorize",
  // Version 1 ends on 2027-02-16.
  tokenUrl: "https://api.hubapi.com/oauth/2026-03/token",
  clientAuth: ["post", "private_key_jwt"],
  pkce: "S256",
  scopes: { default: ["oauth"] },
  refresh: { kind: "static" },
  // The only one whose token stands in the URL. The grant is the portal's: siblings lose it, too.
  revoke: {
    method: "DELETE",
    url: "https://api.hubapi.com/oauth/v1/refresh-tokens/{token}",
    tokens: ["refresh"],
    how: "path",
    auth: "none",
    kills: "grant",
  },
  identity: {
    from: "endpoint",
    method: "GET",
    url: "https://api.hubapi.com/account-info/v3/details",
    id: ["/portalId"],
    label: ["/uiDomain", "/portalId"],
  },
  hosts: ["api.hubapi.com"],
  denied: ["api.hubapi.com/oauth/"],
  tokenErrors: [
    { is: "token_dead", body: { "/status": ["BAD_REFRESH_TOKEN", "BAD_AUTH_CODE"] } },
    {
      is: "misconfigured",
      body: { "/status": ["BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "MISMATCH_REDIRECT_URI*"] },
    },
  ],
  apiErrors: [
    {
      is: "scope_missing",
      status: 403,
      body: { "/category": "MISSING_SCOPES" },
      scopesAt: ["/errors/*/context/requiredGranularScopes", "/errors/*/context/requiredScopes"],
    },
    { is: "rate_limited", status: 429, body: { "/category": "RATE_LIMITS" } },
  ],
  unverified: ["/scopes/default", "/tokenErrors", "/apiErrors", "/identity/label"],
};

export const salesforce: ConsentProvider = {
  name: "salesforce",
  displayName: "Salesforce",
  docs: "https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_web_server_flow.htm",
  kind: "oauth2",
  parts: {
    host: {
      pattern:
        "^(?:(?:login|test)\\.salesforce\\.com|[a-z0-9-]{1,80}(?:\\.[a-z0-9-]{1,40}){0,2}\\.my\\.salesforce\\.com)$",
      example: "acme.my.salesforce.com",
      default: "login.salesforce.com",
    },
  },
  authorizeUrl: "https://{host}/services/oauth2/authorize",
  tokenUrl: "https://{host}/services/oauth2/token",
  clientAuth: ["basic", "post"],
  pkce: "S256",
  scopes: { default: ["refresh_token"] },
  // Rotation is a setting of the app. There is no expires_in: the policy of the org's sessions decides.
  refresh: { kind: "rotating" },
  revoke: {
    method: "POST",
    url: "https://{host}/services/oauth2/revoke",
    tokens: ["refresh"],
    how: "form",
    auth: "none",
    kills: "token",
  },
  answer: { extra: { instance_url: "/instance_url" } },
  identity: { from: "answer", id: ["/id"], label: ["/id"] },
  hosts: [],
  hostFrom: { extra: "instance_url", suffixes: [".salesforce.com", ".force.com"] },
  denied: ["*/services/oauth2/", "*/services/auth/", "*/services/soap/"],
  apiErrors: [
    { is: "rate_limited", status: 403, body: { "/*/errorCode": "REQUEST_LIMIT_EXCEEDED" } },
    {
      is: "refused",
      status: 403,
      body: { "/*/errorCode": ["INSUFFICIENT_ACCESS*", "API_DISABLED_FOR_ORG"] },
    },
  ],
  unverified: [
    "/hostFrom/suffixes",
    "/identity",
    "/denied",
    "/apiErrors",
    "/revoke/kills",
    "/revoke/auth",
    "/scopes/default",
  ],
};

export const quickbooks: ConsentProvider = {
  name: "quickbooks",
  displayName: "QuickBooks",
  docs: "https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0",
  kind: "oauth2",
  authorizeUrl: "https://appcenter.intuit.com/connect/oauth2",
  tokenUrl: "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
  clientAuth: ["basic"],
  pkce: "off",
  scopes: { default: ["com.intuit.quickbooks.accounting"] },
  refresh: { kind: "rotating", idleLimitMs: 100 * DAY_MS, absoluteLimitMs: 5 * 365 * DAY_MS },
  answer: {
    refreshExpiresIn: "/x_refresh_token_expires_in",
    hardExpiresIn: "/x_refresh_token_hard_expires_in",
  },
  revoke: {
    method: "POST",
    url: "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
    tokens: ["refresh"],
    how: "json",
    auth: "client",
    kills: "grant",
  },
  redirectValues: [{ name: "realmId", pattern: "^[0-9]{10,19}$", required: true }],
  identity: { from: "redirect", id: ["realmId"], label: ["realmId"] },
  hosts: ["quickbooks.api.intuit.com"],
  apiErrors: [{ is: "rate_limited", status: 429, body: { "/Fault/Error/*/code": ["3001", "003001"] } }],
  unverified: ["/answer/refreshExpiresIn", "/revoke/how", "/revoke/kills", "/apiErrors", "/scopes/default"],
};

export const xero: ConsentProvider = {
  name: "xero",
  displayName: "Xero",
  docs: "https://developer.xero.com/documentation/guides/oauth2/auth-flow/",
  kind: "oauth2",
  authorizeUrl: "https://login.xero.com/identity/connect/authorize",
  tokenUrl: "https://identity.xero.com/connect/token",
  clientAuth: ["basic"],
  pkce: "S256",
  scopes: { default: ["offline_access"], identity: ["openid", "profile", "email"] },
  refresh: { kind: "rotating", reuseLeewayMs: 30 * MINUTE_MS, idleLimitMs: 60 * DAY_MS },
  revoke: {
    method: "POST",
    url: "https://identity.xero.com/connect/revocation",
    tokens: ["refresh"],
    how: "form",
    auth: "client",
    kills: "grant",
  },
  identity: { from: "id_token", issuer: "https://identity.xero.com", id: ["/sub"], label: ["/email"] },
  // A call names the organisation in the header xero-tenant-id.
  resources: { url: "https://api.xero.com/connections", id: "/tenantId", label: "/tenantName" },
  hosts: ["api.xero.com"],
  apiErrors: [{ is: "refused", status: 403, body: { "/Detail": "AuthenticationUnsuccessful" } }],
  unverified: ["/refresh", "/revoke", "/identity", "/apiErrors"],
};

export const shopify: ConsentProvider = {
  name: "shopify",
  displayName: "Shopify",
  docs: "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant",
  kind: "oauth2",
  parts: { shop: { pattern: "^[a-z0-9_-]{1,60}$", example: "acme-store" } },
  authorizeUrl: "https://{shop}.myshopify.com/admin/oauth/authorize",
  tokenUrl: "https://{shop}.myshopify.com/admin/oauth/access_token",
  clientAuth: ["post"],
  pkce: "off",
  // Without it the token never ends.
  tokenParams: { expiring: "1" },
  scopes: { separator: "," },
  refresh: { kind: "rotating", optional: true },
  answer: { refreshExpiresIn: "/refresh_token_expires_in" },
  callbackCheck: "shopify_hmac",
  identity: { from: "part", id: ["shop"], label: ["shop"] },
  hosts: ["{shop}.myshopify.com"],
  denied: ["{shop}.myshopify.com/admin/oauth/", "{shop}.myshopify.com/admin/*storefront_access_tokens"],
  present: { header: "x-shopify-access-token", scheme: "" },
  apiErrors: [
    {
      is: "scope_missing",
      status: 403,
      body: { "/errors": "[API] This action requires merchant approval*" },
    },
    // GraphQL says so with a 200.
    { is: "scope_missing", status: 200, body: { "/errors/*/extensions/code": "ACCESS_DENIED" } },
    { is: "rate_limited", status: 200, body: { "/errors/*/extensions/code": "THROTTLED" } },
    { is: "rate_limited", status: 430 },
  ],
  unverified: ["/scopes/separator", "/callbackCheck", "/refresh/kind", "/answer", "/denied", "/apiErrors"],
};
