/**
 * AWS's token service: `AssumeRoleWithWebIdentity` (unsigned), `AssumeRole` and `GetCallerIdentity` (signed), as
 * https://docs.aws.amazon.com/STS/latest/APIReference/ has them.
 *
 * - A1 what is asked for is checked first, then the identity token, then whether the role's trust policy lets it in;
 * - A2 session tags of an identity token need `sts:TagSession` in that policy;
 * - A3 a role that is assumed with a role's credentials lasts an hour at most.
 */
import { randomUUID } from "node:crypto";
import type { Answer } from "../http.ts";
import { sessionArn, may, type Session } from "./aws-sessions.ts";
import { readAsked, Refused, type Asked } from "./aws-request.ts";
import { readTags, type SessionTags } from "./aws-tags.ts";
import type { Clouds } from "./cloud.ts";
import type { CloudRequest } from "./front.ts";
import { allows } from "./iam.ts";
import { ACCOUNT, REGION } from "./names.ts";
import { checkSignature, type SignatureFault } from "./sigv4.ts";
import type { Trusted } from "./trust.ts";
import { isFor, verify, type Claims, type Facts, type Reason } from "./verify.ts";
import { element, xml, type Xml } from "./xml.ts";

const NAMESPACE = ' xmlns="https://sts.amazonaws.com/doc/2011-06-15/"';
const ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];
const MAX_CHAINED_SECONDS = 3_600;

/** Statuses of the codes that a request can get. */
const STATUSES: Readonly<Record<string, number>> = {
  AccessDenied: 403,
  IDPRejectedClaim: 403,
  RegionDisabledException: 403,
  InvalidClientTokenId: 403,
  SignatureDoesNotMatch: 403,
  ExpiredToken: 403,
  MissingAuthenticationToken: 403,
  InternalFailure: 500,
  ServiceUnavailable: 503,
};

const SIGNATURE_CODES: Readonly<Record<SignatureFault, string>> = {
  missing: "MissingAuthenticationToken",
  malformed: "IncompleteSignature",
  unsigned_header: "SignatureDoesNotMatch",
  scope: "SignatureDoesNotMatch",
  no_hash: "SignatureDoesNotMatch",
  hash: "SignatureDoesNotMatch",
  key: "InvalidClientTokenId",
  token: "InvalidClientTokenId",
  skewed: "SignatureDoesNotMatch",
  expired: "ExpiredToken",
  signature: "SignatureDoesNotMatch",
};

const ACTIONS = ["AssumeRoleWithWebIdentity", "AssumeRole", "GetCallerIdentity"] as const;

type Outcome = { readonly result: Xml; readonly expiresAt: number | null };

export async function sts(clouds: Clouds, request: CloudRequest): Promise<Answer> {
  const { book } = clouds;
  const { form } = request;
  const action = ACTIONS.find((one) => one === form.get("Action"));
  if (request.method !== "POST" || request.url.pathname !== "/" || action === undefined)
    return refusal("InvalidAction", `Could not find operation ${form.get("Action") ?? ""}`);
  const wanted = form.get("RoleArn") ?? "";
  let token: Facts | null = null;
  try {
    const armed = book.takeArmed("aws");
    const { result, expiresAt } =
      action === "AssumeRoleWithWebIdentity"
        ? await withWebIdentity(clouds, form, armed, (facts) => (token = facts))
        : await withSignature(clouds, request, action, armed);
    if (expiresAt !== null) book.note({ service: "aws", action, refused: null, token, wanted, expiresAt });
    return answered(action, result);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    book.note({ service: "aws", action, refused: error.code, token, wanted, expiresAt: null });
    return refusal(error.code, error.message);
  }
}

