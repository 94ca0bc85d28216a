/** Integrations: a tenant's apps at providers, or its credentials for them. What one may be is decided in the connections room. */
import { actorOf, type KeyIdentity } from "../access/index.ts";
import type {
  CustomProvider,
  IntegrationRequest,
  ManageRefusal,
  Provider,
  WantedSecret,
  WantedSettings,
} from "../connections/index.ts";
import {
  CreatedIntegration,
  DeletedIntegration,
  Integration,
  IntegrationList,
  ProviderList,
} from "./answer-connections.ts";
import { adviceOn, viewIntegration } from "./connection-views.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse, RETRY_AFTER_S } from "./replies.ts";
import {
  ChangeIntegration,
  CreateIntegration,
  FIXED_FIELDS,
  integrationsQuery,
} from "./request-connections.ts";
import { type Call, type Route, route } from "./route.ts";
import type { BodyOf } from "./schema.ts";

const PAGE = 100;

export const INTEGRATION_ROUTES: readonly Route[] = [
  route({
    id: "listProviders",
    method: "GET",
    path: "/v1/providers",
    rule: "integrations:read",
    tag: "Integrations",
    summary: "See the providers that integrations can be made for",
    answers: [{ status: 200, description: "The catalogue, and the kinds for others.", schema: ProviderList }],
    handle: async ({ call }) => {
      const { catalog, kinds } = call.deps.connections().providers;
      return jsonResponse({ data: catalog.map(viewProvider), kinds });
    },
  }),
  route({
    id: "createIntegration",
    method: "POST",
    path: "/v1/integrations",
    rule: "integrations:write",
    tag: "Integrations",
    summary: "Make an integration",
    description:
      "Provider, client, endpoints and hosts are fixed with it, also what an issuer says of itself; scopes, modes, addresses to return to and the secret can be changed.",
    body: { schema: CreateIntegration, required: true, example: EXAMPLES.integration },
    answers: [
      { status: 201, description: "The integration.", schema: CreatedIntegration, headers: ["Location"] },
    ],
    problems: ["integration_exists", "invalid_integration", "discovery_failed"],
    handle: async ({ call, identity, body }) => {
      const made = await call.deps
        .connections()
        .makeIntegration(identity.tenant, requestOf(body), actorOf(identity));
      if (!made.ok) return ofManaging(made.error);
      const location = `/v1/integrations/${made.value.name}`;
      const advice = adviceOn(made.value);
      return jsonResponse({ ...viewIntegration(call, made.value), advice }, 201, { location });
    },
  }),
  route({
    id: "listIntegrations",
    method: "GET",
    path: "/v1/integrations",
    rule: "integrations:read",
    tag: "Integrations",
    summary: "List the integrations of the tenant",
    query: integrationsQuery,
    answers: [
      { status: 200, description: "A page of integrations, by their names.", schema: IntegrationList },
    ],
    handle: async ({ call, identity, query: { cursor = "", limit = PAGE } }) => {
      const page = await call.deps.connections().integrations(identity.tenant, { after: cursor, limit });
      const next = page.length < limit ? null : (page.at(-1)?.name ?? null);
      return jsonResponse({ data: page.map((made) => viewIntegration(call, made)), next_cursor: next });
    },
  }),
  route({
    id: "getIntegration",
    method: "GET",
    path: "/v1/integrations/{integration}",
    rule: "integrations:read",
    tag: "Integrations",
    summary: "Look at an integration",
    answers: [{ status: 200, description: "The integration, without its secret.", schema: Integration }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const made = await call.deps.connections().integration(identity.tenant, nameIn(call));
      return made === null ? noIntegration() : jsonResponse(viewIntegration(call, made));
    },
  }),
  route({
    id: "changeIntegration",
    method: "PATCH",
    path: "/v1/integrations/{integration}",
    rule: "integrations:write",
    tag: "Integrations",
    summary: "Change an integration's settings, or its secret",
    description:
      "What is left out stays. A new secret reaches the connections at once, those beyond the first 50 within minutes.",
    body: { schema: ChangeIntegration, required: true, example: EXAMPLES.changedIntegration },
    answers: [{ status: 200, description: "The integration.", schema: Integration }],
    problems: ["not_found", "integration_fixed", "invalid_integration"],
    handle: ({ call, identity, body }) => change(call, identity, body),
  }),
  route({
    id: "deleteIntegration",
    method: "DELETE",
    path: "/v1/integrations/{integration}",
    rule: "integrations:write",
    tag: "Integrations",
    summary: "Delete an integration, and take all of its connections back",
    description: "Its name is not used again. Connections beyond the first 50 are taken back within minutes.",
    answers: [{ status: 202, description: "How far it came.", schema: DeletedIntegration }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const name = nameIn(call);
      const done = await call.deps.connections().deleteIntegration(identity.tenant, name, actorOf(identity));
      if (!done.ok) return ofManaging(done.error);
      return jsonResponse({ name, connections: done.value.done, more: done.value.left }, 202);
    },
  }),
];

