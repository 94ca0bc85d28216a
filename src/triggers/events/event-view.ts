/** What is told of an event: what became of it, never its data. */
import type { Task } from "./event-rules.ts";
import type { EventView } from "./events-port.ts";
import type { KeptEvent } from "./events-store.ts";

export function viewOf({ event, outcome, doneAt }: KeptEvent, tasks: readonly Task[]): EventView {
  const runs: EventView["runs"][number][] = [];
  const resumed: EventView["resumed"][number][] = [];
  const refused: EventView["refused"][number][] = [...outcome.failed];
  for (const { deed, settled } of tasks) {
    if (settled === null) continue;
    if (settled.t === "started" && deed.t === "start")
      runs.push({ workflow: deed.workflow, run: settled.run });
    if (deed.t === "signal" && settled.t === "resumed") resumed.push({ run: deed.run, step: deed.step });
    if (settled.t !== "refused") continue;
    const { code, message } = settled;
    const what = deed.t === "start" ? { workflow: deed.workflow } : { run: deed.run, step: deed.step };
    refused.push({ ...what, code, message });
  }
  const { id, name, at, user, tags } = event;
  return {
    ...{ id, name, received_at: at, user, tags },
    status: doneAt === null ? "dispatching" : "done",
    ...{ runs, resumed, refused, filtered: outcome.filtered },
  };
}
