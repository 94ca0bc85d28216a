/** What can be asked of a credential object, and which object that is. Only this deployment's own code calls it. */
import { canonicalJson, digestJson, objectName, sha256Hex } from "../platform/index.ts";
import type { Who } from "./exchange.ts";
import type { CloudCredential, CloudRole, ExchangeRefusal } from "./role.ts";

export interface CredentialRequest extends Who {
  readonly role: CloudRole;
  /** The life that it should have left (`wantedLifeMs` of the step's time limit). */
  readonly neededMs: number;
  /** Fingerprint of the credential that a service refused: only another one helps. */
  readonly refused?: string;
}

export type CredentialAnswer =
  /** `fingerprint` tells it from others, and says nothing of it. */
  | { readonly ok: true; readonly credential: CloudCredential; readonly fingerprint: string }
  | { readonly ok: false; readonly refusal: ExchangeRefusal };

export interface CredentialRpc {
  get(request: CredentialRequest): Promise<CredentialAnswer>;
}

/** Hex digits: far more than there are roles, and no more than a name may have. */
const ID_CHARS = 40;

/** Hash of the whole exchange: whatever differs in it gets credentials of its own. */
export async function exchangeKey(role: CloudRole, who: Who): Promise<string> {
  const { tenant, id, version, target, audience, claims } = role;
  const { subject, workflowVersion } = who;
  return digestJson([
    "exchange.v1",
    tenant,
    id,
    version,
    target,
    audience,
    claims,
    subject,
    workflowVersion,
    runOf(role, who),
  ]);
}

/** Name of the one object that exchanges for a role and a subject, and for a run where each has its own. */
export async function credentialObjectName(role: CloudRole, who: Who): Promise<string> {
  const text = canonicalJson(["credential.v1", role.id, who.subject, runOf(role, who)]);
  return objectName("credential", role.tenant, (await sha256Hex(text)).slice(0, ID_CHARS));
}

/** Null where credentials are shared between runs. */
export function runOf({ perRun }: CloudRole, { run }: Who): string | null {
  return perRun ? run : null;
}

export async function fingerprintOf(credential: CloudCredential): Promise<string> {
  const secret =
    credential.kind === "aws" ? credential.sessionToken + credential.secretAccessKey : credential.token;
  return (await sha256Hex(secret)).slice(0, ID_CHARS);
}
