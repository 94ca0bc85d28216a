/** Service tokens of the deployment: secrets with a name, each bound to exact hosts. Steps know the names only. */

import * as z from "zod";
import { performanceOf } from "../kernel/index.ts";
import { checkUrl, err, ok, type Result } from "../platform/index.ts";
import { failure } from "./failures.ts";
import { explain } from "./issues.ts";
import { lazy } from "./lazy.ts";
import type { CredentialPort } from "./ports.ts";

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

/**
 * Reads the secret `SERVICE_TOKENS`: `{"SKYLINE_TOKEN": {"hosts": ["api.skyline.example"], "token": "..."}}`.
 * A step that came as JSON gets none, unless the token says `"inline": true`: its author is whoever holds an API key.
 * Absent or empty: there are none. What is wrong is said without any value.
 */
export function parseServiceTokens(text: string | undefined): Result<CredentialPort, string> {
  let given: unknown;
  try {
    given = text === undefined || text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    return err("SERVICE_TOKENS is not JSON.");
  }
  const parsed = schema().safeParse(given);
  if (!parsed.success) return err(`SERVICE_TOKENS does not fit: ${explain(parsed.error)}`);
  const tokens = new Map(Object.entries(parsed.data));
  return ok(async ({ bearer }, host, { def, unit }) => {
    const entry = tokens.get(bearer);
    if (entry === undefined)
      return {
        ok: false,
        failure: failure(
          "not_sent",
          `Nothing was sent: there is no service token named "${bearer}".`,
          "Add it to the secret SERVICE_TOKENS, or correct the step's `auth`; then redrive the run.",
        ),
      };
    // Parameters of the deployment's own steps are never data in the graph.
    if (entry.inline !== true && performanceOf(def, unit)?.with !== null)
      return {
        ok: false,
        failure: failure(
          "egress_blocked",
          `Nothing was sent: the service token "${bearer}" is not for steps that come as JSON.`,
          "Call the service from a workflow in TypeScript, or let the operator set `inline` on the token.",
        ),
      };
    if (!entry.hosts.includes(host))
      return {
        ok: false,
        failure: failure(
          "egress_blocked",
          `Nothing was sent: "${bearer}" is a service token for other hosts, not for ${host}.`,
          "Call one of the token's own hosts, or add the host to it in the secret SERVICE_TOKENS.",
        ),
      };
    return {
      ok: true,
      header: "authorization",
      value: `Bearer ${entry.token}`,
      secrets: [entry.token],
    };
  });
}
