/** API keys. What a key may be is decided in the access room. */
import {
  createKey,
  getKey,
  type Identity,
  type KeyRecord,
  type KeyRequest,
  listKeys,
  MAX_KEYS_PER_PAGE,
  revokeKey,
} from "../access/index.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problemAt } from "./problems.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { refusalForErasure } from "./routes-erasures.ts";
import { type Call, type Route, route } from "./route.ts";
import { CreateAdminKey, CreateKey, pageQuery, revokeQuery } from "./request-schemas.ts";
import { Key, KeyList, NewKey, RevokedKey } from "./answer-keys.ts";

const CREATED = {
  status: 201,
  description: "The key, with its text.",
  schema: NewKey,
  headers: ["Location"],
} as const;

export const KEY_ROUTES: readonly Route[] = [
  route({
    id: "createKey",
    method: "POST",
    path: "/v1/keys",
    rule: "keys:write",
    also: "A key is never wider than its maker: in scopes, user, policy and expiry. A `user` needs `runs:act_as`.",
    tag: "Keys",
    summary: "Make an API key",
    body: { schema: CreateKey, required: true, example: EXAMPLES.key },
    answers: [CREATED],
    problems: [
      "scope_wider",
      "user_wider",
      "expiry_wider",
      "scope_not_for_users",
      "maker_ended",
      "user_being_erased",
    ],
    handle: async ({ call, identity, body: { expires_at: expiresAt, ...rest } }) =>
      (await refusalForErasure(call, identity.tenant, rest.user ?? null)) ??
      make(call, identity, { ...rest, expiresAt }),
  }),
  route({
    id: "listKeys",
    method: "GET",
    path: "/v1/keys",
    rule: "keys:read",
    tag: "Keys",
    summary: "List the API keys of the tenant, also revoked and expired ones",
    query: pageQuery,
    answers: [{ status: 200, description: "A page of keys, oldest first.", schema: KeyList }],
    handle: async ({ call, identity, query: { cursor, limit = MAX_KEYS_PER_PAGE } }) => {
      const page = await listKeys(call.deps.access, identity, { after: cursor, limit });
      if (!page.ok) return cursorProblem(page.error.code, ofAccess(page.error));
      return jsonResponse({ data: page.value.keys.map(viewKey), next_cursor: page.value.next });
    },
  }),
  route({
    id: "getKey",
    method: "GET",
    path: "/v1/keys/{key}",
    rule: "any key",
    also: "A key can always see itself; others need `keys:read`.",
    tag: "Keys",
    summary: "Look at an API key",
    answers: [{ status: 200, description: "The key, without its text.", schema: Key }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const key = await getKey(call.deps.access, identity, call.params["key"] ?? "");
      return key.ok ? jsonResponse(viewKey(key.value)) : ofAccess(key.error);
    },
  }),
  route({
    id: "revokeKey",
    method: "DELETE",
    path: "/v1/keys/{key}",
    rule: "any key",
    also: "A key can always revoke itself; others need `keys:write` and all the scopes of the key.",
    spared: "keys:write",
    tag: "Keys",
    summary: "Revoke an API key, for good",
    description:
      "Keys that it has made live on, unless `descendants=true` revokes them with it, directly made or not.",
    query: revokeQuery,
    answers: [
      { status: 200, description: "The key, and from when it is refused everywhere.", schema: RevokedKey },
    ],
    problems: ["not_found", "scope_wider"],
    handle: async ({ call, identity, query }) => {
      const { deps, params } = call;
      const revoked = await revokeKey(deps.access, identity, params["key"] ?? "", deps.now(), {
        descendants: query.descendants === "true",
      });
      if (!revoked.ok) return ofAccess(revoked.error);
      const { key, effectiveBy, descendants } = revoked.value;
      return jsonResponse({
        ...viewKey(key),
        effective_by: effectiveBy,
        ...(descendants === undefined ? {} : { descendants }),
      });
    },
  }),
  route({
    id: "createAdminKey",
    method: "POST",
    path: "/v1/tenants/{tenant}/keys",
    rule: "root",
    tag: "Tenants",
    summary: "Make an admin key of a tenant: it has every scope",
    body: { schema: CreateAdminKey, required: true, example: EXAMPLES.adminKey },
    answers: [CREATED],
    problems: ["not_found"],
    handle: ({ call, identity, body: { name, expires_at: expiresAt } }) =>
      make(call, identity, { name, expiresAt, tenant: call.params["tenant"] }),
  }),
];

/** The one answer that holds a secret. `no-store` is on every answer that does not say otherwise. */
async function make(call: Call, maker: Identity, request: KeyRequest): Promise<Response | Problem> {
  const made = await createKey(call.deps.access, maker, request, call.deps.now());
  if (!made.ok) return ofAccess(made.error);
  const { key, text } = made.value;
  return jsonResponse({ ...viewKey(key), key: text }, 201, { location: `/v1/keys/${key.id}` });
}

/** The list takes no body: what access calls `/cursor` is the parameter. */
function cursorProblem(code: string, refusal: Problem): Problem {
  return code === "invalid" ? problemAt("invalid_request", { parameter: "cursor" }, refusal.detail) : refusal;
}

function viewKey(key: KeyRecord): Readonly<Record<string, unknown>> {
  return {
    id: key.id,
    tenant: key.tenant,
    name: key.name,
    prefix: key.prefix,
    last4: key.last4,
    scopes: key.scopes,
    user: key.user,
    policies: key.policies,
    created_by: key.createdBy,
    created_at: key.createdAt,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
    last_used_at: key.lastUsedAt,
  };
}
