/** What a run says of decisions that it waits for. What a decision means is the kernel's. */

import {
  awaitsDecision,
  mayDecide,
  refOf,
  stepOf,
  unitOf,
  type Approval,
  type Json,
  type RunState,
  type StepDef,
  type Unit,
} from "../kernel/index.ts";
import type { Answer, ApprovalAddress, ApprovalView, Viewer } from "./rpc.ts";

type Refused = Extract<Answer<never>, { ok: false }>;

const NO_APPROVAL: Refused = { ok: false, code: "not_found", message: "There is no such approval." };

/** Everything that waits for a decision, in the order of the graph. */
export function pendingApprovals(state: RunState, viewer: Viewer, now: number): ApprovalView[] {
  return state.graph.steps.flatMap((def, index) => {
    const whole = state.units[index];
    if (whole === undefined) return [];
    const parts = whole.items ?? [whole];
    return parts.flatMap((unit, i) => {
      if (!awaitsDecision(unit) || unit.approval === null) return [];
      const item = whole.items === null ? undefined : i;
      return [viewApproval({ state, def, unit, approval: unit.approval, item }, viewer, now)];
    });
  });
}

/** One approval, whatever became of it. One of an earlier generation or round is gone. */
export function findApproval(
  state: RunState,
  address: ApprovalAddress,
  viewer: Viewer,
  now: number,
): Answer<ApprovalView> {
  const def = stepOf(state, address.step)?.def;
  const unit = unitOf(state, refOf(address.step, address.item));
  const approval = unit?.approval ?? null;
  if (def === undefined || unit === null || approval?.id !== address.id) return NO_APPROVAL;
  const found = { state, def, unit, approval, item: address.item };
  return { ok: true, value: viewApproval(found, viewer, now) };
}

/** Whether a link by which somebody else decides may be made by the first of `actors`, behind whom the others stand: still open, and not their own. */
export function checkLink(
  state: RunState,
  address: ApprovalAddress,
  actors: readonly string[],
  viewer: Viewer,
  now: number,
): Answer<ApprovalView> {
  const found = findApproval(state, address, viewer, now);
  if (!found.ok) return found;
  if (!mayDecide(state, actors))
    return {
      ok: false,
      code: "approver_is_starter",
      message:
        "Whoever started or extended the run cannot hand out the decision, nor can a key that they made.",
    };
  if (found.value.status !== "pending")
    return {
      ok: false,
      code: "not_waiting_for_approval",
      message: "Nothing waits for this decision any more.",
    };
  return found;
}

interface Found {
  readonly state: RunState;
  readonly def: StepDef;
  readonly unit: Unit;
  readonly approval: Approval;
  readonly item: number | undefined;
}

function viewApproval(
  { state, def, unit, approval, item }: Found,
  viewer: Viewer,
  now: number,
): ApprovalView {
  const { run } = state;
  const { decided } = approval;
  const open = awaitsDecision(unit) && now < approval.limitAt;
  const hidden = def.sensitive === true && viewer.reveal !== true;
  return {
    id: approval.id,
    run: run.id,
    workflow: run.workflow,
    version: run.version,
    user: run.user,
    started_by: run.startedBy,
    step: def.name,
    item: item ?? null,
    action: def.action,
    effect: def.effect,
    method: textOf(approval.about, "method"),
    host: textOf(approval.about, "host"),
    path: textOf(approval.about, "path"),
    query: hidden ? null : textOf(approval.about, "query"),
    digest: approval.digest,
    text: hidden ? null : approval.text,
    status: decided?.as ?? (open ? "pending" : "closed"),
    asked_at: approval.askedAt,
    expires_at: approval.limitAt,
    decided:
      decided === null
        ? null
        : { by: decided.by, via: decided.via ?? null, at: decided.at, note: decided.note ?? null },
  };
}

function textOf(about: Json, name: string): string | null {
  if (typeof about !== "object" || about === null || Array.isArray(about)) return null;
  const value = (about as { readonly [key: string]: Json })[name];
  return typeof value === "string" ? value : null;
}
