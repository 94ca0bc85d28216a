/**
 * Child runs: how an attempt starts one, finds it again and sees what became of it.
 *
 * C1 the id derives from the parent's id and the key of the unit: every attempt of the unit finds the same child.
 * C2 a child acts for the user of its parent, under the policies of the step that starts it and of its run, under its
 *    trace, never deeper than the limit, and never one more than the run at the top of them all may have below it.
 * C3 a child whose end was counted in an earlier generation of its parent begins its own next one: it keeps what it did.
 *    Nor while a quota of the tenant holds it back: then the attempt says when to try again.
 * C4 a child of a confidential run is confidential: it is given what the other holds. Its parent sees what it answers,
 *    sensitive or not.
 */

import { type ActionCall, type ChildrenPort, type ChildState, traceparentOf } from "../actions/index.ts";
import { findStartable, type StartableSources } from "../define/index.ts";
import { limits, unitName, type Json, type StepDef } from "../kernel/index.ts";
import { digestJson, type RunSource } from "../platform/index.ts";
import type { Answer, RunRpc, RunView, StartRequest } from "./rpc.ts";

export interface FamilyParts {
  /** The object of a run; a fresh stub each time. */
  readonly runs: (tenant: string, id: string) => RunRpc;
  readonly runIdOf: (source: RunSource) => Promise<string>;
}

/** What the policies of a run say to a child of it: its steps, marked where a person must agree; or why it may not be. */
export type PermitChild = (
  call: ActionCall,
  workflow: string,
  steps: readonly StepDef[],
) => Promise<
  | { readonly kind: "permitted"; readonly steps: readonly StepDef[]; readonly policies: readonly Json[] }
  | { readonly kind: "denied"; readonly message: string }
  | { readonly kind: "unavailable"; readonly message: string }
>;

/** One more run of the tenant. What was admitted and began nothing is given back. */
export type AdmitStart = (
  tenant: string,
) => Promise<
  | { readonly kind: "admitted"; readonly permit: { readonly giveBack: () => void } }
  | { readonly kind: "refused"; readonly quota: string; readonly retryMs: number }
  | { readonly kind: "unavailable" }
>;

/** Before the second try, the third, and so on: runs end within minutes, not within the second. */
const FIRST_HELD_MS = 15_000;
const LONGEST_HELD_MS = 15 * 60_000;

type Refused = Extract<Answer<never>, { ok: false }>;

