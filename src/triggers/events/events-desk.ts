/**
 * The events of one name: what is stored when, and what is called after it. Knows no platform: the object around it gives it storage,
 * ports and an alarm, and a test the same.
 *
 * - D1 an event is stored, with what it means for the steps that wait, before it is answered; the alarm stands before that.
 * - D2 a try is stored before its call leaves. Memory holds nothing that counts: the next life reads the same and goes on.
 * - D3 which workflows an event starts is looked up after it was answered, once, and stored in one write: those that subscribe at
 *      that moment.
 * - D4 a step that is told of late hears what came since it began to wait, as far as that is kept.
 * - D5 one event of the platform does a bounded number of calls, and goes on in the next.
 * - D6 nothing here throws for what a call did: what fails or takes too long is tried again.
 * - D7 what was accepted is carried out; where that comes late, only if the poster may still act.
 * - D8 a plan that was stored subscribes no further than whoever stored it may go: what it starts stands under their policies, too.
 */
import { digestJson, inTime } from "../../platform/index.ts";
import {
  accept,
  type Deed,
  digestAt,
  digestOfContent,
  hears,
  type Kept,
  keyOf,
  planOf,
  reaches,
  retryMs,
  shownEvent,
  told,
  type Told,
  tried,
} from "./event-rules.ts";
import type {
  EraseEvents,
  EventsPorts,
  EventView,
  NewWaiting,
  PostAnswer,
  Posted,
  Waiting,
} from "./events-port.ts";
import { bytesOf, type EventsStore, type KeptEvent, type KeptTask } from "./events-store.ts";
import { viewOf } from "./event-view.ts";

/** As many as the platform lets an object make side by side. */
const CALLS_AT_A_TIME = 6;
const CALLS_PER_EVENT = 240;
const PLANS_AT_A_TIME = 6;
/** Less than FLIGHT_MS: nobody waits for a try any more when the next one begins. */
const CALL_MS = 20_000;
/** After an event was answered its work goes on at once; the alarm only stands behind. */
const BACKSTOP_MS = 30_000;
const FAILED_AGAIN_MS = 60_000;
/** For so long a key that was revoked may still be known as good. */
const LATE_MS = 60_000;
/** Of those that a wait is told of late: one is enough, but one may not fit its schema. */
const MAX_LATE = 16;
/** Events that are in memory at a time to be looked at: each can have 256 KiB, as text and read. */
const LATE_PAGE = 32;

interface StartTask {
  readonly deed: Extract<Deed, { t: "start" }>;
  readonly tries: number;
}

export interface Alarm {
  /** Null: none. */
  set(at: number | null): void;
  /** Stands by then: it is left as it is where it is known to come before. */
  ensure(by: number): void;
}

export class EventsDesk {
  readonly #tenant: string;
  readonly #name: string;
  readonly #store: EventsStore;
  readonly #ports: EventsPorts;
  readonly #alarm: Alarm;
  #working: Promise<void> = Promise.resolve();

  constructor(
    of: { readonly tenant: string; readonly name: string },
    store: EventsStore,
    ports: EventsPorts,
    alarm: Alarm,
  ) {
    this.#tenant = of.tenant;
    this.#name = of.name;
    this.#store = store;
    this.#ports = ports;
    this.#alarm = alarm;
  }

  /** D1. `work` is to be called after it, beside the answer. */
  post(posted: Posted): PostAnswer {
    const now = this.#ports.now();
    this.#store.drop(now);
    const key = keyOf(posted);
    const digest = digestOfContent(posted);
    const bytes = bytesOf(posted.data);
    const known = this.#store.find(key);
    const answer = accept(known?.event ?? null, digest, bytes, this.#store.load(), posted.only !== null);
    if (answer.kind === "duplicate") return { kind: "taken", receivedAt: answer.at, duplicate: true };
    if (answer.kind !== "new") return answer;
    // In their order, whatever the clock does.
    const at = Math.max(now, this.#store.newestAt());
    const event: Kept = { ...posted, name: this.#name, key, digest, at };
    this.#alarm.ensure(now + BACKSTOP_MS);
    this.#store.add(event, bytes, this.#heardBy(event));
    return { kind: "taken", receivedAt: at, duplicate: false };
  }

  view(only: string | null, id: string): EventView | null {
    const kept = this.#store.find(keyOf({ id, only }));
    return kept === null ? null : this.#view(kept);
  }

  recent(only: string | null, limit: number): readonly EventView[] {
    return this.#store.recent(only, limit).map((kept) => this.#view(kept));
  }

  /** D4. False: no more can wait. */
  listen(waiting: NewWaiting): boolean {
    const now = this.#ports.now();
    this.#store.drop(now);
    if (waiting.until <= now) return true;
    const late = this.#missed(waiting);
    if (late.length > 0) this.#alarm.ensure(now + BACKSTOP_MS);
    if (!this.#store.listen(waiting)) return false;
    const { run, step, since } = waiting;
    for (const n of late) this.#store.addTasks(n, [{ t: "signal", run, step, since }], now);
    this.arm();
    return true;
  }

  forget(waiting: Waiting): void {
    this.#store.forget(waiting);
    this.arm();
  }

  erase(whose: EraseEvents): void {
    if ("user" in whose) this.#store.eraseUser(whose.user);
    else this.#store.eraseRun(whose.run);
    this.arm();
  }

  /** Does what is due. One round at a time; a second call goes after the first. */
  async work(): Promise<void> {
    this.#working = this.#working.then(async () => this.#round());
    return this.#working;
  }

  arm(): void {
    this.#alarm.set(this.#store.nextDue());
  }

  #heardBy(event: Kept): Deed[] {
    return this.#store.shapes().flatMap((fields) => {
      const digest = digestAt(event.data, fields);
      if (digest === null) return [];
      return this.#store
        .waitingFor(fields, digest, event.at)
        .filter((waiting) => reaches(event, waiting))
        .map(({ run, step, since }): Deed => ({ t: "signal", run, step, since }));
    });
  }

  /** Numbers of the events that it should have heard, the oldest first. */
  #missed(waiting: NewWaiting): number[] {
    const missed: number[] = [];
    let before = Number.MAX_SAFE_INTEGER;
    for (;;) {
      const page = this.#store.before(before, LATE_PAGE);
      for (const { n, event } of page) {
        if (event.at < waiting.since) return missed.slice(0, MAX_LATE);
        if (hears(waiting, event)) missed.unshift(n);
        before = n;
      }
      if (page.length < LATE_PAGE) return missed.slice(0, MAX_LATE);
    }
  }

