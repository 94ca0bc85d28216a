/**
 * Issuers whose tokens stand in the place of an API key: what is trusted of them. Pure.
 *
 * - W1 a rule gives its scopes only to a subject that it names, as far as to whom it belongs, or that a claim narrows down: on
 *   an issuer that everybody can have a token of, `repo:*` would let everybody in.
 * - W2 who may decide approvals is named whole: nobody decides under one subject what they asked for under another.
 * - W3 whoever trusts an issuer gives no more than they have: scopes, users, policies; and for no longer than their key holds.
 */
import { canonicalJson, err, ok, type Result } from "../platform/index.ts";
import { type KeyIdentity, may, type Policy } from "./identity.ts";
import { isUser, MAX_POLICIES, MAX_POLICY_CHARS } from "./narrowing.ts";
import { readPolicy } from "./policy.ts";
import { admits, isScopeGrant, notForUsers, type ScopeGrant, widerThan } from "./scopes.ts";

/** Whom a caller acts for: one user, or the one that a claim names. */
export type RuleUser = string | { readonly claim: string };

export interface TrustRule {
  /** Of `sub`; `*` stands for one or more characters other than a colon, and alone for any subject. */
  readonly subject: string;
  /** Texts that other claims must be, exactly. */
  readonly claims: Readonly<Record<string, string>>;
  readonly scopes: readonly ScopeGrant[];
  readonly user: RuleUser | null;
  readonly policy: Policy | null;
}

export interface TrustedIssuer {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  /** As `iss` says it, letter by letter. */
  readonly issuer: string;
  /** Null: its discovery document says where its keys are. */
  readonly jwksUrl: string | null;
  /** A token that was issued longer ago is not taken. Seconds. */
  readonly maxAgeS: number;
  /** The first one that fits counts. */
  readonly rules: readonly TrustRule[];
  /** Of the key that trusted it. */
  readonly policies: readonly Policy[];
  readonly version: number;
  /** From then on none of its tokens is taken: the key that last said what is trusted of it has ended by then. Null: not so far. */
  readonly until: number | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly createdBy: string;
  readonly updatedAt: number;
}

export interface TrustRequest {
  readonly issuer: string;
  readonly jwksUrl?: string;
  readonly maxAgeS?: number;
  readonly rules: readonly {
    readonly subject: string;
    readonly claims?: Readonly<Record<string, string>>;
    readonly scopes: readonly string[];
    readonly user?: RuleUser | null;
    readonly policy?: Policy | null;
  }[];
}

export interface TrustFlaw {
  /** JSON Pointer into the request. */
  readonly pointer: string;
  readonly detail: string;
  /** It asks for more than its maker has. */
  readonly wider?: true;
}

export type TrustDraft = Pick<TrustedIssuer, "issuer" | "jwksUrl" | "maxAgeS" | "rules" | "policies">;

export const MAX_RULES = 32;
const DEFAULT_MAX_AGE_S = 3_600;
const MAX_AGE_S = 86_400;
const MAX_SUBJECT_CHARS = 512;
const CLAIM = /^[\w:./-]{1,128}$/;
/** Every token that is taken has these alike. */
const SAME_FOR_ALL = ["iss", "aud"];

