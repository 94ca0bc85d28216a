/**
 * `npm run -s audit -- export|verify`: fetches the audit with its chain, and verifies it: hashes here, MACs by the server.
 *
 * The key comes from the environment, `SHOWCALLER_KEY`: arguments can be read by every user of the machine. Exit codes: 0 all is in
 * order; 1 it is not, or could not be fetched; 2 the command line.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Head, readExport } from "./audit-export.ts";
import { asked, saidBy } from "./answers.ts";
import { reasonOf } from "./complaint.ts";

const HELP = `SHOWCALLER_KEY=... npm run -s audit -- export|verify URL [OPTIONS]

export writes the audit with its chain to the standard output; verify fetches
it, checks every link and what it covers, and asks the server for the MACs.

  --root              the key is the root key: the deployment's own audit
  --tenant NAME       likewise, of this tenant
  --since-head FILE   the head of an earlier time, which the chain must still have
  --write-head FILE   keeps the head for the next time`;

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;
const PATIENCE_MS = 120_000;

interface Wanted {
  readonly command: "export" | "verify";
  readonly url: string;
  readonly key: string;
  readonly path: string;
  readonly query: string;
  readonly sinceHead: string | undefined;
  readonly writeHead: string | undefined;
}

function read(args: readonly string[]): Wanted | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      root: { type: "boolean" },
      tenant: { type: "string" },
      "since-head": { type: "string" },
      "write-head": { type: "string" },
    },
  });
  const [command, url = "", stray] = positionals;
  if (command !== "export" && command !== "verify") return "The command is export or verify.";
  if (!URL.canParse(url) || stray !== undefined)
    return "Behind the command stands the address of the deployment.";
  const key = process.env["SHOWCALLER_KEY"] ?? "";
  if (key === "") return "SHOWCALLER_KEY is not set: a key with the scope audit:read, or the root key.";
  const { tenant } = values;
  return {
    ...{ command, key, url: new URL(url).origin },
    path: values.root === true || tenant !== undefined ? "/v1/deployment/audit" : "/v1/audit",
    query: tenant === undefined ? "" : `tenant=${encodeURIComponent(tenant)}`,
    ...{ sinceHead: values["since-head"], writeHead: values["write-head"] },
  };
}

async function ask({ url, key, path, query }: Wanted, what: string, body?: object): Promise<Response> {
  const [name = "", more = ""] = what.split("?");
  const at = `${path}/${name}?${[query, more].filter((one) => one !== "").join("&")}`;
  const answer = await asked(url, at, {
    signal: AbortSignal.timeout(PATIENCE_MS),
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(saidBy(at, answer.status, await answer.text()));
  return answer;
}

/** All lines, of all parts; only the last `end` among them. */
async function fetchLines(wanted: Wanted): Promise<string[]> {
  const lines: string[] = [];
  for (let after = 0; ;) {
    const answer = await ask(wanted, `export?after=${after}`);
    const part = (await answer.text()).split("\n").filter((line) => line !== "");
    const end = JSON.parse(part.at(-1) ?? "null") as {
      readonly type?: string;
      readonly next?: number | null;
    } | null;
    if (end?.type !== "end") throw new Error(`The answer behind link ${after} was cut off. Try again.`);
    if (end.next === null || end.next === undefined) return [...lines, ...part];
    lines.push(...part.slice(0, -1));
    after = end.next;
  }
}

interface Said {
  readonly verified_to: number;
  readonly complete: boolean;
  readonly open: { readonly entries: number; readonly uses: number };
  readonly broken: { readonly link: number; readonly code: string } | null;
}

async function askServer(wanted: Wanted, head: Head | null): Promise<Said> {
  for (let after = 0; ;) {
    const body = { after, limit: 100, ...(head === null ? {} : { head }) };
    const said = (await (await ask(wanted, "verify", body)).json()) as Said;
    if (said.complete || said.broken !== null) return said;
    after = said.verified_to;
  }
}

function headOf(file: string): Head {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Head;
  } catch (error) {
    throw new Error(
      `--since-head cannot be read: ${reasonOf(error)}\nIt is a file that --write-head has written; the first time there is none: leave it out.`,
      { cause: error },
    );
  }
}

async function verify(wanted: Wanted): Promise<number> {
  const since = wanted.sinceHead === undefined ? null : headOf(wanted.sinceHead);
  const found = readExport(await fetchLines(wanted), since);
  if (found.broken !== null) {
    console.error(`Broken: ${found.broken}.`);
    return EXIT_BROKEN;
  }
  const said = await askServer(wanted, since);
  if (said.broken !== null) {
    console.error(`Broken: the server says ${said.broken.code} at link ${said.broken.link}.`);
    return EXIT_BROKEN;
  }
  const { number, hash, mac } = found.head ?? { number: 0, hash: "", mac: "" };
  if (wanted.writeHead !== undefined && found.head !== null)
    writeFileSync(wanted.writeHead, `${JSON.stringify({ number, hash, mac })}\n`);
  const from = since === null ? "" : `, from the earlier head ${since.number} on`;
  console.log(
    `Verified to link ${number}${from}: ${found.entries} entries, ${found.uses} uses, ${found.noLongerKept} no longer kept; ${said.open.entries + said.open.uses} open. Head ${hash}.`,
  );
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  let wanted: Wanted | string;
  try {
    wanted = read(args);
  } catch (error) {
    wanted = reasonOf(error);
  }
  if (typeof wanted === "string") {
    console.error(`${wanted}\n\n${HELP}`);
    return EXIT_USAGE;
  }
  try {
    if (wanted.command === "verify") return await verify(wanted);
    for (const line of await fetchLines(wanted)) process.stdout.write(`${line}\n`);
    return 0;
  } catch (error) {
    console.error(reasonOf(error));
    return EXIT_BROKEN;
  }
}

const args = process.argv.slice(2);
if (args.includes("--help")) console.log(HELP);
else process.exitCode = await main(args);