  async #round(): Promise<void> {
    try {
      for (let calls = 0; calls < CALLS_PER_EVENT;) {
        const made = (await this.#plan()) + (await this.#perform());
        if (made === 0) {
          this.#store.drop(this.#ports.now());
          this.arm();
          return;
        }
        calls += made;
      }
      // D5.
      this.#alarm.set(this.#ports.now());
    } catch (error) {
      this.#ports.log.error("events.round_failed", { tenant: this.#tenant, event: this.#name, error });
      this.#alarm.set(this.#ports.now() + FAILED_AGAIN_MS);
    }
  }

  /** D3. How many calls were made: one asks for all that are due. */
  async #plan(): Promise<number> {
    const due = this.#store.duePlans(this.#ports.now(), PLANS_AT_A_TIME);
    if (due.length === 0) return 0;
    this.#alarm.ensure(this.#ports.now() + BACKSTOP_MS);
    try {
      const subscribers = await inTime(
        async () => this.#ports.subscribers(this.#tenant, this.#name),
        CALL_MS,
      );
      for (const { n } of due) {
        const kept = this.#store.byNumber(n);
        if (kept === null || kept.planDue === null) continue;
        const plan = planOf(kept.event, subscribers, this.#ports.expressions);
        this.#store.planned(kept, plan, this.#ports.now());
      }
    } catch (error) {
      this.#ports.log.warn("events.not_planned", { tenant: this.#tenant, event: this.#name, error });
      const now = this.#ports.now();
      for (const kept of due) this.#store.planAgain(kept, now + retryMs(kept.planTries + 1));
    }
    return 1;
  }

  async #perform(): Promise<number> {
    const due = this.#store.dueTasks(this.#ports.now(), CALLS_AT_A_TIME);
    // D2.
    const begun = due.map((one) => {
      const task = tried(one.task, this.#ports.now());
      this.#store.write(one, task, this.#ports.now());
      return { ...one, task };
    });
    if (begun.length > 0) this.arm();
    await Promise.all(begun.map(async (one) => this.#try(one)));
    return begun.length;
  }

  async #try(begun: KeptTask): Promise<void> {
    const kept = this.#store.byNumber(begun.event);
    if (kept === null) return;
    const what = await this.#call(begun, kept.event);
    const now = this.#ports.now();
    const current = this.#store.task(begun.id);
    // What another try has settled since stays as it is.
    if (current === null || current.task.settled !== null) return;
    const { deed } = begun.task;
    if (deed.t === "signal" && (what.kind === "resumed" || what.kind === "over")) this.#store.forget(deed);
    this.#store.write(current, told(current.task, what, { at: kept.event.at, now }), now);
  }

  async #call({ task: { deed, tries } }: KeptTask, event: Kept): Promise<Told> {
    try {
      return await inTime(
        async () =>
          deed.t === "start"
            ? this.#start({ deed, tries }, event)
            : this.#ports.hear(this.#tenant, deed, {
                ...{ name: this.#name, key: event.key, data: event.data, only: event.only },
              }),
        CALL_MS,
      );
    } catch (error) {
      const { t } = deed;
      this.#ports.log.warn("events.call_failed", { tenant: this.#tenant, event: this.#name, call: t, error });
      return { kind: "lost" };
    }
  }

  async #start({ deed, tries }: StartTask, event: Kept): Promise<Told> {
    const { workflow, version, input: template, policies = [] } = deed;
    const filled =
      template === undefined
        ? ({ ok: true, value: event.data } as const)
        : this.#ports.expressions.filled(template, shownEvent(event));
    if (!filled.ok) return { kind: "refused", code: "input_failed", message: filled.error };
    const { user, maker, tags, traceparent, key, digest, at } = event;
    const tenant = this.#tenant;
    // An id is one event of its name: another name has ids of its own.
    const idempotencyKey = `${this.#name}:${key}`;
    const id = await this.#ports.runIdOf({ tenant, kind: "event", id: workflow, idempotencyKey });
    const bodyDigest = await digestJson({ event: this.#name, key, digest });
    // D7.
    const mayStart =
      this.#ports.now() <= at + LATE_MS ||
      (await this.#ports.makerStands(tenant, maker)) ||
      // An earlier try may have begun the run: then it is there, whoever has lost what since.
      (tries > 1 && (await this.#ports.wasStarted(tenant, id, bodyDigest)));
    if (!mayStart)
      return {
        kind: "refused",
        code: "maker_revoked",
        message: "The key that posted the event may not act any more.",
      };
    return this.#ports.start({
      ...{ tenant, id, user, traceparent, startedBy: `event:${this.#name}`, bodyDigest },
      // D8.
      maker: { ...maker, policies: [...maker.policies, ...policies] },
      target: { workflow, ...(version === undefined ? {} : { version }), input: filled.value, tags },
    });
  }

  #view(kept: KeptEvent): EventView {
    return viewOf(kept, this.#store.tasksOf(kept.n));
  }
}
