/** Integrations, connect sessions, connections. No answer here holds a secret or a token. */
import * as z from "zod";
import { count, named, nextCursor, nullable, time } from "./schema.ts";

const textOrNull = () => z.union([z.string(), z.null()]);
const scopes = () => z.array(z.string());

export const ProviderList = named("ProviderList", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        name: z.string(),
        display_name: z.string(),
        kind: z.string(),
        parts: z
          .array(z.strictObject({ name: z.string(), example: z.string(), default: textOrNull() }))
          .describe("What an integration must say of it."),
        hosts: z.array(z.string()).describe("The only hosts that its tokens are sent to."),
        client_auth: z.array(z.string()),
        scopes: z
          .strictObject({ default: scopes(), identity: scopes() })
          .describe("Asked for always, and to know whose account it is."),
        unverified: z
          .array(z.string())
          .describe("What of its descriptor was not checked against the provider's own word: JSON Pointers."),
        docs: textOrNull(),
      }),
    ),
    kinds: z.array(z.string()).describe("What an integration with `custom` can name as its provider."),
  }),
);

const integrationFields = () => ({
  name: z.string(),
  provider: z.string(),
  display_name: z.string().describe("What people are shown for the provider."),
  kind: z.string(),
  owner: z.enum(["user", "tenant"]),
  client_id: textOrNull(),
  client_auth: textOrNull(),
  parts: z.record(z.string(), z.string()),
  hosts: z.array(z.string()),
  endpoints: z
    .strictObject({
      authorize_url: textOrNull(),
      token_url: z.string(),
      refresh_url: textOrNull(),
      revoke_url: textOrNull(),
      issuer: textOrNull(),
    })
    .or(z.null()),
  callback_url: textOrNull().describe("The redirect URI to register at the provider."),
  scopes_allowed: z.union([scopes(), z.null()]),
  scopes_default: scopes(),
  mode: z.enum(["confirm", "host_session", "link"]).or(z.null()),
  link_enabled: z.boolean(),
  return_to: z.array(z.string()),
  workflows: z.union([z.array(z.string()), z.null()]),
  version: count(),
  created_at: time(),
  created_by: z.string(),
  updated_at: time(),
});

export const Integration = named("Integration", () => z.strictObject(integrationFields()));

export const CreatedIntegration = named("CreatedIntegration", () =>
  z.strictObject({
    ...integrationFields(),
    advice: z.array(z.string()).describe("What is allowed, but perhaps not meant."),
  }),
);

export const IntegrationList = named("IntegrationList", () =>
  z.strictObject({ data: z.array(Integration.schema()), next_cursor: nextCursor() }),
);

export const DeletedIntegration = named("DeletedIntegration", () =>
  z.strictObject({
    name: z.string(),
    connections: count().describe("How many were taken back at once."),
    more: z.boolean().describe("Whether there are others, which are taken back within minutes."),
  }),
);

const sessionFields = () => ({
  id: z.string(),
  integration: z.string(),
  connection: z.string(),
  user: textOrNull(),
  account: z.string(),
  scopes: scopes(),
  mode: z.enum(["confirm", "host_session", "link"]),
  return_to: textOrNull(),
  purpose: z.string().describe("`api`, or the step that waits: `run:<id>:<step>:<workflow>`."),
  state: z.enum(["open", "redeemed", "exchanging", "unconfirmed", "done", "failed", "expired"]),
  failure: textOrNull(),
  created_at: time(),
  expires_at: time().describe("Until when it can go on from its present state."),
  url: textOrNull().describe("Where to send the user's browser; null once it was used or is over."),
});

export const ConnectSession = named("ConnectSession", () => z.strictObject(sessionFields()));

export const ConfirmedSession = named("ConfirmedSession", () =>
  z.strictObject({ id: z.string(), connection: z.string() }),
);

export const SessionTicket = named("SessionTicket", () =>
  z.strictObject({
    url: z.string().describe("Where to send this very browser, at once: it works once."),
    expires_at: time(),
  }),
);

const connectionFields = () => ({
  id: z.string(),
  integration: z.string(),
  owner: z.enum(["user", "tenant"]),
  user: textOrNull(),
  account: z.string(),
  label: textOrNull().describe("The account's name at the provider."),
  status: z.enum(["active", "dead", "revoking", "disconnected"]),
  reason: textOrNull().describe("Of a dead one: `revoked`, `expired`, `refresh_lost`."),
  scopes: z.union([scopes(), z.null()]).describe("Null: the provider does not say."),
  identity_level: z.string().describe("How sure it is whose browser consented."),
  workflows: z.union([z.array(z.string()), z.null()]),
  granted_at: time(),
  expires_at: nullable(time()).describe("Of the present token, which is renewed before."),
  ends_at: nullable(time()).describe("When the grant ends whatever happens."),
  warning: z
    .enum(["ends_soon"])
    .or(z.null())
    .describe("`ends_soon`: it ends within a week, and only a new consent helps (`reconnect`)."),
  revocation: z
    .strictObject({
      outcome: z.enum(["pending", "revoked", "kept_for_siblings", "no_endpoint", "gave_up"]),
      at: time(),
      tries: count(),
    })
    .or(z.null())
    .describe("Whether the provider was told that it is over."),
});

export const Connection = named("Connection", () => z.strictObject(connectionFields()));

export const ConnectionWithUses = named("ConnectionWithUses", () =>
  z.strictObject({
    ...connectionFields(),
    uses: z.array(z.strictObject({ workflow: z.string(), first_at: time(), last_at: time(), uses: count() })),
  }),
);

export const ConnectionList = named("ConnectionList", () =>
  z.strictObject({ data: z.array(Connection.schema()), next_cursor: nextCursor() }),
);

export const DisconnectedConnection = named("DisconnectedConnection", () =>
  z.strictObject({
    ...connectionFields(),
    siblings: z
      .boolean()
      .describe(
        "Whether others live on the same account, or tell the provider themselves: then it is not told of this one, as that would end them. Where that is not known yet, `revocation` says `pending`.",
      ),
  }),
);

export const GrantsLink = named("GrantsLink", () =>
  z.strictObject({
    url: z.string().describe("For this user's browser: it works once."),
    expires_at: time(),
  }),
);
