/** Wires the identity room: its objects, and their way out. */
import { createAccessAudit } from "./access/index.ts";
import { objectNamed } from "./compose-objects.ts";
import { ownHostsOf } from "./compose-egress.ts";
import {
  createCredentials,
  createIdentity,
  type CredentialRpc,
  type CredentialWiring,
  type Identity,
  type Issuer,
} from "./identity/index.ts";
import { type Egress, err, type Logger, ok } from "./platform/index.ts";

/** What a credential object is given. Nobody mints where the deployment has no issuer. */
export function exchanging(egress: Egress, issuer: Issuer | null, log: Logger): CredentialWiring {
  return {
    mint: async (request) =>
      issuer === null
        ? err({
            kind: "configuration",
            code: "identity_not_configured",
            message: "This deployment is no issuer of identity tokens.",
            hint: "Let the operator set ISSUER_ORIGIN.",
          })
        : issuer.minter.mint(request),
    egress,
    log,
    now: () => Date.now(),
  };
}

/** One per isolate. @param issuer null: workflows have no identity here */
export function composeIdentity(env: Env, issuer: Issuer | null, log: Logger): Identity {
  const now = (): number => Date.now();
  return createIdentity({
    ...{ db: env.DB, audit: createAccessAudit(env.DB), log, now },
    issuerOrigin: issuer === null ? null : `https://${issuer.host}`,
    ownHosts: ownHostsOf(env),
    credentials: createCredentials({ objectOf: (name) => credentialObject(env, name), now, log }),
    ensureIssuer: async (tenant) => {
      const made = await issuer?.ensure(tenant);
      return made?.ok === true ? ok(undefined) : err(made?.error.message ?? "There is no issuer.");
    },
  });
}

function credentialObject(env: Env, name: string): CredentialRpc {
  return objectNamed(env.CREDENTIAL, env.DB, name) as CredentialRpc;
}
