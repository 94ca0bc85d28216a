/**
 * Telling a provider that a grant is over, once: opening what it is told of, and when it is told again. RFC 7009: the refresh
 * token first, an answer for an unknown token is a success, 503 with Retry-After is tried again.
 */
import type { KeptIntegration, Slot } from "./grant.ts";
import type { ConnectionWiring, ProviderPort } from "./ports.ts";
import { openPair, secretPlace } from "./sealing.ts";
import type { Place } from "../vault/index.ts";

/** A provider is told for so long; then it is given up. */
export const GIVE_UP_MS = 24 * 60 * 60_000;
const FIRST_RETRY_MS = 2_000;
const LAST_RETRY_MS = 60 * 60_000;

export interface Ending {
  readonly place: Place;
  readonly sealed: string | null;
  readonly integration: KeptIntegration | undefined;
}

export type Told = Awaited<ReturnType<ProviderPort["revoke"]>>;

/** Never throws: what cannot be told now is told later. */
export async function tellProvider(
  { vault, provider, log }: Pick<ConnectionWiring, "vault" | "provider" | "log">,
  { slot, id }: { readonly slot: Slot; readonly id: string },
  { place, sealed, integration }: Ending,
): Promise<Told> {
  if (sealed === null || integration === undefined) return { kind: "later" };
  try {
    const pair = await openPair(vault, place, sealed);
    const { sealedSecret, version } = integration;
    const secret =
      sealedSecret === null ? null : await vault.open(secretPlace(slot, id, version), sealedSecret);
    if (!pair.ok || secret?.ok === false) return { kind: "later" };
    const open = { provider: integration.provider, clientId: integration.clientId };
    return await provider.revoke({ ...open, secret: secret?.value ?? null }, pair.value);
  } catch (error) {
    log.error("connection.not_revoked", { connection: id, error });
    return { kind: "later" };
  }
}

/** When to tell again what could not be told; null: its time is over. @param tries before this one */
export function nextTelling(
  { since, tries }: { readonly since: number; readonly tries: number },
  { retryAfterMs = 0 }: Pick<Told, "retryAfterMs">,
  now: number,
): number | null {
  if (now - since >= GIVE_UP_MS) return null;
  const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 16));
  return Math.min(now + Math.max(wait, retryAfterMs), since + GIVE_UP_MS);
}
