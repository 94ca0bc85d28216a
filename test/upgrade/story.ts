/**
 * What somebody does with a deployment while it is upgraded, in three parts: each may meet another build. Stories know the API and
 * nothing else, so that they are the same for every build.
 */
import type { Json } from "../../src/kernel/index.ts";

/** What a part of a story leaves to the next one. */
export type Kept = Readonly<Record<string, Json>>;

export interface Run {
  readonly id: string;
  readonly status: string;
  readonly output: { readonly value?: unknown } | null;
  readonly failure: { readonly code: string } | null;
  readonly steps: readonly {
    readonly name: string;
    readonly status: string;
    readonly undone: boolean;
    readonly attempts: number;
    readonly child?: string;
    readonly awaits_approval?: string;
  }[];
}

export interface Asking {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** In the place of the admin's. */
  readonly key?: string | null;
  /** Statuses that are right; any 2xx if it is missing. */
  readonly expect?: readonly number[];
}

/** Who tells a story: its hands. An answer that is neither right nor a clear "not now" ends the story as wrong. */
export interface Teller {
  ask<T = unknown>(method: string, path: string, asking?: Asking): Promise<T>;
  /** Asks again until it is so; a story that waits in vain is wrong. */
  until<T>(what: string, look: () => Promise<T>, done: (seen: T) => boolean): Promise<T>;
  /** What the story claims. */
  hold(holds: boolean, claim: string, seen?: unknown): void;
  /** Milliseconds since 1970. */
  now(): number;
}

export interface Story {
  readonly name: string;
  /** Sets out: with the build that was there before. */
  begin(teller: Teller): Promise<Kept>;
  /** Goes on while the upgrade is under way. */
  middle(teller: Teller, kept: Kept): Promise<Kept>;
  /** After it. */
  end(teller: Teller, kept: Kept): Promise<void>;
}

export function text(kept: Kept, name: string): string {
  const value = kept[name];
  if (typeof value !== "string") throw new TypeError(`The story has kept no ${name}.`);
  return value;
}

export function texts(kept: Kept, name: string): string[] {
  const value = kept[name];
  if (!Array.isArray(value)) throw new TypeError(`The story has kept no ${name}.`);
  return value.map(String);
}

/** Starts a run; the same key is the same run. */
export async function start(
  teller: Teller,
  key: string,
  body: Readonly<Record<string, unknown>>,
  by?: string,
): Promise<string> {
  const run = await teller.ask<Run>("POST", "/v1/runs", {
    body: { ...body, tags: ["upgrade"] },
    headers: { "idempotency-key": `"${key}"` },
    ...(by === undefined ? {} : { key: by }),
  });
  return run.id;
}

export async function look(teller: Teller, run: string): Promise<Run> {
  return teller.ask<Run>("GET", `/v1/runs/${run}`);
}

/** Waits until the run is over. */
export async function ended(teller: Teller, run: string, status: string): Promise<Run> {
  const seen = await teller.until(
    `${run} ends`,
    () => look(teller, run),
    (view) => ["succeeded", "failed", "cancelled"].includes(view.status),
  );
  teller.hold(seen.status === status, `the run ends as ${status}`, seen);
  return seen;
}

export async function stands(teller: Teller, run: string, step: string, status: string): Promise<Run> {
  return teller.until(
    `${step} of ${run} is ${status}`,
    () => look(teller, run),
    (view) => view.steps.some((one) => one.name === step && one.status === status),
  );
}

/** Why it stands where it stands: every run can say so, whoever has written it. */
export async function explained(teller: Teller, run: string): Promise<void> {
  const said = await teller.ask<{ summary?: string }>("GET", `/v1/runs/${run}/explain`);
  teller.hold(Object.keys(said).length > 0, "a run explains itself", said);
}

export async function signal(teller: Teller, run: string, name: string, payload: unknown): Promise<void> {
  await teller.ask("POST", `/v1/runs/${run}/signals/${name}`, { body: { payload, id: `${run}-${name}` } });
}

export async function store(teller: Teller, name: string, plan: object): Promise<void> {
  await teller.ask("PUT", `/v1/workflows/${name}`, { body: plan });
}
