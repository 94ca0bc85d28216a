/**
 * Keeps the tenant's list in step with one schedule. A line is there before its schedule and goes after it; what could not be told
 * is told when the sweeper asks. Does not own the list itself (schedule-list-store.ts).
 */
import type { ListedSchedule } from "./schedule-list-store.ts";
import type { SchedulePorts } from "./schedule-ports.ts";
import type { ScheduleWish } from "./schedule-rpc.ts";
import { inTime } from "../platform/index.ts";
import { CALL_MS } from "./schedule-starting.ts";
import type { KeptSchedule, KeptTarget } from "./schedule-store.ts";

export class ScheduleListing {
  readonly #ports: Pick<SchedulePorts, "list" | "log" | "now">;
  /** Whether the list says something else than what is so, as far as this life knows. */
  #untold = false;

  constructor(ports: Pick<SchedulePorts, "list" | "log" | "now">) {
    this.#ports = ports;
  }

  /** Before it is written. Null: it is in the list. `unavailable`: that cannot be told just now. Never throws. */
  async enter(
    tenant: string,
    name: string,
    { target, timing, maker }: ScheduleWish,
    kept: KeptSchedule | undefined,
  ): Promise<"too_many" | "unavailable" | null> {
    const now = this.#ports.now();
    const line: ListedSchedule = {
      ...{ tenant, name, workflow: target.workflow, timing, maker: maker.actor },
      ...{ paused: kept?.state.paused ?? null, createdAt: kept?.createdAt ?? now, updatedAt: now },
    };
    try {
      return (await inTime(async () => this.#ports.list.put(line), CALL_MS)) ? null : "too_many";
    } catch (error) {
      this.#ports.log.warn("schedule.not_listed", { tenant, schedule: name, error });
      return "unavailable";
    }
  }

  changed(): void {
    this.#untold = true;
  }

  /** How it is by now, if the list says something else. Never throws. */
  async tell(read: () => (KeptTarget & { readonly kept: KeptSchedule }) | null): Promise<void> {
    const now = this.#untold ? read() : null;
    if (now === null) return;
    this.#untold = false;
    const { kept, target, maker } = now;
    const { tenant, createdAt, updatedAt, state } = kept;
    const line: ListedSchedule = {
      ...{ tenant, name: state.id, workflow: target.workflow, timing: state.rules.timing },
      ...{ paused: state.paused, maker: maker.actor, createdAt, updatedAt },
    };
    try {
      await inTime(async () => this.#ports.list.put(line), CALL_MS);
    } catch (error) {
      this.#untold = true;
      this.#ports.log.warn("schedule.not_listed", { tenant, schedule: state.id, error });
    }
  }

  /** Never throws: what stays is taken away when the sweeper asks for a schedule that is not there. */
  async leave(tenant: string, name: string): Promise<void> {
    try {
      await inTime(async () => this.#ports.list.remove(tenant, name), CALL_MS);
    } catch (error) {
      this.#ports.log.warn("schedule.not_unlisted", { tenant, schedule: name, error });
    }
  }
}
