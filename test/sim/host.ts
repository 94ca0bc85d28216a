/**
 * The simulated platform around one object: its lives, the output gate, flushes.
 *
 * H1 at most one life is alive; a life begins with the event that needs it.
 * H2 what a life sends or answers leaves once every write made before it is flushed, and is lost with the life until then.
 * H3 one event costs at most one row and one alarm.
 */

import type { Outcome, RunDriver } from "../../src/driver/index.ts";
import { FIRST_VERSION, type Audit } from "./audit.ts";
import { Children } from "./children.ts";
import type { Await, Coverage, Entry, Fault } from "./coverage.ts";
import { Credentials, type Asking } from "./credentials.ts";
import { Delivery } from "./delivery.ts";
import { checkProgress } from "./invariants.ts";
import { Injected, Life, Taken, type DriverClass, type Draws } from "./life.ts";
import { FLUSH_MS, MAX_CRASHES, RETENTION_MS, SKEW_MS, ZOMBIE_MS } from "./limits.ts";
import { Outside, type Request } from "./outside.ts";
import { Queue } from "./queue.ts";
import type { Random } from "./random.ts";
import type { Referee } from "./referee.ts";
import type { Schedule } from "./schedule.ts";
import { Store } from "./store.ts";
import type { Swarm } from "./swarm.ts";
import type { Findings } from "./verdict.ts";

/** A row of the journal, and the alarm. Rows are money. */
const WRITES_PER_EVENT = 2;

/** Where this seed takes lives: at the n-th time that it comes to a site, or between its n-th event and the next. */
export interface CrashPlan {
  readonly sites: ReadonlyMap<string, number>;
  readonly events: ReadonlySet<number>;
}

interface Gated {
  readonly burst: number;
  readonly life: Life;
  readonly open: () => void;
}

export interface HostParts {
  readonly driver: DriverClass;
  readonly schedule: Schedule;
  readonly random: Random;
  /** What is random about connections. */
  readonly connections: Random;
  /** And about the queue. */
  readonly queue: Random;
  readonly referee: Referee;
  readonly coverage: Coverage;
  readonly findings: Findings;
  readonly audit: Audit;
  readonly plan: CrashPlan;
  readonly swarm: Swarm;
  readonly trace: (line: () => string) => void;
}

export class Host {
  readonly store: Store;
  readonly outside: Outside;
  readonly children: Children;
  readonly credentials: Credentials;
  readonly queue: Queue;
  readonly delivery: Delivery;
  readonly trace: HostParts["trace"];
  readonly #parts: HostParts;
  readonly #limits: Draws["limits"];
  readonly #visits = new Map<string, number>();
  #life: Life | null = null;
  #gates: Gated[] = [];
  #version = 1;
  #events = 0;
  crashes = 0;

