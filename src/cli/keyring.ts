/**
 * `npm run -s keyring -- COMMAND`: makes and changes the text of the Worker's secret `KEYRING`. docs/operations.md tells the
 * order of things.
 *
 * The keyring is read from a file or the standard input, and written to the standard output, once, and nowhere else; words
 * for the person go to the standard error. The root key comes from the environment: arguments can be read by every user of
 * the machine. Exit codes: 0 done; 1 refused, and it is said why; 2 the command line.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { complain, fine, reasonOf, type Complaint, type Outcome } from "./complaint.ts";
import {
  activateKey,
  addKey,
  dropKey,
  newName,
  parseKeyringText,
  textOf,
  type KeyringText,
} from "./keyring-edit.ts";

const HELP = `npm run -s keyring -- COMMAND [OPTIONS] < keyring.json > keyring.new.json

  new               the first keyring; reads nothing
  add               one key more, which only opens: step 1
  activate KID      new secrets are sealed under it: step 3, after the wait
  drop KID          takes it out: step 4, once nothing is sealed under it

  --kid NAME        name of the new key (1 to 16 of a-z and 0-9; default: the day)
  --file FILE       read the keyring from a file, not from the standard input
  --api URL         the deployment, asked whether it may be done; the root key
                    is taken from the environment, ROOT_API_KEY
  --wait MINUTES    how long after \`add\` a key may be activated (default 1440:
                    running objects keep old code and secrets for 24 h at most)
  --unsafe-unasked  do it without asking a deployment`;

const DEFAULT_WAIT_MINUTES = 1_440;
const PATIENCE_MS = 30_000;
const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;

interface Options {
  readonly command: string;
  readonly target: string | undefined;
  readonly kid: string | undefined;
  readonly file: string | undefined;
  readonly api: string | undefined;
  readonly waitMs: number;
  readonly unasked: boolean;
}

/** What `GET /v1/vault/keys` tells of a key, as far as it is needed here. */
interface KnownKey {
  readonly kid: string;
  readonly in_keyring: boolean;
  readonly check: string;
  readonly added_at: number | null;
}

function read(args: readonly string[]): Outcome<Options | "help"> {
  const usage = (what: string) => complain(what, "Run `npm run -s keyring -- --help` to see what there is.");
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        kid: { type: "string" },
        file: { type: "string" },
        api: { type: "string" },
        wait: { type: "string" },
        "unsafe-unasked": { type: "boolean" },
      },
    });
    if (values.help === true) return fine("help");
    const [command = "", target, ...more] = positionals;
    const takesTarget = command === "activate" || command === "drop";
    if (!["new", "add", "activate", "drop"].includes(command) || more.length > 0)
      return usage("Say one of: new, add, activate KID, drop KID.");
    if ((target === undefined) === takesTarget)
      return usage(takesTarget ? `Say which key: ${command} KID.` : `${command} takes no name; --kid does.`);
    const { wait = String(DEFAULT_WAIT_MINUTES), kid, file, api } = values;
    if (!/^\d{1,5}$/.test(wait)) return usage("--wait takes a number of minutes.");
    const unasked = values["unsafe-unasked"] === true;
    return fine({ command, target, kid, file, api, waitMs: Number(wait) * 60_000, unasked });
  } catch (error) {
    return usage(reasonOf(error));
  }
}

/** A keyring, and what the person does next. */
interface Changed {
  readonly keyring: KeyringText;
  readonly next: string;
}

async function change(options: Options): Promise<Outcome<Changed>> {
  const { command, target = "" } = options;
  if (command === "new") return begin(options.kid ?? newName({ keys: {} }, new Date()));
  const given = keyringOf(options.file);
  if (!given.ok) return given;
  const keyring = given.value;
  switch (command) {
    case "add": {
      const kid = options.kid ?? newName(keyring, new Date());
      const next = `Then wait, and: npm run -s keyring -- activate ${kid}`;
      return withNext(addKey(keyring, kid), next);
    }
    case "activate": {
      const activated = activateKey(keyring, target);
      const refusal = activated.ok && !options.unasked ? await mayActivate(options, target) : null;
      const next = `Then records move by themselves. When none is left: npm run -s keyring -- drop ${keyring.active}`;
      return refusal ?? withNext(activated, next);
    }
    default: {
      const dropped = dropKey(keyring, target);
      const refusal = dropped.ok && !options.unasked ? await mayDrop(options, target) : null;
      const next = `Keep the key "${target}" in a safe for 30 days more: until then the platform can put back what was stored.`;
      return refusal ?? withNext(dropped, next);
    }
  }
}

