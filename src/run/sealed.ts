/** A run that can go on no more, shown with what its first row still tells. */

import type { Fact, Failure, FactOf } from "../kernel/index.ts";
import type { Meta } from "./meta.ts";
import type { RunView } from "./rpc.ts";

/** Why a sealed run ended: its journal does not fold, or its turns kept failing. */
export function sealedFailure(reason: string): Failure {
  return {
    code: "run_unreadable",
    message: `The run was ended because it could not go on: ${reason}`,
    hint: "What it did until then stands in its events. Start another run, and report this one.",
    retryable: false,
  };
}

/** @param facts the facts of the first row, or none if even that is unreadable */
export function sealedView(meta: Meta, facts: readonly Fact[], seq: number): RunView {
  const sealed = meta.sealed ?? { at: 0, reason: "unknown" };
  const started = facts.find((fact): fact is FactOf<"run_started"> => fact.t === "run_started");
  return {
    id: meta.id,
    tenant: meta.tenant,
    workflow: started?.run.workflow ?? "",
    version: started?.run.version ?? "",
    user: started?.run.user ?? null,
    started_by: started?.run.startedBy ?? "",
    tags: started?.run.tags ?? [],
    status: "failed",
    paused: false,
    open: started?.run.open ?? false,
    closed: true,
    generation: 1,
    revision: 1,
    seq,
    started_at: started?.at ?? sealed.at,
    ended_at: sealed.at,
    deadline_at: started?.deadlineAt ?? sealed.at,
    output: null,
    failure: sealedFailure(sealed.reason),
    steps: [],
  };
}
