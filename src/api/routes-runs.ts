/** Looking at runs. */
import type { KeyIdentity } from "../access/index.ts";
import type { StepView } from "../run/index.ts";
import { RUN_ANSWER } from "./answers.ts";
import { linkedSteps, wantsLinks, withConnectLinks } from "./connect-links.ts";
import { sightOf } from "./outputs.ts";
import type { Problem } from "./problems.ts";
import { jsonResponse, runHeaders, UNSHARED } from "./replies.ts";
import { parseIfNoneMatch, preferenceApplied, runTag } from "./request-headers.ts";
import { type Call, type Route, route } from "./route.ts";
import { withPlace } from "./routes-queues.ts";
import { ask, askForRun, preferencesOf, viewerOf } from "./runs-of.ts";
import { explainQuery, stepQuery } from "./request-schemas.ts";
import { Explanation } from "./answer-explain.ts";
import { Step } from "./answer-runs.ts";

export const RUN_ROUTES: readonly Route[] = [
  route({
    id: "getRun",
    method: "GET",
    path: "/v1/runs/{run}",
    rule: "runs:read",
    tag: "Runs",
    summary: "Look at a run",
    description:
      "With `Prefer: wait=N` the answer waits for the run's end, up to N seconds and 60 at most; with `If-None-Match` as well, for anything new.",
    headers: ["If-None-Match", "Prefer"],
    answers: [
      { ...RUN_ANSWER, headers: ["ETag", "Preference-Applied"] },
      { status: 304, description: "Nothing new since the `ETag` of `If-None-Match`.", headers: ["ETag"] },
    ],
    problems: ["not_found", "run_deleted"],
    handle: ({ call, identity }) => look(call, identity),
  }),
  route({
    id: "getStep",
    method: "GET",
    path: "/v1/runs/{run}/steps/{step}",
    rule: "runs:read",
    tag: "Runs",
    summary: "Look at one step, with its whole output",
    query: stepQuery,
    answers: [{ status: 200, description: "The step.", schema: Step }],
    problems: ["not_found", "no_such_step", "run_deleted"],
    handle: async ({ call, identity, query }) => {
      const name = call.params["step"] ?? "";
      const step = await ask(call, identity, (run) => run.step(viewerOf(identity), name, query.item));
      if (!step.ok) return step.error;
      const seen = sightOf(identity).step(step.value);
      return jsonResponse(await withLinks(call, identity, seen, query.item), 200, UNSHARED);
    },
  }),
  route({
    id: "explainRun",
    method: "GET",
    path: "/v1/runs/{run}/explain",
    rule: "runs:read",
    tag: "Runs",
    summary: "Why a run stands where it stands, and what can be done about it",
    description:
      "In plain words and as data: what it waits for and until when, what was tried, and the calls that would be taken now.",
    query: explainQuery,
    answers: [{ status: 200, description: "The explanation.", schema: Explanation }],
    problems: ["not_found", "no_such_step", "run_deleted"],
    handle: async ({ call, identity, query }) => {
      const told = await ask(call, identity, (run) => run.explain(viewerOf(identity), query.step));
      return told.ok ? jsonResponse(told.value, 200, UNSHARED) : told.error;
    },
  }),
];

async function look(call: Call, identity: KeyIdentity): Promise<Response | Problem> {
  const known = parseIfNoneMatch(call.request.headers.get("if-none-match"));
  const preferences = preferencesOf(call);
  const waitMs = preferences.waitMs ?? 0;
  // Waiting for anything new starts where the caller stands; waiting for the end needs no such place.
  const options = waitMs === 0 ? {} : { waitMs, ...(known.seq === null ? {} : { afterSeq: known.seq }) };
  const seen = await askForRun(call, identity, (run) => run.view(viewerOf(identity), options));
  if (!seen.ok) return seen.error;
  const view = seen.value;
  const applied = preferenceApplied({ ...preferences, respondAsync: false });
  const headers = { ...runHeaders(view), ...(applied === null ? {} : { "preference-applied": applied }) };
  if (known.matches(runTag(view.seq))) return new Response(null, { status: 304, headers });
  return jsonResponse(await withPlace(call, await withConnectLinks(call, identity, view)), 200, headers);
}

/** A step does not say whose run it is of. */
async function withLinks(
  call: Call,
  identity: KeyIdentity,
  step: StepView,
  item: number | undefined,
): Promise<StepView> {
  if (!wantsLinks(identity, step)) return step;
  const run = await ask(call, identity, (one) => one.view(viewerOf(identity)));
  if (!run.ok) return step;
  const whose = { run: run.value.id, workflow: run.value.workflow, user: run.value.user };
  const named = item === undefined ? step : { ...step, name: `${step.name}[${item}]` };
  const [linked = step] = await linkedSteps(call, identity, whose, [named]);
  return { ...linked, name: step.name };
}
