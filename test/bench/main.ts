/**
 * Showcaller beside Cloudflare Workflows and beside a bare Durable Object, in one `wrangler dev` process.
 *
 *   npm run bench -- [--rounds N] [--only NAME] [--state FOLDER] [--recording on]
 *
 * Every measurement runs between two arrivals at the same service on loopback: the Worker says that it begins, and the
 * last step reports. So the way from here to the Worker, which is the same for all and no part of any engine, does not
 * count. The sides take turns within a round, and who begins changes from round to round, so that what else the machine
 * does meets all of them alike. wrangler records every call for its local explorer unless told otherwise, which costs most
 * where there are most calls between objects: here it is told not to, and `--recording on` leaves it as it is. Last line:
 * JSON, ratios of medians. Exit code 0 whatever they are: what they should be stands in docs/performance.md.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, migrateDatabase, startServer, writeVariables, type Server } from "../dev-server/index.ts";
import { startWorld, type World } from "../world/index.ts";
import { measureDeliveries } from "./deliver.ts";
import { measureNeighbour } from "./neighbour.ts";
import { beginOf, type Chain } from "./shapes.ts";

type Side = "showcaller" | "workflows" | "floor";

interface Measurement {
  readonly name: string;
  readonly sides: readonly Side[];
  readonly chain: Omit<Chain, "report">;
  /** Started at once, in one request. */
  readonly count?: number;
  /** For the default of 10 rounds. */
  readonly share: number;
}

const MEASUREMENTS = [
  {
    name: "sequential10",
    sides: ["showcaller", "workflows", "floor"],
    chain: { kind: "nothing", steps: 10 },
    share: 2,
  },
  {
    name: "sequential100",
    sides: ["showcaller", "workflows", "floor"],
    chain: { kind: "nothing", steps: 100 },
    share: 1.5,
  },
  { name: "sequential1000", sides: ["showcaller"], chain: { kind: "nothing", steps: 1_000 }, share: 1 },
  {
    name: "http100",
    sides: ["showcaller", "workflows", "floor"],
    chain: { kind: "http", steps: 100 },
    share: 1.5,
  },
  {
    name: "starts100",
    sides: ["showcaller", "workflows", "floor"],
    chain: { kind: "nothing", steps: 1 },
    count: 100,
    share: 0.7,
  },
] as const satisfies readonly Measurement[];

type Name = (typeof MEASUREMENTS)[number]["name"];
type Medians = Partial<Record<Side, number>>;

const REPORT_TIMEOUT_MS = 60_000;
const KEY_BYTES = 32;
/** Of what has no chain. */
const DELIVERIES = "deliveries";
const NEIGHBOUR = "neighbour";

class Bench {
  readonly #world: World;
  readonly #server: Server;
  #reports = 0;

  constructor(world: World, server: Server) {
    this.#world = world;
    this.#server = server;
  }

  /** Milliseconds from the begin to the last report. */
  async #once(side: Side, chain: Omit<Chain, "report">, count: number): Promise<number> {
    const report = `report-${this.#reports++}`;
    const started = fetch(`${this.#server.url}/${side}?count=${count}`, {
      method: "POST",
      body: JSON.stringify({ ...chain, report } satisfies Chain),
    });
    const { reports } = this.#world.referee;
    const last = await reports.wait(report, count, REPORT_TIMEOUT_MS);
    const answer = await started;
    const begin = reports.get(beginOf(report));
    if (begin === null || last === null || answer.status !== 204)
      throw new Error(`${side} did not report (${answer.status}): ${this.#server.log.slice(-5).join("\n")}`);
    return last.at - begin.at;
  }

  async measure({ name, sides, chain, count = 1, share }: Measurement, rounds: number): Promise<Medians> {
    const times = new Map<Side, number[]>(sides.map((side) => [side, []]));
    // The first rounds compile code and open connections.
    for (let round = -2; round < Math.ceil(rounds * share); round++) {
      const first = Math.abs(round) % sides.length;
      for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
        const ms = await this.#once(side, chain, count);
        if (round >= 0) times.get(side)?.push(ms);
      }
    }
    const medians: Medians = {};
    for (const [side, all] of times) {
      medians[side] = median(all);
      const [least, most] = [Math.min(...all), Math.max(...all)];
      console.error(
        `${name.padEnd(15)} ${side.padEnd(11)} ${ms(medians[side])}  (${ms(least)} to ${ms(most)}, ${all.length} rounds)`,
      );
    }
    return medians;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = Number.NaN, high = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (low + high) / 2;
}

