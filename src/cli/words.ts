/** What is printed once a run is over, and what the Worker is told about the world. Pure. */
import type { Api, RunView } from "./api.ts";
import { LOGIN_HOST, type LoginClient } from "./consents.ts";
import type { Course, Demo } from "./demos.ts";
import { COLUMNS, row } from "./layout.ts";
import type { StartOptions } from "./options.ts";

/**
 * The secret SERVICE_TOKENS for the services of the world. A token is named after its service:
 * `api.skyline.example` has SKYLINE_TOKEN, and is the only host that gets it. Plans may use them, too: who holds the printed
 * key is who tries things out.
 */
export function serviceTokens(
  tokens: Readonly<Record<string, string>>,
): Record<string, { hosts: string[]; token: string; inline: true }> {
  return Object.fromEntries(
    Object.entries(tokens).map(([host, token]) => [
      `${(host.split(".").at(-2) ?? host).toUpperCase()}_TOKEN`,
      { hosts: [host], token, inline: true },
    ]),
  );
}

/** Not a secret: a service of one's own gets it, to see that a step sends a token at all. */
const OWN_TOKEN = "token-of-npm-start";

/** Tokens for services of one's own. */
export function ownTokens(hosts: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(Object.keys(hosts).map((host) => [host, OWN_TOKEN]));
}

/** The value of an output as the API shows it: whole, or, if it is large, by its size. */
export function valueOf(output: unknown): unknown {
  return typeof output === "object" && output !== null && "value" in output ? output.value : output;
}

/** Why a run failed, what was taken back, what was left behind. */
export function failureRows(failure: unknown): string {
  const {
    code,
    step,
    message,
    hint,
    undone,
    left_behind: left,
  } = failure as {
    readonly [name in "code" | "step" | "message" | "hint"]?: string;
  } & { readonly [name in "undone" | "left_behind"]?: readonly { readonly step: string }[] };
  const names = (steps: readonly { readonly step: string }[] | undefined): string =>
    steps === undefined || steps.length === 0 ? "nothing" : steps.map((one) => one.step).join(", ");
  return [
    row("failure", `${code ?? "none"}${step === undefined ? "" : ` in ${step}`}: ${message ?? ""}`),
    ...(hint === undefined ? [] : [row("hint", hint)]),
    row("undone", names(undone)),
    row("left behind", names(left)),
  ].join("\n");
}

/** Addresses, the key, and three lines to try. */
export function whatNext(
  { api, refereeUrl, login }: { readonly api: Api; readonly refereeUrl: string; readonly login: LoginClient },
  { input }: Course,
  run: RunView,
  { workflow, user }: Pick<StartOptions, "workflow"> & Pick<Demo, "user">,
): string {
  const runs = `${api.url}/v1/runs`;
  return `${row("address", api.url)}
${row("API key", api.key)}
${row("referee", `${refereeUrl}/counts`)}
${row("login", `client ${login.id} at https://${LOGIN_HOST}`)}
${row("", `secret ${login.secret}`)}

Try it yourself:

  AUTH='authorization: Bearer ${api.key}'

  curl -H "$AUTH" ${runs}/${run.id}

  curl -N -H "$AUTH" -H 'accept: text/event-stream' \\
    ${runs}/${run.id}/events

  curl -H "$AUTH" -H 'content-type: application/json' \\
    -H 'idempotency-key: again-1' -H 'prefer: wait=30' \\
    ${runs} -d '
    ${shellJson({ workflow, ...(user === undefined ? {} : { user }), input }, "    ")}'`;
}

/** JSON in lines of a shell's single quotes: broken after commas, no quote of that kind in it. */
function shellJson(value: unknown, indent: string): string {
  const lines = [""];
  for (const part of JSON.stringify(value)
    .replaceAll("'", "\\u0027")
    .split(/(?<=,)(?=")/)) {
    const line = lines.at(-1) ?? "";
    if (indent.length + line.length + part.length > COLUMNS - 2) lines.push(part);
    else lines[lines.length - 1] = line + part;
  }
  return lines.join(`\n${indent}`);
}
