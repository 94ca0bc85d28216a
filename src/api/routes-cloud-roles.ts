/** Cloud roles: whose identity is exchanged where. What one may be is decided in the identity room. */
import { actorOf } from "../access/index.ts";
import type { CloudRole, RoleRefusal } from "../identity/index.ts";
import {
  ChangedCloudRole,
  CloudRoleList,
  CloudRoleTrial,
  CloudRoleView,
  TrustPolicy,
} from "./answer-cloud-roles.ts";
import { cloudRoleAdvice, viewCloudRole } from "./cloud-role-views.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse, RETRY_AFTER_S } from "./replies.ts";
import {
  CreateCloudRole,
  PutCloudRole,
  roleRequestOf,
  rolesQuery,
  TestCloudRole,
} from "./request-cloud-roles.ts";
import { type Call, type Route, route } from "./route.ts";

const PAGE = 100;

export const CLOUD_ROLE_ROUTES: readonly Route[] = [
  route({
    id: "createCloudRole",
    method: "POST",
    path: "/v1/cloud-roles",
    rule: "cloud_roles:write",
    tag: "Cloud roles",
    summary: "Make a cloud role",
    description:
      "Nothing secret is needed: the cloud trusts the tenant's issuer, and `trust-policy` prints what it has to be told.",
    body: { schema: CreateCloudRole, required: true, example: EXAMPLES.cloudRole },
    answers: [{ status: 201, description: "The role.", schema: ChangedCloudRole, headers: ["Location"] }],
    problems: ["cloud_role_exists", "invalid_cloud_role", "identity_not_configured", "limit_reached"],
    handle: async ({ call, identity, body: { name, ...body } }) => {
      const { tenant } = identity;
      const made = await call.deps.identity().makeRole(tenant, name, roleRequestOf(body), actorOf(identity));
      return made.ok ? changed(call, made.value, 201) : ofRoles(made.error);
    },
  }),
  route({
    id: "listCloudRoles",
    method: "GET",
    path: "/v1/cloud-roles",
    rule: "cloud_roles:read",
    tag: "Cloud roles",
    summary: "List the cloud roles of the tenant",
    query: rolesQuery,
    answers: [{ status: 200, description: "A page of roles, by their names.", schema: CloudRoleList }],
    handle: async ({ call, identity, query: { cursor = "", limit = PAGE } }) => {
      const page = await call.deps.identity().roles(identity.tenant, { after: cursor, limit });
      const next = page.length < limit ? null : (page.at(-1)?.name ?? null);
      return jsonResponse({ data: page.map((role) => viewCloudRole(call.deps, role)), next_cursor: next });
    },
  }),
  route({
    id: "getCloudRole",
    method: "GET",
    path: "/v1/cloud-roles/{role}",
    rule: "cloud_roles:read",
    tag: "Cloud roles",
    summary: "Look at a cloud role",
    answers: [{ status: 200, description: "The role.", schema: CloudRoleView }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const role = await call.deps.identity().role(identity.tenant, nameIn(call));
      return role === null ? noRole() : jsonResponse(viewCloudRole(call.deps, role));
    },
  }),
  route({
    id: "putCloudRole",
    method: "PUT",
    path: "/v1/cloud-roles/{role}",
    rule: "cloud_roles:write",
    tag: "Cloud roles",
    summary: "Change a cloud role",
    description:
      "In the place of all that it was; its provider stays. Steps get credentials by the new word within seconds; those that were given already live on until they end.",
    body: { schema: PutCloudRole, required: true, example: EXAMPLES.changedCloudRole },
    answers: [{ status: 200, description: "The role.", schema: ChangedCloudRole }],
    problems: ["not_found", "invalid_cloud_role", "identity_not_configured"],
    handle: async ({ call, identity, body }) => {
      const { tenant } = identity;
      const put = await call.deps
        .identity()
        .changeRole(tenant, nameIn(call), roleRequestOf(body), actorOf(identity));
      return put.ok ? changed(call, put.value, 200) : ofRoles(put.error);
    },
  }),
  route({
    id: "deleteCloudRole",
    method: "DELETE",
    path: "/v1/cloud-roles/{role}",
    rule: "cloud_roles:write",
    tag: "Cloud roles",
    summary: "Give a cloud role up",
    description:
      "No step gets credentials of it any more, within seconds. Those that were given live on until they end: the cloud can revoke them. Runs that used it do not go on under another role of its name.",
    answers: [{ status: 204, description: "It is gone." }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const gone = await call.deps.identity().deleteRole(identity.tenant, nameIn(call), actorOf(identity));
      return gone.ok ? new Response(null, { status: 204 }) : ofRoles(gone.error);
    },
  }),
  route({
    id: "getTrustPolicy",
    method: "GET",
    path: "/v1/cloud-roles/{role}/trust-policy",
    rule: "cloud_roles:read",
    tag: "Cloud roles",
    summary: "Print what the cloud has to be told, ready to paste",
    answers: [{ status: 200, description: "The texts.", schema: TrustPolicy }],
    problems: ["not_found", "identity_not_configured"],
    handle: async ({ call, identity }) => {
      const trust = await call.deps.identity().trust(identity.tenant, nameIn(call));
      return trust.ok ? jsonResponse(trust.value) : ofRoles(trust.error);
    },
  }),
  route({
    id: "testCloudRole",
    method: "POST",
    path: "/v1/cloud-roles/{role}/test",
    rule: "cloud_roles:write",
    tag: "Cloud roles",
    summary: "Try a cloud role: does the exchange work, and if not, what has to be changed?",
    description:
      "Does the exchange once, in the name of a workflow of the role. What it gives is thrown away.",
    body: { schema: TestCloudRole, required: false, example: EXAMPLES.testCloudRole },
    answers: [{ status: 200, description: "What came of it.", schema: CloudRoleTrial }],
    problems: ["not_found", "identity_not_configured"],
    handle: async ({ call, identity, body }) => {
      const tried = await call.deps
        .identity()
        .tryRole(identity.tenant, nameIn(call), body.workflow, actorOf(identity));
      if (!tried.ok) return ofRoles(tried.error);
      const { trusted, subject: sub, answer } = tried.value;
      const refusal = answer.ok ? null : answer.refusal;
      return jsonResponse({
        ...{ works: answer.ok, issuer: trusted.issuer, subject: sub, audience: trusted.audience },
        expires_at: answer.ok ? answer.credential.expiresAt : null,
        refusal:
          refusal === null
            ? null
            : {
                ...{ kind: refusal.kind, code: refusal.code, message: refusal.message, hint: refusal.hint },
                retry_after_ms: refusal.retryAfterMs ?? null,
              },
      });
    },
  }),
];

