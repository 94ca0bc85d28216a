/** What comes in about integrations, connect sessions and connections. What it means is decided in the connections room. */
import * as z from "zod";
import { MAX_USER_CHARS } from "../access/index.ts";
import { json, named, nameSchema, time } from "./schema.ts";

const MAX_SCOPES = 100;
const MAX_SCOPE_CHARS = 256;
const MAX_URL_CHARS = 2_048;
const MAX_RETURN_ADDRESSES = 16;
const MAX_HOSTS = 16;
const MAX_WORKFLOWS = 100;
const MAX_SECRET_CHARS = 16_384;
const MAX_TEXT_CHARS = 200;
const MODES = ["confirm", "host_session", "link"] as const;
const CLIENT_AUTH = ["basic", "basic_raw", "post", "private_key_jwt", "none"] as const;

const url = () => z.string().min(1).max(MAX_URL_CHARS);
const duration = () => z.int().min(0).describe("Milliseconds.");
const text = () =>
  z
    .string()
    .min(1)
    .max(MAX_TEXT_CHARS)
    .regex(/^\P{Cc}*$/u, "It holds a control character.");
const secret = () => z.string().min(1).max(MAX_SECRET_CHARS);
const scopes = () => z.array(z.string().min(1).max(MAX_SCOPE_CHARS)).max(MAX_SCOPES);
const params = () => z.record(z.string().min(1).max(64), z.string().max(512));
const user = () =>
  z
    .string()
    .min(1)
    .max(MAX_USER_CHARS)
    .regex(/^\P{Cc}*$/u, "It holds a control character.");
const pointer = () => z.string().regex(/^\/.{0,200}$/, "It is a JSON Pointer.");

/** What may be said at first and later. */
const settings = () => ({
  scopes_allowed: scopes()
    .exactOptional()
    .describe("What connections may ever ask for. Missing: `scopes_default` and nothing more."),
  scopes_default: scopes()
    .exactOptional()
    .describe("What every session asks for; it may name others of `scopes_allowed` beside these."),
  mode: z
    .enum(MODES)
    .exactOptional()
    .describe("How it is made sure whose browser consents; `confirm` if it is missing."),
  link_enabled: z
    .boolean()
    .exactOptional()
    .describe("Whether links may be made with which whoever opens them consents."),
  return_to: z
    .array(url())
    .max(MAX_RETURN_ADDRESSES)
    .exactOptional()
    .describe(
      "Where browsers may be sent in the end: exact https addresses. The first one unless a session names another.",
    ),
  workflows: z
    .array(nameSchema())
    .max(MAX_WORKFLOWS)
    .exactOptional()
    .describe(
      "Of the tenant's own: the only workflows that may use it. `inline` stands for plans that come with a run.",
    ),
  client_secret: secret().exactOptional().describe("Sealed, and never shown again."),
  signing_key: z
    .strictObject({
      key: secret().describe("PKCS#8 in PEM, or a private JWK as text."),
      alg: z.enum(["RS256", "PS256", "ES256", "EdDSA"]).exactOptional(),
      kid: text().exactOptional(),
      issuer: z.string().min(1).max(512).exactOptional(),
      subject: z.string().min(1).max(512).exactOptional(),
      audience: z.string().min(1).max(512).exactOptional(),
    })
    .exactOptional()
    .describe("Signs in the place of a secret, or the grant itself. Sealed, and never shown again."),
});

const custom = () =>
  z.strictObject({
    display_name: text()
      .exactOptional()
      .describe("What people are shown; the integration's name if it is missing."),
    hosts: z
      .array(z.string().min(1).max(253))
      .max(MAX_HOSTS)
      .exactOptional()
      .describe("The only hosts that the token is sent to, exactly."),
    present: z
      .strictObject({ header: z.string().max(64), scheme: z.string().max(32).exactOptional() })
      .exactOptional()
      .describe(
        "How the token is presented; `Authorization: Bearer` if it is missing. Without a scheme: `Bearer` in `authorization`, none in other headers.",
      ),
    authorize_url: url().exactOptional(),
    token_url: url().exactOptional(),
    refresh_url: url().exactOptional(),
    revoke_url: url().exactOptional(),
    issuer: url().exactOptional().describe("Of `oidc`: what is known of it is asked there once, and fixed."),
    authorize_params: params().exactOptional(),
    token_params: params().exactOptional(),
    token_format: z.enum(["form", "json"]).exactOptional(),
    scope_separator: z.enum([" ", ","]).exactOptional(),
    pkce: z.enum(["S256", "required", "off"]).exactOptional(),
    refresh: z
      .strictObject({
        kind: z.enum(["none", "static", "rotating"]),
        optional: z.boolean().exactOptional(),
        reuse_leeway_ms: duration().exactOptional(),
        idle_limit_ms: duration().exactOptional(),
        absolute_limit_ms: duration().exactOptional(),
      })
      .exactOptional(),
    identity: z
      .strictObject({ url: url(), id: pointer(), label: pointer() })
      .exactOptional()
      .describe("Where a GET with the token tells whose account it is, and where it stands in the answer."),
  });

