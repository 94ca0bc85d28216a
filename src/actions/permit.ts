/** Whether one request of an attempt may be sent: asked of the policies for its first hop, and for every redirect. */

import type { FailureSeed } from "../kernel/index.ts";
import type { EgressHop, Permit, PermitRefusal } from "../platform/index.ts";
import { failure } from "./failures.ts";
import { addressOf } from "./http-address.ts";
import { checkHttp } from "./http-schema.ts";
import type { ActionResult, Carried, PolicyCall, Surroundings } from "./ports.ts";

/** @param carries whose credential goes along */
export function permitOf(
  call: PolicyCall,
  { policy }: Pick<Surroundings, "policy">,
  carries: Carried = {},
): Permit {
  return async (hop) => {
    const { url, method, redirectedFrom } = hop;
    // Another host sees nothing of it.
    const carried = redirectedFrom === null || redirectedFrom === url.hostname;
    const verdict = await policy(call, { url, method, ...(carried ? carries : {}) });
    switch (verdict.kind) {
      case "denied":
        return { code: "policy_denied", message: verdict.message };
      case "unavailable":
        return UNKNOWN;
      case "allowed": {
        if (!verdict.approval || isAgreed(call, hop)) return null;
        const message = `A policy asks that a person agrees to ${method} to ${url.hostname}, and nobody was asked.`;
        return { code: "approval_required", message };
      }
    }
  };
}

/** Whether a function may be given the credential of a cloud role itself; null: it may. */
export async function mayHold(
  call: PolicyCall,
  { holdingPolicy }: Pick<Surroundings, "holdingPolicy">,
  role: string,
): Promise<PermitRefusal | null> {
  const verdict = await holdingPolicy(call, role);
  switch (verdict.kind) {
    case "denied":
      return { code: "policy_denied", message: verdict.message };
    case "unavailable":
      return UNKNOWN;
    case "allowed":
      return null;
  }
}

const UNKNOWN: PermitRefusal = {
  code: "policy_unavailable",
  message: "The policy of the tenant cannot be read just now, so nothing is sent.",
};

/**
 * Whether a person has agreed to this very request: its method and its whole address, query included. A step with an
 * approval waits for it before its own call, and that is what was seen: neither what verifies or undoes the step, nor what
 * a function sends, nor another page or place that the service leads to.
 */
function isAgreed({ def, unit, action, with: parameters }: PolicyCall, hop: EgressHop): boolean {
  if (def.approval === undefined || unit.role !== undefined || action !== "http") return false;
  const checked = checkHttp(parameters);
  if (!checked.ok) return false;
  const { url, method, redirectedFrom } = hop;
  const agreed = URL.parse(addressOf(checked.parameters));
  return (
    agreed?.origin === url.origin &&
    agreed.pathname === url.pathname &&
    agreed.search === url.search &&
    checked.parameters.method === method &&
    (redirectedFrom === null || redirectedFrom === url.hostname)
  );
}

export function isPermitRefusal(code: string): code is PermitRefusal["code"] {
  return Object.hasOwn(FAILURES, code);
}

/** As the failure of a step. Only what cannot be known just now may be known later. */
export function permitFailure({ code, message }: PermitRefusal): FailureSeed {
  const { as, hint, retryable } = FAILURES[code];
  return failure(as, message, hint, { retryable });
}

/** The end of an attempt that has sent nothing. */
export function notPermitted(refusal: PermitRefusal): Exclude<ActionResult, { kind: "success" | "hop" }> {
  const seed = permitFailure(refusal);
  return { kind: seed.retryable ? "refused" : "cannot", failure: seed };
}

const FAILURES = {
  policy_denied: {
    as: "policy_denied",
    hint: "Send only what the policies allow, or let the tenant change its policy with `PUT /v1/policy`.",
    retryable: false,
  },
  approval_required: {
    as: "approval_required",
    hint: "Send it from an `http` step whose host and method stand in the plan: such a step waits for the approval. It is for one address: each further page is a step of its own.",
    retryable: false,
  },
  policy_unavailable: {
    as: "not_sent",
    hint: "Nothing happened; the engine tries again.",
    retryable: true,
  },
} as const satisfies Record<PermitRefusal["code"], object>;
