/**
 * What the policies say to a start or an append, as far as it can be known before anything runs. What is filled in later is
 * judged when it is sent; so nothing here makes a request safe, it only tells early, and marks what will need a person.
 */
import {
  chainOfKey,
  judgeRequest,
  judgeStart,
  judgeUse,
  type KeyIdentity,
  type PolicyRequest,
  type Standing,
  standingOf,
  usedBy,
} from "../access/index.ts";
import { carriedBy } from "../actions/index.ts";
import { type Judge, lentTo, referenceTo } from "../define/index.ts";
import { escapePointer, type Json, limits, type Performance, type StepDef } from "../kernel/index.ts";
import { err, type Result } from "../platform/index.ts";
import { type FieldError, type Problem, problem } from "./problems.ts";
import { RETRY_AFTER_S } from "./replies.ts";
import type { Call } from "./route.ts";

/** From here on a text of a plan holds an expression. */
const EXPRESSION = "${{";

export interface Permitted {
  /** Those whose requests need a person's decision are marked so. */
  readonly steps: readonly StepDef[];
  /** What the key stands under, to be pinned. */
  readonly policies: readonly Json[];
}

/** What is about to be started or appended. */
export interface Wish {
  /** Name of the workflow; null: the steps came as JSON with this request. */
  readonly workflow: string | null;
  /** Pointer to what stands for the whole in the body. */
  readonly at: string;
  readonly steps: readonly StepDef[];
  /** Pointer to what holds `steps` and `onFailure` in the body; null: they are not in it. */
  readonly definitionAt: string | null;
}

/** All that restricts what the key does now. */
export async function chainFor(
  { deps }: Call,
  identity: KeyIdentity,
): Promise<Result<readonly Standing[], Problem>> {
  const chain = await chainOfKey(deps.access, identity, deps.now());
  return chain.ok ? chain : err(unavailable());
}

/**
 * Why the policies do not let a workflow be started at all. Asked before it is looked up: what may not be started is not
 * told apart from what is not there. Null: they do.
 * @param workflow its name; null: the steps came as JSON with this request
 */
export function refusalOfStart(
  chain: readonly Standing[],
  { workflow, at }: Pick<Wish, "workflow" | "at">,
): Problem | null {
  const verdict = judgeStart(chain, workflow);
  return verdict.kind === "denied"
    ? denied([{ pointer: at, code: "policy_denied", detail: verdict.message }])
    : null;
}

/** Why a child may not be started, as the run would say when it comes to it. Null: nothing is known that speaks against it. */
export function refusalOfChild(
  chain: readonly Standing[],
  workflow: string,
  steps: readonly StepDef[],
): string | null {
  const started = judgeStart(chain, workflow);
  if (started.kind === "denied") return started.message;
  return judgeSteps(chain, { workflow, steps, at: "", definitionAt: null }).errors[0]?.detail ?? null;
}

/** What the policies say of the steps; `errors`: what they do not allow of single ones. Whether they let it start is asked before. */
export function judgeWish(
  chain: readonly Standing[],
  identity: KeyIdentity,
  wish: Wish,
): Permitted & { readonly errors: readonly FieldError[] } {
  // Policies were stored as JSON.
  return { ...judgeSteps(chain, wish), policies: standingOf(identity) as readonly Json[] };
}

/** What a plan is told before it is started: all that would refuse it, and what holds for each of its requests. */
export function foretell(
  chain: readonly Standing[],
  steps: readonly StepDef[] | null,
): { readonly errors: readonly FieldError[]; readonly judge: Judge } {
  const at = "/plan";
  const started = judgeStart(chain, null);
  const start =
    started.kind === "denied" ? [{ pointer: at, code: "policy_denied", detail: started.message }] : [];
  const { errors } = judgeSteps(chain, { workflow: null, steps: steps ?? [], at, definitionAt: at });
  const judge: Judge = ({ host, method, path, connection, cloud_role: cloud }) => {
    const known = path.includes("*") ? null : path;
    const reference = cloud === null ? connection : { cloud };
    const used = usedBy(carriedBy(reference ?? undefined), null);
    const verdict = judgeRequest(chain, { host, method, path: known, ...used });
    if (verdict.kind === "denied") return { verdict: "denied", detail: verdict.message };
    return { verdict: verdict.approval ? "approval" : "allowed", detail: null };
  };
  return { errors: [...start, ...errors], judge };
}

