/** That an export is verified without the server: here against a chain that is made by the page about it, not by src. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readExport } from "../../src/cli/audit-export.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Three links of two entries and a use; each as its lines. */
function chain(last: object = {}): string[][] {
  const parts: string[][] = [];
  let [previous, after] = ["", 0];
  for (const number of [1, 2, 3]) {
    const entries = [1, 2].map((i) =>
      JSON.stringify({ type: "entry", seq: after + i, at: 1, actor: "root" }),
    );
    const uses = [JSON.stringify({ type: "use", id: `run_${number}`, at: 1 })];
    const hashed = (lines: string[]): string => sha256(lines.map((line) => `${line}\n`).join(""));
    const body = {
      ...{ type: "link", v: 1, tenant: "acme", number, after, through: after + 2, at: 1, previous },
      ...{ entries: 2, entries_sha256: hashed(entries), entries_until: 1, dropped: 0, dropped_through: 0 },
      ...{
        uses: 1,
        uses_sha256: hashed(uses),
        uses_until: 1,
        uses_dropped: 0,
        ...(number === 3 ? last : {}),
      },
    };
    const sorted = Object.entries(body).toSorted(([a], [b]) => (a < b ? -1 : 1));
    previous = sha256(JSON.stringify(Object.fromEntries(sorted)));
    after += 2;
    parts.push([...entries, ...uses, JSON.stringify({ ...body, hash: previous, mac: "m" })]);
  }
  return parts;
}

const END = JSON.stringify({ type: "end", next: null, head: null });
const whole = (): string[] => [...chain().flat(), END];
const headOf = (number: number) => {
  const { hash, mac } = JSON.parse(chain()[number - 1]?.at(-1) ?? "") as { hash: string; mac: string };
  return { number, hash, mac };
};

describe("an export", () => {
  it("in order is verified, from an earlier head on too", () => {
    const found = readExport(whole(), headOf(2));
    expect(found).toMatchObject({
      links: 3,
      entries: 6,
      uses: 3,
      noLongerKept: 0,
      broken: null,
      head: { number: 3 },
    });
  });

  it.each<[string, string[], RegExp]>([
    [
      "an entry is changed",
      whole().map((line) => line.replace('"seq":3,"at":1', '"seq":3,"at":2')),
      /^link 2: its entries/,
    ],
    ["an entry is missing", whole().toSpliced(4, 1), /^link 2: its entries/],
    [
      "two entries are swapped",
      whole()
        .with(0, whole()[1] ?? "")
        .with(1, whole()[0] ?? ""),
      /^link 1: its entries/,
    ],
    ["an entry is put in", whole().toSpliced(1, 0, whole()[0] ?? ""), /^link 1: its entries/],
    ["a use is changed", whole().map((line) => line.replace("run_3", "run_9")), /^link 3: its uses/],
    ["a link is missing", [...(chain()[0] ?? []), ...(chain()[2] ?? []), END], /^link 2: it is missing/],
    [
      "a link is changed",
      whole().map((line) => line.replace('"number":2', '"number":7')),
      /^link 2: its hash/,
    ],
    [
      "what a link covers is missing",
      [...chain().flatMap((part) => part.slice(-1)), END],
      /^link 1: what it covers is missing/,
    ],
    ["its end is missing", chain().flat(), /cut off/],
  ])("of which %s is found out, at its place", (_what, lines, expected) => {
    expect(readExport(lines, null).broken).toMatch(expected);
  });

  it("that was cut off before an earlier head, or goes on otherwise, is found out by that head", () => {
    const cut = [...(chain()[0] ?? []), ...(chain()[1] ?? []), END];
    expect(readExport(cut, null).broken).toBeNull();
    expect(readExport(cut, headOf(3)).broken).toMatch(/^link 3, the earlier head, is missing/);
    expect(readExport(whole(), { ...headOf(3), hash: "0".repeat(64) }).broken).toMatch(/^link 3 is another/);
  });

  it("without what has had its time is in order if a later link says so", () => {
    const parts = chain({ dropped: 1, dropped_through: 2, uses_dropped: 1 });
    const lines = [...(parts[0] ?? []).slice(-1), ...(parts[1] ?? []), ...(parts[2] ?? []), END];
    expect(readExport(lines, null)).toMatchObject({ broken: null, noLongerKept: 3, entries: 4, uses: 2 });
  });
});

it("npm run audit fetches all parts, has the server check the MACs, and keeps the head", async () => {
  let says: object | null = null;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://localhost");
    const after = Number(url.searchParams.get("after"));
    if (request.headers.authorization !== "Bearer key") response.writeHead(401).end();
    else if (url.pathname === "/v1/audit/verify")
      response.end(
        JSON.stringify({ verified_to: 3, complete: true, open: { entries: 0, uses: 0 }, broken: says }),
      );
    else {
      const end = JSON.stringify({ type: "end", next: after === 2 ? null : after + 1, head: null });
      response.end(`${[...(chain()[after] ?? []), end].join("\n")}\n`);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const head = join(mkdtempSync(join(tmpdir(), "audit-")), "head.json");
  const run = async (...args: string[]) => {
    const { port } = server.address() as AddressInfo;
    const command = join(import.meta.dirname, "../../src/cli/audit.ts");
    const child = spawn(process.execPath, [command, "verify", `http://127.0.0.1:${port}`, ...args], {
      env: { ...process.env, SHOWCALLER_KEY: "key" },
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    const [code] = (await once(child, "close")) as [number];
    return { code, text };
  };
  try {
    expect(await run("--write-head", head)).toMatchObject({
      code: 0,
      text: expect.stringMatching(/^Verified to link 3: 6 entries, 3 uses, 0 no longer kept/),
    });
    expect(JSON.parse(readFileSync(head, "utf8"))).toEqual(headOf(3));
    says = { link: 2, code: "link_forged" };
    expect(await run("--since-head", head)).toEqual({
      code: 1,
      text: "Broken: the server says link_forged at link 2.\n",
    });
    expect((await run("--nothing")).code).toBe(2);
  } finally {
    server.close();
  }
});
