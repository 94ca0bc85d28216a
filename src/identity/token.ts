/**
 * What an identity token of a workflow says. Pure: no clock, no chance, no key.
 *
 * PERSISTED CONTRACT: clouds hold policies on `iss`, `sub` and `aud`. Their form never changes.
 *
 * - T1 a subject is made of names that cannot hold a colon: no subject is another's, or looks like it.
 * - T2 what a tenant sets stands under `claims`, and nowhere else: it shadows nothing and sets no tag at AWS.
 * - T3 a token has one audience, and lives for at most MAX_TTL_S.
 */
import { err, isName, isRunId, isTenantId, ok, type Result } from "../platform/index.ts";
import type { RoleProvider, Subject } from "./role.ts";

/** No identity token lives longer, so nobody needs a retired key for longer. Seconds. */
export const MAX_TTL_S = 600;
/** For verifiers whose clock is behind. Seconds. */
const BACKDATED_S = 60;
/** Google Cloud's `google.subject`. */
const MAX_SUBJECT_BYTES = 127;
/** Azure's limit for an audience. */
const MAX_AUDIENCE_CHARS = 600;
/** As a signed token it then stays below Anthropic's 16 KiB, and AWS's 20,000 characters. */
const MAX_CLAIMS_BYTES = 11_500;

export const MAX_CLAIMS = 20;
const MAX_CLAIM_CHARS = 256;
/** AWS: of a session, and of each tag. */
const MAX_TAGS = 50;
const MAX_TAG_KEY_CHARS = 128;
const MAX_TAG_VALUE_CHARS = 256;
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const AWS_TAGS = "https://aws.amazon.com/tags";

/** How long a token for a service lives. Seconds. Some services give nothing that outlives it. */
export const TTL_S: Readonly<Record<RoleProvider, number>> = {
  aws: 300,
  gcp: 300,
  azure: 300,
  token_exchange: 300,
  vault: 300,
  anthropic: 300,
  openrouter: 600,
  jwt: 600,
};

const CLAIM_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
/** RFC 7519 section 4.1, OpenID Connect Core section 2, and our own: a reader who flattens `claims` must not mix them up. */
const TAKEN = new Set(
  (
    "iss sub aud exp nbf iat jti azp amr acr nonce auth_time at_hash c_hash cnf act scope client_id " +
    "tenant workflow workflow_kind workflow_version environment run claims"
  ).split(" "),
);

/** Session tags at AWS, as a role has them. */
export interface AwsTags {
  readonly tags: Readonly<Record<string, string>>;
  readonly transitiveTags?: readonly string[] | undefined;
}

export interface WorkloadRequest {
  /** `<ISSUER_ORIGIN>/t/<tenant>`, by `issuerUrl`. */
  readonly issuer: string;
  readonly tenant: string;
  readonly subject: Subject;
  readonly audience: string;
  readonly ttlS: number;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Never used twice. */
  readonly jti: string;
  readonly workflowVersion: string;
  readonly environment: string;
  /** Only where the credential is of one run. */
  readonly run?: string | undefined;
  /** Set by the maker of the role. */
  readonly claims: Readonly<Record<string, string>>;
  /** Set by the maker of the role, for AWS. */
  readonly awsTags?: AwsTags | undefined;
}

/** The payload. Times are whole seconds since 1970. */
export interface WorkloadClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  readonly tenant: string;
  /** Null: the steps came as JSON, without a name of their own. */
  readonly workflow: string | null;
  readonly workflow_kind: Subject["kind"];
  readonly workflow_version: string;
  readonly environment: string;
  readonly run?: string;
  readonly claims?: Readonly<Record<string, string>>;
  readonly [AWS_TAGS]?: {
    readonly principal_tags: Readonly<Record<string, readonly [string]>>;
    readonly transitive_tag_keys?: readonly string[];
  };
}

export type TokenRefusalCode =
  | "bad_subject"
  | "bad_audience"
  | "bad_lifetime"
  | "bad_run"
  | "bad_claim"
  | "bad_tag"
  | "too_large";

export interface TokenRefusal {
  readonly code: TokenRefusalCode;
  readonly message: string;
}

/** The issuer of a tenant. PERSISTED CONTRACT. */
export function issuerUrl(origin: string, tenant: string): string {
  return `${origin}/t/${tenant}`;
}

/** `tenant:<id>:code:<name>`, `tenant:<id>:plan:<name>`, or `tenant:<id>:inline`. PERSISTED CONTRACT. */
export function subjectText(tenant: string, { kind, name }: Subject): Result<string, TokenRefusal> {
  if (!isTenantId(tenant)) return refuse("bad_subject", "The tenant is not the id of one.");
  if (kind === "inline")
    return name === null
      ? ok(`tenant:${tenant}:inline`)
      : refuse("bad_subject", "Steps that came as JSON have no name.");
  if ((kind !== "code" && kind !== "plan") || !isName(name))
    return refuse("bad_subject", "The workflow does not have the name of one.");
  const text = `tenant:${tenant}:${kind}:${name}`;
  // Names are ASCII, so characters are bytes.
  return text.length > MAX_SUBJECT_BYTES
    ? refuse("bad_subject", `A subject has at most ${MAX_SUBJECT_BYTES} bytes.`)
    : ok(text);
}

