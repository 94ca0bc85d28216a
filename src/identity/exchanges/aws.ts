/**
 * AWS: AssumeRoleWithWebIdentity, and AssumeRole for a further role. Pure.
 * https://docs.aws.amazon.com/STS/latest/APIReference/
 */
import { err, ok, type Result } from "../../platform/index.ts";
import { isAwsRegion } from "../aws-hosts.ts";
import type { AwsTarget, Subject } from "../role.ts";
import type { AwsCredential } from "../sigv4.ts";
import {
  type Context,
  EXPIRED,
  type ExchangeFault,
  faultOf,
  isToken,
  PASSING,
  serviceTime,
  type Table,
  type TokenAnswer,
  type TokenRequest,
  unreadable,
} from "./shapes.ts";
import { readXml } from "./xml.ts";

const VERSION = "2011-06-15";
/** The least that AWS gives: the first role of two is only for assuming the second. */
const FIRST_OF_TWO_S = 900;
const MAX_SESSION_NAME_CHARS = 64;

const TRUST = {
  change:
    "AWS needs an identity provider of this issuer with this audience, and the role a trust policy that allows this subject sts:AssumeRoleWithWebIdentity.",
};
const POLICY = {
  kind: "configuration",
  change: "AWS does not take the session policy, its size, or the lifetime: correct those of the role.",
} as const;

const ERRORS: Table = {
  // It could not fetch our keys just now.
  IDPCommunicationError: PASSING,
  IDPCommunicationErrorException: PASSING,
  Throttling: PASSING,
  ThrottlingException: PASSING,
  RequestLimitExceeded: PASSING,
  ServiceUnavailable: PASSING,
  InternalFailure: PASSING,
  ExpiredTokenException: EXPIRED,
  ExpiredToken: EXPIRED,
  // A wrong audience, an issuer that it does not know, or a key that it has not fetched yet.
  InvalidIdentityToken: { kind: "configuration", remint: true, settles: true, ...TRUST },
  InvalidIdentityTokenException: { kind: "configuration", remint: true, settles: true, ...TRUST },
  IDPRejectedClaim: { kind: "configuration", remint: true, ...TRUST },
  IDPRejectedClaimException: { kind: "configuration", remint: true, ...TRUST },
  AccessDenied: {
    kind: "configuration",
    change:
      "The role's trust policy does not let the subject in. It must allow sts:AssumeRoleWithWebIdentity, and sts:TagSession if the role has tags.",
  },
  MalformedPolicyDocument: POLICY,
  MalformedPolicyDocumentException: POLICY,
  PackedPolicyTooLarge: POLICY,
  PackedPolicyTooLargeException: POLICY,
  ValidationError: POLICY,
  RegionDisabledException: {
    kind: "configuration",
    change:
      "The token service is not enabled in the role's region: enable it in the account, or name another region.",
  },
};

const CHAIN_ERRORS: Table = {
  ...ERRORS,
  AccessDenied: {
    kind: "configuration",
    change:
      "The second role's trust policy must allow the first role sts:AssumeRole, with this external id if it asks for one, and the first role must be allowed sts:AssumeRole on the second.",
  },
  InvalidClientTokenId: {
    kind: "configuration",
    change: "The second role is of a region or partition that does not know the first one's credentials.",
  },
  // What was signed is not what arrived, or not when: the clocks.
  SignatureDoesNotMatch: EXPIRED,
  RequestExpired: EXPIRED,
};

/** Null: the region does not look like one. */
export function awsTokenHost(region: string): string | null {
  if (!isAwsRegion(region)) return null;
  if (region.startsWith("cn-")) return `sts.${region}.amazonaws.com.cn`;
  return region.startsWith("eusc-") ? `sts.${region}.amazonaws.eu` : `sts.${region}.amazonaws.com`;
}

/** What CloudTrail shows: who it was. No run, unless the credentials are of one. */
export function sessionName({ kind, name }: Subject, run: string | null): string {
  const who = name === null ? kind : `${kind}.${name}`;
  return (run === null ? who : `${run}.${who}`).slice(0, MAX_SESSION_NAME_CHARS);
}

export function awsRequest(target: AwsTarget, host: string, jwt: string, session: string): TokenRequest {
  const { roleArn, durationS, next } = target;
  return query(host, {
    Action: "AssumeRoleWithWebIdentity",
    Version: VERSION,
    RoleArn: roleArn,
    RoleSessionName: session,
    WebIdentityToken: jwt,
    DurationSeconds: String(next === undefined ? durationS : FIRST_OF_TWO_S),
    ...policies(target),
  });
}

/** To be signed. */
export function awsChainRequest({ durationS, next }: AwsTarget, host: string, session: string): TokenRequest {
  return query(host, {
    Action: "AssumeRole",
    Version: VERSION,
    RoleArn: next?.roleArn ?? "",
    RoleSessionName: session,
    DurationSeconds: String(durationS),
    ...(next?.externalId === undefined ? {} : { ExternalId: next.externalId }),
    ...policies(next ?? {}),
  });
}

function query(host: string, fields: Readonly<Record<string, string>>): TokenRequest {
  return {
    url: `https://${host}/`,
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields).toString(),
  };
}

function policies({
  sessionPolicy,
  sessionPolicyArns = [],
}: Pick<AwsTarget, "sessionPolicy" | "sessionPolicyArns">): Record<string, string> {
  const arns = sessionPolicyArns.map((arn, i) => [`PolicyArns.member.${i + 1}.arn`, arn] as const);
  return { ...(sessionPolicy === undefined ? {} : { Policy: sessionPolicy }), ...Object.fromEntries(arns) };
}

/** @param askedS the lifetime that was asked for: none is longer */
export function readAws(
  answer: TokenAnswer,
  context: Context,
  action: "AssumeRoleWithWebIdentity" | "AssumeRole",
  askedS: number,
): Result<AwsCredential, ExchangeFault> {
  const xml = readXml(answer.body);
  if (answer.status !== 200) {
    const said = {
      code: xml?.get("ErrorResponse/Error/Code"),
      words: xml?.get("ErrorResponse/Error/Message"),
    };
    return err(faultOf(action === "AssumeRole" ? CHAIN_ERRORS : ERRORS, said, answer, context));
  }
  const at = `${action}Response/${action}Result/Credentials/`;
  const accessKeyId = xml?.get(`${at}AccessKeyId`);
  const secretAccessKey = xml?.get(`${at}SecretAccessKey`);
  const sessionToken = xml?.get(`${at}SessionToken`);
  if (!isToken(accessKeyId) || !/^\w{16,128}$/.test(accessKeyId))
    return err(unreadable("it holds no access key"));
  if (!isToken(secretAccessKey)) return err(unreadable("it holds no secret key"));
  if (!isToken(sessionToken)) return err(unreadable("it holds no session token"));
  const ends = Date.parse(xml?.get(`${at}Expiration`) ?? "");
  if (Number.isNaN(ends)) return err(unreadable("it does not say when it ends"));
  // By the service's own clock: ours may differ.
  const life = Math.min(ends - serviceTime(answer.headers, context.sentAt), askedS * 1_000);
  if (life <= 0) return err(unreadable("its credentials have ended already"));
  const { sentAt } = context;
  return ok({
    kind: "aws",
    accessKeyId,
    secretAccessKey,
    sessionToken,
    issuedAt: sentAt,
    expiresAt: sentAt + life,
  });
}

/** Seconds that the first answer's credentials are asked for. */
export function firstLifeS({ durationS, next }: AwsTarget): number {
  return next === undefined ? durationS : FIRST_OF_TWO_S;
}
