/** Google Cloud: its token service, then the account that is impersonated, if the role has one. Pure. */
import { err, ok, type Result } from "../../platform/index.ts";
import type { CloudCredential, GcpTarget } from "../role.ts";
import { ACCESS_TOKEN, JWT, readBearer, TOKEN_EXCHANGE } from "./oauth.ts";
import {
  type Context,
  type ExchangeFault,
  faultOf,
  formOf,
  isToken,
  jsonOf,
  PASSING,
  serviceTime,
  type Table,
  textOf,
  type TokenAnswer,
  type TokenRequest,
  unreadable,
} from "./shapes.ts";

const STS = "https://sts.googleapis.com/v1/token";
const IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/";
/** The federated token can do nothing but what the role's account lets it. */
const CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform";

const STS_ERRORS: Table = {
  // Too old, not for this provider, or signed by an issuer that it cannot reach.
  invalid_grant: {
    kind: "configuration",
    remint: true,
    settles: true,
    change:
      "The workload identity provider must have this issuer and allow this audience, and must be able to fetch the issuer's discovery document.",
  },
  invalid_target: {
    kind: "configuration",
    change: "There is no such workload identity pool or provider, or it was deleted: correct the role's.",
  },
  unauthorized_client: {
    kind: "configuration",
    change: "The provider's attribute condition refuses the token: let it take this subject.",
  },
};

export function gcpRequest(
  { workloadProvider, serviceAccount, scopes }: GcpTarget,
  jwt: string,
): TokenRequest {
  return {
    url: STS,
    ...formOf({
      grant_type: TOKEN_EXCHANGE,
      audience: `//iam.googleapis.com/${workloadProvider}`,
      scope: serviceAccount === undefined ? scopes.join(" ") : CLOUD_PLATFORM,
      requested_token_type: ACCESS_TOKEN,
      subject_token: jwt,
      subject_token_type: JWT,
    }),
  };
}

export function readGcp(answer: TokenAnswer, context: Context): Result<CloudCredential, ExchangeFault> {
  return readBearer(answer, context, STS_ERRORS);
}

export function impersonationRequest(
  { serviceAccount = "", scopes, lifetimeS }: GcpTarget,
  federated: string,
): TokenRequest {
  return {
    url: `${IAM}${encodeURIComponent(serviceAccount)}:generateAccessToken`,
    headers: { authorization: `Bearer ${federated}`, "content-type": "application/json" },
    body: JSON.stringify({ scope: scopes, lifetime: `${lifetimeS}s` }),
  };
}

/** https://cloud.google.com/apis/design/errors */
function iamErrors({ workloadProvider, serviceAccount }: GcpTarget, subject: string): Table {
  const pool = workloadProvider.replace(/\/providers\/[^/]*$/, "");
  const principal = `principal://iam.googleapis.com/${pool}/subject/${subject}`;
  return {
    PERMISSION_DENIED: {
      kind: "configuration",
      change: `Grant roles/iam.workloadIdentityUser on ${serviceAccount} to ${principal}.`,
    },
    NOT_FOUND: {
      kind: "configuration",
      change: `There is no service account ${serviceAccount}: correct the role's.`,
    },
    INVALID_ARGUMENT: {
      kind: "configuration",
      change:
        "Google Cloud takes the scopes or the lifetime not: beyond an hour the organisation must allow it (iam.allowServiceAccountCredentialLifetimeExtension).",
    },
    FAILED_PRECONDITION: {
      kind: "configuration",
      change: `The service account ${serviceAccount} is disabled, or its API is.`,
    },
    UNAUTHENTICATED: {
      kind: "configuration",
      remint: true,
      change:
        "Google Cloud does not take its own token service's token: is the pool or its provider disabled?",
    },
    RESOURCE_EXHAUSTED: PASSING,
    UNAVAILABLE: PASSING,
    INTERNAL: PASSING,
    DEADLINE_EXCEEDED: PASSING,
    ABORTED: PASSING,
  };
}

export function readImpersonation(
  answer: TokenAnswer,
  context: Context,
  target: GcpTarget,
): Result<CloudCredential, ExchangeFault> {
  const body = jsonOf(answer.body);
  if (answer.status !== 200) {
    const { error } = body;
    const { status, message } = (typeof error === "object" && error !== null ? error : {}) as Readonly<
      Record<string, unknown>
    >;
    const said = { code: textOf(status), words: textOf(message) };
    return err(faultOf(iamErrors(target, context.token.subject), said, answer, context));
  }
  const { accessToken, expireTime } = body;
  if (!isToken(accessToken)) return err(unreadable("it holds no access token"));
  const ends = Date.parse(textOf(expireTime) ?? "");
  const asked = target.lifetimeS * 1_000;
  // By the service's own clock: ours may differ.
  const life = Number.isNaN(ends)
    ? asked
    : Math.min(ends - serviceTime(answer.headers, context.sentAt), asked);
  if (life <= 0) return err(unreadable("its token has ended already"));
  return ok({
    kind: "bearer",
    header: "authorization",
    scheme: "Bearer ",
    token: accessToken,
    defaults: {},
    issuedAt: context.sentAt,
    expiresAt: context.sentAt + life,
  });
}
