/**
 * What each object and table sees at a rate of starts, and where its limit is: arithmetic, no measurement. The figures that
 * it starts from are named here with where they come from; `npm run -s scale` prints the tables of docs/scale.md.
 */

/** Runs started per second, of the whole deployment. */
const RATES = [100, 10_000, 1_000_000] as const;

const DAY_S = 24 * 60 * 60;
const GB = 1e9;

/** Counted by test/workers/rows.test.ts: a run of 4 steps, until nothing is left of it. */
const RUN = { steps: 4, rows: 16, requests: 1, alarms: 2 } as const;
/** Likewise: of the directory. From the door, and at the end; a part of a sweep does not count. */
const LISTING = { rows: 8, requests: 2 } as const;
/** An object is active for a step of 0.3 s; for a report, for some ms. */
const ACTIVE_S = { step: 0.3, report: 0.005 } as const;
/** Planned with; 235 bytes were measured without tags and with short names (test/workers/directory.test.ts). */
const LISTED_BYTES = 400;
/** How long a run is listed: its retention. */
const LISTED_DAYS = 30;

/** Of the platform (Durable Objects and D1: limits, October 2026); rates are soft, and the careful end of what is told. */
const PLATFORM = {
  objectWritesPerS: 400,
  objectBytes: 10 * GB,
  databaseQueriesPerS: 1_000,
  databaseWritesPerS: 200,
} as const;

/** Of the product. */
const KEY_REMEMBERED_S = 60;
const REQUESTS_PER_ISOLATE_S = 500;
const MAX_SHARDS = 64;
const SWEEP = { visits: 998, everyS: 300, askedPerVisit: 200 } as const;

/** List prices in US dollars, above what a plan includes (October 2026). */
const PRICE = {
  row: 1 / 1e6,
  request: 0.15 / 1e6,
  gbS: 12.5 / 1e6,
  workerRequest: 0.3 / 1e6,
  storedGbMonth: 0.2,
};
const OBJECT_GB = 0.125;

/** Shards that the directory of one tenant needs if all these runs are its own: for its reports, and for what it keeps. */
export function shardsFor(rate: number): { readonly reports: number; readonly bytes: number } {
  return {
    reports: Math.ceil((rate * LISTING.requests) / PLATFORM.objectWritesPerS),
    bytes: Math.ceil((rate * LISTED_DAYS * DAY_S * LISTED_BYTES) / PLATFORM.objectBytes),
  };
}

/** Starts per second of one tenant that so many shards can list, for ever. */
export function rateOf(shards: number): number {
  const reports = (shards * PLATFORM.objectWritesPerS) / LISTING.requests;
  const bytes = (shards * PLATFORM.objectBytes) / (LISTED_DAYS * DAY_S * LISTED_BYTES);
  return Math.min(reports, bytes);
}

/** Look-ups of keys per second in D1. `fewKeys`: backends whose keys every isolate uses; else every start has a key of its own. */
function lookUps(rate: number, fewKeys: number | null): number {
  if (fewKeys === null) return rate;
  const isolates = Math.ceil(rate / REQUESTS_PER_ISOLATE_S);
  return Math.min(rate, (isolates * fewKeys) / KEY_REMEMBERED_S);
}

interface Place {
  readonly what: string;
  readonly sees: (rate: number) => string;
  readonly limit: string;
  /** Starts per second at which the limit is met; null: never, for it is the same at every rate. */
  readonly firstAt: number | null;
}