/** @param isAddress whether a text is the https address of a public host that is not ours */
export function draftTrust(
  maker: KeyIdentity,
  request: TrustRequest,
  isAddress: (url: string) => boolean,
): Result<TrustDraft, TrustFlaw> {
  const { issuer, jwksUrl = null, maxAgeS = DEFAULT_MAX_AGE_S } = request;
  if (!isAddress(issuer) || !/^[!-~]+$/.test(issuer) || /[?#]/.test(issuer))
    return flaw(
      "/issuer",
      "An issuer is an https address of a public host, without a query, as `iss` says it.",
    );
  if (jwksUrl !== null && !isAddress(jwksUrl))
    return flaw("/jwks_url", "It is the https address of the issuer's JWKS.");
  if (!Number.isInteger(maxAgeS) || maxAgeS < 1 || maxAgeS > MAX_AGE_S)
    return flaw("/max_age_s", `Seconds: 1 to ${MAX_AGE_S}.`);
  if (request.rules.length === 0 || request.rules.length > MAX_RULES)
    return flaw("/rules", `There are 1 to ${MAX_RULES} rules.`);
  const rules: TrustRule[] = [];
  for (const [index, one] of request.rules.entries()) {
    const rule = draftRule(maker, one, `/rules/${index}`);
    if (!rule.ok) return rule;
    rules.push(rule.value);
  }
  return ok({ issuer, jwksUrl, maxAgeS, rules, policies: maker.policies });
}

function draftRule(
  maker: KeyIdentity,
  { subject, claims = {}, scopes, user = null, policy = null }: TrustRequest["rules"][number],
  at: string,
): Result<TrustRule, TrustFlaw> {
  if (subject.length === 0 || subject.length > MAX_SUBJECT_CHARS)
    return flaw(`${at}/subject`, `A subject has 1 to ${MAX_SUBJECT_CHARS} characters.`);
  const conditions = Object.keys(claims);
  if (!conditions.every((name) => CLAIM.test(name)))
    return flaw(`${at}/claims`, "That is no name of a claim.");
  if (conditions.some((name) => SAME_FOR_ALL.includes(name)))
    return flaw(
      `${at}/claims`,
      "`iss` and `aud` are checked of every token, so they tell nobody from another.",
    );
  // W1
  if (conditions.length === 0 && !namesWhose(subject))
    return flaw(
      `${at}/subject`,
      "That lets in others of the issuer: before the first `*` name two parts whole, as in `repo:acme/*`, or say what a claim must be.",
    );
  const known = scopes.filter(isScopeGrant);
  const stray = scopes.findIndex((scope) => !isScopeGrant(scope));
  if (stray !== -1) return flaw(`${at}/scopes/${stray}`, "There is no such scope.");
  if (known.length === 0) return flaw(`${at}/scopes`, "A rule gives at least one scope.");
  // W2
  if (subject.includes("*") && admits(new Set(known), "approvals:decide"))
    return flaw(`${at}/subject`, "Who may decide approvals is named whole, without `*`.");
  // W3
  const wider = widerThan(maker.scopes, known);
  if (wider.length > 0)
    return flaw(`${at}/scopes`, `The key that trusts the issuer does not have: ${wider.join(", ")}.`, true);
  const forbidden = user === null ? [] : notForUsers(known);
  if (forbidden.length > 0)
    return flaw(
      `${at}/scopes`,
      `Who acts for a user cannot have: ${forbidden.join(", ")}. Name its scopes one by one.`,
    );
  if (user !== null && !may(maker, "runs:act_as"))
    return flaw(`${at}/user`, "The key that trusts the issuer does not have: runs:act_as.", true);
  if (typeof user === "string" ? !isUser(user) : user !== null && !CLAIM.test(user.claim))
    return flaw(`${at}/user`, 'It is the name of a user, or `{ "claim": ... }`.');
  if (policy !== null && (readPolicy(policy) === null || canonicalJson(policy).length > MAX_POLICY_CHARS))
    return flaw(`${at}/policy`, `It is no policy, or has more than ${MAX_POLICY_CHARS} characters.`);
  if (policy !== null && maker.policies.length >= MAX_POLICIES)
    return flaw(
      `${at}/policy`,
      `The key that trusts the issuer stands under ${MAX_POLICIES} policies already.`,
    );
  return ok({ subject, claims, scopes: known, user, policy });
}

/** Two parts at least that a colon or slash ends: `acme*` is also `acme-evil`, and `repo` is everybody's. */
function namesWhose(subject: string): boolean {
  const [first = "", ...rest] = subject.split("*");
  if (rest.length === 0) return true;
  const parts = first.split(/[:/]/).slice(0, -1);
  return parts.filter((part) => part !== "").length >= 2;
}

/** What an issuer is trusted with, taken together. */
export function scopesGiven(rules: readonly TrustRule[]): readonly ScopeGrant[] {
  return [...new Set(rules.flatMap(({ scopes }) => scopes))];
}

/** The first rule that fits the claims of a verified token, and for whom it acts; null: none does. */
export function ruleFor(
  rules: readonly TrustRule[],
  payload: Readonly<Record<string, unknown>>,
): { readonly rule: TrustRule; readonly index: number; readonly user: string | null } | null {
  const { sub } = payload;
  if (typeof sub !== "string" || sub.length > MAX_SUBJECT_CHARS || !sub.isWellFormed()) return null;
  for (const [index, rule] of rules.entries()) {
    if (!fits(rule.subject, sub)) continue;
    if (!Object.entries(rule.claims).every(([name, value]) => ownText(payload, name) === value)) continue;
    const { user } = rule;
    if (user === null || typeof user === "string") return { rule, index, user };
    const named = ownText(payload, user.claim);
    // The rule is about them: without a user nobody acts for nobody.
    if (named === null || !isUser(named)) continue;
    return { rule, index, user: named };
  }
  return null;
}

function ownText(payload: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = Object.hasOwn(payload, name) ? payload[name] : undefined;
  return typeof value === "string" ? value : null;
}

/** No regular expression: a pattern of the tenant's must not cost more than its length times the subject's. */
export function fits(pattern: string, subject: string): boolean {
  if (pattern === "*") return subject !== "";
  const parts = pattern.split("*");
  const [first = ""] = parts;
  if (parts.length === 1) return pattern === subject;
  if (!subject.startsWith(first)) return false;
  return restFits(parts, 1, subject, new Set([first.length]));
}

/** @param at where the part before may have ended */
function restFits(parts: readonly string[], from: number, subject: string, at: ReadonlySet<number>): boolean {
  let ends = at;
  for (let n = from; n < parts.length; n++) {
    const part = parts[n] ?? "";
    const next = new Set<number>();
    for (const end of ends)
      // One character at least, none of them a colon.
      for (let start = end + 1; start <= subject.length && subject[start - 1] !== ":"; start++)
        if (subject.startsWith(part, start)) next.add(start + part.length);
    ends = next;
  }
  return ends.has(subject.length);
}

function flaw(pointer: string, detail: string, wider?: true): Result<never, TrustFlaw> {
  return err({ pointer, detail, ...(wider === undefined ? {} : { wider }) });
}
