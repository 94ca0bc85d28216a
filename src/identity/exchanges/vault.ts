/** `auth/jwt` of HashiCorp Vault and OpenBao. https://developer.hashicorp.com/vault/api-docs/auth/jwt. Pure. */
import { err, ok, type Result } from "../../platform/index.ts";
import type { CloudCredential, VaultTarget } from "../role.ts";
import { lifetimeS } from "./oauth.ts";
import {
  type Context,
  type ExchangeFault,
  faultOf,
  isToken,
  jsonOf,
  PASSING,
  type Table,
  type TokenAnswer,
  type TokenRequest,
  unreadable,
} from "./shapes.ts";

const LOGIN =
  "The role of the mount must have this audience in `bound_audiences` and this subject in `bound_subject` or `bound_claims`, and the mount this issuer in `oidc_discovery_url` and `bound_issuer`.";
/** Vault has no codes: the status is the code. */
const ERRORS: Table = {
  // Also for keys that it has not fetched yet, and tokens that it finds too old.
  http_400: { kind: "configuration", remint: true, settles: true, change: LOGIN },
  http_403: { kind: "configuration", remint: true, settles: true, change: LOGIN },
  http_404: {
    kind: "configuration",
    change: "There is no such mount or namespace: correct the role's, or enable `auth/jwt` there.",
  },
  http_405: {
    kind: "configuration",
    change: "What is mounted there is not `auth/jwt`: correct the role's mount.",
  },
  // What was written is not at this node yet.
  http_412: PASSING,
  // A standby that does not answer by itself.
  http_472: PASSING,
  http_473: PASSING,
};

export function vaultRequest({ host, mount, role, namespace }: VaultTarget, jwt: string): TokenRequest {
  const path = mount.split("/").map(encodeURIComponent).join("/");
  return {
    url: `https://${host}/v1/auth/${path}/login`,
    headers: {
      "content-type": "application/json",
      "x-vault-request": "true",
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
    },
    body: JSON.stringify({ role, jwt }),
  };
}

export function readVault(
  answer: TokenAnswer,
  context: Context,
  { namespace }: VaultTarget,
): Result<CloudCredential, ExchangeFault> {
  const body = jsonOf(answer.body);
  if (answer.status !== 200) {
    const { errors } = body;
    const words = Array.isArray(errors)
      ? errors.filter((one): one is string => typeof one === "string").slice(0, 4)
      : [];
    return err(faultOf(ERRORS, { code: `http_${answer.status}`, words: words.join("; ") }, answer, context));
  }
  const { auth } = body;
  if (typeof auth !== "object" || auth === null) return err(unreadable("it holds no `auth`"));
  const { client_token: token, lease_duration: lease } = auth as Readonly<Record<string, unknown>>;
  if (!isToken(token)) return err(unreadable("it holds no client token"));
  // Zero is Vault's word for a token that does not end.
  const lifeS = lease === 0 ? lifetimeS(undefined) : lifetimeS(lease);
  if (lifeS === null) return err(unreadable("its token has ended already"));
  return ok({
    kind: "bearer",
    header: "x-vault-token",
    scheme: "",
    token,
    defaults: {
      "x-vault-request": "true",
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
    },
    issuedAt: context.sentAt,
    expiresAt: context.sentAt + lifeS * 1_000,
  });
}
