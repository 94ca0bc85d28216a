/**
 * Connections, as a run meets them: somebody keeps them, is slow, away or silent, and tells of changes by messages that
 * are lost, doubled, or overtake the answer that they make old. People make, take back and replace them, and stop after a
 * while.
 *
 * Owns: the connections, what is asked and told of them. Does not own what a run makes of that.
 */

import type { Acquired, Call, Wanted } from "../../src/driver/index.ts";
import {
  performanceOf,
  sameJson,
  type ConnectionNeed,
  type Json,
  type Need,
  type NeedReason,
  type UnitRef,
} from "../../src/kernel/index.ts";
import type { Coverage } from "./coverage.ts";
import { field } from "./evaluate.ts";
import type { Host } from "./host.ts";
import { attemptName, type Life } from "./life.ts";
import { ACQUIRE_MS } from "./limits.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";
import type { Swarm } from "./swarm.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What is drawn for an asking. */
const FATES = {
  away: 3,
  "rate limited": 2,
  slow: 3,
  silent: 1,
  threw: 1,
  "platform limit met": 1,
  cannot: 0.3,
} as const;
type Fate = keyof typeof FATES | "fine";

/** What a connection can be without one; of the first, nobody has ever made it. */
const LACKS: readonly NeedReason[] = ["missing", "revoked", "expired", "refresh_lost"];

interface Connection {
  readonly integration: string;
  epoch: number;
  lacks: NeedReason | null;
  /** The last change that could matter was told to nobody. */
  untold: boolean;
}

/** What a call is lent. */
interface Lease {
  readonly of: string;
  readonly epoch: number;
  readonly attempt: string;
}

export interface Asking {
  readonly life: Life;
  readonly name: string;
  readonly at: number;
  /** Set by the driver: ends when the driver has taken the answer. */
  work: Promise<void>;
  settled: boolean;
  /** Something was told since what the answer says was read. */
  old: boolean;
}

export interface CredentialsParts {
  readonly host: Host;
  readonly schedule: Schedule;
  readonly random: Random;
  readonly coverage: Coverage;
  readonly swarm: Swarm;
}

export class Credentials {
  readonly #parts: CredentialsParts;
  readonly #connections = new Map<string, Connection>();
  readonly #askings = new Set<Asking>();
  /** Leases by life and attempt: no attempt that needs one begins without. */
  readonly #lent = new WeakMap<Life, Map<string, Lease | null>>();

  constructor(parts: CredentialsParts) {
    this.#parts = parts;
    const { random, schedule } = parts;
    for (const integration of INTEGRATIONS) {
      const connection: Connection = {
        integration,
        epoch: 1,
        lacks: random.chance(0.6) ? null : random.pick(LACKS),
        untold: false,
      };
      this.#connections.set(integration, connection);
      if (parts.swarm.connected === 0) continue;
      const longest = random.scale(1_000, 20 * HOUR_MS);
      for (let changes = random.int(0, 6); changes > 0; changes--)
        schedule.after(random.scale(100, longest), () => {
          this.#change(connection);
        });
    }
  }

  /** Askings of the life that have no answer yet. */
  pending(life: Life): Asking[] {
    const now = this.#parts.schedule.now;
    return [...this.#askings].filter(
      (asking) => asking.life === life && !asking.settled && now <= asking.at + ACQUIRE_MS,
    );
  }

  /** A life begins: what the one before it has asked is lost. */
  born(): void {
    this.#askings.clear();
  }

