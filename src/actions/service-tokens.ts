/** Service tokens of the deployment: secrets with a name, each bound to exact hosts. Steps know the names only. */

import * as z from "zod";
import { performanceOf, type FailureSeed } from "../kernel/index.ts";
import { checkUrl, err, ok, type Result } from "../platform/index.ts";
import { failure } from "./failures.ts";
import { explain } from "./issues.ts";
import { lazy } from "./lazy.ts";
import type { AuthRefusal, BearerRef, CredentialPort } from "./ports.ts";

/** A shorter one could not be told from other text when it is taken out of outputs and errors. */
const MIN_TOKEN_CHARS = 8;

const schema = lazy(() =>
  z.record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, "A token's name has letters, digits, _ and -."),
    z.strictObject({
      hosts: z
        .array(
          z.string().refine((host) => {
            const url = checkUrl(`https://${host}/`, { ownHosts: [] });
            return url.ok && url.value.hostname === host;
          }, "This is not the name of a public host."),
        )
        .min(1),
      // RFC 6750, section 2.1.
      token: z
        .string()
        .min(MIN_TOKEN_CHARS, `A token has at least ${MIN_TOKEN_CHARS} characters.`)
        .regex(/^[A-Za-z0-9._~+/-]+=*$/, "This cannot be sent as a bearer token."),
      /** Also for steps that came as JSON, from whoever may start or extend a run. Default: for the deployment's own code only. */
      inline: z.boolean().exactOptional(),
    }),
  ),
);

type Tokens = ReadonlyMap<string, z.output<ReturnType<typeof schema>>[string]>;

/** What is wrong is said without any value. */
function readTokens(text: string | undefined): Result<Tokens, string> {
  let given: unknown;
  try {
    given = text === undefined || text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    return err("SERVICE_TOKENS is not JSON.");
  }
  const parsed = schema().safeParse(given);
  if (!parsed.success) return err(`SERVICE_TOKENS does not fit: ${explain(parsed.error)}`);
  return ok(new Map(Object.entries(parsed.data)));
}

/**
 * Reads the secret `SERVICE_TOKENS`: `{"SKYLINE_TOKEN": {"hosts": ["api.skyline.example"], "token": "..."}}`.
 * A step that came as JSON gets none, unless the token says `"inline": true`: its author is whoever holds an API key.
 * Absent or empty: there are none. What is wrong is said without any value.
 */
export function parseServiceTokens(text: string | undefined): Result<CredentialPort, string> {
  const tokens = readTokens(text);
  if (!tokens.ok) return tokens;
  return ok(async ({ bearer }, host, { def, unit }) => {
    const entry = tokens.value.get(bearer);
    // Parameters of the deployment's own steps are never data in the graph.
    const refusal = refusalOf(entry, host, performanceOf(def, unit)?.with !== null);
    if (entry === undefined || refusal !== null)
      return { ok: false, failure: FAILURES[refusal ?? "unknown_token"](bearer, host) };
    return {
      ok: true,
      header: "authorization",
      value: `Bearer ${entry.token}`,
      secrets: [entry.token],
    };
  });
}

/**
 * The same rules, for a plan that has not run: what a step that came as JSON would be refused with. It names those tokens
 * only that such a step could be given for this host.
 */
export function parseAuthCheck(
  text: string | undefined,
): Result<(auth: BearerRef, host: string) => Promise<AuthRefusal | undefined>, string> {
  const tokens = readTokens(text);
  if (!tokens.ok) return tokens;
  return ok(async ({ bearer }, host) => {
    const code = refusalOf(tokens.value.get(bearer), host, true);
    if (code === null) return undefined;
    const allowed = [...tokens.value].flatMap(([name, one]) =>
      refusalOf(one, host, true) === null ? [name] : [],
    );
    return { at: "/bearer", code, detail: TOLD[code](bearer, host), allowed };
  });
}

type Refusal = "unknown_token" | "token_not_for_plans" | "token_not_for_host";

/** @param inline whether the step came as JSON */
function refusalOf(
  entry: { readonly hosts: readonly string[]; readonly inline?: boolean | undefined } | undefined,
  host: string,
  inline: boolean,
): Refusal | null {
  if (entry === undefined) return "unknown_token";
  if (inline && entry.inline !== true) return "token_not_for_plans";
  return entry.hosts.includes(host) ? null : "token_not_for_host";
}

const TOLD: Readonly<Record<Refusal, (name: string, host: string) => string>> = {
  unknown_token: (name) => `There is no service token named "${name}".`,
  token_not_for_plans: (name) => `The service token "${name}" is not for steps that come as JSON.`,
  token_not_for_host: (name, host) => `"${name}" is a service token for other hosts, not for ${host}.`,
};

const FAILURES: Readonly<Record<Refusal, (name: string, host: string) => FailureSeed>> = {
  unknown_token: (name) =>
    failure(
      "not_sent",
      `Nothing was sent: there is no service token named "${name}".`,
      "Add it to the secret SERVICE_TOKENS, or correct the step's `auth`; then redrive the run.",
    ),
  token_not_for_plans: (name) =>
    failure(
      "egress_blocked",
      `Nothing was sent: the service token "${name}" is not for steps that come as JSON.`,
      "Call the service from a workflow in TypeScript, or let the operator set `inline` on the token.",
    ),
  token_not_for_host: (name, host) =>
    failure(
      "egress_blocked",
      `Nothing was sent: "${name}" is a service token for other hosts, not for ${host}.`,
      "Call one of the token's own hosts, or add the host to it in the secret SERVICE_TOKENS.",
    ),
};
