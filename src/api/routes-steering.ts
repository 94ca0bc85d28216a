/** Steering runs: cancel, pause, resume, redrive, resolve, signal. */
import { actorOf, type KeyIdentity } from "../access/index.ts";
import type { Command, UnitAddress, Viewer } from "../run/index.ts";
import { CHANGED_RUN, LONG_RUNNING } from "./answers.ts";
import { EXAMPLES } from "./examples.ts";
import type { Problem } from "./problems.ts";
import { startPermitFor } from "./quota-check.ts";
import { isOver, longRunning, runResponse } from "./replies.ts";
import { type Call, type Route, route } from "./route.ts";
import { idempotencyKeyOf } from "./routes-start.ts";
import { askForRun, ownerOf, preferencesOf, viewerOf, waitForEndOf } from "./runs-of.ts";
import { CancelRun, RedriveRun, ResolveStep, SendSignal, UNIT_NAME } from "./request-schemas.ts";

export const STEERING_ROUTES: readonly Route[] = [
  route({
    id: "cancelRun",
    method: "POST",
    path: "/v1/runs/{run}/cancel",
    rule: "runs:write",
    tag: "Steering",
    summary: "Cancel a run, and undo what it did",
    headers: ["Prefer"],
    body: { schema: CancelRun, required: false, example: EXAMPLES.cancel },
    answers: LONG_RUNNING,
    problems: ["not_found", "run_ended", "already_ending", "run_deleted"],
    handle: ({ call, identity, body: { mode = "graceful", reason } }) => {
      const why = reason === undefined ? {} : { reason };
      return setGoing(call, identity, { t: "cancel", mode, by: actorOf(identity), ...why }, true);
    },
  }),
  route({
    id: "pauseRun",
    method: "POST",
    path: "/v1/runs/{run}/pause",
    rule: "runs:write",
    tag: "Steering",
    summary: "Pause a run: nothing new starts",
    answers: [CHANGED_RUN],
    problems: ["not_found", "run_ended", "run_deleted"],
    handle: ({ call, identity }) =>
      steer(call, identity, viewerOf(identity), { t: "pause", by: actorOf(identity) }, true),
  }),
  route({
    id: "resumeRun",
    method: "POST",
    path: "/v1/runs/{run}/resume",
    rule: "runs:write",
    tag: "Steering",
    summary: "Let a paused run go on",
    answers: [CHANGED_RUN],
    problems: ["not_found", "run_ended", "run_deleted"],
    handle: ({ call, identity }) =>
      steer(call, identity, viewerOf(identity), { t: "resume", by: actorOf(identity) }, true),
  }),
  route({
    id: "redriveRun",
    method: "POST",
    path: "/v1/runs/{run}/redrive",
    rule: "runs:write",
    tag: "Steering",
    summary: "Run a failed or cancelled run again from where it failed",
    description:
      "Keeps what succeeded and was not undone. A step whose outcome is unknown must be resolved in the same call.",
    headers: ["Prefer"],
    body: { schema: RedriveRun, required: false, example: EXAMPLES.redrive },
    answers: LONG_RUNNING,
    problems: [
      "not_found",
      "already_ending",
      "nothing_to_redrive",
      "resolve_first",
      "not_unknown",
      "run_deleted",
      "run_erased",
    ],
    handle: async ({ call, identity, body }) => {
      const resolve = Object.entries(body.resolve ?? {}).map(([unit, as]) => ({ unit: unitOf(unit), as }));
      const permit = await startPermitFor(call, identity.tenant);
      if (!permit.ok) return permit.error;
      const what: Command = { t: "redrive", by: actorOf(identity), resolve };
      // What goes on tells the directory by itself; until then it counts as it is.
      return setGoing(call, identity, what, false, permit.value.giveBack);
    },
  }),
  route({
    id: "resolveStep",
    method: "POST",
    path: "/v1/runs/{run}/steps/{step}/resolve",
    rule: "runs:write",
    tag: "Steering",
    summary: "Say whether a step whose outcome is unknown happened",
    body: { schema: ResolveStep, required: true, example: EXAMPLES.resolve },
    answers: [CHANGED_RUN],
    problems: ["not_found", "no_such_step", "not_unknown", "run_ended", "run_deleted"],
    handle: ({ call, identity, body: { item, undo, ...as } }) => {
      const unit: UnitAddress = {
        step: call.params["step"] ?? "",
        ...(item === undefined ? {} : { item }),
        ...(undo === undefined ? {} : { undo }),
      };
      const what: Command = { t: "resolve", unit, as, by: actorOf(identity) };
      return steer(call, identity, viewerOf(identity), what, false);
    },
  }),
  route({
    id: "sendSignal",
    method: "POST",
    path: "/v1/runs/{run}/signals/{name}",
    rule: "runs:write",
    also: "The key that started the run, or one with `runs:admin`.",
    tag: "Steering",
    summary: "Send a named message to a run",
    description:
      "It is kept until a step takes it, also when it comes early. The same `id` again counts once.",
    headers: ["Idempotency-Key"],
    body: { schema: SendSignal, required: false, example: EXAMPLES.signal },
    answers: [CHANGED_RUN],
    problems: [
      "invalid_header",
      "not_found",
      "signal_not_expected",
      "invalid_payload",
      "signal_buffer_full",
      "run_ended",
      "already_ending",
      "run_deleted",
    ],
    handle: async ({ call, identity, body: { id, payload = null } }) => {
      const key = idempotencyKeyOf(call);
      if (!key.ok) return key.error;
      const signal = { id: id ?? key.value ?? crypto.randomUUID(), name: call.params["name"] ?? "", payload };
      const what: Command = { t: "signal", ...signal, by: actorOf(identity) };
      return steer(call, identity, ownerOf(identity), what, true);
    },
  }),
];

/** The kernel's own name of a unit, taken apart; the schema has let no other form through. */
function unitOf(name: string): UnitAddress {
  const [, step = "", item, undo] = UNIT_NAME.exec(name) ?? [];
  return {
    step,
    ...(item === undefined ? {} : { item: Number(item) }),
    ...(undo === undefined ? {} : { undo: true }),
  };
}

/** @param again whether doing it twice is doing it once, so that a lost answer may be asked for again */
async function steer(
  call: Call,
  identity: KeyIdentity,
  viewer: Viewer,
  what: Command,
  again: boolean,
): Promise<Response | Problem> {
  const view = await askForRun(call, identity, (run) => run.command(viewer, what), again);
  return view.ok ? runResponse(identity, view.value) : view.error;
}

/** A command after which the run goes on for a while: answered like a start. */
async function setGoing(
  call: Call,
  identity: KeyIdentity,
  what: Command,
  again: boolean,
  refused: () => void = () => undefined,
): Promise<Response | Problem> {
  const viewer = viewerOf(identity);
  const taken = await askForRun(call, identity, (run) => run.command(viewer, what), again);
  if (!taken.ok) {
    if (taken.error.problem !== "unavailable") refused();
    return taken.error;
  }
  const preferences = preferencesOf(call);
  const waitMs = waitForEndOf(identity, preferences);
  if (waitMs === 0 || isOver(taken.value)) return longRunning(identity, taken.value, preferences);
  const waited = await askForRun(call, identity, (run) => run.view(viewer, { waitMs, orIdle: true }));
  return waited.ok ? longRunning(identity, waited.value, preferences) : waited.error;
}