export const CreateIntegration = named("CreateIntegration", () =>
  z.strictObject({
    name: nameSchema().describe("Never used a second time."),
    provider: nameSchema().describe(
      "Of `GET /v1/providers`: a name of the catalogue, or a kind with `custom`.",
    ),
    owner: z.enum(["user", "tenant"]).exactOptional().describe("Whose its connections are."),
    client_id: z
      .string()
      .min(1)
      .max(512)
      .regex(/^\P{Cc}*$/u, "It holds a control character.")
      .exactOptional(),
    client_auth: z
      .enum(CLIENT_AUTH)
      .exactOptional()
      .describe("How the client shows who it is, where the provider takes several."),
    parts: z
      .record(nameSchema(), z.string().min(1).max(253))
      .exactOptional()
      .describe("What the provider's addresses lack: a tenant, a shop."),
    custom: custom().exactOptional().describe("A provider that the catalogue does not have."),
    ...settings(),
  }),
);

/** What never changes is taken, so that it can be said why it does not. */
const fixed = () => json().exactOptional().describe("Fixed: 409 `integration_fixed`.");

export const FIXED_FIELDS = [
  "name",
  "provider",
  "owner",
  "client_id",
  "client_auth",
  "parts",
  "custom",
] as const;

export const ChangeIntegration = named("ChangeIntegration", () =>
  z.strictObject({
    ...settings(),
    display_name: text()
      .exactOptional()
      .describe("What people are shown for a provider that the catalogue does not have."),
    ...{ name: fixed(), provider: fixed(), owner: fixed(), client_id: fixed() },
    ...{ client_auth: fixed(), parts: fixed(), custom: fixed() },
  }),
);

const sessionFields = () => ({
  scopes: scopes()
    .exactOptional()
    .describe("Beside the integration's own `scopes_default`; each one an allowed one."),
  mode: z.enum(MODES).exactOptional(),
  return_to: url().exactOptional().describe("One of the integration's own, exactly."),
  replace_account: z
    .boolean()
    .exactOptional()
    .describe("Whether another account may take the place of the one that is connected."),
});

export const CreateConnectSession = named("CreateConnectSession", () =>
  z.strictObject({
    integration: nameSchema(),
    user: user()
      .exactOptional()
      .describe("Your own id for the person; a key that is bound to a user needs not name it."),
    account: nameSchema()
      .exactOptional()
      .describe("Tells several accounts of one person apart; `default` if it is missing."),
    ...sessionFields(),
  }),
);

export const ConfirmSession = named("ConfirmSession", () =>
  z.strictObject({
    code: z.string().min(1).max(128).describe("As it came to `return_to` with the browser."),
    user: user()
      .exactOptional()
      .describe("Who is logged in in that browser, by your own word. Needed where connections are users'."),
  }),
);

export const TicketForSession = named("TicketForSession", () =>
  z.strictObject({ user: user().describe("Who is logged in in the browser that you send there.") }),
);

export const Reconnect = named("Reconnect", () => z.strictObject(sessionFields()));

export const CreateConnection = named("CreateConnection", () =>
  z.strictObject({
    integration: nameSchema(),
    user: user().exactOptional(),
    account: nameSchema().exactOptional(),
    label: text().exactOptional().describe("For people."),
    api_key: secret().exactOptional(),
    username: z.string().min(1).max(MAX_URL_CHARS).exactOptional(),
    password: secret().exactOptional(),
    expires_at: time().exactOptional().describe("When the credential ends, if that is known."),
  }),
);

const MAX_CONNECTIONS_PER_PAGE = 100;
const pageFields = () => ({
  cursor: z.string().min(1).max(256).optional().describe("`next_cursor` of the page before."),
  limit: z
    .string()
    .regex(/^\d{1,3}$/, "It is a whole number from 1 to 100.")
    .transform(Number)
    .pipe(z.int().min(1).max(MAX_CONNECTIONS_PER_PAGE))
    .optional()
    .describe("At most so many; 100 if missing."),
});

export const integrationsQuery = () => z.strictObject(pageFields());

export const connectionsQuery = () =>
  z.strictObject({
    integration: nameSchema().optional(),
    user: user().optional(),
    owner: z.enum(["user", "tenant"]).optional().describe("`tenant`: only the tenant's own."),
    status: z.enum(["active", "dead", "revoking", "disconnected"]).optional(),
    ...pageFields(),
  });
