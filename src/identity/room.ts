/**
 * The identity room: roles made, looked at, tried, given up; and lent to steps.
 *
 * - I1 what changes a role is in the audit before it counts.
 * - I2 nothing here holds a credential: they live in their objects.
 */
import { err, ok, randomId, type LeaseAnswer, type Result } from "../platform/index.ts";
import { createLookup } from "./lookup.ts";
import type { CredentialAnswer } from "./credential-rpc.ts";
import type { IdentityDeps } from "./ports.ts";
import { createReferring, type RoleAsker, type RoleReferenceRefusal } from "./referring.ts";
import type { CloudRole, RoleProvider, Subject } from "./role.ts";
import { draftRole, type RoleDraft, type RoleFlaw, type RoleRequest } from "./roles.ts";
import {
  deleteRole,
  insertRole,
  MAX_ROLES,
  selectAudienceHolder,
  selectRole,
  selectRoles,
  selectRolesTrusting,
  updateRole,
} from "./roles-store.ts";
import { subjectOf, workflowText } from "./subjects.ts";
import { issuerUrl } from "./token.ts";
import { trustAdvice, trustTexts, type Trusted, type TrustText } from "./trust-policy/index.ts";
import { createUse, type RoleUse } from "./using.ts";

export type RoleRefusal =
  | { readonly code: "not_found" | "role_exists" | "unavailable" | "identity_not_configured" }
  | { readonly code: "too_many"; readonly most: number }
  | { readonly code: "invalid_role"; readonly flaw: RoleFlaw }
  /** Whom it is for. */
  | { readonly code: "not_for"; readonly allowed: readonly string[] };

export interface RoleTrust extends Trusted {
  readonly texts: readonly TrustText[];
}

export interface RoleTrial {
  readonly trusted: Trusted;
  readonly subject: string;
  readonly answer: CredentialAnswer;
}

export interface Identity {
  /** `https://<host>/t/<tenant>`; null: this deployment is no issuer. */
  issuerOf(tenant: string): string | null;
  makeRole(
    tenant: string,
    name: string,
    request: RoleRequest,
    actor: string,
  ): Promise<Result<CloudRole, RoleRefusal>>;
  /** In the place of all that it was; its provider stays. */
  changeRole(
    tenant: string,
    name: string,
    request: RoleRequest,
    actor: string,
  ): Promise<Result<CloudRole, RoleRefusal>>;
  deleteRole(tenant: string, name: string, actor: string): Promise<Result<void, RoleRefusal>>;
  role(tenant: string, name: string): Promise<CloudRole | null>;
  roles(
    tenant: string,
    page: { readonly after: string; readonly limit: number },
  ): Promise<readonly CloudRole[]>;
  /** Each `sub` that its tokens can have. */
  subjectsOf(role: Pick<CloudRole, "tenant" | "workflows" | "inline">): readonly string[];
  /** What its cloud will not take, or wants besides. */
  adviceOn(role: CloudRole): readonly string[];
  /** What the cloud has to be told. */
  trust(tenant: string, name: string): Promise<Result<RoleTrust, RoleRefusal>>;
  /**
   * Does the exchange now, once; what it gives is thrown away.
   *
   * @param workflow in whose name, as the role names it, or `inline`; missing: the first of those who may use it
   */
  tryRole(
    tenant: string,
    name: string,
    workflow: string | undefined,
    actor: string,
  ): Promise<Result<RoleTrial, RoleRefusal>>;
  use(use: RoleUse): Promise<LeaseAnswer>;
  refusalOf(role: string, host: string, asker: RoleAsker): Promise<RoleReferenceRefusal | undefined>;
  /** Names of the roles that trust a stored plan by its name: whoever changes the plan speaks for it. */
  rolesTrustingPlan(tenant: string, plan: string): Promise<readonly string[]>;
}

