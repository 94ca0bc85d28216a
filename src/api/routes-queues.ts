/** The queue of a workflow: who works, who waits, for what; and the place of one run in it. */
import { WorkflowQueue } from "./answer-queues.ts";
import { problem } from "./problems.ts";
import { jsonResponse, UNSHARED } from "./replies.ts";
import { QUEUE_SHOWN, queueQuery } from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";
import type { RunView } from "../run/index.ts";
import type { Standing } from "../triggers/index.ts";

export const QUEUE_ROUTES: readonly Route[] = [
  route({
    id: "getQueue",
    method: "GET",
    path: "/v1/workflows/{workflow}/queue",
    rule: "runs:read",
    also: "A key that is bound to a user cannot look at it: runs of every user wait there.",
    tag: "Workflows",
    summary: "Look at the queue of a workflow",
    description:
      "How many runs work and wait, the limits in force (those of the run that was started last), and the first of those who wait. A slot that is stuck is freed by cancelling its run.",
    query: queueQuery,
    answers: [{ status: 200, description: "The queue as it stands.", schema: WorkflowQueue }],
    problems: ["not_found", "user_wider"],
    handle: async ({ call, identity, query: { limit = QUEUE_SHOWN } }) => {
      const { workflows, plans, queues } = call.deps;
      if (identity.user !== null)
        return problem("user_wider", "Runs of every user wait in it, and the API key is bound to one.");
      const { tenant } = identity;
      const name = call.params["workflow"] ?? "";
      if (workflows.get(name) === null && (await plans.find(tenant, name)).kind === "no_such_name")
        return problem("not_found", "There is no such workflow.");
      const { queued, quiet, admitted, settings, first } = await queues.view(tenant, name, limit);
      const limits =
        settings === null
          ? null
          : {
              concurrency: settings.concurrency,
              rate:
                settings.rate === null ? null : { limit: settings.rate.limit, per_ms: settings.rate.perMs },
              debounce:
                settings.debounce === null
                  ? null
                  : { for_ms: settings.debounce.forMs, max_ms: settings.debounce.maxMs },
              queue: settings.maxQueued,
            };
      const data = first.map((one) => ({ run: one.run, ...viewStanding(one), since: one.since }));
      const counts = { working: admitted, waiting: queued, quiet };
      return jsonResponse({ workflow: name, ...counts, limits, data }, 200, UNSHARED);
    },
  }),
];

/** A run that waits, with its place. Without it where the queue does not answer: that the run waits is the run's own word. */
export async function withPlace<V extends RunView>({ deps, requestId }: Call, view: V): Promise<V> {
  const { queued, tenant, workflow, id } = view;
  if (queued === undefined) return view;
  try {
    const standing = await deps.queues.standing(tenant, workflow, id);
    const place = standing === null ? ARRIVING : viewStanding(standing);
    return { ...view, queued: { ...queued, ...place } };
  } catch (error) {
    deps.log.warn("queue_not_seen", { requestId, tenant, run: id, error });
    return view;
  }
}

/** The queue has not heard of it yet, or has just let it go. */
const ARRIVING = { place: null, why: "arriving", retry_at: null } as const;

function viewStanding({ place, why, priority, retryAt }: Standing) {
  return { place, why, priority, retry_at: retryAt };
}
