/** One line of a hook's log: what became of a delivery. Holds nothing that its sender could not prove to be its own. */
import type { Judged, Refused } from "./judging.ts";

/** PERSISTED CONTRACT: members are only ever added. */
export interface DeliveryEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly outcome: Judged["outcome"] | "duplicate";
  /** Why it was refused, or failed. */
  readonly code: Refused | "filter_failed" | "input_failed" | null;
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
}

const MAX_DETAIL_CHARS = 500;

/**
 * @param run the run of an accepted delivery, and whether it had been there before; null: none
 */
export function entryOf(
  judged: Judged,
  { at, bytes }: { readonly at: number; readonly bytes: number },
  run: { readonly id: string; readonly existed: boolean } | null,
): DeliveryEntry {
  const genuine = judged.outcome === "refused" ? null : judged.genuine;
  return {
    at,
    outcome: judged.outcome === "accepted" && run?.existed === true ? "duplicate" : judged.outcome,
    code: judged.outcome === "refused" || judged.outcome === "failed" ? judged.code : null,
    detail: judged.outcome === "failed" ? judged.detail.slice(0, MAX_DETAIL_CHARS) : null,
    bytes,
    delivery: genuine?.id ?? null,
    event: genuine?.event ?? null,
    signedAt: genuine?.signedAt ?? null,
    secret: genuine?.secret ?? null,
    key: judged.outcome === "accepted" ? judged.key : null,
    run: run?.id ?? null,
  };
}
