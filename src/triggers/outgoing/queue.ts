/**
 * The queue of one endpoint: takes messages, sends them until each has ended, and says when the endpoint is to be disabled. Over
 * ports, so that tests run it in virtual time.
 *
 * Owns: the order of storing, arming and sending, and what becomes of a message. Does not own: when the next try is (retrying.ts),
 * what it is signed with (signing.ts), what is kept (queue-store.ts), what an endpoint is (endpoints.ts).
 *
 * - Q1 a message is taken once by its id, and sent until it was delivered or has failed for good: at least once, always under the
 *      same id and with the same body. Their order is not kept.
 * - Q2 whenever something waits, and before anything is awaited, the alarm stands a while ahead: a life that dies is followed by one
 *      that sends what is not settled, also if the platform does not try an alarm again whose handler died.
 * - Q3 a message that has no room, or that waited when the endpoint was disabled, is recorded as failed, never dropped in silence.
 * - Q4 what a disabled endpoint would have been told is not taken. While its maker may not act, it is taken and held.
 * - Q5 what is not the endpoint's fault (the database, the vault, a policy that cannot be read) counts no try.
 * - Q6 one event makes a bounded number of calls, and goes on in the next. Nothing here throws.
 */
import { randomId } from "../../platform/index.ts";
import type { Setting } from "./endpoint.ts";
import type { EndpointPorts, Posted } from "./endpoint-ports.ts";
import type { EraseMessages, Pinged, EndpointQueueView, ReplayAnswer, Which } from "./endpoint-rpc.ts";
import { bodyOf, type EndpointMessage, isEventType, PING_TYPE } from "./events.ts";
import type { Attempt, Condition, Due, Logged, QueueStore, Verdict } from "./queue-store.ts";
import { afterTry, DEAD_AFTER_MS, type Next, nextTry } from "./retrying.ts";
import { signMessage } from "./signing.ts";

/** As many as the platform lets an object make side by side. */
const CALLS_AT_A_TIME = 6;
const MAX_SENT_PER_EVENT = 60;
/** Q2: longer than a try can take. */
const BACKSTOP_MS = 60_000;
/** For how long an endpoint is taken to be as it was read. */
const SETTING_MS = 30_000;
const HELD_AGAIN_MS = 10 * 60_000;
const FAILED_AGAIN_MS = 60_000;
const PRUNE_MS = 24 * 60 * 60_000;

/** With all that it takes to send. */
type Ready = Setting & { readonly texts: ReadonlyMap<string, string> };

export interface QueueHost {
  /** Sets the alarm; null: none is needed. */
  readonly arm: (at: number | null) => void;
  /** Lets work go on after the answer. */
  readonly background: (work: Promise<void>) => void;
}

export class EndpointQueue {
  readonly #store: QueueStore;
  readonly #ports: EndpointPorts;
  readonly #host: QueueHost;
  #setting: { readonly at: number; readonly value: Setting | null } | null = null;
  /** The rounds, one after the other. */
  #working: Promise<void> = Promise.resolve();
  /** When the alarm is known to stand; null: not known, or it has fired. */
  #armedAt: number | null = null;
  /** Rounds that wait for their turn: one is enough. */
  #waiting = false;
  #prunedAt = -Infinity;

  constructor(store: QueueStore, ports: EndpointPorts, host: QueueHost) {
    this.#store = store;
    this.#ports = ports;
    this.#host = host;
  }

  /** Q1. Rejects while it cannot be known whether the message is wanted. */
  async take(which: Which, message: EndpointMessage): Promise<void> {
    const setting = await this.#load(which);
    if (setting === null) return;
    const { disabled, types } = setting.endpoint;
    // Q4.
    if (disabled !== null || !isEventType(message.type) || !types.includes(message.type)) return;
    const now = this.#ports.now();
    this.#claim(which);
    const added = this.#store.add(message, now);
    if (added === "taken") this.#begin(now);
    // Q3.
    if (added === "queue_full")
      this.#ports.log.warn("endpoint.queue_full", { ...which, message: message.id });
  }

