/**
 * How the steps of runs come by the connections and the cloud roles that they name.
 *
 * Owns: what a call needs, who is said to ask, how several answers become one. Does not own connections and roles (the `use`
 * of their rooms), or what an attempt does with a credential (the actions).
 *
 * - A1 a call that names neither is not held up: null, at once.
 * - A2 no token is asked for what the policies do not let through; the attempt finds that out for itself, and says so.
 * - A3 a plan, or steps that came as JSON later, never ask in the name of a workflow of this build.
 * - A4 what a service has refused is not asked for again, until it is another grant.
 */

import {
  bindingName,
  carriedBy,
  type CloudRef,
  type ConnectionRef,
  isCloudRef,
  Lent,
  type LendPort,
  type LentRef,
  notLent,
  permitOf,
  type PolicyCall,
  type PolicyPort,
  type UsePort,
  type UseRequest,
} from "./actions/index.ts";
import { INLINE_NAME, lentTo, referenceTo } from "./define/index.ts";
import type { Acquired, Wanted } from "./driver/index.ts";
import type { RoleUse, Subject } from "./identity/index.ts";
import {
  type Binding,
  type ConnectionNeed,
  type Json,
  type Need,
  performanceOf,
  waitsForTime,
  unitName,
} from "./kernel/index.ts";
import { classifyFault, type Lease, type LeaseAnswer, type Logger } from "./platform/index.ts";

/** Whoever keeps the token did not answer: looked for again by itself. */
const PASSING_LIMIT_MS = 60 * 60_000;
const PASSING_RECHECK_MS = 1_000;

export type UseRolePort = (use: RoleUse) => Promise<LeaseAnswer>;

export interface AcquireDeps {
  /** The connections room. */
  readonly use: UsePort;
  /** The identity room. */
  readonly useRole: UseRolePort;
  readonly policy: PolicyPort;
  /** Whether a workflow is one of this build's code. */
  readonly isCode: (workflow: string, version: string) => boolean;
  readonly log: Logger;
}

/** The `acquire` of a run's driver. */
export function createAcquire(deps: AcquireDeps): (wanted: Wanted) => Promise<Acquired> | null {
  return (wanted) => {
    const { def, unit, action, with: parameters, parked } = wanted;
    const { connections } = performanceOf(def, unit) ?? def;
    const named = lentTo({
      ...{ ...def, action, with: parameters },
      ...(connections === undefined ? {} : { connections }),
    });
    const references = distinct([...named, ...foundMissing(action, named, parked)]);
    return references.length === 0 ? null : acquire(deps, wanted, references);
  };
}

/** What a function uses without having said so, in the middle of its attempt. */
export function createLend(deps: AcquireDeps): LendPort {
  return async (call, reference) => {
    const held = {
      pinned: call.bound?.(bindingName(reference)) ?? null,
      stepTimeoutMs: call.timeoutMs,
    };
    return isCloudRef(reference)
      ? useRole(deps, call, reference, held)
      : deps.use({ ...asking(deps, call, reference), ...held });
  };
}

async function acquire(deps: AcquireDeps, wanted: Wanted, references: readonly LentRef[]): Promise<Acquired> {
  // A2
  if (!(await mayBeSent(deps, wanted))) return { kind: "ready", lease: null };
  let answers: readonly LeaseAnswer[];
  try {
    answers = await Promise.all(references.map(async (one) => answerFor(deps, wanted, one)));
  } catch (error) {
    if (classifyFault(error)?.kind === "hop") return { kind: "hop" };
    throw error;
  }
  return joined(references, answers);
}

/** What a function was found to need without having said so: it is not called again before that is there (A4). */
function foundMissing(action: string, named: readonly LentRef[], parked: Need | null): readonly LentRef[] {
  if (action !== "code" || parked === null || named.some((one) => isAbout(parked, one))) return [];
  if (parked.kind === "cloud") return [{ cloud: parked.role }];
  if (parked.integration === "") return [];
  const { integration: connection, account } = parked;
  return [{ connection, ...(account === undefined ? {} : { account }) }];
}

/** What a function sends is known only when it sends it. */
async function mayBeSent({ policy }: AcquireDeps, wanted: Wanted): Promise<boolean> {
  const { action, with: parameters } = wanted;
  if (action !== "http") return true;
  if (typeof parameters !== "object" || parameters === null || !("url" in parameters)) return true;
  const { url: text, method, auth } = parameters as Readonly<Record<string, Json>>;
  const url = typeof text === "string" ? URL.parse(text) : null;
  if (url === null || typeof method !== "string") return true;
  const permit = permitOf(wanted, { policy }, carriedBy(referenceTo(auth) ?? undefined));
  return (await permit({ url, method, redirectedFrom: null })) === null;
}

