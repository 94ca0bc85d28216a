/** Whether the credentials that a plan names would be given to where it sends them. Who knows is asked through a port. */

import type { AuthRefusal, CredentialRef, Finding } from "../actions/index.ts";
import { escapePointer, type Json, type StepDef } from "../kernel/index.ts";
import { isMap } from "./expressions/index.ts";
import { requestsOf } from "./plan-summary.ts";

/** As `AuthCheck`, for one asker. */
export type AskAuth = (
  auth: CredentialRef,
  host: string,
  stepTimeoutMs: number,
) => Promise<AuthRefusal | undefined>;

/** Each credential is asked about once for each host and timeout. Pointers are from the plan. */
export async function checkAuth(steps: readonly StepDef[], ask: AskAuth): Promise<Finding[]> {
  const asked = new Map<string, Promise<AuthRefusal | undefined>>();
  const once = (auth: CredentialRef, host: string, ms: number): Promise<AuthRefusal | undefined> => {
    const key = JSON.stringify([auth, host, "cloud" in auth ? ms : null]);
    const known = asked.get(key);
    if (known !== undefined) return known;
    const answer = ask(auth, host, ms);
    asked.set(key, answer);
    return answer;
  };
  const findings = steps.flatMap((def) =>
    requestsOf(def).map(async ({ role, host }): Promise<Finding[]> => {
      const { with: parameters = null, timeoutMs = def.timeoutMs } =
        (role === "step" ? def : def[role]) ?? {};
      const auth = isMap(parameters) ? parameters["auth"] : undefined;
      if (auth === undefined) return [];
      // The parameters of a plan's steps were checked by their schema. One that is not as it should be was told.
      if (!isReference(auth)) return [];
      const refusal = await once(auth, host, timeoutMs);
      if (refusal === undefined) return [];
      const { at, ...told } = refusal;
      return [{ pointer: `${pointerTo(def)}${role === "step" ? "" : `/${role}`}/with/auth${at}`, ...told }];
    }),
  );
  return (await Promise.all(findings)).flat();
}

function isReference(auth: Json): auth is Json & CredentialRef {
  return (
    isMap(auth) &&
    ["bearer", "connection", "cloud"].filter((one) => typeof auth[one] === "string").length === 1
  );
}

/** From the plan. */
export function pointerTo({ name, part }: StepDef): string {
  return `/${part === "main" ? "steps" : "onFailure"}/${escapePointer(name)}`;
}