const PLACES: readonly Place[] = [
  {
    what: "one run object",
    sees: () => `1 start, ${RUN.steps + 1} turns, ${RUN.alarms} alarms, ${RUN.rows} rows in its life`,
    limit: "none that other runs have a part in",
    firstAt: null,
  },
  {
    what: "all run objects",
    sees: (rate) => `${short(rate)} new/s, ${short(rate * RUN.rows)} rows/s`,
    limit: "none known: objects are independent",
    firstAt: null,
  },
  {
    what: "the directory of a tenant that starts 1 in 1,000 of all runs, 1 shard",
    sees: (rate) =>
      `${short((rate / 1_000) * LISTING.requests)} reports/s, ${bytes(kept(rate / 1_000))} kept`,
    limit: `${bytes(PLATFORM.objectBytes)} in an object`,
    firstAt: rateOf(1) * 1_000,
  },
  {
    what: "the directory of one tenant that starts all of them, 1 shard",
    sees: (rate) => `${short(rate * LISTING.requests)} reports/s, ${bytes(kept(rate))} kept`,
    limit: `${bytes(PLATFORM.objectBytes)}; ${PLATFORM.objectWritesPerS} writing requests/s`,
    firstAt: rateOf(1),
  },
  {
    what: `the same, ${MAX_SHARDS} shards`,
    sees: (rate) =>
      `${short((rate * LISTING.requests) / MAX_SHARDS)} reports/s each, ${bytes(kept(rate) / MAX_SHARDS)} each`,
    limit: "the same for each",
    firstAt: rateOf(MAX_SHARDS),
  },
  {
    what: "D1, look-ups of keys: 10 keys of backends",
    sees: (rate) => `${short(lookUps(rate, 10))} queries/s`,
    limit: `about ${short(PLATFORM.databaseQueriesPerS)} queries/s`,
    firstAt: (PLATFORM.databaseQueriesPerS * KEY_REMEMBERED_S * REQUESTS_PER_ISOLATE_S) / 10,
  },
  {
    what: "D1, look-ups of keys: each run by a key of its own",
    sees: (rate) => `${short(lookUps(rate, null))} queries/s, as many keys made/s`,
    limit: `about ${short(PLATFORM.databaseWritesPerS)} keys made/s`,
    firstAt: PLATFORM.databaseWritesPerS,
  },
  {
    what: "the sweeper",
    sees: () => `${SWEEP.visits} directories every ${SWEEP.everyS / 60} min`,
    limit: `a round takes 5 min for each ${SWEEP.visits} shards; each visit asks ${SWEEP.askedPerVisit} runs`,
    firstAt: null,
  },
];

function kept(rate: number): number {
  return rate * LISTED_DAYS * DAY_S * LISTED_BYTES;
}

/** US dollars for a million runs, by what they are paid for. */
function costPerMillion(): Readonly<Record<string, number>> {
  const rows = 1e6 * (RUN.rows + LISTING.rows) * PRICE.row;
  const requests = 1e6 * (RUN.requests + RUN.alarms + LISTING.requests) * PRICE.request;
  const active = RUN.steps * ACTIVE_S.step + LISTING.requests * ACTIVE_S.report;
  const duration = 1e6 * active * OBJECT_GB * PRICE.gbS;
  const worker = 1e6 * PRICE.workerRequest;
  const listed = ((1e6 * LISTED_BYTES) / GB) * PRICE.storedGbMonth;
  return { rows, requests, duration, worker, listed };
}

export function tables(): string {
  const head = ["", ...RATES.map((rate) => `${short(rate)}/s`), "limit", "first met at"];
  const rows = PLACES.map(({ what, sees, limit, firstAt }) => [
    what,
    ...RATES.map(sees),
    limit,
    firstAt === null ? "-" : `${short(firstAt)} starts/s`,
  ]);
  const shards = [
    ["starts per second of one tenant", "shards for its reports", "shards for what it keeps"],
    ...[1, 10, ...RATES].map((rate) => {
      const needed = shardsFor(rate);
      return [short(rate), short(needed.reports), short(needed.bytes)];
    }),
  ];
  const cost = costPerMillion();
  const sum = Object.values(cost).reduce((all, part) => all + part, 0);
  const costs = [
    ["a million runs of 4 steps", "US dollars"],
    ...Object.entries(cost).map(([name, dollars]) => [name, dollars.toFixed(2)]),
    ["in all", sum.toFixed(2)],
  ];
  return [table([head, ...rows]), table(shards), table(costs)].join("\n");
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
  return line(head) + `|${head.map(() => "---|").join("")}\n` + rows.map(line).join("");
}

/** Three figures are enough. */
function short(n: number): string {
  for (const [unit, size] of [
    ["M", 1e6],
    ["k", 1e3],
  ] as const)
    if (n >= size) return `${Number((n / size).toPrecision(3))}${unit}`;
  return String(Number(n.toPrecision(2)));
}

function bytes(n: number): string {
  for (const [unit, size] of [
    ["PB", 1e15],
    ["TB", 1e12],
    ["GB", 1e9],
    ["MB", 1e6],
  ] as const)
    if (n >= size) return `${Number((n / size).toPrecision(3))} ${unit}`;
  return `${n} bytes`;
}