async function answerFor(deps: AcquireDeps, wanted: Wanted, reference: LentRef): Promise<LeaseAnswer> {
  const held = { pinned: wanted.bound(bindingName(reference)), stepTimeoutMs: wanted.timeoutMs };
  try {
    if (isCloudRef(reference)) return await useRole(deps, wanted, reference, held);
    const parked = parkedFor(reference, wanted.parked);
    const answer = await deps.use({
      ...asking(deps, wanted, reference),
      ...held,
      ...(parked?.version === undefined ? {} : { refused: parked.version }),
    });
    return answer.kind === "needs" ? { kind: "needs", need: stillRefused(answer.need, parked) } : answer;
  } catch (error) {
    if (classifyFault(error)?.kind === "hop") throw error;
    const about = isCloudRef(reference) ? { role: reference.cloud } : { integration: reference.connection };
    const { run, unit, attempt } = wanted;
    deps.log.error("credential_not_asked", {
      ...{ tenant: run.tenant, run: run.id, unit: unitName(unit), attempt },
      ...about,
      error,
    });
    return { kind: "needs", need: unanswered(reference) };
  }
}

async function useRole(
  { useRole: use, isCode }: AcquireDeps,
  call: PolicyCall,
  reference: CloudRef,
  held: Pick<RoleUse, "pinned" | "stepTimeoutMs">,
): Promise<LeaseAnswer> {
  const { tenant, id, version } = call.run;
  return use({
    ...{ tenant, run: id, workflowVersion: version, role: reference.cloud, ...held },
    subject: subjectOf(call, isCode),
  });
}

function parkedFor(reference: ConnectionRef, parked: Need | null): ConnectionNeed | null {
  return parked?.kind === "connection" && isAbout(parked, reference) ? parked : null;
}

/** A4. It is still the grant that the service refused: what for stays what is waited for. */
function stillRefused(need: Need, parked: ConnectionNeed | null): Need {
  if (need.kind !== "connection" || parked?.version === undefined || need.reason !== "rejected") return need;
  const { reason, scopes, version } = parked;
  return { ...need, reason, version, ...(scopes === undefined ? {} : { scopes }) };
}

function asking(
  { isCode }: AcquireDeps,
  call: PolicyCall,
  reference: ConnectionRef,
): Pick<UseRequest, "tenant" | "run" | "user" | "workflow" | "reference"> {
  const { tenant, id, user } = call.run;
  return { tenant, run: id, user, workflow: authorOf(call, isCode), reference: plainRef(reference) };
}

/** Without the fields that it does not have. */
export function plainRef({ connection, account, scopes }: ConnectionRef): UseRequest["reference"] {
  return {
    connection,
    ...(account === undefined ? {} : { account }),
    ...(scopes === undefined ? {} : { scopes }),
  };
}

/** In whose name a call is made (A3): that of its workflow, or `inline`. */
export function authorOf(call: PolicyCall, isCode: AcquireDeps["isCode"]): string {
  return subjectOf(call, isCode).name ?? INLINE_NAME;
}

/**
 * For whom a call speaks (A3). Steps of a workflow in TypeScript are functions; data in its graph was appended, or came from
 * what a function was given, which stays so when the build has the workflow no more. A plan that takes appended steps
 * cannot tell them apart. It is never what the run says of itself: its parent, user, tags and input have no part in it.
 */
export function subjectOf({ run, def, unit }: PolicyCall, isCode: AcquireDeps["isCode"]): Subject {
  const { workflow: name } = run;
  if ((performanceOf(def, unit) ?? def).with === null) return { kind: "code", name };
  // Steps that grew before they were marked are known by the workflow, for as long as the build has it.
  const foreign = def.grown === true || run.open || isCode(name, run.version);
  return foreign || name === INLINE_NAME ? { kind: "inline", name: null } : { kind: "plan", name };
}

function joined(references: readonly LentRef[], answers: readonly LeaseAnswer[]): Acquired {
  const cannot = answers.find((one) => one.kind === "cannot");
  if (cannot !== undefined) return notLent(cannot);
  const needs = answers.flatMap((one) => (one.kind === "needs" ? [one.need] : []));
  // What a person has to do is told first.
  const need = needs.find(({ reason }) => !waitsForTime(reason)) ?? needs[0];
  if (need !== undefined) return { kind: "needs", need };
  const leases: (readonly [LentRef, Lease])[] = [];
  const bound = new Map<string, Binding>();
  const about: Json[] = [];
  answers.forEach((answer, i) => {
    const reference = references[i];
    if (answer.kind !== "ready" || reference === undefined) return;
    leases.push([reference, answer.lease]);
    bound.set(answer.bound.name, answer.bound);
    about.push({ ...answer.lease.about });
  });
  return { kind: "ready", lease: new Lent(leases), bound: [...bound.values()], about };
}

function distinct(references: readonly LentRef[]): readonly LentRef[] {
  return references.length < 2
    ? references
    : [...new Map(references.map((one) => [JSON.stringify(one), one])).values()];
}

function isAbout(need: Need, reference: LentRef): boolean {
  if (need.kind === "cloud") return isCloudRef(reference) && need.role === reference.cloud;
  return (
    !isCloudRef(reference) && need.integration === reference.connection && need.account === reference.account
  );
}

function unanswered(reference: LentRef): Need {
  const times = {
    reason: "unavailable",
    limitMs: PASSING_LIMIT_MS,
    recheckMs: PASSING_RECHECK_MS,
    detail: "Whoever keeps the credential did not answer.",
  } as const;
  if (isCloudRef(reference)) return { kind: "cloud", role: reference.cloud, ...times };
  const { connection: integration, account } = reference;
  return { kind: "connection", integration, ...(account === undefined ? {} : { account }), ...times };
}