function begin(kid: string): Outcome<Changed> {
  const added = addKey({ active: kid, keys: {} }, kid);
  return withNext(added, "Keep it in a safe as well: what is sealed opens with it, and with nothing else.");
}

function keyringOf(file: string | undefined): Outcome<KeyringText> {
  try {
    return parseKeyringText(readFileSync(file ?? 0, "utf8"));
  } catch (error) {
    return complain(`The keyring cannot be read: ${reasonOf(error)}`, "Give it with --file or < FILE.");
  }
}

function withNext(changed: Outcome<KeyringText>, next: string): Outcome<Changed> {
  return changed.ok ? fine({ keyring: changed.value, next }) : changed;
}

type Refusal = ReturnType<typeof complain>;

/** Null: it may. */
async function mayActivate(options: Options, kid: string): Promise<Refusal | null> {
  const answer = await ask(options, "GET", "/v1/vault/keys");
  if (!answer.ok) return answer;
  if (answer.value.status !== 200) return refused(answer.value);
  const { data } = answer.value.body as { data: readonly KnownKey[] };
  const known = data.find((key) => key.kid === kid);
  if (known === undefined || known.added_at === null || !known.in_keyring)
    return complain(
      `The deployment does not have the key "${kid}" yet.`,
      "Set the secret with the key in it first, and wait.",
    );
  if (known.check !== "passed")
    return complain(`The key "${kid}" there is not the one that it was.`, "Put the right KEYRING back.");
  const leftMs = known.added_at + options.waitMs - Date.now();
  if (leftMs <= 0) return null;
  return complain(
    `The deployment has the key "${kid}" only since ${new Date(known.added_at).toISOString()}: objects that run since before could not open what is sealed under it.`,
    `Come back in ${Math.ceil(leftMs / 60_000)} minutes, or say with --wait how long objects keep old code here.`,
  );
}

async function mayDrop(options: Options, kid: string): Promise<Refusal | null> {
  const answer = await ask(options, "POST", `/v1/vault/keys/${kid}/drop-check`);
  if (!answer.ok) return answer;
  return answer.value.status === 200 ? null : refused(answer.value);
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

function refused({ status, body }: Answer): Refusal {
  const { code, detail, hint } = body as Partial<Record<"code" | "detail" | "hint", string>>;
  return complain(`${code ?? status}: ${detail ?? "The deployment refused."}`, hint ?? "Look at its log.");
}

async function ask({ api }: Options, method: string, path: string): Promise<Outcome<Answer>> {
  const rootKey = process.env["ROOT_API_KEY"] ?? "";
  if (api === undefined || rootKey === "")
    return complain(
      "Whether this may be done now, only the deployment knows.",
      "Give its address with --api and the root key in the environment as ROOT_API_KEY.",
    );
  try {
    const response = await fetch(new URL(path, api), {
      method,
      headers: { authorization: `Bearer ${rootKey}` },
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return fine({ status: response.status, body: await response.json() });
  } catch (error) {
    return complain(`${api} does not answer as it should: ${reasonOf(error)}`, "Check the address.");
  }
}

function refuse({ what, todo }: Complaint): void {
  console.error(`${what}\n${todo}`);
}

const options = read(process.argv.slice(2));
if (!options.ok) {
  refuse(options.complaint);
  process.exitCode = EXIT_USAGE;
} else if (options.value === "help") {
  console.log(HELP);
} else {
  const changed = await change(options.value);
  if (changed.ok) {
    console.log(textOf(changed.value.keyring));
    console.error(
      "Set it with: npx wrangler secret put KEYRING --config .wrangler/environments/production.json < FILE\n(the file with what was just printed; another environment has a file of its own)",
    );
    console.error(changed.value.next);
  } else {
    refuse(changed.complaint);
    process.exitCode = EXIT_REFUSED;
  }
}
