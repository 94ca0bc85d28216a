import type { ConsentProvider } from "../descriptor.ts";

const FAILED = { "/ok": "false" };
/** The other host serves files: what stands in them says nothing. */
const API = { hosts: ["slack.com"] } as const;

/** Slack has two token pairs per consent, so two descriptors: a connection holds one pair. */
const BOTH = {
  docs: "https://docs.slack.dev/authentication/installing-with-oauth",
  kind: "oauth2",
  authorizeUrl: "https://slack.com/oauth/v2/authorize",
  tokenUrl: "https://slack.com/api/oauth.v2.access",
  clientAuth: ["basic", "post"],
  // Sending a challenge once marks the app as public for good, and its refresh tokens then end after 30 days.
  pkce: "off",
  // With rotation switched on for the app: 12 hours, single use. Without: no expiry and no refresh token.
  refresh: { kind: "rotating", optional: true },
  revoke: {
    method: "POST",
    url: "https://slack.com/api/auth.revoke",
    tokens: ["access"],
    how: "bearer",
    auth: "none",
    kills: "token",
  },
  identity: {
    from: "endpoint",
    method: "POST",
    url: "https://slack.com/api/auth.test",
    id: ["/team_id", "/user_id"],
    label: ["/team", "/user"],
  },
  hosts: ["slack.com", "files.slack.com"],
  denied: [
    "slack.com/api/oauth.",
    "slack.com/api/auth.revoke",
    "slack.com/api/apps.",
    "slack.com/api/tooling.tokens.",
    "slack.com/oauth",
    "slack.com/openid/",
  ],
  tokenErrors: [
    {
      is: "token_dead",
      body: {
        ...FAILED,
        "/error": ["invalid_code", "code_already_used", "account_inactive", "token_expired"],
      },
    },
    {
      is: "misconfigured",
      body: { ...FAILED, "/error": ["bad_client_secret", "invalid_client_id", "bad_redirect_uri"] },
    },
    { is: "passing", body: { ...FAILED, "/error": ["ratelimited", "internal_error", "fatal_error"] } },
  ],
  apiErrors: [
    {
      ...API,
      is: "token_dead",
      body: { ...FAILED, "/error": ["token_revoked", "account_inactive", "invalid_auth"] },
    },
    { ...API, is: "token_refused", body: { ...FAILED, "/error": "token_expired" } },
    { ...API, is: "scope_missing", body: { ...FAILED, "/error": "missing_scope" }, scopesAt: ["/needed"] },
    { ...API, is: "rate_limited", body: { ...FAILED, "/error": ["ratelimited", "rate_limited"] } },
    {
      ...API,
      is: "refused",
      body: { ...FAILED, "/error": ["not_allowed_token_type", "restricted_action", "ekm_access_denied"] },
    },
  ],
} as const satisfies Partial<ConsentProvider>;

const UNVERIFIED = ["/identity", "/denied", "/tokenErrors", "/apiErrors", "/revoke/kills"];

export const slack: ConsentProvider = {
  ...BOTH,
  name: "slack",
  displayName: "Slack (bot)",
  scopes: { separator: "," },
  unverified: UNVERIFIED,
};

export const slackUser: ConsentProvider = {
  ...BOTH,
  name: "slack-user",
  displayName: "Slack (user)",
  scopes: { separator: ",", param: "user_scope" },
  // A refresh answers at the top. A bot's token that stands there must never be taken for the user's.
  answer: { pairs: [{ at: "/authed_user" }, { at: "", if: { "/token_type": "user" } }] },
  unverified: [...UNVERIFIED, "/answer/pairs/1"],
};