  constructor(parts: HostParts) {
    const { random } = parts;
    this.#parts = parts;
    this.trace = parts.trace;
    this.store = new Store(parts.audit);
    const callsPerEvent = random.pick([2, 5, 40, 1_000]);
    this.#limits = {
      callsPerEvent,
      // To fill in one unit is one operation: an event that holds few calls has time for few of these as well.
      operationsPerEvent: callsPerEvent,
      eventMs: random.pick([5_000, 60_000, 5 * 60_000]),
      snapshotRows: random.pick([2, 4, 30, 256]),
    };
    this.outside = new Outside(this, parts.schedule, random, parts.referee, parts.coverage, parts.swarm);
    this.children = new Children({ ...parts, host: this });
    this.credentials = new Credentials({ ...parts, random: parts.connections, host: this });
    this.queue = new Queue({ ...parts, random: parts.queue, host: this });
    this.delivery = new Delivery({
      ...parts,
      store: this.store,
      hit: (fault) => {
        this.hit(fault);
      },
      handle: () => this.#alarmed(),
      poke: () => {
        this.poke();
      },
      expires: () => this.#retentionIsOver(),
    });
  }

  get swarm(): Swarm {
    return this.#parts.swarm;
  }

  get life(): Life | null {
    return this.#life;
  }

  expect(holds: boolean, what: () => string): void {
    this.#parts.findings.expect(holds, what);
  }

  hit(fault: Fault): void {
    this.#parts.coverage.fault(fault);
  }

  /**
   * A caller's command. `answer` hears what came of it, or null if the life died first, and how many rows there were
   * right after it.
   */
  command(
    entry: Entry,
    run: (driver: RunDriver) => Outcome,
    answer: (outcome: Outcome | null, rows: number) => void,
  ): void {
    const life = this.#alive();
    const outcomes: Outcome[] = [];
    if (life !== null)
      this.#enter(life, entry, () => {
        outcomes.push(run(life.driver));
      });
    const [outcome] = outcomes;
    if (life === null || outcome === undefined || life.state !== "alive") return answer(null, 0);
    const { burst, rows } = this.store;
    let told = false;
    const open = (): void => {
      told = true;
      answer(outcome, rows);
    };
    this.#gates.push({ burst, life, open });
    this.awaiting(life, "answer to a caller");
    // A caller whose object died hears of it; nobody says when.
    this.#parts.schedule.after(FLUSH_MS + 1, () => {
      if (!told) answer(null, 0);
    });
    this.#openGates();
  }

  /** The sweeper, or anybody who only looks. */
  poke(): void {
    if (this.delivery.expired) return;
    const life = this.#alive();
    if (life !== null)
      this.#enter(life, "poke", () => {
        life.driver.wake();
        life.askQueueAgain();
      });
  }

  async answered(request: Request, settle: () => void): Promise<void> {
    const { life } = request;
    await this.#enterAsync(life, "answer", async () => {
      settle();
      await request.work;
    });
    const unit = life.unit(request.call.unit);
    const hops = request.fate === "platform limit met" && unit?.status === "running";
    if (life.state === "alive" && hops && unit.attempt === request.call.attempt)
      this.expect(
        this.delivery.busy || (this.store.alarm?.at ?? Infinity) <= life.now() + 1,
        () => "an attempt waits for a fresh event, and none is asked for",
      );
  }

  async acquired({ life, ...asking }: Asking, settle: () => void): Promise<void> {
    await this.#enterAsync(life, "answer", async () => {
      settle();
      await asking.work;
    });
  }

  async timer(life: Life, wake: () => void): Promise<void> {
    if (life.state === "dead") return;
    await this.#enterAsync(life, "timer", async () => {
      wake();
      await whatFollows();
    });
  }

  /** The queue's answer, or that it did not answer in time: what the run makes of it is a command. */
  async answeredByQueue(life: Life, settle: () => void): Promise<void> {
    if (life.state === "dead") return;
    await this.#enterAsync(life, "command", async () => {
      settle();
      await whatFollows();
    });
  }

  gaveUp(life: Life): void {
    if (life.state !== "dead") this.#end(life, this.#kept());
  }

  /** A write or call of the driver: the plan may say that the life ends here. */
  point(life: Life, site: string): void {
    if (!this.#planned(site)) return;
    this.#crash(life, site);
    throw new Taken(site);
  }

  /** Something is awaited from here on: the plan may say that the life ends before it comes. */
  awaiting(life: Life, what: Await): void {
    const site = `awaiting ${what}`;
    if (life.state !== "alive" || !this.#planned(site)) return;
    this.#parts.schedule.after(0, () => {
      if (life.state === "alive") this.#takeLife(life, site);
    });
  }

  /** H2. */
  gate(life: Life, open: () => void): void {
    if (life.state === "replaced") return life.shut ? undefined : open();
    this.#gates.push({ burst: this.store.burst, life, open });
    this.#openGates();
  }

  /** Between two events: what the plan, and the platform, do to a life. */
  between(): void {
    const life = this.#life;
    this.#events++;
    this.children.between();
    if (life === null) return;
    if (this.#parts.plan.events.has(this.#events)) this.#takeLife(life, null);
    else if (this.#idle(life) && this.#parts.random.chance(0.02)) {
      this.hit("evicted");
      this.trace(() => "life evicted");
      this.#end(life, Infinity);
    }
  }

  #idle(life: Life): boolean {
    return (
      this.store.flushed &&
      !life.hasTimer &&
      !life.tellsQueue &&
      ![...this.outside.requests].some((request) => request.life === life)
    );
  }

  #planned(site: string): boolean {
    const visits = (this.#visits.get(site) ?? 0) + 1;
    this.#visits.set(site, visits);
    return this.#parts.plan.sites.get(site) === visits && this.crashes < MAX_CRASHES;
  }

  /** A life that waits is taken: killed, or replaced while it goes on. */
  #takeLife(life: Life, site: string | null): void {
    if (this.crashes >= MAX_CRASHES) return;
    const { random, coverage, schedule } = this.#parts;
    const waiting = site === null ? this.#waitingFor(life) : [site];
    if (random.chance(0.25)) {
      this.hit("replaced, and went on");
      this.crashes++;
      for (const what of waiting) coverage.crash(what);
      this.trace(() => `life replaced while ${waiting.join(", ")}`);
      life.state = "replaced";
      const kept = this.#kept();
      life.shut = kept < this.store.burst;
      this.#leaveBehind(life, kept);
      schedule.after(random.int(1, ZOMBIE_MS), () => {
        this.#end(life, Infinity);
      });
      return;
    }
    this.#crash(life, ...waiting);
  }

  #waitingFor(life: Life): string[] {
    const found = new Set<string>();
    for (const request of this.outside.requests)
      if (request.life === life) found.add(`awaiting ${request.awaiting}`);
    if (this.credentials.pending(life).length > 0) found.add("awaiting acquire");
    if (life.hasTimer) found.add("awaiting timer");
    if (!this.store.flushed) found.add("awaiting flush");
    if (this.delivery.delivering) found.add("awaiting alarm handler");
    if (found.size === 0) found.add("awaiting alarm alone");
    return [...found];
  }

  #crash(life: Life, ...sites: string[]): void {
    this.crashes++;
    this.hit("killed");
    if (this.#parts.random.chance(0.25)) {
      this.hit("new version");
      this.#version++;
    }
    for (const site of sites) this.#parts.coverage.crash(site);
    this.trace(() => `life killed at ${sites.join(", ")}`);
    this.#end(life, this.#kept());
  }

  /** Some bursts that were on their way to the disk got there. */
  #kept(): number {
    const pending = this.store.pending();
    return pending[this.#parts.random.int(-1, pending.length - 1)] ?? this.store.flushedTo;
  }

  #end(life: Life, keep: number): void {
    const was = life.state;
    life.state = "dead";
    for (const request of this.outside.requests)
      if (request.life === life) this.outside.requests.delete(request);
    if (was === "alive") this.#leaveBehind(life, keep);
  }

  /** What a life leaves: the flushed bursts, what had left already, and perhaps an alarm whose handler did not end. */
  #leaveBehind(life: Life, keep: number): void {
    const { random } = this.#parts;
    this.#life = null;
    const left = this.#gates.filter(
      (gated) => gated.life === life && gated.burst <= keep && random.chance(0.5),
    );
    this.#gates = this.#gates.filter((gated) => gated.life !== life);
    this.store.crash(keep);
    for (const gated of left) gated.open();
    this.delivery.died();
  }

  /** The life that the object has, or a new one (H1); null if it died while it began. */
  #alive(): Life | null {
    if (this.#life !== null) return this.#life;
    const { schedule, random, driver } = this.#parts;
    const skewMs = random.chance(0.3) ? random.int(-SKEW_MS, SKEW_MS) : 0;
    if (skewMs !== 0) this.hit("clock differs");
    const life = new Life(this, schedule, random, driver, {
      version: this.#version === 1 ? FIRST_VERSION : `v${this.#version}`,
      skewMs,
      limits: this.#limits,
    });
    this.#life = life;
    this.credentials.born();
    this.trace(() => `a life begins, version ${life.version}`);
    this.#enter(life, "birth", () => {
      life.driver.load();
      life.loadQueueing();
      life.driver.wake();
      life.tellQueue();
    });
    return life.state === "alive" ? life : null;
  }

  #enter(life: Life, entry: Entry, run: () => void): void {
    life.enter(entry, this.store.written);
    try {
      run();
    } catch (error) {
      this.#caught(life, error);
    }
    this.#afterTurn(life, entry);
  }

  async #enterAsync(life: Life, entry: Entry, run: () => Promise<void>): Promise<void> {
    life.enter(entry, this.store.written);
    try {
      await run();
    } catch (error) {
      this.#caught(life, error);
    }
    this.#afterTurn(life, entry);
  }

  /** A command may be refused, and then there was no turn. */
  #afterTurn(life: Life, entry: Entry): void {
    if (life.state === "alive" && entry !== "birth" && entry !== "start" && entry !== "command")
      checkProgress(life, this.store, this.#parts.findings);
    const written = this.store.written - life.writtenBefore;
    this.#parts.findings.expect(
      written <= WRITES_PER_EVENT,
      `${written} rows and alarms in one event, by ${entry}`,
    );
    this.#closeBurst(life);
  }

  #caught(life: Life, error: unknown): void {
    if (error instanceof Taken) return;
    this.#parts.findings.expect(
      error instanceof Injected,
      () => `the driver threw: ${String(error)} ${(error as Error).stack ?? ""}`,
    );
    this.#parts.findings.expect(
      life.state === "dead",
      () => `D2: the driver lives on after ${String(error)}`,
    );
  }

  #closeBurst(life: Life): void {
    if (life.state !== "alive") return;
    const burst = this.store.close();
    if (burst === null) return;
    const { random, schedule } = this.#parts;
    this.awaiting(life, "flush");
    schedule.after(random.int(0, FLUSH_MS), () => {
      this.#flush(life, burst);
    });
  }

  #flush(life: Life, burst: number): void {
    if (life.state !== "alive" || !this.store.pending().includes(burst)) return;
    if (this.#parts.random.chance(0.002 * this.swarm.storage) && this.crashes < MAX_CRASHES) {
      const applied = this.#parts.random.chance(0.5);
      this.hit(applied ? "flush failed, writes kept" : "flush failed, writes lost");
      this.crashes++;
      this.#gates = this.#gates.filter((gated) => gated.life !== life || gated.burst < burst);
      return this.#end(life, applied ? burst : burst - 1);
    }
    this.store.flush(burst);
    this.delivery.flushed(burst);
    this.#openGates();
  }

  #openGates(): void {
    const ready = this.#gates.filter((gated) => gated.burst <= this.store.flushedTo);
    this.#gates = this.#gates.filter((gated) => gated.burst > this.store.flushedTo);
    for (const gated of ready) if (gated.life.state !== "dead") gated.open();
  }

  /** The handler of the alarm: a life that begins wakes by that. False if it died. */
  #alarmed(): boolean {
    const life = this.#life;
    if (life === null) return this.#alive() !== null;
    this.#enter(life, "alarm", () => {
      life.driver.alarmFired();
      life.askQueueAgain();
    });
    if (life.state === "alive") this.awaiting(life, "alarm handler");
    return life.state === "alive";
  }

  #retentionIsOver(): boolean {
    const endedAt = this.#parts.audit.state(this.store.rows)?.endedAt ?? null;
    return endedAt !== null && this.#parts.schedule.now + SKEW_MS >= endedAt + RETENTION_MS;
  }
}

/** What nobody answered ends in the promises that follow; there are only a few of them. */
async function whatFollows(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}
