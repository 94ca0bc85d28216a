/** What the referee of the world says: what really happened for a run, as it happens and as a verdict. Pure but for `createReferee`. */
import type { Colour } from "./paint.ts";
import type { Line } from "./story.ts";

/** One request that reached a service, as the world's ledger has it. */
export interface LedgerEntry {
  readonly seq: number;
  readonly at: number;
  readonly service: string;
  readonly method: string;
  readonly key: string | null;
  readonly reference: string | null;
  readonly answer: "open" | "delivered" | "lost";
  /** The answer of the first request was given again; nothing was done. */
  readonly absorbed: boolean;
  readonly made: readonly string[];
  readonly undid: readonly string[];
}

/** Something that really happened. */
export interface Deed {
  readonly id: string;
  readonly service: string;
  readonly kind: string;
  readonly key: string | null;
  readonly reference: string | null;
  readonly undoneAt: number | null;
  /** Of an object in a cloud: whose credential stored it. */
  readonly data?: { readonly by?: { readonly subject?: string } };
}

export interface Duplicate {
  readonly service: string;
  readonly kind: string;
  readonly first: string;
  readonly second: string;
}

/** Deeds by `service kind`. */
export type Expected = Readonly<Record<string, { readonly made: number; readonly standing: number }>>;

/** Every idempotency key of a run begins with its id; a request can say it as its reference as well. */
export function isOfRun(run: string, { key, reference }: Pick<Deed, "key" | "reference">): boolean {
  return [key, reference].some((one) => one?.startsWith(`${run}.`) === true);
}

/** What a request really did, in a line; null where it did nothing worth one. */
export function tellEntry(entry: LedgerEntry): Line | null {
  const { service, answer, absorbed, made, undid } = entry;
  const line = (what: string, colour: Colour): Line => ({
    at: entry.at,
    who: `  ${service}`,
    what,
    colour,
  });
  if (answer === "open") return null;
  const lost = answer === "lost" ? "; its answer was lost on the way" : "";
  if (absorbed) return line(`the key is known: same answer, nothing done twice${lost}`, "cyan");
  if (made.length > 0) return line(`really made ${made.join(", ")}${lost}`, "cyan");
  if (undid.length > 0) return line(`really took back ${undid.join(", ")}${lost}`, "cyan");
  return null;
}

export interface Verdict {
  readonly agrees: boolean;
  /** `airline booking: 1 made, 1 stands`, with what was expected where it differs. */
  readonly counts: readonly string[];
}

/** Compares what happened in the name of a run with what should have. */
export function judge(
  run: string,
  expected: Expected,
  deeds: readonly Deed[],
  duplicates: readonly Duplicate[],
): Verdict {
  const ours = deeds.filter((deed) => isOfRun(run, deed));
  const ids = new Set(ours.map((deed) => `${deed.service} ${deed.id}`));
  const twice = duplicates.filter(({ service, second }) => ids.has(`${service} ${second}`));
  const kinds = new Set([...Object.keys(expected), ...ours.map(({ service, kind }) => `${service} ${kind}`)]);
  let agrees = twice.length === 0;
  const counts = [...kinds].map((kind) => {
    const of = ours.filter((deed) => `${deed.service} ${deed.kind}` === kind);
    const made = of.length;
    const standing = of.filter((deed) => deed.undoneAt === null).length;
    const wanted = expected[kind] ?? { made: 0, standing: 0 };
    const right = wanted.made === made && wanted.standing === standing;
    agrees &&= right;
    const by = new Set(of.flatMap(({ data }) => data?.by?.subject ?? []));
    const whose = by.size === 0 ? "" : `, by ${[...by].join(" and ")}`;
    return `${kind}: ${made} made, ${standing} standing${whose}${right ? "" : ` (expected ${wanted.made} and ${wanted.standing})`}`;
  });
  return { agrees, counts: [...counts, `duplicates: ${twice.length}`] };
}

export interface Referee {
  /** Requests that changed after revision `since`; waits for some up to `waitMs`. */
  readonly ledger: (
    since: number,
    waitMs: number,
  ) => Promise<{ readonly entries: readonly LedgerEntry[]; readonly next: number }>;
  readonly deeds: () => Promise<readonly Deed[]>;
  readonly duplicates: () => Promise<readonly Duplicate[]>;
  readonly setFaults: (rules: readonly object[]) => Promise<void>;
  /** What the clouds of the world are told by whoever administers them. */
  readonly clouds: (path: "/issuers" | "/trust", body: unknown) => Promise<void>;
  /** A user takes back, at the provider, all that they granted there. How many grants that were. */
  readonly takeBack: (user: string) => Promise<number>;
}

/** Throws where the world does not answer as it should. */
export function createReferee(url: string): Referee {
  const call = async (path: string, init: RequestInit = {}): Promise<unknown> => {
    const response = await fetch(url + path, init);
    if (!response.ok)
      throw new Error(`The referee answered ${response.status} to ${path}: ${await response.text()}`);
    return response.status === 204 ? null : response.json();
  };
  return {
    ledger: async (since, waitMs) =>
      (await call(`/ledger?since=${since}&wait=${waitMs}`)) as Awaited<ReturnType<Referee["ledger"]>>,
    deeds: async () => ((await call("/deeds")) as { items: Deed[] }).items,
    duplicates: async () => ((await call("/duplicates")) as { items: Duplicate[] }).items,
    setFaults: async (rules) => {
      const headers = { "content-type": "application/json" };
      await call("/faults", { method: "PUT", headers, body: JSON.stringify(rules) });
    },
    clouds: async (path, body) => {
      await call(`/clouds${path}`, { method: "POST", body: JSON.stringify(body) });
    },
    takeBack: async (user) =>
      (
        (await call(`/login/users/${encodeURIComponent(user)}/revoke`, { method: "POST" })) as {
          grants: number;
        }
      ).grants,
  };
}