/** How long a credential of a trial has to live on: it is thrown away. */
const TRIAL_MS = 1_000;
/** Changes of one role that come in between, before whoever changes it is told to come again. */
const TRIES = 3;
/** Said of refusals that end by themselves right after a change at AWS; runs do not wait for that, as they do not know of one. */
const PERHAPS_NEW =
  "If the role, its provider or its trust policy was made or changed within the last minute, test again before you change anything: AWS refuses until it knows it everywhere.";

export function createIdentity(deps: IdentityDeps): Identity {
  const { db, audit, now, issuerOrigin } = deps;
  const lookup = createLookup((tenant, name) => selectRole(db, tenant, name), deps);
  const issuerOf = (tenant: string): string | null =>
    issuerOrigin === null ? null : issuerUrl(issuerOrigin, tenant);
  return {
    issuerOf,
    async makeRole(tenant, name, request, actor) {
      const drafted = await draft(tenant, name, request);
      if (!drafted.ok) return drafted;
      const at = now();
      const role: CloudRole = {
        ...{ ...drafted.value, tenant, name, version: 1 },
        ...{ id: randomId("role"), createdAt: at, createdBy: actor, updatedAt: at },
      };
      if ((await selectRole(db, tenant, name)) !== null) return err({ code: "role_exists" });
      await note(role, actor, "cloud_role.create");
      if (await insertRole(db, role)) return ok(role);
      if ((await selectRole(db, tenant, name)) !== null) return err({ code: "role_exists" });
      return err((await audienceRefusal(role)) ?? { code: "too_many", most: MAX_ROLES });
    },
    async changeRole(tenant, name, request, actor) {
      // Of several that change it at once, each is in the place of the one before.
      for (let tries = 1; tries <= TRIES; tries += 1) {
        const before = await selectRole(db, tenant, name);
        if (before === null) return err({ code: "not_found" });
        if (request.target.provider !== before.target.provider)
          return err({ code: "invalid_role", flaw: providerFixed(before.target.provider) });
        const drafted = await draft(tenant, name, request);
        if (!drafted.ok) return drafted;
        const change = { ...drafted.value, tenant, name, updatedAt: now() };
        await note({ ...before, ...change }, actor, "cloud_role.change");
        const changed = await updateRole(db, before, change);
        lookup.forget(tenant, name);
        if (changed !== null) return ok(changed);
      }
      return err({ code: "unavailable" });
    },
    async deleteRole(tenant, name, actor) {
      const before = await selectRole(db, tenant, name);
      if (before === null) return err({ code: "not_found" });
      await note(before, actor, "cloud_role.delete");
      const gone = await deleteRole(db, before);
      lookup.forget(tenant, name);
      return gone ? ok(undefined) : err({ code: "not_found" });
    },
    role: (tenant, name) => selectRole(db, tenant, name),
    roles: (tenant, { after, limit }) => selectRoles(db, tenant, after, limit),
    subjectsOf,
    adviceOn: (role) => {
      const { tenant, target, audience } = role;
      return trustAdvice(target, { issuer: issuerOf(tenant) ?? "", audience, subjects: subjectsOf(role) });
    },
    async trust(tenant, name) {
      const found = await trustedBy(tenant, name);
      return found.ok ? ok({ ...found.value.trusted, texts: found.value.texts }) : found;
    },
    async tryRole(tenant, name, workflow, actor) {
      const found = await trustedBy(tenant, name);
      if (!found.ok) return found;
      const { role, trusted } = found.value;
      const who = subjectsIn(role);
      const subject = who.find((one) => workflow === undefined || askedAs(one) === workflow);
      if (subject === undefined) return err({ code: "not_for", allowed: who.map(askedAs) });
      await note(role, actor, "cloud_role.test");
      const bearer = { subject, workflowVersion: "test", run: role.perRun ? randomId("run") : null };
      // Under an id of its own: nothing that was exchanged, or refused, before is the answer.
      const answer = await deps.credentials.get({ ...role, id: randomId("role") }, bearer, TRIAL_MS);
      return ok({ trusted, subject: subjectOf(tenant, subject), answer: ofTrial(role, answer) });
    },
    use: createUse(deps, lookup),
    refusalOf: createReferring(deps, lookup),
    rolesTrustingPlan: (tenant, name) =>
      selectRolesTrusting(db, tenant, workflowText({ kind: "plan", name })),
  };

  async function draft(
    tenant: string,
    name: string,
    request: RoleRequest,
  ): Promise<Result<RoleDraft, RoleRefusal>> {
    if (issuerOrigin === null) return err({ code: "identity_not_configured" });
    const drafted = draftRole(request, { ...deps, issuerOrigin });
    if (!drafted.ok) return err({ code: "invalid_role", flaw: drafted.error });
    const refusal = await audienceRefusal({ ...drafted.value, tenant, name });
    if (refusal !== null) return err(refusal);
    const issuer = await deps.ensureIssuer(tenant);
    return issuer.ok ? drafted : err({ code: "unavailable" });
  }

  async function audienceRefusal(
    role: Pick<CloudRole, "tenant" | "name" | "audience" | "target">,
  ): Promise<RoleRefusal | null> {
    const holder = await selectAudienceHolder(db, role);
    return holder === null ? null : { code: "invalid_role", flaw: audienceTaken(holder) };
  }

  async function trustedBy(
    tenant: string,
    name: string,
  ): Promise<
    Result<
      { readonly role: CloudRole; readonly trusted: Trusted; readonly texts: readonly TrustText[] },
      RoleRefusal
    >
  > {
    const issuer = issuerOf(tenant);
    if (issuer === null) return err({ code: "identity_not_configured" });
    const role = await selectRole(db, tenant, name);
    if (role === null) return err({ code: "not_found" });
    const trusted = { issuer, audience: role.audience, subjects: subjectsOf(role) };
    return ok({ role, trusted, texts: trustTexts(role.target, trusted) });
  }

  /** I1 */
  async function note(role: CloudRole, actor: string, action: string): Promise<void> {
    const { tenant, name, id, target, workflows, inline } = role;
    await audit.write({
      ...{ at: now(), tenant, actor, action, target: name, outcome: "granted" },
      detail: {
        ...{ role: id, provider: target.provider, inline },
        workflows: workflows.map(workflowText).join(" ").slice(0, 500),
        hosts: role.hosts
          .map(({ host }) => host)
          .join(" ")
          .slice(0, 500),
      },
    });
  }
}

