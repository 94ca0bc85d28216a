/**
 * Whoever looks after the runs in the end: asks each why it is not done, and makes the call that `explain` names, with what is
 * known of the world. Nobody here knows how a run was meant to go.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createApi } from "../../src/cli/api.ts";
import { heal, personOf } from "../../src/cli/consents.ts";
import type { Caller } from "./calls.ts";
import { BELL, DESK, EVENT, LAST_STEP } from "./kinds.ts";
import { each, explain, type Explained, type Keys } from "./population.ts";
import type { Stage } from "./stage.ts";

const CALENDAR = "api.calendar.example";
const PAGE = 100;
const POLL_MS = 700;

export interface Listed {
  readonly id: string;
  readonly workflow: string;
  readonly status: string;
  readonly user: string | null;
  readonly ended_at: number | null;
}

/** All runs of the tenant, as they said of themselves. */
export async function listAll(caller: Caller, { admin }: Keys): Promise<Listed[]> {
  const runs: Listed[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const more: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const ask = { method: "GET", path: `/v1/runs?limit=${PAGE}${more}`, key: admin };
    const page: { data: Listed[]; next_cursor: string | null } = await caller.insist("run.list", ask, [200]);
    runs.push(...page.data);
    cursor = page.next_cursor;
  }
  return runs;
}

export class Operator {
  readonly #caller: Caller;
  readonly #keys: Keys;
  readonly #stage: Stage;
  readonly #connected = new Set<string>();
  #rung = false;
  /** Calls that were made because `explain` named them, by reason. */
  readonly calls = new Map<string, number>();

  constructor(caller: Caller, keys: Keys, stage: Stage) {
    this.#caller = caller;
    this.#keys = keys;
    this.#stage = stage;
  }

  /** Until every run has ended and told so, or the time is up. @returns all runs */
  async untilOver(isOver: (runs: readonly Listed[]) => boolean, patienceMs: number): Promise<Listed[]> {
    const until = Date.now() + patienceMs;
    for (;;) {
      const runs = await listAll(this.#caller, this.#keys);
      const open = runs.filter(({ ended_at: ended }) => ended === null);
      if ((open.length === 0 && isOver(runs)) || Date.now() > until) return runs;
      await each(open, async (run) => {
        const said = await explain(this.#caller, this.#keys, run.id);
        if (said !== null) await this.#help(run, said);
      });
      await sleep(POLL_MS);
    }
  }

  async #help(run: Listed, { reasons }: Explained): Promise<void> {
    for (const { code, unit } of reasons) {
      const help = this.#helps[code];
      if (help === undefined) continue;
      if (await help(run, unit ?? "")) this.calls.set(code, (this.calls.get(code) ?? 0) + 1);
    }
  }

  /** Each says whether it has done anything. */
  readonly #helps: Readonly<Record<string, (run: Listed, unit: string) => Promise<boolean>>> = {
    signal: async (run) =>
      run.workflow === "gd-event"
        ? this.#post("event.post", "/v1/events", await this.#eventOf(run), [202])
        : this.#post("run.signal", `/v1/runs/${run.id}/signals/go`, { id: "once", payload: {} }),
    decision: async (run, unit) =>
      this.#post(
        "approval.decide",
        `/v1/approvals/${run.id}.${unit}.g1`,
        { decision: "approved" },
        [200],
        this.#keys.approver,
      ),
    paused: async (run) => this.#post("run.resume", `/v1/runs/${run.id}/resume`),
    open: async (run) => {
      await this.#post("run.append", `/v1/runs/${run.id}/steps`, { steps: LAST_STEP });
      return this.#post("run.close", `/v1/runs/${run.id}/close`);
    },
    connection: async (run, unit) => {
      const user = run.user ?? "";
      if (run.workflow !== "gd-connection") return this.#consent(run, unit);
      if (this.#connected.has(user)) return false;
      this.#connected.add(user);
      const key = this.#stage.world.tokens[CALENDAR] ?? "";
      return this.#post("connection.make", "/v1/connections", { integration: DESK, user, api_key: key });
    },
    unknown: async (run, place) => {
      const [step = "", role] = place.split("/");
      // A service knows it by the reference that the plan made, or by the step's own key.
      const unit = `${run.id}.${step.replace(/\[(\d+)\]/, ".i$1")}`;
      const { referee } = this.#stage.world;
      const found = [unit, `${unit}.g0`].map((reference) => referee.happened(reference));
      // What a service still works at may happen yet.
      if (found.some(({ atWork }) => atWork > 0)) return false;
      const happened = found.some((one) => one.happened);
      const name = step.replace(/\[.*/, "");
      const body =
        role === undefined && happened
          ? { as: "succeeded", output: { status: 201, headers: {}, body: null }, note: "The referee saw it." }
          : { as: "retry", note: "The referee saw nothing." };
      const undo = role === "undo" ? { undo: true } : {};
      return this.#post("step.resolve", `/v1/runs/${run.id}/steps/${name}/resolve`, { ...body, ...undo });
    },
    next_round: async () => {
      if (this.#rung) return false;
      this.#rung = true;
      await fetch(`${this.#stage.world.origin(CALENDAR)}/events`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${this.#stage.world.tokens[CALENDAR]}`,
          "content-type": "application/json",
          "x-reference": BELL,
        },
        body: JSON.stringify({ day: "2027-03-14", title: "The bell" }),
      });
      return true;
    },
  };

  async #eventOf(run: Listed): Promise<object> {
    const order = this.#orders.get(run.id) ?? "0";
    return { name: EVENT, id: `e-${order}-again`, data: { order: `o-${order}` } };
  }

  readonly #orders = new Map<string, string>();

  /** Which order a run waits to be paid: its input is shown to nobody. */
  knows(run: string, order: string): void {
    this.#orders.set(run, order);
  }

  async #consent(run: Listed, unit: string): Promise<boolean> {
    const api = createApi(this.#caller.url, this.#keys.admin);
    const person = personOf(false);
    await heal(api, run.id, unit.split("/")[0] ?? "", person, () => {});
    return true;
  }

  async #post(
    what: string,
    path: string,
    body?: object,
    statuses: readonly number[] = [200, 201, 202],
    key = this.#keys.admin,
  ): Promise<boolean> {
    const ask = { method: "POST", path, key, ...(body === undefined ? {} : { body }) };
    // Between the explanation and the call the run may have gone on.
    const overtaken = new Set([
      "run_ended",
      "not_unknown",
      "not_waiting_for_approval",
      "step_exists",
      "already_ending",
      "not_open",
    ]);
    const answer = await this.#caller.ask(what, ask, ({ status, body: said }) => {
      const code = (said as { code?: string } | null)?.code ?? "";
      if (statuses.includes(status) || (status === 409 && overtaken.has(code))) return null;
      return `not ${statuses.join(" or ")}`;
    });
    return answer !== null;
  }
}