/** Why a tenant cannot set a claim of this name and value; null: it can. */
export function claimFlaw(name: string, value: string): string | null {
  if (name.startsWith("https://aws.amazon.com/"))
    return "Claims of AWS are not set by name: the role's `tags` are for that.";
  if (!CLAIM_NAME.test(name))
    return "The name of a claim has 1 to 64 letters, digits, `_`, `.` and `-`, and begins with a letter.";
  if (TAKEN.has(name)) return `"${name}" has a meaning of its own in identity tokens.`;
  if (value.length > MAX_CLAIM_CHARS || !value.isWellFormed())
    return `The value of a claim is a text of at most ${MAX_CLAIM_CHARS} characters.`;
  return null;
}

/** What is wrong with a record of texts: with one of them, or with how many they are. */
export interface EntryFlaw {
  /** Null: there are too many. */
  readonly key: string | null;
  readonly detail: string;
}

/** Null: a role can set these. */
export function claimsFlaw(claims: Readonly<Record<string, string>>): EntryFlaw | null {
  return entryFlaw(claims, claimFlaw, MAX_CLAIMS, `A role sets at most ${MAX_CLAIMS} claims.`);
}

/** Null: AWS takes these. */
export function tagsFlaw(tags: Readonly<Record<string, string>>): EntryFlaw | null {
  return entryFlaw(tags, tagFlaw, MAX_TAGS, `AWS takes at most ${MAX_TAGS} session tags.`);
}

function entryFlaw(
  record: Readonly<Record<string, string>>,
  flawOf: (key: string, value: string) => string | null,
  most: number,
  tooMany: string,
): EntryFlaw | null {
  const entries = Object.entries(record);
  if (entries.length > most) return { key: null, detail: tooMany };
  for (const [key, value] of entries) {
    const detail = flawOf(key, value);
    if (detail !== null) return { key, detail };
  }
  return null;
}

/** Why AWS would not take a tag; null: it would. */
function tagFlaw(key: string, value: string): string | null {
  if (key.length === 0 || key.length > MAX_TAG_KEY_CHARS || !TAG_TEXT.test(key) || /^aws:/i.test(key))
    return `The key of a tag has 1 to ${MAX_TAG_KEY_CHARS} letters, digits, spaces and _.:/=+-@, and does not begin with "aws:".`;
  if (value.length > MAX_TAG_VALUE_CHARS || !TAG_TEXT.test(value))
    return `The value of a tag has at most ${MAX_TAG_VALUE_CHARS} letters, digits, spaces and _.:/=+-@.`;
  return null;
}

/** What is signed. Refuses whatever could make the token another's, or one that a verifier would not take. */
export function workloadClaims(request: WorkloadRequest): Result<WorkloadClaims, TokenRefusal> {
  const { issuer, tenant, subject, audience, ttlS, nowMs, run, claims } = request;
  const sub = subjectText(tenant, subject);
  if (!sub.ok) return sub;
  if (audience.length === 0 || audience.length > MAX_AUDIENCE_CHARS || !audience.isWellFormed())
    return refuse("bad_audience", `An audience has 1 to ${MAX_AUDIENCE_CHARS} characters.`);
  if (!Number.isInteger(ttlS) || ttlS < 1 || ttlS > MAX_TTL_S)
    return refuse("bad_lifetime", `An identity token lives for 1 to ${MAX_TTL_S} seconds.`);
  if (run !== undefined && !isRunId(run)) return refuse("bad_run", "The run is not the id of one.");
  const unfit = claimsFlaw(claims);
  if (unfit !== null) return refuse("bad_claim", unfit.detail);
  const tags = tagsClaim(request.awsTags);
  if (!tags.ok) return tags;
  const iat = Math.floor(nowMs / 1_000);
  const made: WorkloadClaims = {
    iss: issuer,
    sub: sub.value,
    aud: audience,
    iat,
    nbf: iat - BACKDATED_S,
    exp: iat + ttlS,
    jti: request.jti,
    tenant,
    workflow: subject.name,
    workflow_kind: subject.kind,
    workflow_version: request.workflowVersion,
    environment: request.environment,
    ...(run === undefined ? {} : { run }),
    // T2.
    ...(Object.keys(claims).length === 0 ? {} : { claims: { ...claims } }),
    ...tags.value,
  };
  return new TextEncoder().encode(JSON.stringify(made)).length > MAX_CLAIMS_BYTES
    ? refuse("too_large", `The claims of an identity token take at most ${MAX_CLAIMS_BYTES} bytes.`)
    : ok(made);
}

function tagsClaim(given: AwsTags | undefined): Result<Pick<WorkloadClaims, typeof AWS_TAGS>, TokenRefusal> {
  const tags = Object.entries(given?.tags ?? {});
  const transitive = given?.transitiveTags ?? [];
  const unfit = tagsFlaw(given?.tags ?? {});
  if (unfit !== null) return refuse("bad_tag", unfit.detail);
  const stray = transitive.find((key) => !tags.some(([known]) => known === key));
  if (stray !== undefined) return refuse("bad_tag", "A transitive tag must be one of the tags.");
  if (tags.length === 0) return ok({});
  return ok({
    [AWS_TAGS]: {
      principal_tags: Object.fromEntries(tags.map(([key, value]) => [key, [value] as const])),
      ...(transitive.length === 0 ? {} : { transitive_tag_keys: transitive }),
    },
  });
}

function refuse(code: TokenRefusalCode, message: string): Result<never, TokenRefusal> {
  return err({ code, message });
}
