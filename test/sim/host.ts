/**
 * The simulated platform around one object: lives, the output gate, flushes, the delivery of its alarm.
 *
 * H1 at most one life is alive; a life begins with the event that needs it.
 * H2 what a life sends or answers leaves once every write made before it is flushed, and is lost with the life until then.
 * H3 an alarm is delivered at least once: again if the life dies before what the handler wrote is flushed.
 */

import type { Outcome, RunDriver } from "../../src/driver/index.ts";
import type { Audit } from "./audit.ts";
import type { Await, Coverage, Entry, Fault } from "./coverage.ts";
import { checkProgress } from "./invariants.ts";
import { Injected, Life, Taken, type DriverClass, type Draws } from "./life.ts";
import {
  ALARM_LATE_MS,
  ALARM_RETRY_MS,
  ALARM_TRIES,
  FLUSH_MS,
  LEASE_MS,
  MAX_CRASHES,
  RETENTION_MS,
  SKEW_MS,
  ZOMBIE_MS,
} from "./limits.ts";
import { Outside, type Request } from "./outside.ts";
import type { Random } from "./random.ts";
import type { Referee } from "./referee.ts";
import type { Schedule } from "./schedule.ts";
import { Store, type Alarm } from "./store.ts";
import type { Swarm } from "./swarm.ts";
import type { Findings } from "./verdict.ts";

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
  readonly trace: HostParts["trace"];
  readonly #parts: HostParts;
  readonly #limits: Draws["limits"];
  readonly #visits = new Map<string, number>();
  #life: Life | null = null;
  #gates: Gated[] = [];
  #version = 1;
  #events = 0;
  #alarm: Alarm | null = null;
  /** A delivery that is not over: its handler's writes are not flushed, or the platform will try again. */
  #delivery: { tries: number; burst: number } | null = null;
  /** The alarm is lost, and the sweeper has not come yet. */
  #strayed = false;
  /** Its retention is over: the object has deleted itself. */
  #expired = false;
  crashes = 0;

  constructor(parts: HostParts) {
    const { random } = parts;
    this.#parts = parts;
    this.trace = parts.trace;
    this.store = new Store(parts.audit);
    this.#limits = {
      callsPerEvent: random.pick([2, 5, 40, 1_000]),
      eventMs: random.pick([5_000, 60_000, 5 * 60_000]),
      snapshotRows: random.pick([2, 4, 30, 256]),
    };
    this.outside = new Outside(this, parts.schedule, random, parts.referee, parts.coverage, parts.swarm);
  }

  get swarm(): Swarm {
    return this.#parts.swarm;
  }

  /** Whether the alarm needs nobody's care: it is being delivered, known to be lost, or of no use any more. */
  get alarmIsBusy(): boolean {
    return this.#delivery !== null || this.#strayed || this.#expired;
  }

  hit(fault: Fault): void {
    this.#parts.coverage.fault(fault);
  }

  /** A caller's command; `answer` hears what came of it, or null if the life died first. */
  command(
    entry: Entry,
    run: (driver: RunDriver) => Outcome,
    answer: (outcome: Outcome | null) => void,
  ): void {
    const life = this.#alive();
    const outcomes: Outcome[] = [];
    if (life !== null)
      this.#enter(life, entry, () => {
        outcomes.push(run(life.driver));
      });
    const [outcome] = outcomes;
    if (life === null || outcome === undefined || life.state !== "alive") return answer(null);
    const burst = this.store.burst;
    let told = false;
    const open = (): void => {
      told = true;
      answer(outcome);
    };
    this.#gates.push({ burst, life, open });
    this.awaiting(life, "answer to a caller");
    // A caller whose object died hears of it; nobody says when.
    this.#parts.schedule.after(FLUSH_MS + 1, () => {
      if (!told) answer(null);
    });
    this.#openGates();
  }

  /** The sweeper, or anybody who only looks. */
  poke(): void {
    if (this.#expired) return;
    const life = this.#alive();
    if (life !== null)
      this.#enter(life, "poke", () => {
        life.driver.wake();
      });
  }

  async answered(request: Request, settle: () => void): Promise<void> {
    const { life } = request;
    await this.#enterAsync(life, "answer", async () => {
      settle();
      await request.work;
    });
  }

  async timer(life: Life, wake: () => void): Promise<void> {
    if (life.state === "dead") return;
    await this.#enterAsync(life, "timer", async () => {
      wake();
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
    if (life.hasTimer) found.add("awaiting timer");
    if (!this.store.flushed) found.add("awaiting flush");
    if (this.#delivery !== null) found.add("awaiting alarm handler");
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
    this.#alarmChanged();
    if (this.#delivery !== null) this.#deliverAgain();
  }

  /** The life that the object has, or a new one (H1); null if it died while it began. */
  #alive(): Life | null {
    if (this.#life !== null) return this.#life;
    const { schedule, random, driver } = this.#parts;
    const skewMs = random.chance(0.3) ? random.int(-SKEW_MS, SKEW_MS) : 0;
    if (skewMs !== 0) this.hit("clock differs");
    const life = new Life(this, schedule, random, driver, {
      version: `v${this.#version}`,
      skewMs,
      limits: this.#limits,
    });
    this.#life = life;
    this.trace(() => `a life begins, version ${life.version}`);
    this.#enter(life, "birth", () => {
      life.driver.load();
      life.driver.wake();
    });
    return life.state === "alive" ? life : null;
  }

  #enter(life: Life, entry: Entry, run: () => void): void {
    life.enter(entry);
    try {
      run();
    } catch (error) {
      this.#caught(life, error);
    }
    this.#afterTurn(life, entry);
  }

  async #enterAsync(life: Life, entry: Entry, run: () => Promise<void>): Promise<void> {
    life.enter(entry);
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
      checkProgress(life.driver.state, this, life.now(), this.#parts.findings);
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
    if (this.#delivery !== null && this.#delivery.burst <= burst) this.#delivery = null;
    this.#alarmChanged();
    this.#openGates();
  }

  #openGates(): void {
    const ready = this.#gates.filter((gated) => gated.burst <= this.store.flushedTo);
    this.#gates = this.#gates.filter((gated) => gated.burst > this.store.flushedTo);
    for (const gated of ready) if (gated.life.state !== "dead") gated.open();
  }

  /** Another alarm is on disk: the platform will deliver it, perhaps late, perhaps never. */
  #alarmChanged(): void {
    const alarm = this.store.durableAlarm;
    if (alarm === null || alarm.id === this.#alarm?.id || this.#expired) return;
    this.#alarm = alarm;
    this.#strayed = false;
    // Setting an alarm replaces a delivery that the platform would have tried again.
    if (this.#delivery?.burst === Infinity) this.#delivery = null;
    const { random, schedule, swarm } = this.#parts;
    if (random.chance(swarm.alarmsLost)) return this.#lose(alarm);
    const lateMs = random.chance(swarm.alarmsLate) ? random.int(1, ALARM_LATE_MS) : 0;
    // Somebody looks while the alarm should have come.
    if (lateMs > 0)
      schedule.at(alarm.at + random.int(0, lateMs), () => {
        if (this.store.durableAlarm?.id === alarm.id) this.poke();
      });
    schedule.at(alarm.at + lateMs, () => {
      if (this.store.durableAlarm?.id !== alarm.id) return;
      if (lateMs > 0) this.hit("alarm late");
      this.store.useAlarm(alarm.id);
      this.#deliver(1);
    });
  }

  /** The alarm never fires: either it is gone, or it stands there as if it would still come. */
  #lose(alarm: Alarm): void {
    const { random, schedule } = this.#parts;
    const stuck = random.chance(0.5);
    schedule.at(alarm.at, () => {
      if (this.store.durableAlarm?.id !== alarm.id) return;
      this.hit(stuck ? "alarm stuck in the past" : "alarm lost");
      this.trace(() => `the alarm for ${alarm.at} is lost`);
      if (!stuck) this.store.useAlarm(alarm.id);
      this.#stray();
    });
  }

  /** The sweeper comes, and comes again if the life that it began died before another alarm was on disk. */
  #stray(): void {
    const { random, schedule } = this.#parts;
    this.#strayed = true;
    schedule.after(random.scale(60_000, LEASE_MS), () => {
      if (!this.#strayed || this.#expired) return;
      this.hit("poked by the sweeper");
      this.poke();
      this.#stray();
    });
  }

  #deliver(tries: number): void {
    this.trace(() => `alarm, try ${tries}`);
    const endedAt = this.#parts.audit.state(this.store.rows)?.endedAt ?? null;
    if (endedAt !== null && this.#parts.schedule.now + SKEW_MS >= endedAt + RETENTION_MS) {
      this.#expired = true;
      this.#strayed = false;
      this.#delivery = null;
      this.store.useAlarm(this.store.durableAlarm?.id ?? 0);
      return;
    }
    this.#delivery = { tries, burst: Infinity };
    this.#strayed = false;
    const life = this.#alarmed();
    // A death in the handler has set up the next delivery already.
    if (life === null) return;
    this.awaiting(life, "alarm handler");
    if (this.store.flushed) this.#delivery = null;
    else this.#delivery = { tries, burst: this.store.burst };
    const { random, schedule } = this.#parts;
    if (random.chance(0.01 + 0.2 * this.#parts.swarm.alarmsLate)) {
      this.hit("alarm twice");
      schedule.after(random.scale(1, 10_000), () => {
        this.#alarmed();
      });
    }
  }

  /** The handler. A life that begins wakes by that; null if it died. */
  #alarmed(): Life | null {
    if (this.#life === null) return this.#alive();
    const life = this.#life;
    this.#enter(life, "alarm", () => {
      life.driver.alarmFired();
    });
    return life.state === "alive" ? life : null;
  }

  /** H3. A handler that set another alarm before it died has replaced the delivery. */
  #deliverAgain(): void {
    const { tries } = this.#delivery!;
    if (this.store.durableAlarm !== null) {
      this.#delivery = null;
      return;
    }
    if (tries >= ALARM_TRIES) {
      this.#delivery = null;
      this.hit("alarm lost");
      return this.#stray();
    }
    const delivery = { tries, burst: Infinity };
    this.#delivery = delivery;
    this.#parts.schedule.after(ALARM_RETRY_MS * 2 ** (tries - 1), () => {
      if (this.#delivery !== delivery) return;
      this.hit("alarm retried by the platform");
      this.#deliver(tries + 1);
    });
  }
}