export function createChildren(
  { runs, runIdOf }: FamilyParts,
  sources: StartableSources,
  permit: PermitChild,
  admitStart: AdmitStart,
): ChildrenPort {
  return {
    async start(call, key, wanted) {
      const { run, child } = call;
      const depth = (run.parent?.depth ?? 0) + 1;
      if (depth > limits.MAX_DEPTH)
        return refused("child_too_deep", `Runs may start runs ${limits.MAX_DEPTH} deep, and no deeper.`);
      const id = await childIdOf(runIdOf, run.tenant, run.id, key);
      const root = run.parent?.root ?? run.parent?.run ?? run.id;
      const request = await requestOf(call, id, { depth, root }, wanted);
      if ("kind" in request) return request;
      const admitted = await runs(run.tenant, root).admit({ tenant: run.tenant }, id);
      if (!admitted.ok) return gone(admitted);
      if (!admitted.value)
        return refused(
          "child_limit",
          `A run and those below it start at most ${limits.MAX_DESCENDANTS} runs in all.`,
        );
      const place = await admitStart(run.tenant);
      if (place.kind !== "admitted") return heldBack(place, call.attempt);
      const { giveBack } = place.permit;
      const stub = runs(run.tenant, id);
      const started = await stub.start(request);
      if (!started.ok) {
        if (started.code !== "unavailable") giveBack();
        return gone(started);
      }
      const { view, created } = started.value;
      // What begins or goes on keeps its slot: the directory learns of it from the run itself.
      const isAgain = child?.ended === true && view.generation <= child.generation && view.ended_at !== null;
      if (!created && !(isAgain && view.status !== "succeeded")) giveBack();
      // C3
      if (child?.ended !== true || view.generation > child.generation) return stateOf(view);
      if (view.ended_at === null) return { kind: "ending", run: id };
      if (view.status === "succeeded") return stateOf(view);
      const redriven = await stub.command(
        { tenant: run.tenant, reveal: true },
        { t: "redrive", by: `run:${run.id}`, resolve: [] },
      );
      return redriven.ok ? stateOf(redriven.value) : gone(redriven);
    },
    async look({ run }, id) {
      const seen = await runs(run.tenant, id).view({ tenant: run.tenant, reveal: true });
      return seen.ok ? stateOf(seen.value) : gone(seen);
    },
  };

  async function requestOf(
    call: ActionCall,
    id: string,
    place: Pick<NonNullable<StartRequest["parent"]>, "depth" | "root">,
    wanted: Parameters<ChildrenPort["start"]>[2],
  ): Promise<StartRequest | ChildState> {
    const { run, unit, makers } = call;
    const found = await findStartable(sources, run.tenant, wanted.workflow, wanted.version);
    if (found.kind !== "found") {
      const version = wanted.version === undefined ? "" : `, version ${wanted.version}`;
      const why = found.kind === "outdated" ? "this build does not take that plan" : "there is none";
      return refused("child_failed", `The workflow ${wanted.workflow}${version} cannot be started: ${why}.`);
    }
    const workflow = found.startable;
    const input = workflow.parseInput(wanted.input ?? {});
    if (!input.ok) {
      const [first] = input.errors;
      return refused(
        "child_failed",
        `The input does not fit ${wanted.workflow}: ${first?.pointer} ${first?.detail}`,
      );
    }
    const flow = workflow.flow(input.value, run.user);
    if (!flow.ok) return refused("child_failed", flow.error[0]?.detail ?? "It cannot be queued.");
    const { graph } = workflow;
    const permitted = await permit(call, workflow.name, graph.steps);
    if (permitted.kind === "unavailable") return permitted;
    if (permitted.kind === "denied") return refused("policy_denied", permitted.message);
    return {
      tenant: run.tenant,
      id,
      workflow: workflow.name,
      version: workflow.version,
      graph: { ...graph, steps: permitted.steps },
      input: input.value,
      user: run.user,
      startedBy: `run:${run.id}`,
      open: false,
      tags: wanted.tags ?? [],
      // The trace of its parent, under the attempt that starts it.
      traceparent: traceparentOf(call),
      // Not of the input as it was parsed: a deploy between two attempts may parse it otherwise.
      bodyDigest: await digestJson(wanted),
      parent: { run: run.id, unit: unitName(unit), ...place },
      origins: makers,
      policies: permitted.policies,
      ...(flow.value === undefined ? {} : { flow: flow.value }),
      ...(call.confidential === true ? { confidential: true } : {}),
    };
  }
}

/** C1 */
export function childIdOf(
  runIdOf: FamilyParts["runIdOf"],
  tenant: string,
  parent: string,
  key: string,
): Promise<string> {
  return runIdOf({ tenant, kind: "run", id: parent, idempotencyKey: key });
}

function stateOf(view: RunView): ChildState {
  const { id: run, generation, status, output, failure } = view;
  if (view.ended_at === null) return { kind: "running", run, generation };
  if (status === "succeeded")
    return { kind: "succeeded", output: output !== null && "value" in output ? output.value : null };
  return { kind: "failed", run, generation, failure: failure ?? UNTOLD };
}

const UNTOLD = { code: "child_failed", message: "It did not say why.", hint: "", retryable: false } as const;

function heldBack(
  place: Exclude<Awaited<ReturnType<AdmitStart>>, { kind: "admitted" }>,
  attempt: number,
): ChildState {
  if (place.kind === "unavailable")
    return { kind: "unavailable", message: "It cannot be said just now whether another run may be started." };
  const retryAfterMs = Math.max(
    place.retryMs,
    Math.min(LONGEST_HELD_MS, FIRST_HELD_MS * 4 ** Math.max(0, attempt - 1)),
  );
  const message = `The child run is held back: the quota ${place.quota} of the tenant is used up.`;
  return { kind: "unavailable", message, retryAfterMs };
}

function gone({ message }: Refused): ChildState {
  return refused("child_failed", message);
}

function refused(code: Extract<ChildState, { kind: "refused" }>["code"], message: string): ChildState {
  return { kind: "refused", code, message };
}
