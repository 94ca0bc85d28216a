/** Runs on real workerd: how tests start, watch and disturb them, and ask the world what really happened. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { inject, vi } from "vitest";
import { createRegistry } from "../../src/define/index.ts";
import type { DirectoryRpc } from "../../src/directory/index.ts";
import { objectName, randomId } from "../../src/platform/index.ts";
import type { EventView, RunRpc, RunView, StartRequest } from "../../src/run/index.ts";
import { workflows } from "../../src/workflows/index.ts";
import { testWorkflows } from "./workflows.ts";

const registry = createRegistry([...workflows, ...testWorkflows]);
export const TENANT = "default";
export const VIEWER = { tenant: TENANT } as const;
export const RETENTION_MS = 30 * 24 * 60 * 60_000;

/** What the platform's test functions take, and what tests call. */
export type Stub = DurableObjectStub & RunRpc;

export interface Started {
  readonly id: string;
  /** A fresh stub each time: one that has seen its object die stays broken. */
  readonly stub: () => Stub;
}

export function requestOf(
  workflow: string,
  input: unknown = {},
  more: Partial<StartRequest> = {},
): StartRequest {
  const known = registry.get(workflow);
  if (known === null) throw new TypeError(`there is no workflow ${workflow}`);
  return {
    tenant: TENANT,
    id: randomId("run"),
    workflow,
    version: known.version,
    graph: known.graph(),
    input: input as StartRequest["input"],
    user: null,
    startedBy: "key:test",
    open: false,
    tags: [],
    traceparent: null,
    bodyDigest: "digest",
    ...more,
  };
}

export function stubOf(id: string): Stub {
  const named: unknown = env.RUN.getByName(objectName("run", TENANT, id));
  return named as Stub;
}

export async function start(
  workflow: string,
  input: unknown = {},
  more: Partial<StartRequest> = {},
): Promise<Started> {
  const request = requestOf(workflow, input, more);
  const stub = (): Stub => stubOf(request.id);
  const answer = await stub().start(request);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return { id: request.id, stub };
}

export async function view(run: Started): Promise<RunView> {
  const answer = await run.stub().view(VIEWER);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer.value;
}

/** Waits for the run to move on until the condition holds; vitest's own limit ends a wait in vain. */
export async function until(run: Started, done: (view: RunView) => boolean): Promise<RunView> {
  for (let seen = await view(run); ;) {
    if (done(seen)) return seen;
    const answer = await run.stub().view(VIEWER, { waitMs: 5_000, afterSeq: seen.seq });
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
    seen = answer.value;
  }
}

export async function ended(run: Started): Promise<RunView> {
  return until(run, (seen) => seen.ended_at !== null);
}

/** Waits until the directory has taken the end of the run: its alarm then stands at its retention. */
export async function listed(run: Started): Promise<void> {
  const { ended_at } = await ended(run);
  const retained = (ended_at ?? 0) + RETENTION_MS;
  const alarm = async (): Promise<number | null> =>
    runInDurableObject(run.stub(), (_object, { storage }) => storage.getAlarm());
  await vi.waitUntil(async () => (await alarm()) === retained, { timeout: 5_000, interval: 10 });
}

export function directoryOf(tenant: string, shard = 0): DurableObjectStub & DirectoryRpc {
  const named: unknown = env.DIRECTORY.getByName(objectName("directory", tenant, String(shard)));
  return named as DurableObjectStub & DirectoryRpc;
}

export function step(seen: RunView, name: string): RunView["steps"][number] {
  const found = seen.steps.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no step ${name}`);
  return found;
}

export async function events(run: Started): Promise<readonly EventView[]> {
  const answer = await run.stub().events(VIEWER, { after: 0, limit: 1_000 });
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer.value.events;
}

/** The referee and the faults of the world, by HTTP on loopback. */
export async function referee<T>(method: string, path: string, body?: unknown): Promise<T> {
  const port = inject("world").names["referee.example"];
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  if (!answer.ok) throw new Error(`the referee answered ${answer.status}: ${await answer.text()}`);
  return (await answer.text().then((text) => (text === "" ? null : JSON.parse(text)))) as T;
}

export interface Fault {
  readonly fault: { readonly kind: string; readonly [option: string]: unknown };
  readonly times?: number;
  readonly skip?: number;
  readonly method?: string;
}

/** Adds faults that meet only requests with this reference. */
export async function fault(reference: string, ...faults: readonly Fault[]): Promise<void> {
  await referee(
    "POST",
    "/faults",
    faults.map((one) => ({ ...one, reference })),
  );
}

export interface Entry {
  readonly service: string;
  readonly seq: number;
  readonly method: string;
  readonly key: string | null;
  readonly reference: string | null;
  readonly digest: string;
  readonly absorbed: boolean;
  readonly made: readonly string[];
  readonly answer: "open" | "delivered" | "lost";
  readonly status: number | null;
}

/** All that the world has in its ledger from there on, page by page, and where it ends now. */
export async function ledgerSince<E>(
  since = 0,
): Promise<{ readonly entries: readonly E[]; readonly next: number }> {
  const entries: E[] = [];
  for (let next = since; ;) {
    const page = await referee<{ entries: E[]; next: number; more: boolean }>("GET", `/ledger?since=${next}`);
    entries.push(...page.entries);
    next = page.next;
    if (!page.more) return { entries, next };
  }
}

/** Requests that arrived for a reference. */
export async function arrived(reference: string): Promise<Entry[]> {
  const { entries } = await ledgerSince<Entry>();
  return entries.filter((entry) => entry.reference === reference || entry.key?.includes(reference) === true);
}

/** Waits until a request for the reference has arrived that fits. */
export async function arrival(
  reference: string,
  fits: (entry: Entry) => boolean = () => true,
): Promise<Entry> {
  let since = 0;
  for (;;) {
    const page = await referee<{ entries: Entry[]; next: number }>("GET", `/ledger?since=${since}&wait=5000`);
    const found = page.entries.find((entry) => entry.reference === reference && fits(entry));
    if (found !== undefined) return found;
    since = page.next;
  }
}

export async function deeds(reference: string): Promise<number> {
  const { deeds: made } = await referee<{ deeds: unknown[] }>("GET", `/happened/${reference}`);
  return made.length;
}

/** Waits for a report at the bench: a sign from a run that nobody watches. */
export async function reported(id: string, waitMs: number): Promise<boolean> {
  const port = inject("world").names["referee.example"];
  const answer = await fetch(`http://127.0.0.1:${port}/reports/${id}?count=1&wait=${waitMs}`);
  return answer.ok;
}
