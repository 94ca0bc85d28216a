/** What a connection object seals, each text for its own place. The one file that knows the places. */
import { ok, type Result } from "../platform/index.ts";
import type { Place, Vault, VaultFault } from "../vault/index.ts";
import type { Pair, Slot } from "./grant.ts";

/** PERSISTED CONTRACT: places are part of what is sealed. */
function placeOf(slot: Pick<Slot, "tenant">, id: string, field: string, version: number): Place {
  return { purpose: "connection", tenant: slot.tenant, record: id, field, version };
}

export function pairPlace(slot: Pick<Slot, "tenant">, id: string, version: number): Place {
  return placeOf(slot, id, "pair", version);
}

export function pendingPlace(slot: Pick<Slot, "tenant">, id: string, session: string): Place {
  return placeOf(slot, id, `pending:${session}`, 0);
}

/** Of a pair that came when the grant had lost its place: its number may be that of the next grant. */
export function latePlace(slot: Pick<Slot, "tenant">, id: string, version: number): Place {
  return placeOf(slot, id, "late_pair", version);
}

/** The integration's secret, as this connection keeps it. */
export function secretPlace(slot: Pick<Slot, "tenant">, id: string, version: number): Place {
  return placeOf(slot, id, "client_secret", version);
}

export async function sealPair(
  vault: Vault,
  place: Place,
  { accessToken, refreshToken }: Pair,
): Promise<string> {
  return vault.seal(place, JSON.stringify([accessToken, refreshToken]));
}

export async function openPair(
  vault: Vault,
  place: Place,
  sealed: string,
): Promise<Result<Pair, VaultFault>> {
  const opened = await vault.open(place, sealed);
  if (!opened.ok) return opened;
  // Sealed here, so it has the form that `sealPair` gave it.
  const [accessToken, refreshToken] = JSON.parse(opened.value) as [string, string | null];
  return ok({ accessToken, refreshToken });
}
