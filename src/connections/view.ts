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
    kids: kidsOf(store, vault),
    revocation: revoking?.report ?? null,
    undecided: revoking?.asked !== undefined,
  };
}

/** Keys of the vault that its texts are sealed under, those of grants that wait, or are leaving, among them. */
export function kidsOf(store: ConnectionStore, vault: ConnectionWiring["vault"]): readonly string[] {
  const texts = [
    store.get("record")?.grant.sealed ?? null,
    store.get("integration")?.sealedSecret ?? null,
    ...(store.get("leaving") ?? []).flatMap(({ sealed, integration }) => [sealed, integration.sealedSecret]),
    ...(store.get("pending") ?? []).flatMap(({ grant, integration }) => [
      grant.sealed,
      integration.sealedSecret,
    ]),
  ];
  return [...new Set(texts.flatMap((text) => (text === null ? [] : [vault.kidOf(text) ?? ""])))];
}