async function changed(call: Call, role: CloudRole, status: 200 | 201): Promise<Response> {
  const headers = status === 201 ? { location: `/v1/cloud-roles/${role.name}` } : {};
  const advice = await cloudRoleAdvice(call.deps, role);
  return jsonResponse({ ...viewCloudRole(call.deps, role), advice }, status, headers);
}

function ofRoles(refusal: RoleRefusal): Problem {
  switch (refusal.code) {
    case "not_found":
      return noRole();
    case "role_exists":
      return problemAt("cloud_role_exists", { pointer: "/name" }, "There is a cloud role of this name.");
    case "too_many":
      return problem("limit_reached", `A tenant has at most ${refusal.most} cloud roles.`, {
        hint: "Delete roles that nothing uses, or let one role name several workflows.",
      });
    case "not_for":
      return problemAt(
        "invalid_request",
        { pointer: "/workflow", allowed: refusal.allowed },
        "The role is not for it.",
      );
    case "unavailable":
      return problem(
        "unavailable",
        "The role is changed by others at this moment, or its issuer does not answer.",
        { headers: { "retry-after": String(RETRY_AFTER_S) } },
      );
    case "identity_not_configured":
      return problem("identity_not_configured", "This deployment issues no identity tokens.");
    case "invalid_role":
      return problem("invalid_cloud_role", `${refusal.flaw.pointer}: ${refusal.flaw.detail}`, {
        errors: [refusal.flaw],
      });
  }
}

function noRole(): Problem {
  return problem("not_found", "There is no such cloud role.");
}

function nameIn(call: Call): string {
  return call.params["role"] ?? "";
}
