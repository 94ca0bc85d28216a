/**
 * The chain of an audit: what a link covers, how it is written, and what is wrong with one. Pure, but for hashes.
 *
 * PERSISTED CONTRACT, and the format of the export: a line is the JSON of one entry or use; a link holds the SHA-256 of its
 * lines, of those of entries and of those of uses, and the hash of the link before. Its own hash is that of its canonical JSON
 * without `hash` and `mac`; `mac` is over the hash, under the server key, which nobody who can write the database has.
 */
import {
  canonicalJson,
  integer,
  integerOrNull,
  macOf,
  type Row,
  sameSecret,
  sha256Hex,
  text,
  textOrNull,
} from "../platform/index.ts";

const MAC_PURPOSE = "audit-link";

export interface LinkBody {
  readonly type: "link";
  readonly v: 1;
  /** Null: the deployment's own chain. */
  readonly tenant: string | null;
  /** 1, 2, 3, ... */
  readonly number: number;
  /** Covers the entries with `after < seq <= through`. */
  readonly after: number;
  readonly through: number;
  readonly entries: number;
  readonly entries_sha256: string;
  /** The latest `at` among them. */
  readonly entries_until: number | null;
  readonly uses: number;
  readonly uses_sha256: string;
  readonly uses_until: number | null;
  /** Entries of links up to this one are no longer kept: their highest `seq` beside it. */
  readonly dropped: number;
  readonly dropped_through: number;
  readonly uses_dropped: number;
  readonly at: number;
  /** `hash` of the link before; empty: it is the first. */
  readonly previous: string;
}

export interface AuditLink extends LinkBody {
  readonly hash: string;
  readonly mac: string;
}

/** What names a link for good: to be kept where nobody who can write the database can write. */
export type ChainHead = Pick<AuditLink, "number" | "hash" | "mac">;

/** The line of an entry, as it is exported and hashed. */
export function entryLine(row: Row): string {
  return JSON.stringify({
    ...{ type: "entry", seq: integer(row, "seq"), at: integer(row, "at"), tenant: textOrNull(row, "tenant") },
    ...{ actor: text(row, "actor"), action: text(row, "action"), target: text(row, "target") },
    ...{ outcome: text(row, "outcome"), detail: JSON.parse(text(row, "detail")) as unknown },
  });
}

/** The line of a use. */
export function useLine(row: Row): string {
  const hosts = textOrNull(row, "hosts");
  return JSON.stringify({
    ...{ type: "use", id: text(row, "id"), at: integer(row, "at"), tenant: text(row, "tenant") },
    ...{ run: text(row, "run"), workflow: text(row, "workflow"), user: textOrNull(row, "user") },
    ...{ unit: text(row, "unit"), attempt: integer(row, "attempt"), target: text(row, "target") },
    credential: JSON.parse(text(row, "credential")) as unknown,
    ...{ hosts: hosts === null ? null : (JSON.parse(hosts) as unknown) },
    ...{ more_hosts: integerOrNull(row, "more_hosts"), outcome: textOrNull(row, "outcome") },
  });
}

/** Of lines in their order, each with its end. */
export async function hashLines(lines: readonly string[]): Promise<string> {
  return sha256Hex(lines.map((line) => `${line}\n`).join(""));
}

export async function hashLink(body: LinkBody): Promise<string> {
  const { type, v, tenant, number, after, through, entries, entries_sha256, entries_until } = body;
  const { uses, uses_sha256, uses_until, dropped, dropped_through, uses_dropped, at, previous } = body;
  return sha256Hex(
    canonicalJson({
      ...{ type, v, tenant, number, after, through, entries, entries_sha256, entries_until },
      ...{ uses, uses_sha256, uses_until, dropped, dropped_through, uses_dropped, at, previous },
    }),
  );
}

export async function signLink(key: CryptoKey, body: LinkBody): Promise<AuditLink> {
  const hash = await hashLink(body);
  return { ...body, hash, mac: await macOfHead(key, body, hash) };
}

/** Whether a head is one that this deployment has made for this chain: nobody else can make one. */
export async function isOurs(
  key: CryptoKey,
  chain: Pick<LinkBody, "tenant" | "number">,
  { hash, mac }: Pick<ChainHead, "hash" | "mac">,
): Promise<boolean> {
  return sameSecret(mac, await macOfHead(key, chain, hash));
}

async function macOfHead(
  key: CryptoKey,
  { tenant, number }: Pick<LinkBody, "tenant" | "number">,
  hash: string,
): Promise<string> {
  return macOf(key, MAC_PURPOSE, canonicalJson([tenant, number, hash]));
}

/** What is wrong at a place of the chain. */
export type BreakCode =
  /** A link is not there, though later ones are. */
  | "link_missing"
  /** Its text is not what its hash says. */
  | "link_changed"
  /** It does not go on from the one before. */
  | "link_misplaced"
  /** Its MAC is not ours. */
  | "link_forged"
  | "entries_missing"
  | "entries_added"
  | "entries_changed"
  | "uses_missing"
  | "uses_added"
  | "uses_changed"
  /** The chain is shorter than a head that was given out: its end was cut off, or the database was put back. */
  | "head_missing"
  /** Another link stands where the head was: the database was put back, and went on. */
  | "head_changed"
  /** The head that was given is not ours. */
  | "head_forged";

export interface ChainBreak {
  readonly link: number;
  readonly code: BreakCode;
  /** The entries that the link covers: `after < seq <= through`. */
  readonly after: number;
  readonly through: number;
}

/** Of a link by itself; null: it stands as this deployment has made it. */
export async function flawWithin(key: CryptoKey, link: AuditLink): Promise<BreakCode | null> {
  if ((await hashLink(link)) !== link.hash) return "link_changed";
  return (await isOurs(key, link, link)) ? null : "link_forged";
}

/** Null: the link is ours and goes on from the one before. */
export async function flawOf(
  key: CryptoKey,
  link: AuditLink,
  before: AuditLink | null,
): Promise<BreakCode | null> {
  if (link.number > (before?.number ?? 0) + 1) return "link_missing";
  if (link.previous !== (before?.hash ?? "") || link.after !== (before?.through ?? 0))
    return "link_misplaced";
  return flawWithin(key, link);
}

/** How the rows that stand there differ from what a link says of them; null: in nothing. */
export async function flawOfLines(
  kind: "entries" | "uses",
  link: AuditLink,
  lines: readonly string[],
): Promise<BreakCode | null> {
  const [count, hash] =
    kind === "entries" ? [link.entries, link.entries_sha256] : [link.uses, link.uses_sha256];
  if (lines.length < count) return `${kind}_missing`;
  if (lines.length > count) return `${kind}_added`;
  return (await hashLines(lines)) === hash ? null : `${kind}_changed`;
}
