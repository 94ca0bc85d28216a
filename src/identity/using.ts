/**
 * How steps come by the credentials of a role.
 *
 * - V1 only whom the role names gets one, by what the step speaks for, not by what it says of itself.
 * - V2 a run that has used a role goes on with that very role: another one of its name does not take its place unseen.
 * - V3 a credential that was refused is replaced by what the role gives now: one that is no more, or is not for the step any
 *      more, gives none.
 * - V4 a credential lives at least as long as the step needs it; a role that can never give that is told before it is asked.
 */
import type { Json, Need } from "../kernel/index.ts";
import type { LeaseAnswer } from "../platform/index.ts";
import { leaseOf } from "./lending.ts";
import type { RoleLookup } from "./lookup.ts";
import { BELOW_ISSUED_MS, wantedLifeMs } from "./needed-life.ts";
import type { IdentityDeps } from "./ports.ts";
import type { CloudRole, ExchangeRefusal, Subject } from "./role.ts";
import { longestLifeS } from "./roles.ts";
import { mayUse, subjectOf, workflowText } from "./subjects.ts";

const PASSING_LIMIT_MS = 60 * 60_000;
/** Clouds learn of new keys and trusts within minutes. */
const PROPAGATION_LIMIT_MS = 15 * 60_000;
const RECHECK_MS = 1_000;
const PROPAGATION_RECHECK_MS = 15_000;

export interface RoleUse {
  readonly tenant: string;
  readonly run: string;
  readonly subject: Subject;
  readonly workflowVersion: string;
  /** Its name. */
  readonly role: string;
  readonly stepTimeoutMs: number;
  /** What the run has pinned under the role's name. */
  readonly pinned: Json;
}

type Cannot = Extract<LeaseAnswer, { readonly kind: "cannot" }>;

export function createUse(
  deps: Pick<IdentityDeps, "credentials" | "issuerOrigin" | "now">,
  lookup: RoleLookup,
): (use: RoleUse) => Promise<LeaseAnswer> {
  return async (use) => (deps.issuerOrigin === null ? notConfigured() : look(use));

  async function look(use: RoleUse, refused?: string): Promise<LeaseAnswer> {
    const role = await lookup.find(use.tenant, use.role, (kept) => refusalOf(kept, use) === null);
    if (role === undefined) return needs(use.role, "unavailable", "The role could not be read just now.");
    if (role === null) return unknown(use.role);
    return refusalOf(role, use) ?? lend(use, role, refused);
  }

  async function lend(use: RoleUse, role: CloudRole, refused?: string): Promise<LeaseAnswer> {
    const { subject, workflowVersion, run } = use;
    const bearer = { subject, workflowVersion, run: role.perRun ? run : null };
    const answer = await deps.credentials.get(role, bearer, wantedLifeMs(use.stepTimeoutMs), refused);
    if (!answer.ok) return notGiven(role.name, answer.refusal);
    const to = { role: role.id };
    const lease = leaseOf({
      ...{ role, credential: answer.credential, now: deps.now },
      subject: subjectOf(use.tenant, subject),
      // V3. What the attempt was lent first is what its run pins when it ends (V2).
      renew: async () => look({ ...use, pinned: to }, answer.fingerprint),
    });
    return { kind: "ready", lease, bound: { name: boundName(role.name), to } };
  }
}

/** Under which name a run pins which role it used. */
export function boundName(role: string): string {
  return `cloud:${role}`;
}

function refusalOf(role: CloudRole, { subject, pinned, stepTimeoutMs }: RoleUse): Cannot | null {
  if (pinned !== null && !isPinned(pinned, role.id))
    return cannot(
      "cloud_role_replaced",
      `The role ${role.name} is another one than the run has used so far.`,
      "Start another run: this one does not go on under a role that was made anew.",
    );
  if (!mayUse(role, subject)) return notFor(role, subject);
  return fitsIn(role, stepTimeoutMs) ? null : tooShort(role, stepTimeoutMs);
}

function isPinned(pinned: Json, id: string): boolean {
  return typeof pinned === "object" && pinned !== null && "role" in pinned && pinned["role"] === id;
}

/** V4 */
export function fitsIn(role: Pick<CloudRole, "target">, stepTimeoutMs: number): boolean {
  const longest = longestLifeS(role.target);
  return longest === null || wantedLifeMs(stepTimeoutMs) <= longest * 1_000 - BELOW_ISSUED_MS;
}

export function notFor(role: Pick<CloudRole, "name" | "workflows">, subject: Subject): Cannot {
  const who =
    subject.kind === "inline" ? "steps that came as JSON without a stored plan" : workflowText(subject);
  return cannot(
    "cloud_role_refused",
    `The role ${role.name} is not for ${who}.`,
    `It is for: ${role.workflows.map(workflowText).join(", ") || "inline plans"}. Whoever keeps the role can name others.`,
  );
}

export function tooShort(
  { name, target }: Pick<CloudRole, "name" | "target">,
  stepTimeoutMs: number,
): Cannot {
  return cannot(
    "timeout_exceeds_credential",
    `A credential of ${name} lives ${longestLifeS(target)} s at most, and the step may take ${stepTimeoutMs / 1_000} s.`,
    "Give the step a timeout that ends a minute and a half before the credential does, or let the role's live longer.",
  );
}

export function unknown(name: string): Cannot {
  return cannot(
    "cloud_role_unknown",
    `There is no cloud role named "${name}".`,
    "Make it with `POST /v1/cloud-roles`, or correct the step's `auth`.",
  );
}

export function notConfigured(): Cannot {
  return cannot(
    "identity_not_configured",
    "This deployment issues no identity tokens.",
    "Set ISSUER_ORIGIN (docs/identity.md), and deploy.",
  );
}

function notGiven(role: string, refusal: ExchangeRefusal): LeaseAnswer {
  const { kind, message, hint, retryAfterMs } = refusal;
  switch (kind) {
    case "configuration":
      return cannot("cloud_role_misconfigured", message, hint);
    case "propagating":
      return needs(role, "propagating", `${message} ${hint}`, PROPAGATION_RECHECK_MS);
    case "passing":
      return needs(role, "unavailable", message, retryAfterMs);
  }
}

function needs(
  role: string,
  reason: Extract<Need, { kind: "cloud" }>["reason"],
  detail: string,
  recheckMs = RECHECK_MS,
): LeaseAnswer {
  const limitMs = reason === "propagating" ? PROPAGATION_LIMIT_MS : PASSING_LIMIT_MS;
  return { kind: "needs", need: { kind: "cloud", role, reason, limitMs, recheckMs, detail } };
}

function cannot(code: Cannot["code"], message: string, hint: string): Cannot {
  return { kind: "cannot", code, message, hint };
}