/** Every request of the steps that can be told already. */
export function judgeSteps(
  chain: readonly Standing[],
  { workflow, steps, at, definitionAt }: Wish,
): { readonly steps: readonly StepDef[]; readonly errors: readonly FieldError[] } {
  const errors: FieldError[] = [];
  const marked = steps.map((step) => {
    let approval = false;
    for (const [place, performance] of performancesOf(step)) {
      const request = knownRequest(performance, workflow);
      if (request === null) {
        errors.push(...unusable(chain, { step, place, performance, workflow, at }));
        continue;
      }
      const verdict = judgeRequest(chain, request);
      const paged = place === "" && hasPages(performance);
      const flaw =
        verdict.kind === "denied" ? verdict.message : unasked(place, paged, request, verdict.approval);
      if (flaw === null) approval ||= verdict.kind === "allowed" && verdict.approval && place === "";
      else {
        const field = paged && verdict.kind === "allowed" ? "paginate" : "url";
        const pointer =
          definitionAt === null ? at : `${definitionAt}${pointerTo(step)}${place}/with/${field}`;
        const detail = definitionAt === null ? `${step.name}: ${flaw}` : flaw;
        const code = verdict.kind === "denied" ? "policy_denied" : "approval_required";
        errors.push({ pointer, code, detail });
      }
    }
    return approval && step.approval === undefined
      ? { ...step, approval: { limitMs: limits.WAIT_LIMIT_MS } }
      : step;
  });
  return { steps: marked, errors };
}

/**
 * What verifies or undoes a step waits for nobody, so it cannot be what a person must agree to; neither can pages that the
 * service names when it answers. Null: it is nothing of the kind.
 */
function unasked(
  place: string,
  paged: boolean,
  { host, method, path }: PolicyRequest,
  approval: boolean,
): string | null {
  if ((place === "" && !paged) || !approval || method === null || path === null) return null;
  const asks = `A policy asks that a person agrees to ${method} to ${host}.`;
  return paged
    ? `${asks} An approval is for the one address that was seen, so no further pages can be read: leave out \`paginate\`.`
    : `${asks} Only a step's own request can wait for that: make it one.`;
}

function hasPages({ with: parameters }: Performance): boolean {
  return isRecord(parameters) && parameters["paginate"] !== undefined;
}

/** Connections and cloud roles of which only the name is known: what is sent with them is judged when it is sent. */
function unusable(
  chain: readonly Standing[],
  {
    step,
    place,
    performance,
    workflow,
    at,
  }: {
    readonly step: StepDef;
    readonly place: string;
    readonly performance: Performance;
    readonly workflow: string | null;
    readonly at: string;
  },
): FieldError[] {
  return lentTo(performance).flatMap((reference) => {
    const { connection, cloudRole } = usedBy(carriedBy(reference), workflow);
    const use = connection ?? cloudRole;
    if (use === undefined) return [];
    const verdict = judgeUse(chain, use, cloudRole === undefined ? "connections" : "cloud_roles");
    if (verdict.kind !== "denied") return [];
    return [{ pointer: at, code: "policy_denied", detail: `${step.name}${place}: ${verdict.message}` }];
  });
}

function pointerTo({ name, part }: StepDef): string {
  return `/${part === "main" ? "steps" : "onFailure"}/${escapePointer(name)}`;
}

function performancesOf(step: StepDef): (readonly [place: string, performance: Performance])[] {
  const { verify, compensate } = step;
  return [
    ["", step],
    ...(verify === undefined ? [] : [["/verify", verify] as const]),
    ...(compensate === undefined ? [] : [["/compensate", compensate] as const]),
  ];
}

/** What stands in the step as it is. Null: where it goes is known only once it is filled in. */
function knownRequest(
  { action, with: parameters }: Performance,
  workflow: string | null,
): PolicyRequest | null {
  if (action !== "http" || !isRecord(parameters)) return null;
  const { url: text, method, auth } = parameters;
  if (typeof text !== "string") return null;
  const hole = text.indexOf(EXPRESSION);
  const url = URL.parse(hole < 0 ? text : text.slice(0, hole));
  // The host is whole only where the literal text goes on behind it.
  if (url === null || (hole >= 0 && !/^https:\/\/[^/?#\\]+[/?#]/i.test(text.slice(0, hole)))) return null;
  return {
    host: url.hostname,
    method: typeof method === "string" && !method.includes(EXPRESSION) ? method : null,
    path: hole < 0 || /[?#]/.test(text.slice(0, hole)) ? url.pathname : null,
    ...usedBy(carriedBy(referenceTo(auth) ?? undefined), workflow),
  };
}

function isRecord(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unavailable(): Problem {
  const headers = { "retry-after": String(RETRY_AFTER_S) };
  return problem("unavailable", "The policy of the tenant cannot be read just now.", { headers });
}

export function denied(errors: readonly FieldError[]): Problem {
  return problem("policy_denied", errors[0]?.detail ?? "A policy does not allow this.", { errors });
}