async function withWebIdentity(
  clouds: Clouds,
  form: URLSearchParams,
  armed: string | null,
  tell: (facts: Facts | null) => void,
): Promise<Outcome> {
  const { book, trust, sessions } = clouds;
  const asked = readAsked(clouds, form);
  const providers = trust.list("aws_provider");
  const known = (issuer: string): boolean => providers.some(({ url }) => url === issuer);
  const demands = { algorithms: ALGORITHMS, kid: false };
  const verdict = await verify(clouds, "aws", form.get("WebIdentityToken") ?? "", demands, known);
  tell(verdict.facts);
  if (armed !== null) throw new Refused(armed, "This answer was asked for by a test.");
  if (!verdict.ok) throw refusedToken(verdict.reason, verdict.detail);
  const { claims } = verdict;
  const provider = providers.find(({ url }) => url === claims.iss);
  if (provider === undefined || !isFor(claims, provider.clientIds))
    throw new Refused("InvalidIdentityToken", "Incorrect token audience");
  const tags = readTags(claims);
  if (tags === null) throw new Refused("InvalidIdentityToken", "The session tags of the token are malformed");
  const role = asked === null ? null : checkTrust(asked, claims, tags);
  if (asked === null || role === null)
    throw new Refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
  const { seconds, name, policies, packed } = asked;
  if (seconds > role.maxSessionS)
    throw new Refused(
      "ValidationError",
      "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    );
  const session = sessions.issue({
    roleArn: role.arn,
    name,
    permissions: role.permissions ?? null,
    policies,
    tags: tags.principal,
    transitiveTags: tags.transitive,
    subject: claims.sub,
    expiresAt: book.now("aws") + seconds * 1000,
  });
  return {
    expiresAt: session.expiresAt,
    result: {
      SubjectFromWebIdentityToken: claims.sub,
      Audience: String(Array.isArray(claims.aud) ? claims.aud[0] : claims.aud),
      AssumedRoleUser: userOf(session),
      Credentials: credentialsOf(session),
      Provider: providerArn(claims.iss),
      PackedPolicySize: packed,
      ...(tags.source === null ? {} : { SourceIdentity: tags.source }),
    },
  };
}

function checkTrust({ role }: Asked, claims: Claims, tags: SessionTags): Trusted<"aws_role"> | null {
  const place = claims.iss.slice("https://".length);
  const attempt = {
    principal: { Federated: providerArn(claims.iss) },
    context: {
      [`${place}:sub`]: [claims.sub],
      [`${place}:aud`]: [claims.aud].flat().filter((one) => one !== undefined),
      ...Object.fromEntries(
        Object.entries(tags.principal).map(([key, value]) => [`aws:RequestTag/${key}`, [value]]),
      ),
      "sts:TransitiveTagKeys": tags.transitive,
      "aws:TagKeys": Object.keys(tags.principal),
    },
  };
  if (!allows(role.trust, { ...attempt, action: "sts:AssumeRoleWithWebIdentity" })) return null;
  if (Object.keys(tags.principal).length > 0 && !allows(role.trust, { ...attempt, action: "sts:TagSession" }))
    throw new Refused("AccessDenied", "Not authorized to perform sts:TagSession");
  if (tags.source !== null && !allows(role.trust, { ...attempt, action: "sts:SetSourceIdentity" }))
    throw new Refused("AccessDenied", "Not authorized to perform sts:SetSourceIdentity");
  return role;
}

async function withSignature(
  clouds: Clouds,
  request: CloudRequest,
  action: "AssumeRole" | "GetCallerIdentity",
  armed: string | null,
): Promise<Outcome> {
  const { book, sessions } = clouds;
  const now = book.now("aws");
  const signed = await checkSignature(request, sessions, { service: "sts", region: REGION, now });
  if (armed !== null) throw new Refused(armed, "This answer was asked for by a test.");
  if (!signed.ok)
    throw new Refused(SIGNATURE_CODES[signed.fault], `The signature is refused: ${signed.fault}`);
  const caller = signed.session;
  if (action === "GetCallerIdentity")
    return {
      expiresAt: null,
      result: { Arn: sessionArn(caller), UserId: userOf(caller).AssumedRoleId, Account: ACCOUNT },
    };
  const { form } = request;
  const asked = readAsked(clouds, form);
  if (asked === null || !mayChain(caller, asked.role, form.get("ExternalId")))
    throw new Refused(
      "AccessDenied",
      `User: ${sessionArn(caller)} is not authorized to perform: sts:AssumeRole on resource: ${form.get("RoleArn") ?? ""}`,
    );
  if (asked.seconds > MAX_CHAINED_SECONDS)
    throw new Refused(
      "ValidationError",
      "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
    );
  const passed = Object.entries(caller.tags).filter(([key]) => caller.transitiveTags.includes(key));
  const session = sessions.issue({
    roleArn: asked.role.arn,
    name: asked.name,
    permissions: asked.role.permissions ?? null,
    policies: asked.policies,
    tags: Object.fromEntries(passed),
    transitiveTags: caller.transitiveTags,
    subject: caller.subject,
    expiresAt: now + asked.seconds * 1000,
  });
  return {
    expiresAt: session.expiresAt,
    result: {
      AssumedRoleUser: userOf(session),
      Credentials: credentialsOf(session),
      PackedPolicySize: asked.packed,
    },
  };
}

/** Both sides must say yes: the caller's own policies and the trust policy of the role. */
function mayChain(caller: Session, role: Trusted<"aws_role">, externalId: string | null): boolean {
  const action = "sts:AssumeRole";
  return (
    may(caller, { action, resource: role.arn }) &&
    allows(role.trust, {
      action,
      principal: { AWS: [caller.roleArn, sessionArn(caller), ACCOUNT, `arn:aws:iam::${ACCOUNT}:root`] },
      context: externalId === null ? {} : { "sts:ExternalId": [externalId] },
    })
  );
}

function refusedToken(reason: Reason, detail: string): Refused {
  switch (reason) {
    case "exp":
      return new Refused(
        "ExpiredTokenException",
        `Token expired: current date/time must be before the expiration date/time. ${detail}`,
      );
    case "issuer":
      return new Refused(
        "InvalidIdentityToken",
        `No OpenIDConnect provider found in your account. ${detail}`,
      );
    case "issuer_unreachable":
      return new Refused(
        "IDPCommunicationError",
        `Error communicating with the identity provider. ${detail}`,
      );
    case "issuer_invalid":
    case "key":
      return new Refused(
        "InvalidIdentityToken",
        `Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements. ${detail}`,
      );
    default:
      return new Refused("InvalidIdentityToken", `The ID Token provided is not a valid JWT. ${detail}`);
  }
}

function providerArn(issuer: string): string {
  return `arn:aws:iam::${ACCOUNT}:oidc-provider/${issuer.slice("https://".length)}`;
}

function userOf(session: Session): { readonly Arn: string; readonly AssumedRoleId: string } {
  const id = Buffer.from(session.roleArn).toString("hex").slice(-17).toUpperCase();
  return { Arn: sessionArn(session), AssumedRoleId: `AROA${id}:${session.name}` };
}

function credentialsOf(session: Session): Xml {
  return {
    AccessKeyId: session.accessKeyId,
    SecretAccessKey: session.secretAccessKey,
    SessionToken: session.sessionToken,
    Expiration: `${new Date(session.expiresAt).toISOString().slice(0, 19)}Z`,
  };
}

function answered(action: string, result: Xml): Answer {
  const body = { [`${action}Result`]: result, ResponseMetadata: { RequestId: randomUUID() } };
  return xml(200, element(`${action}Response`, body, NAMESPACE));
}

function refusal(code: string, message: string): Answer {
  const status = STATUSES[code] ?? 400;
  const error = { Type: status < 500 ? "Sender" : "Receiver", Code: code, Message: message };
  return xml(status, element("ErrorResponse", { Error: error, RequestId: randomUUID() }, NAMESPACE));
}