  acquire(
    life: Life,
    wanted: Wanted,
  ): { readonly promise: Promise<Acquired>; readonly asking: Asking } | null {
    const { random, schedule, swarm } = this.#parts;
    const connection = this.#of(wanted);
    if (connection === null) return null;
    const fate: Fate = random.chance(swarm.rough) ? random.weighted(FATES) : "fine";
    let resolve: (acquired: Acquired) => void = () => {};
    let reject: (error: Error) => void = () => {};
    const promise = new Promise<Acquired>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    const name = attemptName(wanted.unit, wanted.attempt);
    const asking: Asking = {
      life,
      name,
      at: schedule.now,
      work: Promise.resolve(),
      settled: false,
      old: false,
    };
    this.#askings.add(asking);
    if (fate === "silent") {
      this.#parts.coverage.fault("credential never comes");
      return { promise, asking };
    }
    const readMs = fate === "slow" ? random.int(1_000, ACQUIRE_MS - 2_000) : random.int(0, 150);
    schedule.after(readMs, () => {
      // Whoever waits is known before the status is read: what changes from here on is told.
      const acquired = this.#read(connection, wanted, fate, name);
      const told = asking.old;
      asking.old = false;
      schedule.after(random.int(0, 150), async () => {
        if (asking.settled || life.state === "dead") return;
        asking.settled = true;
        this.#askings.delete(asking);
        this.#count(fate, acquired, asking.old || told);
        await this.#parts.host.acquired(asking, () => {
          if (fate === "threw") reject(new Error("made to throw"));
          else {
            this.#lend(life, name, acquired);
            resolve(acquired);
          }
        });
        this.#unused(asking, acquired, wanted.unit);
      });
    });
    this.#parts.host.awaiting(life, "acquire");
    return { promise, asking };
  }

  /** A row says that an attempt begins: what it needs was at hand. */
  begun(life: Life, ref: UnitRef, attempt: number, needs: boolean): void {
    const name = attemptName(ref, attempt);
    const has = this.#lent.get(life)?.has(name) === true;
    this.#parts.host.expect(has || !needs, () => `${name} begins, and its credential was never had`);
  }

  needs(call: Pick<Call, "def" | "unit">): boolean {
    return this.#of(call) !== null;
  }

  /** A request leaves: null if the service takes what it carries, else how the attempt ends. */
  judge(call: Call, refuses: boolean): Need | null {
    const connection = this.#of(call);
    const lease = call.lease as Lease | undefined;
    const name = attemptName(call.unit, call.attempt);
    const { host, coverage } = this.#parts;
    if (connection === null || call.child?.ended === false) {
      host.expect(lease === undefined, () => `${name} carries a credential, and needs none`);
      return null;
    }
    host.expect(
      lease?.of === connection.integration && lease.attempt === name,
      () => `${name} carries ${JSON.stringify(lease)}`,
    );
    if (connection.lacks !== null || lease?.epoch !== connection.epoch) {
      coverage.fault("credential dead when it was sent");
      return this.#need(connection, connection.lacks ?? "replaced");
    }
    if (!refuses) return null;
    coverage.fault("credential refused by the service");
    return { ...this.#need(connection, "rejected"), refused: true };
  }

  /** The person who says that the run goes on with another account. */
  accept(
    bound: Readonly<Record<string, Json>> | undefined,
  ): { readonly name: string; readonly to: Json } | null {
    const old = [...this.#connections.values()].filter(
      ({ integration, epoch }) =>
        bound?.[integration] !== undefined && !sameJson(bound[integration], pin(epoch)),
    );
    const connection =
      old.length === 0 || this.#parts.random.chance(0.5) ? undefined : this.#parts.random.pick(old);
    return connection === undefined ? null : { name: connection.integration, to: pin(connection.epoch) };
  }

  #of({ def, unit }: Pick<Call, "def" | "unit">): Connection | null {
    const name = field((performanceOf(def, unit) ?? def).with, "connection");
    return typeof name === "string" ? (this.#connections.get(name) ?? null) : null;
  }

  #read(connection: Connection, wanted: Wanted, fate: Fate, name: string): Acquired {
    const { random } = this.#parts;
    switch (fate) {
      case "away":
        return {
          kind: "needs",
          need: this.#passing(connection, random.chance(0.9) ? "unavailable" : "misconfigured"),
        };
      case "rate limited":
        return { kind: "needs", need: this.#passing(connection, "rate_limited") };
      case "platform limit met":
        return { kind: "hop" };
      case "cannot":
        return {
          kind: "cannot",
          failure: { code: "connection_ambiguous", message: "Two fit.", hint: "Name one.", retryable: false },
        };
      default:
    }
    if (connection.lacks !== null) return { kind: "needs", need: this.#need(connection, connection.lacks) };
    const { integration, epoch } = connection;
    const pinned = wanted.bound(integration);
    if (pinned !== null && !sameJson(pinned, pin(epoch)))
      return { kind: "needs", need: this.#need(connection, "replaced") };
    const lease: Lease = { of: integration, epoch, attempt: name };
    return {
      kind: "ready",
      lease,
      ...(pinned === null ? { bound: [{ name: integration, to: pin(epoch) }] } : {}),
    };
  }

  /** What time alone mends, a run is told of cloud roles as well: nobody wakes it for one. */
  #passing(connection: Connection, reason: "unavailable" | "misconfigured" | "rate_limited"): Need {
    const need = this.#need(connection, reason);
    const { limitMs, recheckMs } = need;
    if (need.connection !== undefined) return need;
    this.#parts.coverage.fault("cloud role not at hand");
    const why = reason === "misconfigured" ? "propagating" : reason;
    return { kind: "cloud", role: connection.integration, reason: why, limitMs, recheckMs };
  }

  #need({ integration, epoch }: Connection, reason: NeedReason): ConnectionNeed {
    const { random } = this.#parts;
    return {
      kind: "connection",
      integration,
      ...(random.chance(0.5) ? { connection: `conn-${integration}` } : {}),
      reason,
      limitMs: random.scale(MINUTE_MS, 24 * HOUR_MS),
      recheckMs:
        reason === "rate_limited" ? random.scale(20_000, HOUR_MS) : random.scale(1_000, 10 * MINUTE_MS),
      detail: `epoch ${epoch}`,
    };
  }

  #lend(life: Life, name: string, acquired: Acquired): void {
    if (acquired.kind !== "ready" && acquired.kind !== "cannot") return;
    const lent = this.#lent.get(life) ?? new Map<string, Lease | null>();
    this.#lent.set(life, lent);
    lent.set(name, acquired.kind === "ready" ? (acquired.lease as Lease) : null);
  }

  #count(fate: Fate, acquired: Acquired, old: boolean): void {
    const { coverage } = this.#parts;
    if (fate === "slow") coverage.fault("credential slow");
    if (fate === "threw") return coverage.fault("asking for a credential threw");
    if (acquired.kind === "hop") coverage.fault("asking met a platform limit");
    if (acquired.kind === "cannot") coverage.fault("credential cannot be had");
    if (acquired.kind !== "needs") return;
    if (fate === "away") coverage.fault("credential unavailable");
    else if (fate === "rate limited") coverage.fault("credential rate limited");
    else coverage.fault("credential not at hand");
    if (old) coverage.fault("connection change told too early");
  }

  /** What was lent to nobody, and what a look found that nobody had told. */
  #unused({ life, name }: Asking, acquired: Acquired, ref: UnitRef): void {
    const { coverage } = this.#parts;
    if (acquired.kind !== "ready" || life.state !== "alive") return;
    if (!life.performed.has(name)) return coverage.fault("credential for nobody");
    const connection = this.#connections.get((acquired.lease as Lease).of);
    if (connection?.untold !== true || life.unit(ref)?.parked == null) return;
    connection.untold = false;
    coverage.fault("lost change found by looking");
  }

  #change(connection: Connection): void {
    const { random, coverage, host } = this.#parts;
    if (random.chance(0.25)) {
      coverage.fault("connection replaced");
      connection.epoch++;
      connection.lacks = null;
    } else if (connection.lacks === null) connection.lacks = random.pick(LACKS);
    else connection.lacks = null;
    host.trace(
      () => `connection ${connection.integration}: ${connection.lacks ?? `epoch ${connection.epoch}`}`,
    );
    connection.untold = random.chance(0.3);
    if (connection.untold) return coverage.fault("connection change lost");
    this.#tell(connection);
    if (!random.chance(0.3)) return;
    coverage.fault("connection change told twice");
    this.#tell(connection);
  }

  #tell({ integration }: Connection): void {
    const { schedule, random, host } = this.#parts;
    const connection = random.chance(0.5) ? { connection: `conn-${integration}` } : {};
    const send = (): void => {
      for (const asking of this.#askings) asking.old = true;
      host.command(
        "command",
        (driver) => driver.command({ t: "connection_changed", integration, ...connection }),
        (outcome) => {
          // Told at least once.
          if (outcome === null) schedule.after(1_000, send);
        },
      );
    };
    schedule.after(random.chance(0.7) ? random.int(0, 500) : random.scale(1, 30 * MINUTE_MS), send);
  }
}

export const INTEGRATIONS = ["google", "slack"] as const;

function pin(epoch: number): Json {
  return { epoch };
}
