/** The deliveries of a hook: what became of them, having one delivered anew, and trying the hook. */
import { type KeyIdentity, may, userOfNewRun } from "../access/index.ts";
import { findStartable } from "../define/index.ts";
import type { Delivered, DeliveringRefusal, Hook } from "../triggers/index.ts";
import { DeliveredHook, HookDeliveries } from "./answer-hooks.ts";
import { EXAMPLES } from "./examples.ts";
import { inputOf, viewDelivery } from "./hook-views.ts";
import { type Problem, problem, problemAt } from "./problems.ts";
import { jsonResponse, ofAccess } from "./replies.ts";
import { deliveriesQuery, Redeliver, TestDelivery } from "./request-hooks.ts";
import { type Call, type Route, route } from "./route.ts";
import { askingOf, nameIn, noHook, refusalOf } from "./routes-hooks.ts";
import { randomId } from "../platform/index.ts";

const PAGE = 50;
const EVENT_IN_BODY =
  "No header of this scheme says what a delivery tells of: it stands in the body, if anywhere. Put it into `body`.";

export const DELIVERY_ROUTES: readonly Route[] = [
  route({
    id: "listHookDeliveries",
    method: "GET",
    path: "/v1/hooks/{name}/deliveries",
    rule: "hooks:read",
    tag: "Hooks",
    summary: "See what became of the last deliveries to a hook",
    description:
      "The last 200 that were their sender's own, and some of those that nobody could prove. Never a body, a signature or a secret. It can be some seconds late.",
    query: deliveriesQuery,
    answers: [{ status: 200, description: "A page of the log, the newest first.", schema: HookDeliveries }],
    problems: ["not_found"],
    handle: async ({ call, identity, query: { cursor, limit = PAGE } }) => {
      const desk = call.deps.hooks();
      const found = await desk.find(identity.tenant, nameIn(call));
      if (!found.ok) return noHook();
      const page = await desk.log(found.value, cursor === undefined ? null : Number(cursor), limit);
      const last = page.length < limit ? undefined : page.at(-1);
      return jsonResponse({
        data: page.map(({ id, entry, kept }) => ({ ...viewDelivery(id, entry), kept })),
        next_cursor: last === undefined ? null : String(last.n),
      });
    },
  }),
  route({
    id: "redeliver",
    method: "POST",
    path: "/v1/hooks/{name}/deliveries/{delivery}/redeliver",
    rule: "hooks:write",
    also: "And what a hook of this kind needs. The run is bound by the policies of the key in use as well. The answer says its input to a key with `outputs:read`, where the workflow's input is sensitive to one with `outputs:reveal`.",
    tag: "Hooks",
    summary: "Have a delivery of the log delivered anew, by the hook as it is now",
    description:
      "Its body is kept of the last 20, for 30 days. Each `number` is one run, whether the delivery started one before or not.",
    body: { schema: Redeliver, required: false, example: EXAMPLES.redeliver },
    answers: [{ status: 200, description: "What became of it.", schema: DeliveredHook }],
    problems: [
      "not_found",
      "hook_paused",
      "delivery_gone",
      "user_wider",
      "policy_denied",
      "unknown_workflow",
    ],
    handle: async ({ call, identity, body: { number = 1 } }) => {
      const known = await knownFor(call, identity, true);
      if (!known.ok) return known.problem;
      const delivery = call.params["delivery"] ?? "";
      const done = await call.deps.hooks().again(askingOf(identity), known.hook, delivery, number);
      if (!done.ok) return ofDelivering(done.error);
      return answer(done.value, await seesInput(call, identity, known.hook.hook));
    },
  }),
  route({
    id: "testHook",
    method: "POST",
    path: "/v1/hooks/{name}/test",
    rule: "hooks:write",
    also: "With `start` what a hook of this kind needs. The run is bound by the policies of the key in use as well.",
    tag: "Hooks",
    summary: "Try a hook with a delivery that is signed with its own secret",
    body: { schema: TestDelivery, required: true, example: EXAMPLES.testHook },
    answers: [{ status: 200, description: "What became of it, or would.", schema: DeliveredHook }],
    problems: ["not_found", "hook_unsigned", "user_wider", "policy_denied", "unknown_workflow"],
    handle: async ({ call, identity, body: { body, event = null, headers = {}, start = false } }) => {
      const known = await knownFor(call, identity, start);
      if (!known.ok) return known.problem;
      const done = await call.deps.hooks().test(askingOf(identity), known.hook, {
        ...{ id: testId(), event, headers, contentType: "application/json", isStarted: start },
        body: new TextEncoder().encode(body === undefined ? "{}" : JSON.stringify(body)),
      });
      // They have given the body themselves.
      return done.ok ? answer(done.value, true) : ofDelivering(done.error);
    },
  }),
];

/** Letters and digits alone, so that a scheme in which a `_` ends the id can sign it. */
const testId = (): string => randomId("dlv").replace("_", "");

/** Read anew: what a person asks for is done by the hook as it is. */
async function knownFor(call: Call, identity: KeyIdentity, isStarted: boolean) {
  const hook = await call.deps.hooks().knownNow(identity.tenant, nameIn(call));
  if (hook === null) return { ok: false, problem: noHook() } as const;
  if (!isStarted) return { ok: true, hook } as const;
  const user = userOfNewRun(identity, hook.hook.user ?? undefined);
  if (!user.ok) return { ok: false, problem: ofAccess(user.error) } as const;
  const refusal = await refusalOf(call, identity, hook.hook);
  return refusal === null ? ({ ok: true, hook } as const) : ({ ok: false, problem: refusal } as const);
}

/** Whether whoever asks may see what the service had sent: no other answer shows the input of a run. */
async function seesInput(
  { deps: { workflows, plans } }: Call,
  identity: KeyIdentity,
  { tenant, workflow }: Pick<Hook, "tenant" | "workflow">,
): Promise<boolean> {
  if (!may(identity, "outputs:read")) return false;
  if (workflow === null || may(identity, "outputs:reveal")) return true;
  const found = await findStartable({ workflows, plans }, tenant, workflow);
  return found.kind === "found" && found.startable.graph.sensitive?.includes("input") !== true;
}

function answer({ id, entry, judged }: Delivered, seesInput: boolean): Response {
  return jsonResponse({ ...viewDelivery(id, entry), ...(seesInput ? inputOf(judged) : {}) });
}

function ofDelivering(code: DeliveringRefusal): Problem {
  switch (code) {
    case "not_found":
      return problem("not_found", "There is no such delivery in the log.");
    case "body_gone":
      return problem("delivery_gone", "The body of this delivery is not kept any more.");
    case "paused":
      return problem("hook_paused", "The hook is paused, or who answers for it may act no more.");
    case "no_secret":
      return problem("hook_unsigned", "No secret of the hook can sign a delivery.");
    case "event_in_body":
      return problemAt("invalid_request", { pointer: "/event" }, EVENT_IN_BODY);
  }
}