function ms(value: number | undefined): string {
  return `${(value ?? Number.NaN).toFixed(1).padStart(7)} ms`;
}

function ratio(above: number | undefined, below: number | undefined): number | null {
  return above === undefined || below === undefined ? null : Number((above / below).toFixed(2));
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    only: { type: "string" },
    state: { type: "string" },
    recording: { type: "string", default: "off" },
  },
});
const folder = await mkdtemp(join(values.state ?? tmpdir(), "showcaller-bench-"));
const world = await startWorld();
try {
  const variables = join(folder, "variables.env");
  const newSecret = (): string => randomBytes(KEY_BYTES).toString("base64");
  const rootKey = randomBytes(KEY_BYTES).toString("base64url");
  await writeVariables(variables, {
    DEV_HOSTS: JSON.stringify(world.names),
    SERVER_KEY: newSecret(),
    KEYRING: JSON.stringify({ active: "k1", keys: { k1: newSecret() } }),
    ROOT_API_KEY: rootKey,
  });
  const built = await build(join(import.meta.dirname, "wrangler.toml"), join(folder, "bundle"));
  await migrateDatabase(built.config, join(folder, "state"));
  const server = await startServer({
    build: built,
    state: join(folder, "state"),
    variables,
    recording: values.recording === "on",
  });
  await server.up;
  const bench = new Bench(world, server);
  const medians: Partial<Record<Name, Medians>> = {};
  for (const one of MEASUREMENTS)
    if (values.only === undefined || values.only === one.name)
      medians[one.name] = await bench.measure(one, Number(values.rounds));
  const deliveries =
    values.only === undefined || values.only === DELIVERIES
      ? await measureDeliveries(server, rootKey, Number(values.rounds))
      : undefined;
  for (const [side, { perSecond, p50, p99, busyP99 }] of Object.entries(deliveries ?? {}))
    console.error(
      `${DELIVERIES.padEnd(15)} ${side.padEnd(11)} ${perSecond.toFixed(0).padStart(5)} a second, 16 at a time (p99 ${ms(busyP99)}); one at a time p50 ${ms(p50)}, p99 ${ms(p99)}`,
    );
  const neighbour =
    values.only === undefined || values.only === NEIGHBOUR
      ? await measureNeighbour(server, rootKey, Number(values.rounds))
      : undefined;
  for (const [side, { p50, p99, sent, admitted }] of Object.entries(neighbour ?? {}))
    console.error(
      `${NEIGHBOUR.padEnd(15)} ${side.padEnd(11)} p50 ${ms(p50)}, p99 ${ms(p99)}; the other sends ${sent.toFixed(0)} a second, ${admitted.toFixed(1)} are admitted`,
    );
  await server.kill();
  const { sequential10, sequential100, sequential1000, http100, starts100 } = medians;
  console.log(
    JSON.stringify({
      sequential10: ratio(sequential10?.workflows, sequential10?.showcaller),
      sequential100: ratio(sequential100?.workflows, sequential100?.showcaller),
      http100VsFloor: ratio(http100?.showcaller, http100?.floor),
      startThroughput: ratio(starts100?.workflows, starts100?.showcaller),
      growth1000: ratio(
        sequential1000?.showcaller === undefined ? undefined : sequential1000.showcaller / 1_000,
        sequential100?.showcaller === undefined ? undefined : sequential100.showcaller / 100,
      ),
      deliveriesPerSecond: ratio(deliveries?.showcaller.perSecond, deliveries?.bare.perSecond),
      deliveryP99: ratio(deliveries?.showcaller.p99, deliveries?.bare.p99),
      deliveryP99Busy: ratio(deliveries?.showcaller.busyP99, deliveries?.bare.busyP99),
      deliveriesPerSecondKept: ratio(deliveries?.kept.perSecond, deliveries?.bare.perSecond),
      deliveryP99Kept: ratio(deliveries?.kept.p99, deliveries?.bare.p99),
      deliveryP99BusyKept: ratio(deliveries?.kept.busyP99, deliveries?.bare.busyP99),
      neighbourP50Held: ratio(neighbour?.held.p50, neighbour?.quiet.p50),
      neighbourP99Held: ratio(neighbour?.held.p99, neighbour?.quiet.p99),
      neighbourP50Free: ratio(neighbour?.free.p50, neighbour?.quiet.p50),
      neighbourP99Free: ratio(neighbour?.free.p99, neighbour?.quiet.p99),
      medians,
      deliveries,
      neighbour,
    }),
  );
} finally {
  await world.close();
  await rm(folder, { recursive: true, force: true });
}
process.exit();
