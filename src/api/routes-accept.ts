/** Letting a run go on with the account that took the place of the one it began with. */
import { actorOf, type KeyIdentity } from "../access/index.ts";
import type { ConnectionWait, RunView, UnitView } from "../run/index.ts";
import { CHANGED_RUN } from "./answers.ts";
import { type Problem, problem } from "./problems.ts";
import { runResponse } from "./replies.ts";
import { type Call, type Route, route } from "./route.ts";
import { ask, askForRun, viewerOf } from "./runs-of.ts";

export const ACCEPT_ROUTES: readonly Route[] = [
  route({
    id: "acceptConnection",
    method: "POST",
    path: "/v1/runs/{run}/steps/{step}/accept-connection",
    // A person's word: no key that an agent may hold.
    rule: "connections:confirm",
    tag: "Steering",
    summary: "Let a run go on with the account that took the place of another",
    description:
      "Of a step that is `waiting_for` a connection with the reason `replaced`: it, and every other step that waits for the same, goes on with the account that is connected now.",
    answers: [CHANGED_RUN],
    problems: ["not_found", "no_such_step", "nothing_to_accept", "run_ended", "run_deleted"],
    handle: ({ call, identity }) => accept(call, identity),
  }),
];

async function accept(call: Call, identity: KeyIdentity): Promise<Response | Problem> {
  const viewer = viewerOf(identity);
  const step = await ask(call, identity, (run) => run.step(viewer, call.params["step"] ?? ""));
  if (!step.ok) return step.error;
  let view: RunView | null = null;
  for (const wait of replacedOf(step.value)) {
    const { integration, account, connection } = wait;
    if (integration === null || connection === null) continue;
    const pin = await call.deps.connections().pinOf(identity.tenant, connection);
    if (pin === null) return problem("nothing_to_accept", "The connection cannot be used as it stands.");
    const name = account === null ? integration : `${integration}/${account}`;
    const how = { name, to: { ...pin }, by: actorOf(identity) };
    const taken = await askForRun(call, identity, (run) => run.rebind(viewer, how));
    if (!taken.ok) return taken.error;
    view = taken.value;
  }
  return view === null
    ? problem("nothing_to_accept", "The step does not wait for somebody to accept another account.")
    : runResponse(identity, view);
}

/** One for each reference. */
function replacedOf(step: UnitView & { readonly items?: readonly UnitView[] }): ConnectionWait[] {
  const waits = [step, ...(step.items ?? [])]
    .flatMap((unit) => [unit.waiting_for, unit.compensation?.waiting_for])
    .filter((wait) => wait?.kind === "connection")
    .filter(({ reason }) => reason === "replaced");
  return [...new Map(waits.map((wait) => [`${wait.integration}/${wait.account ?? ""}`, wait])).values()];
}
