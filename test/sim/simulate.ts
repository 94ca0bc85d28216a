/** One seed: one run, from its start until nothing is left to happen. The same seed gives the same journal. */

import { createHash } from "node:crypto";
import { keyOf, type Fact } from "../../src/kernel/index.ts";
import { Audit } from "./audit.ts";
import { checkClaims } from "./claims.ts";
import { Coverage, SITES, type Counts } from "./coverage.ts";
import { connected, drawGraph } from "./graphs.ts";
import { Host, type CrashPlan } from "./host.ts";
import { checkBetween } from "./invariants.ts";
import type { DriverClass } from "./life.ts";
import { MAX_EVENTS } from "./limits.ts";
import { People } from "./people.ts";
import { drawFlow } from "./queue.ts";
import { Random } from "./random.ts";
import { Referee } from "./referee.ts";
import { Schedule } from "./schedule.ts";
import { drawSwarm } from "./swarm.ts";
import { Findings, type Verdict } from "./verdict.ts";

/** 1 January 2026: any time will do. */
const START_MS = 1_767_225_600_000;

export interface Result {
  readonly seed: number;
  readonly steps: number;
  readonly crashes: number;
  readonly rows: number;
  readonly status: string;
  /** SHA-256 of the journal. */
  readonly digest: string;
  readonly counts: Counts;
  readonly finding: { readonly verdict: Verdict; readonly what: string } | null;
}

export async function simulate(
  seed: number,
  driver: DriverClass,
  say?: (line: string) => void,
): Promise<Result> {
  const stream = (name: string): Random => new Random(seed, name);
  const schedule = new Schedule(START_MS);
  const trace = (line: () => string): void => say?.(`${schedule.now - START_MS} ${line()}`);
  const coverage = new Coverage();
  const findings = new Findings();
  const referee = new Referee(findings, coverage);
  const audit = new Audit(findings, coverage, referee);
  const plan = drawCrashes(stream("crashes"));
  const swarm = drawSwarm(stream("swarm"), stream("connected"));
  const queueing = stream("queues");
  const flow = drawFlow(queueing);
  const host = new Host({
    driver,
    schedule,
    random: stream("host"),
    connections: stream("connections"),
    queue: queueing,
    referee,
    coverage,
    findings,
    audit,
    plan,
    swarm,
    trace,
  });
  const drawn = connected(stream("connected calls"), swarm.connected, drawGraph(stream("graph"), swarm));
  const durable = (): ReturnType<Audit["state"]> => audit.state(host.store.durableRows);
  const people = new People({
    host,
    schedule,
    random: stream("people"),
    referee,
    coverage,
    findings,
    drawn,
    flow,
    swarm,
    audit,
  });
  audit.mayBeAdmitted = (generation) => host.queue.admitted(generation);
  audit.onFact = (fact) => {
    trace(() => `  ${shown(fact)}`);
    if ("failure" in fact && fact.failure.code === "payload_changed")
      coverage.fault("code that fills in changed");
    if (fact.t === "unknown" && audit.isKeyed(fact)) coverage.fault("key forgotten");
  };

  let events = 0;
  for (let event = schedule.pop(); event !== null && findings.first === null; event = schedule.pop()) {
    await event.run();
    const state = audit.state(host.store.rows);
    checkBetween(state, host, schedule.now, findings);
    host.between();
    if (++events > MAX_EVENTS) findings.find("hung", `more than ${MAX_EVENTS} events, and no end`);
  }

  const state = durable();
  if (findings.first === null) {
    findings.expect(!people.acknowledged || state !== null, "the run was acknowledged and is gone", "lost");
    findings.expect(
      state === null || state.phase === "ended",
      () => `nothing is left to happen, and the run is ${state?.phase}`,
      "hung",
    );
    if (state !== null && findings.first === null) host.queue.checkEnd(state);
    if (state !== null && findings.first === null) checkClaims(state, referee, findings);
  }
  return {
    seed,
    steps: state?.graph.steps.length ?? 0,
    crashes: host.crashes,
    rows: host.store.written,
    status: state?.status ?? "none",
    digest: createHash("sha256").update(host.store.texts().join("\n")).digest("hex"),
    counts: coverage.counts,
    finding: findings.first,
  };
}

/** Sites are drawn evenly, so that those that a run seldom comes to are tried as often as the others. */
function drawCrashes(random: Random): CrashPlan {
  const sites = new Map<string, number>();
  for (let i = random.int(1, 5); i > 0; i--)
    sites.set(random.pick(SITES), random.pick([1, 1, 1, 2, 2, 3, 5, 8]));
  const events = new Set<number>();
  for (let i = random.int(1, 4); i > 0; i--) events.add(random.scale(3, 300));
  return { sites, events };
}

function shown(fact: Fact): string {
  const { t, at: _at, ...rest } = fact;
  if (t === "run_started")
    return `${t} ${keyOf(fact.run.id, { step: "*" }, { gen: 0, iteration: 0 })} ${fact.graph.steps.length} steps`;
  return `${t} ${JSON.stringify(rest).slice(0, 300)}`;
}
