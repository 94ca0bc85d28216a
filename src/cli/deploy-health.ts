/** Whether a deployment answers, and says itself that it is well. */
import { setTimeout as pause } from "node:timers/promises";
import { fine, reasonOf, refuse, type Outcome } from "./complaint.ts";

export interface HealthPorts {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** The operator's key; undefined: only whether it answers is asked. */
  readonly rootKey: string | undefined;
  /** Between two questions. */
  readonly pause: (ms: number) => Promise<void>;
}

/** A new host name has its certificate after seconds, sometimes minutes. */
const TRIES = 24;
const BETWEEN_MS = 5_000;
const PATIENCE_MS = 10_000;

export function realHealth(rootKey: string | undefined): HealthPorts {
  return { fetch: (url, init) => fetch(url, init), rootKey, pause: (ms) => pause(ms) };
}

/** @returns what was seen, a line each */
export async function checkHealth(origin: string, ports: HealthPorts): Promise<Outcome<readonly string[]>> {
  const alive = await answered(`${origin}/healthz`, {}, ports);
  if (!alive.ok) return alive;
  if (ports.rootKey === undefined)
    return fine(["answers (with ROOT_API_KEY in the environment more is asked)"]);
  const deep = await answered(`${origin}/v1/health`, { authorization: `Bearer ${ports.rootKey}` }, ports);
  if (!deep.ok) return deep;
  const { status, checks } = deep.value as {
    status?: string;
    checks?: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  };
  const seen = (checks ?? []).map(
    ({ name, ok, detail }) => `${ok ? "well" : "NOT WELL"}: ${name}. ${detail}`,
  );
  if (status === "ok") return fine(seen);
  return refuse(
    "health_failing",
    `The deployment answers, and is not well:\n${seen.map((line) => `  | ${line}`).join("\n")}`,
    "Do what it says. The version before: docs/upgrades.md#going-back.",
  );
}

async function answered(
  url: string,
  headers: Readonly<Record<string, string>>,
  { fetch: ask, pause: wait }: HealthPorts,
): Promise<Outcome<unknown>> {
  let last = "";
  for (let tried = 0; tried < TRIES; tried += 1) {
    if (tried > 0) await wait(BETWEEN_MS);
    try {
      const response = await ask(url, {
        headers,
        redirect: "error",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (response.status === 401 || response.status === 403)
        return refuse(
          "health_refused",
          `${url} does not take the ROOT_API_KEY of the environment.`,
          "It is deployed. Put the right key into the environment, or none, and run this again.",
        );
      if (response.status === 200) return fine(await response.json());
      last = `it answers ${response.status}`;
      await response.body?.cancel();
    } catch (error) {
      last = reasonOf(error);
    }
  }
  return refuse(
    "health_unreachable",
    `The deploy is done, and ${url} does not answer as it should: ${last}.`,
    "A new domain can take minutes: ask again with curl. If it stays so: the log says why (`npx wrangler tail --config .wrangler/environments/production.json`, or of whichever it is), and docs/upgrades.md#going-back how the version before comes back.",
  );
}
