/** Open runs: append steps, wait for them, close. */
import { actorOf, type KeyIdentity } from "../access/index.ts";
import { type Beside, compileSteps, type CompiledSteps, namedOutside } from "../define/index.ts";
import type { Json } from "../kernel/index.ts";
import { ok, type Result } from "../platform/index.ts";
import type { RunView, StepView } from "../run/index.ts";
import { CHANGED_RUN } from "./answers.ts";
import { EXAMPLES } from "./examples.ts";
import { checkSurroundings, refusalOf } from "./plan-check.ts";
import { chainFor, judgeWish, refusalOfStart } from "./policy-check.ts";
import { type FieldError, type Problem, problem, problemAt } from "./problems.ts";
import { addressOf, isOver, jsonResponse, RETRY_AFTER_S, runResponse, UNSHARED } from "./replies.ts";
import { graphTag, parseGraphTag, preferenceApplied } from "./request-headers.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, askForRun, ownerOf, preferencesOf } from "./runs-of.ts";
import { AppendSteps, MAX_APPENDED_STEPS } from "./request-schemas.ts";
import { badSteps } from "./start-plan.ts";
import { Appended } from "./answer-runs.ts";

/** Looks at the run while waiting: far below the calls that one request may make, far above what steps need. */
const MAX_LOOKS = 500;

const APPENDED_HEADERS = ["ETag", "Location", "Preference-Applied"] as const;

export const OPEN_ROUTES: readonly Route[] = [
  route({
    id: "appendSteps",
    method: "POST",
    path: "/v1/runs/{run}/steps",
    rule: "runs:write",
    also: "The key that started the run, or one with `runs:admin`.",
    tag: "Open runs",
    summary: "Append steps to an open run",
    description:
      'Sending the same steps again changes nothing. With `If-Match: "g-<revision>"` they are appended only to that revision of the graph. With `Prefer: wait=N` the answer waits for the end of these steps, up to N seconds and 60 at most.',
    headers: ["If-Match", "Prefer"],
    body: { schema: AppendSteps, required: true, example: EXAMPLES.append },
    answers: [
      {
        status: 200,
        description: "With `Prefer: wait`: the steps, all of which have come to their end.",
        schema: Appended,
        headers: APPENDED_HEADERS,
      },
      {
        status: 202,
        description: "The steps, which are in work.",
        schema: Appended,
        headers: [...APPENDED_HEADERS, "Retry-After"],
      },
    ],
    problems: [
      "invalid_header",
      "policy_denied",
      "not_found",
      "not_open",
      "step_exists",
      "revision_mismatch",
      "bad_graph",
      "run_deleted",
    ],
    handle: ({ call, identity, body }) => append(call, identity, body.steps),
  }),
  route({
    id: "closeRun",
    method: "POST",
    path: "/v1/runs/{run}/close",
    rule: "runs:write",
    also: "The key that started the run, or one with `runs:admin`.",
    tag: "Open runs",
    summary: "Close an open run: it ends when its steps have ended",
    answers: [CHANGED_RUN],
    problems: ["not_found", "not_open", "run_deleted"],
    handle: async ({ call, identity }) => {
      const what = { t: "close", by: actorOf(identity) } as const;
      const view = await askForRun(call, identity, (run) => run.command(ownerOf(identity), what));
      return view.ok ? runResponse(identity, view.value) : view.error;
    },
  }),
];

