/**
 * `npm run -s deliver -- SERVICE URL`: sends one delivery to a hook as a service would, with its real signature, and shows what was
 * sent and what was answered.
 *
 * The secret comes from the environment, `HOOK_SECRET`: arguments can be read by every user of the machine. Exit codes: 0 it was
 * taken; 1 it was not; 2 the command line.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { reasonOf } from "./complaint.ts";
import { IN_BODY, isService, SERVICES, signedHeaders } from "./signed-delivery.ts";

const HELP = `HOOK_SECRET=... npm run -s deliver -- SERVICE URL [OPTIONS]

Sends one delivery to a hook as the service would: ${SERVICES.join(", ")}.

  --event NAME   what it tells of (default push); of stripe, slack and standard
                 it stands in the body
  --id ID        of the delivery (default a new one): sent again with the same
                 id, it starts nothing more; of stripe and slack it stands in
                 the body
  --body JSON    what is sent (default {})
  --file FILE    what is sent, from a file; - for the standard input`;

const PATIENCE_MS = 30_000;
const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;

interface Wanted {
  readonly service: (typeof SERVICES)[number];
  readonly url: string;
  readonly event: string;
  readonly id: string;
  readonly body: string;
  readonly secret: string;
}

function read(args: readonly string[]): Wanted | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      event: { type: "string" },
      id: { type: "string" },
      body: { type: "string" },
      file: { type: "string" },
    },
  });
  const [service = "", url = "", stray] = positionals;
  if (!isService(service)) return `The service is one of ${SERVICES.join(", ")}.`;
  if (!URL.canParse(url) || stray !== undefined) return "Behind the service stands the address of the hook.";
  if (values.body !== undefined && values.file !== undefined) return "--body or --file, not both.";
  for (const option of ["event", "id"] as const) {
    const member = IN_BODY[service][option];
    if (values[option] !== undefined && member !== undefined)
      return `--${option}: ${service} has it in the body, as \`${member}\`. Put it into --body.`;
  }
  const secret = process.env["HOOK_SECRET"] ?? "";
  if (secret === "") return "HOOK_SECRET is not set: the secret that the hook was given.";
  const { file, id = randomUUID(), event = "push" } = values;
  const body = file === undefined ? (values.body ?? "{}") : readFileSync(file === "-" ? 0 : file, "utf8");
  return { service, url, event, id, body, secret };
}

async function deliver({ service, url, secret, ...unsigned }: Wanted): Promise<number> {
  const headers = {
    "content-type": "application/json",
    ...signedHeaders(service, secret, { ...unsigned, now: Date.now() }),
  };
  console.log(`POST ${url}`);
  for (const [name, value] of Object.entries(headers)) console.log(`${name}: ${value}`);
  console.log(`\n${unsigned.body}\n`);
  const answer = await fetch(url, {
    ...{ method: "POST", headers, body: unsigned.body, redirect: "manual" },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await answer.text();
  console.log(`${answer.status}${text === "" ? "" : ` ${text}`}`);
  return answer.ok ? 0 : EXIT_REFUSED;
}

function refuse(what: string, code: number): number {
  console.error(`${what}${code === EXIT_USAGE ? "\nRun `npm run -s deliver -- --help` to see more." : ""}`);
  return code;
}

async function run(args: readonly string[]): Promise<number> {
  let wanted: Wanted | string;
  try {
    wanted = read(args);
  } catch (error) {
    return refuse(reasonOf(error), EXIT_USAGE);
  }
  if (typeof wanted === "string") return refuse(wanted, EXIT_USAGE);
  try {
    return await deliver(wanted);
  } catch (error) {
    return refuse(reasonOf(error), EXIT_REFUSED);
  }
}

const args = process.argv.slice(2);
if (args.includes("--help")) console.log(HELP);
else process.exitCode = await run(args);
