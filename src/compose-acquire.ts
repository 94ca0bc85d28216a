/**
 * How the steps of runs come by the connections that they name.
 *
 * Owns: what a call needs, who is said to ask, how several answers become one. Does not own connections (the `use` of their
 * room), or what an attempt does with a token (the actions).
 *
 * - A1 a call that names no connection is not held up: null, at once.
 * - A2 no token is asked for what the policies do not let through; the attempt finds that out for itself, and says so.
 * - A3 a plan, or steps that came as JSON later, never ask in the name of a workflow of this build.
 * - A4 what a service has refused is not asked for again, until it is another grant.
 */

import {
  bindingName,
  type ConnectionRef,
  Lent,
  type LendPort,
  notLent,
  permitOf,
  type PolicyCall,
  type PolicyPort,
  type UsePort,
  type UseRequest,
} from "./actions/index.ts";
import { INLINE_NAME, neededBy } from "./define/index.ts";
import type { Acquired, Wanted } from "./driver/index.ts";
import { type Binding, type Json, type Need, performanceOf, waitsForTime } from "./kernel/index.ts";
import { classifyFault, type Lease, type LeaseAnswer, type Logger } from "./platform/index.ts";

/** Whoever keeps the token did not answer: looked for again by itself. */
const PASSING_LIMIT_MS = 60 * 60_000;
const PASSING_RECHECK_MS = 1_000;

export interface AcquireDeps {
  /** The connections room. */
  readonly use: UsePort;
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
    const named = neededBy({
      ...{ ...def, action, with: parameters },
      ...(connections === undefined ? {} : { connections }),
    });
    const references = distinct([...named, ...foundMissing(action, named, parked)]);
    return references.length === 0 ? null : acquire(deps, wanted, references);
  };
}

/** The connection that a function uses without having said so, in the middle of its attempt. */
export function createLend(deps: AcquireDeps): LendPort {
  return async (call, reference) =>
    deps.use({
      ...asking(deps, call, reference),
      pinned: call.bound?.(bindingName(reference)) ?? null,
      stepTimeoutMs: call.timeoutMs,
    });
}

async function acquire(
  deps: AcquireDeps,
  wanted: Wanted,
  references: readonly ConnectionRef[],
): Promise<Acquired> {
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
function foundMissing(
  action: string,
  named: readonly ConnectionRef[],
  parked: Need | null,
): readonly ConnectionRef[] {
  if (action !== "code" || parked === null || parked.integration === "") return [];
  if (named.some((one) => isAbout(parked, one))) return [];
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
  const permit = permitOf(wanted, { policy }, nameIn(auth));
  return (await permit({ url, method, redirectedFrom: null })) === null;
}

function nameIn(auth: Json | undefined): string | undefined {
  const name =
    typeof auth === "object" && auth !== null && "connection" in auth ? auth.connection : undefined;
  return typeof name === "string" ? name : undefined;
}

async function answerFor(deps: AcquireDeps, wanted: Wanted, reference: ConnectionRef): Promise<LeaseAnswer> {
  const parked = wanted.parked !== null && isAbout(wanted.parked, reference) ? wanted.parked : null;
  try {
    const answer = await deps.use({
      ...asking(deps, wanted, reference),
      pinned: wanted.bound(bindingName(reference)),
      stepTimeoutMs: wanted.timeoutMs,
      ...(parked?.version === undefined ? {} : { refused: parked.version }),
    });
    return answer.kind === "needs" ? { kind: "needs", need: stillRefused(answer.need, parked) } : answer;
  } catch (error) {
    if (classifyFault(error)?.kind === "hop") throw error;
    deps.log.error("connection_not_asked", { run: wanted.run.id, integration: reference.connection, error });
    return { kind: "needs", need: unanswered(reference) };
  }
}

/** A4. It is still the grant that the service refused: what for stays what is waited for. */
function stillRefused(need: Need, parked: Need | null): Need {
  if (parked?.version === undefined || need.reason !== "rejected") return need;
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

/**
 * In whose name a call is made (A3): that of its workflow, or `inline`. Steps of a workflow in TypeScript are functions; data
 * in its graph was appended, or came from what a function was given, which stays so when the build has the workflow no
 * more. A plan that takes appended steps cannot tell them apart.
 */
export function authorOf({ run, def, unit }: PolicyCall, isCode: AcquireDeps["isCode"]): string {
  if ((performanceOf(def, unit) ?? def).with === null) return run.workflow;
  // Steps that grew before they were marked are known by the workflow, for as long as the build has it.
  const foreign = def.grown === true || run.open || isCode(run.workflow, run.version);
  return foreign ? INLINE_NAME : run.workflow;
}

function joined(references: readonly ConnectionRef[], answers: readonly LeaseAnswer[]): Acquired {
  const cannot = answers.find((one) => one.kind === "cannot");
  if (cannot !== undefined) return notLent(cannot);
  const needs = answers.flatMap((one) => (one.kind === "needs" ? [one.need] : []));
  // What a person has to do is told first.
  const need = needs.find(({ reason }) => !waitsForTime(reason)) ?? needs[0];
  if (need !== undefined) return { kind: "needs", need };
  const leases: (readonly [ConnectionRef, Lease])[] = [];
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

function distinct(references: readonly ConnectionRef[]): readonly ConnectionRef[] {
  return references.length < 2
    ? references
    : [...new Map(references.map((one) => [JSON.stringify(one), one])).values()];
}

function isAbout(need: Need, { connection, account }: ConnectionRef): boolean {
  return need.integration === connection && need.account === account;
}

function unanswered({ connection, account }: ConnectionRef): Need {
  return {
    kind: "connection",
    integration: connection,
    ...(account === undefined ? {} : { account }),
    reason: "unavailable",
    limitMs: PASSING_LIMIT_MS,
    recheckMs: PASSING_RECHECK_MS,
    detail: "Whoever keeps the credential did not answer.",
  };
}
