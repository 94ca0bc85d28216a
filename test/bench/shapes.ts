/** What is measured: the same chain of steps, or the same delivery, written for each side. */

/** Nothing but the engine: every step returns a small value. */
export const NOTHING = { ok: true } as const;

export type Kind = "nothing" | "http";

/** What a side is asked for: a chain of steps, of which the last reports to the bench service of the world. */
export interface Chain {
  readonly kind: Kind;
  readonly steps: number;
  /** Under which the last step reports. */
  readonly report: string;
}

/** Chains that exist; a workflow of ours has to be registered before it can be started. */
export const CHAINS: readonly Pick<Chain, "kind" | "steps">[] = [
  { kind: "nothing", steps: 1 },
  { kind: "nothing", steps: 10 },
  { kind: "nothing", steps: 100 },
  { kind: "nothing", steps: 1_000 },
  { kind: "http", steps: 100 },
];

export const BENCH_HOST = "api.bench.example";
export const ECHO = "/echo";

export function reportPath(report: string): string {
  return `/report?id=${encodeURIComponent(report)}`;
}

/** Under which the Worker says that it is about to start what then reports. */
export function beginOf(report: string): string {
  return `${report}.begin`;
}

export function workflowName({ kind, steps }: Pick<Chain, "kind" | "steps">): string {
  return `${kind}-${steps}`;
}

/** Of the hook, and of those beside it. */
export const SECRET = "the-secret-of-the-bench-hook";
export const SIGNATURE = "x-hub-signature-256";
export const DELIVERY_ID = "x-github-delivery";
/** The workflow that the product starts for each. */
export const DELIVERED = "delivered";
