/** The command line of `npm start`. Pure. */
import { parseArgs } from "node:util";
import { complain, fine, reasonOf, type Outcome } from "./complaint.ts";
import { isDemoName, DEMO_NAMES, type DemoName } from "./demos.ts";

export const DEFAULT_PORT = 8787;
export const DEFAULT_STATE = ".wrangler/start";
const MAX_PORT = 65_535;
/** As the Worker reads names of its own; what is no name of a public host for other reasons, it refuses itself. */
const HOST =
  /^(?=.{1,253}=)(?<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?)=(?<port>[0-9]{1,5})$/;

export interface StartOptions {
  readonly help: boolean;
  /** End after the run. */
  readonly once: boolean;
  /** Show how a run is undone. */
  readonly fail: boolean;
  /** Consents are given by hand. */
  readonly browser: boolean;
  /** 0: any free one. */
  readonly port: number;
  readonly workflow: DemoName;
  /** Folder of secrets and local data, relative to the project. */
  readonly state: string;
  /** Services of one's own: DNS name to loopback port. */
  readonly hosts: Readonly<Record<string, number>>;
}

export const HELP = `npm start [-- OPTIONS]

Starts Showcaller on this machine together with a small world of services that
fail on purpose, runs a workflow and shows it as it happens. Then it stays up.

  --once            end after the run; exit code 0 only if it ended as it should
                    and the referee, who counts what really happened, agrees
  --fail            let the hotel be sold out (the address be wrong), and watch
                    the run being undone
  --browser         give the consents yourself: the links are printed, and the
                    start waits until you have been there
  --workflow NAME   ${DEMO_NAMES.join(" or ")} (default ${DEMO_NAMES[0]})
  --port N          port of the API (default ${DEFAULT_PORT}; 0: any free one)
  --host NAME=PORT  let steps reach a service of your own as https://NAME, which
                    listens on a port of this machine; as often as you like
  --state DIR       local secrets and data (default ${DEFAULT_STATE}); delete the
                    folder to begin anew
  --help            this text

Colours only on a terminal; NO_COLOR=1 turns them off. Ctrl-C ends everything.`;

/** @param env tells what npm took for itself */
export function parseOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Outcome<StartOptions> {
  const taken = takenByNpm(env);
  if (taken !== null) return taken;
  const parsed = read(args);
  if (!parsed.ok) return parsed;
  const { values } = parsed.value;
  const { port = String(DEFAULT_PORT), workflow = DEMO_NAMES[0], state = DEFAULT_STATE } = values;
  if (!/^\d{1,5}$/.test(port) || Number(port) > MAX_PORT)
    return wrong(`--port takes a whole number from 0 to ${MAX_PORT}, not "${port}".`);
  if (!isDemoName(workflow)) return wrong(`--workflow takes ${DEMO_NAMES.join(" or ")}, not "${workflow}".`);
  if (state === "") return wrong("--state takes the name of a folder.");
  const hosts: Record<string, number> = {};
  for (const given of values.host ?? []) {
    const { host = "", port: at = "" } = HOST.exec(given)?.groups ?? {};
    if (host === "" || Number(at) < 1 || Number(at) > MAX_PORT)
      return wrong(`--host takes a name and a port, as api.weather.example=9000, not "${given}".`);
    hosts[host] = Number(at);
  }
  const { help = false, once = false, fail = false, browser = false } = values;
  return fine({ help, once, fail, browser, port: Number(port), workflow, state, hosts });
}

const OPTIONS = {
  help: { type: "boolean", short: "h" },
  once: { type: "boolean" },
  fail: { type: "boolean" },
  browser: { type: "boolean" },
  port: { type: "string" },
  workflow: { type: "string" },
  host: { type: "string", multiple: true },
  state: { type: "string" },
} as const;

/** Without `--` before them npm takes options for its own, and hands them on in the environment only. */
function takenByNpm(env: Readonly<Record<string, string | undefined>>): ReturnType<typeof complain> | null {
  if (env["npm_lifecycle_event"] !== "start") return null;
  const taken = Object.keys(OPTIONS).filter((name) => (env[`npm_config_${name}`] ?? "") !== "");
  if (taken.length === 0) return null;
  const names = taken.map((name) => `--${name}`).join(" ");
  return complain(
    `npm took ${names} for itself: what is for the start stands behind a --.`,
    `Write: npm start -- ${names}${taken.some((name) => OPTIONS[name as keyof typeof OPTIONS].type === "string") ? " ..." : ""}`,
  );
}

function read(args: readonly string[]) {
  try {
    return fine(
      parseArgs({
        args: [...args],
        options: OPTIONS,
      }),
    );
  } catch (error) {
    return wrong(`${reasonOf(error).replace(/\.$/, "")}.`);
  }
}

function wrong(what: string): ReturnType<typeof complain> {
  return complain(what, "Run `npm start -- --help` to see the options.");
}
