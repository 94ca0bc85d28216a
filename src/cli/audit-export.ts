/** Reads an export of the audit, and says the first place where it is not in order. By docs/audit.md, without the server. Pure. */
import { createHash } from "node:crypto";

export interface Head {
  readonly number: number;
  readonly hash: string;
  readonly mac: string;
}

export interface Read {
  readonly links: number;
  readonly entries: number;
  readonly uses: number;
  readonly noLongerKept: number;
  readonly head: Head | null;
  /** In words; null: all is in order. */
  readonly broken: string | null;
}

interface Link extends Head {
  readonly after: number;
  readonly through: number;
  readonly entries: number;
  readonly uses: number;
  readonly entries_sha256: string;
  readonly uses_sha256: string;
  readonly dropped: number;
  readonly uses_dropped: number;
  readonly previous: string;
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** @param since the head of an earlier export, which the chain must still have */
export function readExport(lines: Iterable<string>, since: Head | null): Read {
  let [entries, uses]: [string[], string[]] = [[], []];
  let last: Link | null = null;
  let ended = false;
  let hasSince = since === null;
  const counts = { links: 0, entries: 0, uses: 0, noLongerKept: 0 };
  const gone: { readonly number: number; readonly floor: "dropped" | "uses_dropped" }[] = [];
  const broken = (what: string): Read => ({ ...counts, head: last, broken: what });
  for (const line of lines) {
    if (line === "") continue;
    let one: { readonly type?: unknown; readonly next?: unknown };
    try {
      one = JSON.parse(line) as typeof one;
    } catch {
      return broken(`behind link ${last?.number ?? 0} stands a line that is no JSON`);
    }
    ended = one.type === "end" && one.next === null;
    if (one.type === "entry") entries.push(`${line}\n`);
    if (one.type === "use") uses.push(`${line}\n`);
    if (one.type !== "link") continue;
    const link = one as unknown as Link;
    const flaw = flawOf(link, last);
    if (flaw !== null) return broken(`link ${(last?.number ?? 0) + 1}: ${flaw}`);
    if (since !== null && link.number === since.number) {
      if (link.hash !== since.hash)
        return broken(`link ${link.number} is another than that of the earlier head`);
      hasSince = true;
    }
    for (const [kind, told, floor] of [
      ["entries", entries, "dropped"],
      ["uses", uses, "uses_dropped"],
    ] as const) {
      if (told.length === 0 && link[kind] > 0) {
        gone.push({ number: link.number, floor });
        counts.noLongerKept += link[kind];
      } else if (told.length !== link[kind] || sha256(told.join("")) !== link[`${kind}_sha256`])
        return broken(
          `link ${link.number}: its ${kind} are not those that were sealed (seq ${link.after + 1} to ${link.through})`,
        );
      else counts[kind] += told.length;
    }
    [entries, uses, last] = [[], [], link];
    counts.links += 1;
  }
  const floors = last;
  const early = gone.find(({ number, floor }) => number > (floors?.[floor] ?? 0));
  if (early !== undefined)
    return broken(`link ${early.number}: what it covers is missing, and no link says that its time was over`);
  if (entries.length + uses.length > 0) return broken("behind the last link stand lines that none covers");
  if (!ended) return broken("the export was cut off: its last line is missing");
  return hasSince
    ? { ...counts, head: last, broken: null }
    : broken(`link ${since?.number ?? 0}, the earlier head, is missing`);
}

function flawOf(link: Link, last: Link | null): string | null {
  const { hash, mac: _mac, ...body } = link;
  // All values are ASCII texts, whole numbers or null: one spelling.
  if (sha256(JSON.stringify(body, Object.keys(body).toSorted())) !== hash) return "its hash does not fit";
  if (link.number !== (last?.number ?? 0) + 1) return "it is missing";
  if (link.previous !== (last?.hash ?? "") || link.after !== (last?.through ?? 0))
    return "it does not go on from the one before";
  return null;
}