async function append(
  call: Call,
  identity: KeyIdentity,
  steps: Readonly<Record<string, Json>>,
): Promise<Response | Problem> {
  const names = Object.keys(steps);
  if (names.length === 0 || names.length > MAX_APPENDED_STEPS) {
    const detail = `One call appends 1 to ${MAX_APPENDED_STEPS} steps.`;
    return problemAt("invalid_request", { pointer: "/steps" }, detail);
  }
  const ifMatch = call.request.headers.get("if-match");
  const ifRevision = ifMatch === null || ifMatch.trim() === "*" ? undefined : parseGraphTag(ifMatch);
  if (ifRevision === null) {
    const detail = 'It is "g-<revision>", with the revision of the run, or *.';
    return problem("invalid_header", "If-Match cannot be read.", {
      errors: [{ header: "If-Match", detail }],
    });
  }
  const chain = await chainFor(call, identity);
  if (!chain.ok) return chain.error;
  const denial = refusalOfStart(chain.value, { workflow: null, at: "/steps" });
  if (denial !== null) return denial;
  const alone = compileSteps(steps);
  const wish = { workflow: null, at: "/steps", steps: alone.steps, definitionAt: "" };
  const judged = judgeWish(chain.value, identity, wish);
  const checked = {
    ...{ steps: alone.steps, chain: chain.value },
    ...{ definitionAt: "", user: identity.user ?? undefined },
  };
  const around = await checkSurroundings(call, identity, checked);
  const policy = judged.errors;
  const flaws = policy.length + around.denied.length + around.errors.length + around.missing.length;
  const compiled = await besideRun(call, identity, steps, alone, alone.ok && flaws === 0);
  if (!compiled.ok) return compiled.error;
  const own = compiled.value.ok ? [] : compiled.value.errors;
  const refusal = refusalOf({ own, around, policy }, badSteps);
  if (refusal !== null) return refusal;
  const viewer = ownerOf(identity);
  const taken = await askForRun(call, identity, (run) =>
    run.command(viewer, {
      t: "append",
      ...{ steps: judged.steps, policies: judged.policies },
      by: actorOf(identity),
      ...(ifRevision === undefined ? {} : { ifRevision }),
    }),
  );
  if (!taken.ok) return taken.error;
  const preferences = preferencesOf(call);
  const until = call.deps.now() + (preferences.waitMs ?? 0);
  let view = taken.value;
  for (let looks = 0; looks < MAX_LOOKS && !isSettled(view, names); looks += 1) {
    const waitMs = until - call.deps.now();
    if (waitMs <= 0) break;
    const afterSeq = view.seq;
    const next = await askForRun(call, identity, (run) => run.view(viewer, { waitMs, afterSeq }));
    if (!next.ok) return next.error;
    view = next.value;
  }
  const applied = preferenceApplied(preferences);
  return appended(view, names, {
    applied,
    waited: preferences.waitMs !== null,
    advice: [...compiled.value.advice, ...around.advice],
  });
}

/**
 * The steps, checked against those of the run that they name, so that everything is told at once. The run checks them
 * itself when it takes them; it is asked before only if they name its steps, or are refused anyhow.
 */
async function besideRun(
  call: Call,
  identity: KeyIdentity,
  steps: Readonly<Record<string, Json>>,
  alone: CompiledSteps,
  isFine: boolean,
): Promise<Result<CompiledSteps, Problem>> {
  const wanted = namedOutside(alone.steps);
  if (isFine && wanted.names.length === 0) return ok(alone);
  const part = await ask(call, identity, (run) => run.graphPart(ownerOf(identity), wanted));
  if (!part.ok) return part;
  const { steps: existing, ...rest } = part.value;
  const beside: Beside = { existing, ...rest };
  return ok(compileSteps(steps, "/steps", "author", beside));
}

interface Told {
  readonly applied: string | null;
  readonly waited: boolean;
  readonly advice: readonly FieldError[];
}

function appended(view: RunView, names: readonly string[], { applied, waited, advice }: Told): Response {
  const settled = isSettled(view, names);
  const headers = {
    ...UNSHARED,
    etag: graphTag(view.revision),
    location: addressOf(view.id),
    ...(applied === null ? {} : { "preference-applied": applied }),
  };
  const { id: run, status, revision, seq } = view;
  const told = advice.length === 0 ? {} : { advice };
  const body = { run, status, revision, seq, settled, steps: stepsOf(view, names), ...told };
  if (waited && settled) return jsonResponse(body, 200, headers);
  return jsonResponse(body, 202, { ...headers, "retry-after": String(RETRY_AFTER_S) });
}

function stepsOf(view: RunView, names: readonly string[]): StepView[] {
  const wanted = new Set(names);
  return view.steps.filter((step) => wanted.has(step.name));
}

function isSettled(view: RunView, names: readonly string[]): boolean {
  return isOver(view) || stepsOf(view, names).every((step) => step.outcome !== null);
}