  view(): EndpointQueueView {
    const { pending, failed } = this.#store.counts();
    const { failingSince = null } = this.#store.condition() ?? {};
    return { pending, failed, failingSince, nextAt: this.#store.nextDue() };
  }

  erase(whose: EraseMessages): void {
    this.#store.erase(whose);
  }

  log(limit: number): Logged[] {
    return this.#store.log(limit);
  }

  async replay(which: Which, message: string): Promise<ReplayAnswer> {
    const refusal = await this.#refusal(which);
    if (refusal !== null) return refusal;
    const now = this.#ports.now();
    const code = this.#store.again(message, now);
    if (code !== "again") return { ok: false, code };
    this.#begin(now);
    return { ok: true, messages: 1 };
  }

  async replayFailed(which: Which, since: number): Promise<ReplayAnswer> {
    const refusal = await this.#refusal(which);
    if (refusal !== null) return refusal;
    const now = this.#ports.now();
    const messages = this.#store.allAgain(since, now);
    if (messages > 0) this.#begin(now);
    return { ok: true, messages };
  }

  /** Sends a message that only says that it comes, whether or not the endpoint is disabled. It is tried once. */
  async ping(which: Which): Promise<Pinged | null> {
    this.#setting = null;
    const setting = await this.#load(which);
    if (setting === null) return null;
    const { texts } = setting;
    if (texts === null) throw new Error("The keys of the endpoint are not at hand just now.");
    const at = this.#ports.now();
    const message: EndpointMessage = {
      ...{ id: randomId("msg"), type: PING_TYPE, at },
      body: bodyOf(PING_TYPE, at, { endpoint: which.endpoint }),
    };
    const posted = await this.#post({ ...setting, texts }, message.id, message.body, at);
    const attempt = this.#attemptOf(posted, at);
    const delivered = attempt.status !== null && attempt.status >= 200 && attempt.status < 300;
    this.#claim(which);
    this.#store.note(message, attempt, delivered);
    return { message: message.id, delivered, attempt };
  }

  /** The endpoint may be gone in a moment: it is looked at again after that, should nobody say so. */
  closing(): void {
    this.#setting = null;
    if (this.#store.condition() !== null) this.#arm(this.#ports.now() + BACKSTOP_MS);
  }

  /** The endpoint is other than it was. An object that holds nothing stays so. */
  changed(): void {
    this.#setting = null;
    if (this.#store.condition() === null) return;
    this.#begin(this.#ports.now());
  }

  async alarm(): Promise<void> {
    this.#armedAt = null;
    return this.work();
  }

  /** Does what is due, in its turn. */
  async work(): Promise<void> {
    this.#waiting = true;
    this.#working = this.#working.then(async () => {
      // Whoever asked before has what it asked for, once this one begins.
      if (!this.#waiting) return;
      this.#waiting = false;
      await this.#round();
    });
    return this.#working;
  }

  #begin(now: number): void {
    this.#guard(now);
    this.#host.background(this.work());
  }

  /** Q2. Setting an alarm costs a row, so one that stands near enough is left. */
  #guard(now: number): void {
    const stands = this.#armedAt !== null && this.#armedAt > now && this.#armedAt <= now + BACKSTOP_MS;
    if (!stands) this.#arm(now + BACKSTOP_MS);
  }

