/** One line of a hook's log: what became of a delivery. Holds nothing that its sender could not prove to be its own. */
import type { Judged, Refused } from "./judging.ts";

/** PERSISTED CONTRACT: members are only ever added. */
export interface DeliveryEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly outcome: Judged["outcome"] | "duplicate";
  /** Why it was refused, or failed. */
  readonly code:
    | Refused
    | "filter_failed"
    | "input_failed"
    | "start_refused"
    | "unavailable"
    | "quota_exceeded"
    | null;
  /** In words, of a failed expression. */
  readonly detail: string | null;
  /** Of the body. */
  readonly bytes: number;
  /** The sender's id of it. */
  readonly delivery: string | null;
  readonly event: string | null;
  readonly signedAt: number | null;
  /** Id of the secret that it was made with: when none is made with the old one any more, that may go. */
  readonly secret: string | null;
  /** Of the run that it started, or that a copy of it had started. */
  readonly key: string | null;
  readonly run: string | null;
  /** Who had it delivered: anew, or as a test. Missing: the service did. */
  readonly by?: string;
  /** The line of what is delivered anew. */
  readonly again?: string;
  /** Connections that it marked as taken back. */
  readonly revoked?: number;
}

/** What became of a delivery that was accepted. */
export type Outcome =
  | {
      readonly kind: "done";
      readonly run: { readonly id: string; readonly existed: boolean } | null;
      readonly revoked: number;
    }
  /** `unavailable`, `quota_exceeded`: its sender is told to send it again. */
  | {
      readonly kind: "failed";
      readonly code: "start_refused" | "unavailable" | "quota_exceeded";
      readonly detail: string;
      readonly retryMs?: number;
    };

const MAX_DETAIL_CHARS = 500;

/** Refusals that are only said once the signature was found right. */
const AFTER_PROOF: ReadonlySet<string> = new Set<Refused>([
  "time_outside",
  "body_unreadable",
  "paused",
  "maker_revoked",
]);

/** Whether it was its sender's own. */
export function isGenuine({ outcome, code }: DeliveryEntry): boolean {
  return outcome !== "refused" || (code !== null && AFTER_PROOF.has(code));
}

/** @param became of an accepted delivery; null: it was not accepted, or nothing was done */
export function entryOf(
  judged: Judged,
  about: Pick<DeliveryEntry, "at" | "bytes" | "by" | "again">,
  became: Outcome | null,
): DeliveryEntry {
  const genuine = judged.outcome === "refused" ? null : judged.genuine;
  const run = became?.kind === "done" ? became.run : null;
  const failure = judged.outcome === "failed" ? judged : became?.kind === "failed" ? became : null;
  const { at, bytes, ...more } = about;
  return {
    at,
    outcome: failure !== null ? "failed" : run?.existed === true ? "duplicate" : judged.outcome,
    code: judged.outcome === "refused" ? judged.code : (failure?.code ?? null),
    detail: failure?.detail.slice(0, MAX_DETAIL_CHARS) ?? null,
    bytes,
    delivery: genuine?.id ?? null,
    event: genuine?.event ?? null,
    signedAt: genuine?.signedAt ?? null,
    secret: genuine?.secret ?? null,
    key: judged.outcome === "accepted" ? judged.key : null,
    run: run?.id ?? null,
    ...more,
    ...(became?.kind === "done" && became.revoked > 0 ? { revoked: became.revoked } : {}),
  };
}
