/** Verifies an export by what docs/audit.md says of it, and shares no code with what makes it. */

const sha256 = async (text: string): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

interface Link {
  readonly number: number;
  readonly after: number;
  readonly through: number;
  readonly entries: number;
  readonly uses: number;
  readonly entries_sha256: string;
  readonly uses_sha256: string;
  readonly dropped: number;
  readonly uses_dropped: number;
  readonly previous: string;
  readonly hash: string;
}

/** Null: all is in order. */
export async function flawOfExport(text: string): Promise<string | null> {
  let [entries, uses, last] = ["", "", null as Link | null];
  const gone: Link[] = [];
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const { type } = JSON.parse(line) as { type: string };
    if (type === "entry") entries += `${line}\n`;
    if (type === "use") uses += `${line}\n`;
    if (type !== "link") continue;
    const { hash, mac, ...body } = JSON.parse(line) as Link & { mac: string };
    if (typeof mac !== "string") return `link ${body.number}: mac`;
    // All values of a link are ASCII texts, whole numbers, or null.
    if ((await sha256(JSON.stringify(body, Object.keys(body).toSorted()))) !== hash)
      return `link ${body.number}: hash`;
    if (body.number !== (last?.number ?? 0) + 1) return `link ${body.number}: number`;
    if (body.previous !== (last?.hash ?? "")) return `link ${body.number}: previous`;
    if (body.after !== (last?.through ?? 0)) return `link ${body.number}: after`;
    for (const [kind, lines] of [
      ["entries", entries],
      ["uses", uses],
    ] as const) {
      const [count, expected] =
        kind === "entries" ? [body.entries, body.entries_sha256] : [body.uses, body.uses_sha256];
      if (lines === "" && count > 0) gone.push({ ...body, hash });
      else if ((await sha256(lines)) !== expected) return `link ${body.number}: ${kind}`;
    }
    [entries, uses, last] = ["", "", { ...body, hash }];
  }
  const early = gone.find(({ number }) => number > Math.max(last?.dropped ?? 0, last?.uses_dropped ?? 0));
  return early === undefined ? null : `link ${early.number}: missing`;
}