  #arm(at: number | null): void {
    this.#armedAt = at;
    this.#host.arm(at);
  }

  /** Q6. */
  async #round(): Promise<void> {
    try {
      if (this.#store.condition() !== null) this.#guard(this.#ports.now());
      for (let sent = 0; sent < MAX_SENT_PER_EVENT;) {
        const more = await this.#step();
        if (more === null) return;
        sent += more;
      }
      this.#arm(this.#ports.now() + 1);
    } catch (error) {
      const { tenant, endpoint } = this.#store.condition() ?? {};
      this.#ports.log.error("endpoint.round_failed", { tenant, endpoint, error });
      this.#arm(this.#ports.now() + FAILED_AGAIN_MS);
    }
  }

  /** How much was done; null: there is nothing to do for now, and the alarm stands for what is to come. */
  async #step(): Promise<number | null> {
    const condition = this.#store.condition();
    if (condition === null) return null;
    const setting = await this.#load(condition);
    if (setting === null) {
      this.#store.drop();
      this.#arm(null);
      return null;
    }
    const { endpoint } = setting;
    if (condition.dead !== null) {
      const { version, reason, at } = condition.dead;
      if (endpoint.disabled === null && endpoint.version === version)
        await this.#ports.disable(endpoint, reason, at);
      this.#setting = null;
      this.#note({ dead: null });
      return 1;
    }
    const now = this.#ports.now();
    if (endpoint.disabled !== null) {
      this.#store.failPending("endpoint_disabled", now);
      if (condition.heldSince !== null) this.#note({ heldSince: null });
      return this.#rest(now);
    }
    if (!setting.stands) return this.#hold(condition.heldSince ?? now, endpoint.version, now);
    if (condition.heldSince !== null) this.#note({ heldSince: null });
    const due = this.#store.due(now, CALLS_AT_A_TIME);
    if (due.length === 0) return this.#rest(now);
    const { texts } = setting;
    // Q5.
    if (texts === null) {
      this.#setting = null;
      this.#arm(now + FAILED_AGAIN_MS);
      return null;
    }
    this.#guard(now);
    await Promise.all(due.map(async (one) => this.#send(one, { ...setting, texts })));
    return due.length;
  }

  /** Q4. */
  #hold(since: number, version: number, now: number): number | null {
    if (now - since >= DEAD_AFTER_MS) {
      this.#note({ heldSince: since, dead: { reason: "maker_revoked", at: now, version } });
      return 1;
    }
    this.#note({ heldSince: since });
    this.#setting = null;
    this.#arm(Math.min(now + HELD_AGAIN_MS, since + DEAD_AFTER_MS));
    return null;
  }

  #rest(now: number): null {
    const outgrown = this.#store.outgrown();
    let more = false;
    if (outgrown && now - this.#prunedAt >= PRUNE_MS) {
      more = this.#store.prune(now);
      if (!more) this.#prunedAt = now;
    }
    const next = this.#store.nextDue();
    const prune = more ? now + 1 : outgrown ? now + PRUNE_MS : null;
    const at = next === null || prune === null ? (next ?? prune) : Math.min(next, prune);
    this.#arm(at === null ? null : Math.max(at, now + 1));
    return null;
  }

  async #send(due: Due, setting: Ready): Promise<void> {
    const { endpoint } = setting;
    const at = this.#ports.now();
    const posted = await this.#post(setting, due.id, due.body, at);
    const now = this.#ports.now();
    // Q5.
    if (posted.kind === "later") {
      this.#store.putOff(due.n, now + FAILED_AGAIN_MS);
      return;
    }
    const condition = this.#store.condition();
    if (condition === null) return;
    const { failingSince } = condition;
    // What failed before the endpoint was as it is now says nothing of it.
    const known = failingSince !== null && failingSince >= endpoint.since ? failingSince : null;
    const next = nextTry(due.tries + 1, posted, now, this.#ports.random());
    const { health, disable } = afterTry({ failingSince: known }, next, now);
    const dead = disable === null ? condition.dead : { reason: disable, at: now, version: endpoint.version };
    const attempt = this.#attemptOf(posted, at);
    this.#store.settle(due, attempt, verdictOf(next), {
      ...{ ...condition, failingSince: health.failingSince, dead },
    });
  }

  #attemptOf(posted: Posted, at: number): Attempt {
    const status = posted.kind === "tried" ? posted.status : null;
    return { at, status, ms: Math.max(0, this.#ports.now() - at), code: posted.code };
  }

  async #post(setting: Ready, id: string, text: string, at: number): Promise<Posted> {
    const body = new TextEncoder().encode(text);
    const headers = await signMessage({ id, sentAt: at, body }, setting.keys, setting.texts);
    return this.#ports.post(setting.endpoint, headers, body);
  }

  async #refusal(which: Which): Promise<Extract<ReplayAnswer, { ok: false }> | null> {
    const setting = await this.#load(which);
    if (setting === null) return { ok: false, code: "not_found" };
    return setting.endpoint.disabled === null ? null : { ok: false, code: "disabled" };
  }

  async #load({ tenant, endpoint }: Which): Promise<Setting | null> {
    const at = this.#ports.now();
    if (this.#setting !== null && at < this.#setting.at + SETTING_MS) return this.#setting.value;
    const value = await this.#ports.load(tenant, endpoint);
    this.#setting = { at, value };
    return value;
  }

  #claim({ tenant, endpoint }: Which): void {
    if (this.#store.condition() === null)
      this.#store.setCondition({ tenant, endpoint, failingSince: null, heldSince: null, dead: null });
  }

  #note(change: Partial<Pick<Condition, "heldSince" | "dead">>): void {
    const condition = this.#store.condition();
    if (condition !== null) this.#store.setCondition({ ...condition, ...change });
  }
}

function verdictOf(next: Next): Verdict {
  switch (next.kind) {
    case "delivered":
      return { status: "delivered" };
    case "again":
      return { status: "pending", due: next.at };
    case "given_up":
      return { status: "failed", code: "given_up" };
    case "gone":
      return { status: "failed", code: "endpoint_disabled" };
  }
}
