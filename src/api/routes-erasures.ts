/** Erasing an end user's data, and one run's. */
import { actorOf, isUser } from "../access/index.ts";
import type { Erasure } from "../erasure/index.ts";
import { ErasedRun, ErasureView } from "./answer-schemas.ts";
import { EXAMPLES } from "./examples.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse } from "./replies.ts";
import { EraseUser } from "./request-schemas.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, viewerOf } from "./runs-of.ts";

/** What holds an object up for the moment passes soon. */
const RETRY_AFTER_S = 30;

export const ERASURE_ROUTES: readonly Route[] = [
  route({
    id: "eraseUser",
    method: "POST",
    path: "/v1/erasures",
    rule: "users:erase",
    tag: "Erasures",
    summary: "Erase the data of an end user",
    description:
      "It goes on by itself until it is done, which takes five minutes at least, and a day where a provider does not answer: docs/erasure.md says what is erased and what stays. The same user again, while it runs, is the same erasure.",
    body: { schema: EraseUser, required: true, example: EXAMPLES.erasure },
    answers: [{ status: 202, description: "It goes on.", schema: ErasureView, headers: ["Location"] }],
    problems: ["too_many_erasures"],
    handle: async ({ call, identity, body: { user } }) => {
      if (!isUser(user))
        return problemAt("invalid_request", { pointer: "/user" }, "This cannot be the id of a user.");
      const begun = await call.deps.erasures().begin(identity.tenant, user, actorOf(identity));
      if (!begun.ok)
        return problem("too_many_erasures", "As many users of the tenant are being erased as can be.");
      return jsonResponse(view(begun.value), 202, { location: `/v1/erasures/${begun.value.id}` });
    },
  }),
  route({
    id: "getErasure",
    method: "GET",
    path: "/v1/erasures/{erasure}",
    rule: "users:erase",
    tag: "Erasures",
    summary: "How an erasure stands",
    description: "Once it is done nothing here says whose data they were.",
    answers: [{ status: 200, description: "The erasure.", schema: ErasureView }],
    problems: ["not_found"],
    handle: async ({ call, identity }) => {
      const found = await call.deps.erasures().find(identity.tenant, call.params["erasure"] ?? "");
      return found === null ? problem("not_found", "There is no such erasure.") : jsonResponse(view(found));
    },
  }),
  route({
    id: "eraseRun",
    method: "POST",
    path: "/v1/runs/{run}/erase",
    rule: "users:erase",
    tag: "Erasures",
    summary: "Erase the data of one run",
    description:
      "Of a run that has ended: only how it went is left, as after the erasure of its user. Runs that it started are runs of their own. Again changes nothing.",
    answers: [{ status: 200, description: "Nothing of its data is left.", schema: ErasedRun }],
    problems: ["not_found", "run_not_ended", "run_deleted", "unavailable"],
    handle: async ({ call, identity }) => {
      const seen = await ask(call, identity, (run) => run.view(viewerOf(identity)));
      if (!seen.ok) return seen.error;
      const { id, started_at: startedAt } = seen.value;
      const place = { startedAt, id };
      const erased = await call.deps.erasures().eraseRun(identity.tenant, place, actorOf(identity));
      switch (erased) {
        case "erased":
        case "gone":
          return jsonResponse({ run: id, erased: true });
        case "not_ended":
          return problem("run_not_ended", "Only a run that has ended can be erased.");
        case "later":
          return problem("unavailable", "The run cannot be erased just now.", {
            headers: { "retry-after": String(RETRY_AFTER_S) },
          });
      }
    },
  }),
];

/** Why nothing can be made for the user; null: nothing speaks against it. */
export async function refusalForErasure(
  { deps }: Call,
  tenant: string,
  user: string | null,
): Promise<Problem | null> {
  if (user === null || !(await deps.erasures().isErasing(tenant, user))) return null;
  return problem("user_being_erased", "The data of this user are being erased.");
}

function view({ id, status, begunAt, begunBy, doneAt, progress, report }: Erasure) {
  const { keys, connections, runs, runs_deleted, callers, hooks, schedules, provider_not_told } = report;
  return {
    ...{ id, status, begun_at: begunAt, begun_by: begunBy, done_at: doneAt },
    waits_for: (status === "running" ? progress.waits : undefined) ?? { runs: 0, connections: 0 },
    erased: { keys, connections, runs, runs_deleted, callers, hooks, schedules },
    provider_not_told,
  };
}
