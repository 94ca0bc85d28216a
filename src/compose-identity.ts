/** Wires the identity room: its objects, and their way out. */
import type { CredentialWiring } from "./identity/index.ts";
import { type Egress, err, type Logger } from "./platform/index.ts";

/** What a credential object is given. Nobody mints where the deployment has no issuer. */
export function exchanging(egress: Egress, log: Logger): CredentialWiring {
  return {
    mint: async () =>
      err({
        kind: "configuration",
        code: "identity_not_configured",
        message: "This deployment is no issuer of identity tokens.",
        hint: "Let the operator set ISSUER_ORIGIN.",
      }),
    egress,
    log,
    now: () => Date.now(),
  };
}
