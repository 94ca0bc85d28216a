/** Words for the page on providers, by name: what to enter at the provider, and what to know. Not in the deployed bundle. */

export interface ProviderNotes {
  /** Where the app is made, and what is set there beside the redirect URI. */
  readonly console: string;
  readonly notes: readonly string[];
}

export const NOTES: Readonly<Record<string, ProviderNotes>> = {
  google: {
    console:
      'Google Cloud console, an OAuth client of type "Web application". Enable each API that is called. Publish the app: in status Testing refresh tokens end after 7 days.',
    notes: [
      "A refresh token comes with the first consent only; `prompt=consent` makes every consent one.",
      "Users can untick scopes: what is missing afterwards is seen from the answer.",
      "100 refresh tokens per account and client; the oldest dies without a word. They also die after 6 months without use, and with a new password if Gmail scopes are among them.",
      "The hosts are listed one by one, because `*.googleapis.com` holds endpoints that make tokens out of tokens.",
    ],
  },
  github: {
    console: "GitHub, Settings, Developer settings, OAuth Apps. One callback URL.",
    notes: [
      "The token does not expire and there is no refresh. A 401 therefore means that it is gone.",
      "Errors of the token endpoint come with status 200 (unverified).",
      "10 tokens per user, app and scope; the oldest dies (unverified).",
      "Revoking ends everything that the app got from this user, so siblings go as well.",
    ],
  },
  "github-app": {
    console:
      'GitHub, Settings, Developer settings, GitHub Apps. Permissions are set there, requests name no scopes. Keep "Expire user authorization tokens" on.',
    notes: [
      "8 hours; the refresh token lives 6 months and works once, and the old access token dies with it.",
      "`installation_id` may arrive with the redirect. A redirect without `state` after an installation is a notice at most; its code is never used.",
    ],
  },
  slack: {
    console:
      "api.slack.com/apps, OAuth & Permissions, Bot Token Scopes. Token rotation cannot be switched off again.",
    notes: [
      "No PKCE: sending a challenge once marks the app as public for good, and its refresh tokens then end after 30 days.",
      "Errors come with status 200 and `ok: false`.",
      "Without rotation the token does not expire. With it: 12 hours, and the refresh token works once.",
    ],
  },
  "slack-user": {
    console: "api.slack.com/apps, OAuth & Permissions, User Token Scopes.",
    notes: ["The user's pair stands in `authed_user`. A bot's token beside it is never used."],
  },
  microsoft: {
    console:
      "Microsoft Entra admin center, App registrations, platform Web (not single-page: its refresh tokens live 24 hours).",
    notes: [
      "`tenant`: `common`, `organizations`, `consumers`, or a directory.",
      "One resource per token: scopes of two resources in one request are refused (AADSTS700022).",
      "There is no endpoint to revoke one grant. Disconnecting forgets it here; the user removes the app at myapps.microsoft.com.",
      "`$batch` is denied, because what stands inside is not judged.",
    ],
  },
  notion: {
    console: "notion.so/my-integrations, a public integration. Capabilities are set there.",
    notes: [
      "The user picks pages; what was not picked looks missing (404).",
      "The refresh token may be absent; the token then does not expire.",
    ],
  },
  atlassian: {
    console:
      "developer.atlassian.com/console, OAuth 2.0 (3LO). Add the APIs (Jira, Confluence, User identity) and their scopes.",
    notes: [
      "Calls go to `api.atlassian.com/ex/jira/{cloud id}/...`; a token fails at the site's own domain. The sites come from accessible-resources.",
      "A dead refresh token is answered with 403.",
      "The old refresh token works for 10 minutes after its use; later it ends the whole grant. 90 days without use, 365 days at most.",
      "A second consent of the same user can end the first.",
      "No revocation: the user removes the app at id.atlassian.com.",
    ],
  },
  hubspot: {
    console: "developers.hubspot.com, an app, Auth.",
    notes: [
      "The grant is the portal's: revoking one connection ends its siblings.",
      "The path to revoke is of version 1, whose token endpoint ends on 2027-02-16; its successor is not known yet. The refresh token stands in its URL.",
      "Tokens have up to 300 characters and grow.",
    ],
  },
  salesforce: {
    console: "Setup, App Manager, a connected (or external client) app; scopes `api` and `refresh_token`.",
    notes: [
      "`host`: `login.salesforce.com`, `test.salesforce.com`, or your My Domain.",
      "The token goes to the answer's `instance_url` and nowhere else.",
      "No `expires_in`: the policy of the org's sessions decides, and a 401 tells.",
      "The 6th approval of one user for one app ends the oldest.",
    ],
  },
  linear: {
    console: "linear.app, Settings, API, OAuth applications.",
    notes: ["A rate limit comes with status 400.", "All apps have refresh tokens since 2026-04-01."],
  },
  zoom: {
    console: "marketplace.zoom.us, a general app, user-managed. Scopes are set there.",
    notes: ["A code lives 5 minutes.", "The refresh token works once, and ends after about 90 days."],
  },
  dropbox: {
    console: "dropbox.com/developers/apps. Set the permissions there before the first consent.",
    notes: ["`token_access_type=offline` brings the refresh token, which stays the same."],
  },
  box: {
    console:
      "app.box.com/developers/console, a custom app with user authentication (OAuth 2.0). Scopes are set there.",
    notes: ["The refresh token works once and ends after 60 days."],
  },
  asana: {
    console:
      "app.asana.com/0/my-apps. Full permissions means the scope `default`; otherwise ask for granular scopes.",
    notes: [],
  },
  airtable: {
    console: "airtable.com/create/oauth.",
    notes: [
      "PKCE is required.",
      "A client that misbehaves, by sending a refresh token twice for one, has its whole integration revoked, and the users get a mail.",
      "No revocation was found: the user removes the integration at airtable.com.",
    ],
  },
  discord: {
    console: "discord.com/developers/applications, OAuth2.",
    notes: ["Revoking ends all tokens of this user and app."],
  },
  figma: {
    console: "figma.com/developers/apps.",
    notes: [
      "Refreshes at an endpoint of its own, which sends no new refresh token (unverified).",
      "A code lives about 30 seconds (unverified).",
    ],
  },
  gitlab: {
    console: "User, group or instance settings, Applications; confidential.",
    notes: [
      "`host`: gitlab.com or your own.",
      "The endpoints that make access tokens out of a token are denied.",
    ],
  },
  quickbooks: {
    console: "developer.intuit.com, an app, Keys & OAuth, production keys.",
    notes: [
      "The company, `realmId`, arrives with the redirect and is part of the path of every call.",
      "The refresh token changes about once a day. 100 days without use, 5 years at most.",
    ],
  },
  xero: {
    console: "developer.xero.com/app/manage, a web app.",
    notes: ["A call names the organisation in `xero-tenant-id`; the ids come from `/connections`."],
  },
  x: {
    console: "developer.x.com, a project's app, a confidential client (Web App).",
    notes: ["PKCE is required.", "`offline.access` brings the refresh token, which works once."],
  },
  shopify: {
    console: "Shopify Partners or the dev dashboard, an app.",
    notes: [
      "`shop` is the name before `.myshopify.com`.",
      "`expiring=1` asks for a token of 60 minutes with a refresh token; without it the token never ends.",
      "The redirect is signed with the app's secret, and checked.",
    ],
  },
};