function subjectsIn({ workflows, inline }: Pick<CloudRole, "workflows" | "inline">): readonly Subject[] {
  return [...workflows, ...(inline ? [{ kind: "inline", name: null } as const] : [])];
}

function subjectsOf(role: Pick<CloudRole, "tenant" | "workflows" | "inline">): string[] {
  return subjectsIn(role).map((one) => subjectOf(role.tenant, one));
}

function askedAs(subject: Subject): string {
  return subject.kind === "inline" ? subject.kind : workflowText(subject);
}

function ofTrial({ target }: CloudRole, answer: CredentialAnswer): CredentialAnswer {
  if (answer.ok || target.provider !== "aws" || answer.refusal.code !== "AccessDenied") return answer;
  const { refusal } = answer;
  return { ok: false, refusal: { ...refusal, hint: `${refusal.hint} ${PERHAPS_NEW}` } };
}

function providerFixed(provider: RoleProvider): RoleFlaw {
  return {
    pointer: "/provider",
    code: "provider_fixed",
    detail: "A role stays with its provider: make another role.",
    allowed: [provider],
  };
}

function audienceTaken(holder: string): RoleFlaw {
  return {
    pointer: "/audience",
    code: "audience_taken",
    detail: `The role ${holder} has this audience: whom one of the two gives a token could show it to the other's.`,
  };
}
