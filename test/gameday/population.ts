/** Starts the runs of the game day, brings each into its state, and looks whether it stands there. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Caller } from "./calls.ts";
import { KINDS, QUICK, type Kind, type Moments } from "./kinds.ts";

const AT_A_TIME = 10;
const PATIENCE_MS = 90_000;
const POLL_MS = 400;

export interface Keys {
  /** Of the tenant's backend: starts everything. */
  readonly admin: string;
  /** Of who decides. */
  readonly approver: string;
  readonly root: string;
}

export interface Placed {
  readonly kind: Kind;
  readonly order: string;
  readonly run: string;
}

export interface Reason {
  readonly unit: string | null;
  readonly code: string;
}

export interface Explained {
  readonly run: string;
  readonly status: string;
  readonly reasons: readonly Reason[];
}

const ORDER = {
  customer: { name: "Ada Lovelace", email: "ada@mail.example" },
  ...{ sku: "TEAPOT-1", quantity: 1, payment_method: "pm_card", amount: 4_200 },
  address: { street: "Main St 1", city: "Zurich", postcode: "8001", country: "CH" },
};

/** Does `work` for each, a few at a time. */
export async function each<T>(
  list: readonly T[],
  work: (one: T) => Promise<void>,
  most = AT_A_TIME,
): Promise<void> {
  const queue = [...list];
  const worker = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: most }, worker));
}

export async function storePlans(caller: Caller, { admin }: Keys): Promise<void> {
  const plans = [...KINDS.map(({ name, plan }) => ({ name, plan })), { name: "quick", plan: QUICK }];
  // A plan that starts another is checked against it: those without children first, in the order of the list.
  for (const { name, plan } of plans)
    if (plan !== undefined)
      await caller.insist(
        "plan.store",
        { method: "PUT", path: `/v1/workflows/gd-${name}`, key: admin, body: plan },
        [200, 201],
      );
}

/** @param scale of the shares, 1 for 500 runs */
export async function populate(
  caller: Caller,
  keys: Keys,
  moments: Moments,
  kinds: readonly Kind[],
  scale: number,
): Promise<Placed[]> {
  const placed: Placed[] = [];
  const wanted = kinds.flatMap((kind) =>
    Array.from({ length: Math.max(1, Math.round(kind.share * scale)) }, (_, n) => ({ kind, n })),
  );
  await each(wanted, async ({ kind, n }) => {
    const order = `gd-${kind.name}-${n}`;
    const user = kind.user?.(n);
    const body = {
      ...(kind.plan === undefined
        ? { workflow: "process-order", input: ORDER }
        : { workflow: `gd-${kind.name}`, input: kind.input?.(n, moments) ?? {} }),
      ...(user === undefined ? {} : { user }),
      ...(kind.open === true ? { open: true } : {}),
    };
    const run = await start(caller, keys, order, body);
    placed.push({ kind, order, run });
    if (kind.push !== undefined) await push(caller, keys, kind, run);
  });
  return placed;
}

export async function start(caller: Caller, { admin }: Keys, order: string, body: object): Promise<string> {
  const headers = { "idempotency-key": `"${order}"` };
  const ask = { method: "POST", path: "/v1/runs", key: admin, body, headers };
  return (await caller.insist<{ id: string }>("run.start", ask, [200, 202])).id;
}

/** Pauses or cancels a run, once it is where that shall meet it. */
async function push(
  caller: Caller,
  keys: Keys,
  { push: how, pushAt = "" }: Kind,
  run: string,
): Promise<void> {
  const until = Date.now() + PATIENCE_MS;
  while (!(await codesOf(caller, keys, run)).includes(pushAt)) {
    if (Date.now() > until) throw new Error(`${run} has not come to ${pushAt}`);
    await sleep(POLL_MS);
  }
  const body = how === "cancel" ? { mode: "graceful", reason: "The game day wants it." } : undefined;
  const ask = { method: "POST", path: `/v1/runs/${run}/${how}`, key: keys.admin };
  await caller.insist(`run.${how}`, { ...ask, ...(body === undefined ? {} : { body }) }, [200, 202]);
}

export async function explain(caller: Caller, { admin }: Keys, run: string): Promise<Explained | null> {
  const answer = await caller.ask(
    "run.explain",
    { method: "GET", path: `/v1/runs/${run}/explain`, key: admin },
    (got) => {
      if (got.status !== 200) return "no explanation";
      const said = got.body as Explained;
      return said.run !== run ? "of another run" : said.reasons.length === 0 ? "no reason" : null;
    },
  );
  return answer === null ? null : (answer.body as Explained);
}

async function codesOf(caller: Caller, keys: Keys, run: string): Promise<string[]> {
  return (await explain(caller, keys, run))?.reasons.map(({ code }) => code) ?? [];
}

/** How many runs stand in the state of each kind, at last; waits until all do, or the time is up. */
export async function census(
  caller: Caller,
  keys: Keys,
  placed: readonly Placed[],
): Promise<Record<string, number>> {
  const until = Date.now() + PATIENCE_MS;
  const standing = new Set<Placed>();
  for (let left = [...placed]; left.length > 0 && Date.now() < until; await sleep(POLL_MS)) {
    await each(left, async (one) => {
      const codes = await codesOf(caller, keys, one.run);
      if (one.kind.stands.some((code) => codes.includes(code))) standing.add(one);
    });
    left = left.filter((one) => !standing.has(one));
    // Of the queued ones some hold the slots.
    if (left.every(({ kind }) => kind.name === "queued")) break;
  }
  const counts: Record<string, number> = {};
  for (const { name } of KINDS) counts[name] = 0;
  for (const { kind } of standing) counts[kind.name] = (counts[kind.name] ?? 0) + 1;
  return counts;
}
