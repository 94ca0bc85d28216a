/** A connection as others see it. Holds no token, sealed or not. */
import type { ConnectionWiring } from "./ports.ts";
import type { ConnectionView } from "./rpc.ts";
import type { ConnectionStore } from "./store.ts";

/** Null: there was no consent yet. */
export function viewOf(
  store: ConnectionStore,
  { vault, now }: Pick<ConnectionWiring, "vault" | "now">,
): ConnectionView | null {
  const kept = store.get("slot");
  const record = store.get("record");
  if (kept === undefined || record === undefined) return null;
  const { standing, epoch, grant } = record;
  const limited = store.get("limited") ?? 0;
  const revoking = store.get("revoking");
  const texts = [
    grant.sealed,
    store.get("integration")?.sealedSecret ?? null,
    ...(store.get("leaving") ?? []).flatMap(({ sealed, integration }) => [sealed, integration.sealedSecret]),
    ...(store.get("pending") ?? []).flatMap(({ grant: { sealed: pair }, integration }) => [
      pair,
      integration.sealedSecret,
    ]),
  ];
  const kids = texts.flatMap((text) => (text === null ? [] : [vault.kidOf(text) ?? ""]));
  return {
    id: kept.id,
    slot: kept.slot,
    standing,
    epoch,
    version: grant.version,
    scopes: grant.scopes,
    account: grant.account,
    identityLevel: grant.identityLevel,
    workflows: store.get("workflows") ?? null,
    integrationVersion: store.get("integration")?.version ?? 0,
    grantedAt: grant.grantedAt,
    expiresAt: grant.expiresAt,
    endsAt: grant.endsAt,
    limitedUntil: limited > now() ? limited : null,
    waiting: store.waiting(),
    kids: [...new Set(kids)],
    revocation: revoking?.report ?? null,
  };
}
