/** The objects of tenants, each where its tenant lives. The only way to one. */
import { createPlaces, isJurisdiction, type Place, type Places } from "./access/index.ts";
import type { QuotaRpc } from "./quotas/index.ts";

type Methods = Readonly<Record<string | symbol, (...given: readonly unknown[]) => unknown>>;

/** What this isolate knows. */
export const places: Places = createPlaces();

/**
 * A stub for the object with a name from `objectName`; its type is the caller's word: the platform's own type of a stub does not
 * end on types that hold themselves, like JSON. Where its tenant lives is found in the database before the first call, unless it
 * is known here: a call rejects while it cannot be found.
 */
export function objectNamed(namespace: DurableObjectNamespace, db: D1Database, name: string): unknown {
  const tenant = tenantIn(name);
  const known = places.known(tenant);
  if (known !== undefined) return stubIn(namespace, name, known);
  return new Proxy(
    {},
    {
      // Not a promise itself: whoever awaits it gets it.
      get: (_, method) =>
        method === "then"
          ? undefined
          : async (...given: readonly unknown[]) => {
              const place = places.known(tenant) ?? (await places.find(db, tenant));
              return (stubIn(namespace, name, place) as Methods)[method]?.(...given);
            },
    },
  );
}

/** What an object knows by itself: all objects of its tenant are where it is. */
export function knowOwnPlace(id: DurableObjectId): void {
  const { name } = id;
  const jurisdiction = id.jurisdiction ?? null;
  if (name === undefined || (jurisdiction !== null && !isJurisdiction(jurisdiction))) return;
  const tenant = tenantIn(name);
  if (places.known(tenant) === undefined) places.know(tenant, { jurisdiction, locationHint: null });
}

/**
 * Whether this platform has a jurisdiction, and its objects know that they are in it, on which `knowOwnPlace` stands: one is asked.
 * workerd, and so `wrangler dev`, has none.
 */
export async function hasJurisdiction(
  namespace: DurableObjectNamespace,
  jurisdiction: string,
): Promise<boolean> {
  if (!isJurisdiction(jurisdiction)) return false;
  try {
    const probe: unknown = namespace.jurisdiction(jurisdiction).getByName("quota:default:main");
    return (await (probe as Pick<QuotaRpc, "jurisdiction">).jurisdiction()) === jurisdiction;
  } catch {
    return false;
  }
}

function stubIn(namespace: DurableObjectNamespace, name: string, place: Place): unknown {
  const { jurisdiction, locationHint } = place;
  const there = jurisdiction === null ? namespace : namespace.jurisdiction(jurisdiction);
  return there.getByName(name, locationHint === null ? undefined : { locationHint });
}

/** As `objectName` puts it. */
function tenantIn(name: string): string {
  return name.split(":")[1] ?? "";
}
