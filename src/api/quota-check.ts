/** How quotas are asked for by routes, and answered: one way for all of them. What they are is the quotas room's. */
import { type CountedQuota, hasRoom } from "../access/index.ts";
import { err, ok, type Result, type StoredQuota } from "../platform/index.ts";
import type { Refusal, StartPermit } from "../quotas/index.ts";
import { problem, type Problem } from "./problems.ts";
import { RETRY_AFTER_S } from "./replies.ts";
import type { Call } from "./route.ts";

const WHAT: Readonly<Record<string, string>> = {
  requests_per_second: "requests to the API in a second",
  starts_per_minute: "starts of runs in a minute",
  active_runs: "runs that have not ended",
  connect_sessions_per_minute: "connect sessions in a minute",
  hook_deliveries_per_minute: "deliveries to its hooks in a minute",
  stored_plans: "stored plans",
  plan_versions: "versions of the plan",
  hooks: "hooks",
  schedules: "schedules",
  endpoints: "endpoints",
  keys: "API keys that are in force",
  connections: "connections",
  open_connect_sessions: "open connect sessions, or connections",
};

/** How long the window of a quota is, in seconds, for the header; undefined: it is no rate. */
const WINDOW_S: Readonly<Record<string, number>> = {
  requests_per_second: 1,
  starts_per_minute: 60,
  connect_sessions_per_minute: 60,
  hook_deliveries_per_minute: 60,
};

/** Of what comes back with time. The RateLimit fields are those of draft-ietf-httpapi-ratelimit-headers. */
export function ofQuota({ quota, limit, retryMs }: Refusal): Problem {
  const seconds = Math.max(1, Math.ceil(retryMs / 1_000));
  const window = WINDOW_S[quota];
  const policy = window === undefined ? `"${quota}";q=${limit}` : `"${quota}";q=${limit};w=${window}`;
  return problem("quota_exceeded", `The tenant may have ${limit} ${WHAT[quota] ?? quota}, and has them.`, {
    quota: { name: quota, limit },
    headers: {
      "retry-after": String(seconds),
      "ratelimit-policy": policy,
      ratelimit: `"${quota}";r=0;t=${seconds}`,
    },
  });
}

/** Of stored things: no waiting gives room, so nothing says when to come again. */
export function full(quota: StoredQuota): Problem {
  return problem("quota_exceeded", `The tenant has as many ${WHAT[quota] ?? quota} as it may have.`, {
    quota: { name: quota },
    hint: "Remove what is not needed any more. `GET /v1/quotas` says what there is; the operator can raise it.",
  });
}

/** Before anything is done for what could not be stored. Null: there is room. */
export async function refusalOfFull(
  { deps }: Call,
  tenant: string,
  quota: CountedQuota,
): Promise<Problem | null> {
  return (await hasRoom(deps.access.db, tenant, quota, deps.now())) ? null : full(quota);
}

/** One start of a run. */
export async function startPermitFor({ deps }: Call, tenant: string): Promise<Result<StartPermit, Problem>> {
  const answer = await deps.quotas.gate.start(tenant);
  switch (answer.kind) {
    case "admitted":
      return ok(answer.permit);
    case "refused":
      return err(ofQuota(answer));
    case "unavailable":
      return err(
        problem("unavailable", "It cannot be said just now whether the tenant may start another run.", {
          headers: { "retry-after": String(RETRY_AFTER_S) },
        }),
      );
  }
}