async function change(
  call: Call,
  identity: KeyIdentity,
  body: BodyOf<typeof ChangeIntegration>,
): Promise<Response | Problem> {
  const asked = FIXED_FIELDS.find((field) => body[field] !== undefined);
  if (asked !== undefined)
    return problemAt(
      "integration_fixed",
      { pointer: `/${asked}` },
      `\`${asked}\` was fixed when the integration was made.`,
    );
  const changed = await call.deps.connections().changeIntegration(
    identity.tenant,
    nameIn(call),
    {
      ...settingsIn(body),
      ...(body.display_name === undefined ? {} : { displayName: body.display_name }),
    },
    actorOf(identity),
  );
  return changed.ok ? jsonResponse(viewIntegration(call, changed.value)) : ofManaging(changed.error);
}

function requestOf(body: BodyOf<typeof CreateIntegration>): IntegrationRequest {
  const { client_id: clientId, client_auth: clientAuth, custom, parts, owner } = body;
  return {
    ...{ name: body.name, provider: body.provider },
    ...settingsIn(body),
    ...(owner === undefined ? {} : { owner }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(clientAuth === undefined ? {} : { clientAuth }),
    ...(parts === undefined ? {} : { parts }),
    // The schema's own fields, in the room's spelling.
    ...(custom === undefined ? {} : { custom: camel(custom) as CustomProvider }),
  };
}

type Settings = Pick<
  BodyOf<typeof CreateIntegration>,
  | "scopes_allowed"
  | "scopes_default"
  | "mode"
  | "link_enabled"
  | "return_to"
  | "workflows"
  | "client_secret"
  | "signing_key"
>;

function settingsIn(body: Settings): WantedSettings & WantedSecret {
  const { mode, workflows } = body;
  return {
    ...(body.scopes_allowed === undefined ? {} : { scopesAllowed: body.scopes_allowed }),
    ...(body.scopes_default === undefined ? {} : { scopesDefault: body.scopes_default }),
    ...(mode === undefined ? {} : { mode }),
    ...(body.link_enabled === undefined ? {} : { linkEnabled: body.link_enabled }),
    ...(body.return_to === undefined ? {} : { returnTo: body.return_to }),
    ...(workflows === undefined ? {} : { workflows }),
    ...(body.client_secret === undefined ? {} : { clientSecret: body.client_secret }),
    ...(body.signing_key === undefined ? {} : { signingKey: body.signing_key }),
  };
}

/** Maps whose keys are the provider's own words. */
const VERBATIM = new Set(["authorize_params", "token_params"]);

function camel(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      VERBATIM.has(key) ? inner : camel(inner),
    ]),
  );
}

function ofManaging(refusal: ManageRefusal): Problem {
  switch (refusal.code) {
    case "not_found":
      return noIntegration();
    case "integration_exists":
      return problemAt(
        "integration_exists",
        { pointer: "/name" },
        "The name is taken, perhaps by one that was deleted.",
      );
    case "unavailable":
      return problem("unavailable", "The integration is changed by others at this moment.", {
        headers: { "retry-after": String(RETRY_AFTER_S) },
      });
    case "invalid_integration":
    case "discovery_failed": {
      const [first] = refusal.flaws;
      const detail = first === undefined ? "It does not fit." : `${first.pointer}: ${first.detail}`;
      return problem(refusal.code, detail, { errors: refusal.flaws });
    }
  }
}

function noIntegration(): Problem {
  return problem("not_found", "There is no such integration.");
}

function nameIn(call: Call): string {
  return call.params["integration"] ?? "";
}

function viewProvider(provider: Provider): Readonly<Record<string, unknown>> {
  const tokens = "tokenUrl" in provider ? provider : null;
  return {
    ...{ name: provider.name, display_name: provider.displayName, kind: provider.kind },
    parts: Object.entries(provider.parts ?? {}).map(([name, { example, default: usual }]) => ({
      ...{ name, example, default: usual ?? null },
    })),
    hosts: provider.hosts,
    client_auth: tokens?.clientAuth ?? [],
    scopes: { default: tokens?.scopes?.default ?? [], identity: tokens?.scopes?.identity ?? [] },
    unverified: provider.unverified ?? [],
    docs: provider.docs ?? null,
  };
}
