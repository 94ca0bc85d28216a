/** Whether a step that names a role could ever be given a credential of it: said of plans before they run. */
import type { RoleLookup } from "./lookup.ts";
import type { IdentityDeps } from "./ports.ts";
import type { CloudRole, Subject } from "./role.ts";
import { mayUse } from "./subjects.ts";
import { fitsIn, notConfigured, notFor, tooShort, unknown } from "./using.ts";

/** Who asks. */
export interface RoleAsker {
  readonly tenant: string;
  /** For whom the step will speak. */
  readonly subject: Subject;
  /** Missing: not known. */
  readonly stepTimeoutMs?: number;
}

/** Why not. */
export interface RoleReferenceRefusal {
  /** JSON Pointer from the reference. */
  readonly at: string;
  readonly code:
    | "identity_not_configured"
    | "unknown_cloud_role"
    | "cloud_role_refused"
    | "cloud_role_not_for_host"
    | "timeout_exceeds_credential";
  readonly detail: string;
  readonly allowed?: readonly string[];
}

const AT = "/cloud";

export function createReferring(
  { issuerOrigin }: Pick<IdentityDeps, "issuerOrigin">,
  lookup: RoleLookup,
): (role: string, host: string, asker: RoleAsker) => Promise<RoleReferenceRefusal | undefined> {
  return async (name, host, asker) => {
    if (issuerOrigin === null)
      return { at: AT, code: "identity_not_configured", detail: told(notConfigured()) };
    const role = await lookup.find(asker.tenant, name, (kept) => refusalOf(kept, host, asker) === undefined);
    // Nobody can tell just now: the step finds out.
    if (role === undefined) return undefined;
    if (role === null) return { at: AT, code: "unknown_cloud_role", detail: told(unknown(name)) };
    return refusalOf(role, host, asker);
  };
}

function refusalOf(
  role: CloudRole,
  host: string,
  { subject, stepTimeoutMs }: RoleAsker,
): RoleReferenceRefusal | undefined {
  if (!mayUse(role, subject))
    return { at: AT, code: "cloud_role_refused", detail: told(notFor(role, subject)) };
  const hosts = role.hosts.map((one) => one.host);
  if (!hosts.includes(host))
    return {
      at: AT,
      code: "cloud_role_not_for_host",
      detail: `Credentials of ${role.name} are not sent to ${host}.`,
      allowed: hosts,
    };
  if (stepTimeoutMs !== undefined && !fitsIn(role, stepTimeoutMs))
    return { at: AT, code: "timeout_exceeds_credential", detail: told(tooShort(role, stepTimeoutMs)) };
  return undefined;
}

function told({ message, hint }: { readonly message: string; readonly hint: string }): string {
  return `${message} ${hint}`;
}
