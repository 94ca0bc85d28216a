/** Finds the rule of an error map that fits an answer, and when the other side wants to be asked again. Pure. */
import { limits } from "../../kernel/index.ts";
import { matchesBody, type Parsed } from "./body.ts";
import type { ErrorRule } from "./descriptor.ts";

export interface RuledAnswer {
  readonly status: number;
  /** That answered; missing: no rule asks. */
  readonly host?: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Parsed | null;
}

export function findRule(rules: readonly ErrorRule[], answer: RuledAnswer): ErrorRule | undefined {
  return rules.find((rule) => {
    if (rule.status !== undefined && ![rule.status].flat().includes(answer.status)) return false;
    if (rule.hosts?.includes(answer.host ?? "") === false) return false;
    if (rule.body !== undefined && (answer.body === null || !matchesBody(answer.body, rule.body)))
      return false;
    return Object.entries(rule.headers ?? {}).every(([name, value]) => {
      const there = answer.headers[name]?.trim();
      return there !== undefined && (value === "*" || value === there);
    });
  });
}

/**
 * How long to wait, in milliseconds, from the header that a rule names, else from Retry-After (RFC 9110 10.2.3: seconds or
 * a date); undefined if nothing legible is there. At most the longest wait of the engine.
 */
export function waitMs(
  headers: Readonly<Record<string, string>>,
  until: ErrorRule["until"],
  now: number,
): number | undefined {
  const named = until === undefined ? undefined : number(headers[until.header]);
  if (named !== undefined) {
    if (until?.unit === "s") return bounded(named * 1_000);
    return bounded((until?.unit === "epoch_ms" ? named : named * 1_000) - now);
  }
  const text = headers["retry-after"]?.trim() ?? "";
  const seconds = number(text);
  if (seconds !== undefined) return bounded(seconds * 1_000);
  const at = text === "" ? Number.NaN : Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  const sent = Date.parse(headers["date"] ?? "");
  return bounded(at - (Number.isNaN(sent) ? now : sent));
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,15}(?:\.\d{1,9})?\s*$/.test(text) ? Number(text) : undefined;
}

function bounded(ms: number): number {
  return Math.min(Math.max(0, Math.ceil(ms)), limits.MAX_WAIT_MS);
}
