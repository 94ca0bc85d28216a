/**
 * What all exchanges have in common: how a service is asked, and how its refusal becomes one of ours. Pure.
 *
 * - X1 what a code means stands in the table of its service, and nowhere else. A code that no table has is judged by its
 *   status: what a service may get over is passing, every other refusal is for a person to mend.
 * - X2 no text of an answer leaves but a short code and a scrubbed line of the service's words.
 */
import { createRedactor, redactShapes } from "../../platform/index.ts";
import type { Minted } from "../minter.ts";
import type { ExchangeRefusal } from "../role.ts";

/** Always a POST. */
export interface TokenRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface TokenAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What is known when an answer is read. */
export interface Context {
  readonly token: Minted;
  /** When the request was sent, milliseconds since 1970: what lives for a while has lived since then, at the most. */
  readonly sentAt: number;
  /** What was sent, so that an echo of it is taken out. */
  readonly secrets: readonly string[];
}

export interface Verdict {
  readonly kind: ExchangeRefusal["kind"];
  /** A fresh identity token may be taken: one more try, at once. */
  readonly remint?: true;
  /** Also what the service says while a change is not known everywhere yet: within minutes of one, it is waited for. */
  readonly settles?: true;
  /** For whoever has to mend it. */
  readonly change: string;
}

export type Table = Readonly<Record<string, Verdict>>;

/** A refusal, with what the table says of it. */
export interface ExchangeFault extends ExchangeRefusal {
  readonly remint?: true;
  readonly settles?: true;
}

/** A service's own words. */
export interface Said {
  readonly code?: string | undefined;
  readonly words?: string | undefined;
}

/** As long as any header that servers take: credentials are sent in one. */
export const MAX_TOKEN_CHARS = 16_384;
const MAX_WORDS_CHARS = 300;
const CODE = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$|^[0-9]{1,12}$/;
const TOKEN = /^[\x21-\x7e]+$/;
/** Longer than any step may wait. */
const MAX_WAIT_S = 86_400;

export const PASSING: Verdict = { kind: "passing", change: "Nothing: it is asked again by itself." };

const REDIRECTED: Verdict = {
  kind: "configuration",
  change: "The token service answers with a redirect, which is not followed. Name the address that answers.",
};

const UNKNOWN: Verdict = {
  kind: "configuration",
  change: "Compare what the service trusts with what the identity token says.",
};

const CLOCK: Verdict = {
  kind: "passing",
  remint: true,
  change: "The clock of the token service and ours differ by more than an identity token lives.",
};

/** A token that a service finds to be too old is never older than a few seconds: its clock goes wrong, or ours. */
export const EXPIRED = CLOCK;

export function verdictOf(table: Table, { code }: Said, status: number): Verdict {
  if (code !== undefined && Object.hasOwn(table, code)) return table[code] ?? UNKNOWN;
  if (status === 408 || status === 425 || status === 429 || status >= 500) return PASSING;
  return status >= 300 && status < 400 ? REDIRECTED : UNKNOWN;
}

/** The refusal of a service, for whoever reads it. */
export function faultOf(table: Table, said: Said, answer: TokenAnswer, context: Context): ExchangeFault {
  const redactor = createRedactor([context.token.jwt, ...context.secrets]);
  const known = said.code !== undefined && CODE.test(said.code) && redactor.text(said.code).found === 0;
  const code = known && said.code !== undefined ? said.code : `http_${answer.status}`;
  const { kind, remint, settles, change } = verdictOf(table, known ? { code } : {}, answer.status);
  const words = said.words === undefined ? "" : scrubbed(said.words, redactor);
  const wait = retryAfterMs(answer.headers, context.sentAt);
  return {
    kind,
    code,
    message: `The token service answered ${answer.status} with ${code}${words === "" ? "." : `: ${words}`}`,
    hint: kind === "passing" ? change : `${change} ${spoken(context.token)}`,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
    ...(remint === undefined ? {} : { remint }),
    ...(settles === undefined ? {} : { settles }),
  };
}

/** An answer that is none: somebody in between, or a service that errs. */
export function unreadable(what: string): ExchangeFault {
  return {
    kind: "passing",
    code: "answer_unreadable",
    message: `The token service gave an answer that cannot be used: ${what}.`,
    hint: "If it stays so, what stands at the role's address is not the token service that it should be.",
  };
}

/** What a verifier must be told to expect. */
export function spoken({ issuer, subject, audience }: Minted): string {
  return `The identity token says iss "${issuer}", sub "${subject}", aud "${audience}".`;
}

export function isToken(text: unknown): text is string {
  return typeof text === "string" && text.length <= MAX_TOKEN_CHARS && TOKEN.test(text);
}

/** The members of a JSON object; none for anything else. */
export function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : {};
  } catch {
    return {};
  }
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function formOf(fields: Readonly<Record<string, string | undefined>>): Omit<TokenRequest, "url"> {
  const given = Object.entries(fields).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, value]],
  );
  return {
    headers: { "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
    body: new URLSearchParams(given).toString(),
  };
}

/** RFC 9110 10.2.3: seconds, or a date, which counts from the service's own time where it tells that. */
function retryAfterMs(headers: Readonly<Record<string, string>>, now: number): number | undefined {
  const text = headers["retry-after"]?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text), MAX_WAIT_S) * 1_000;
  const at = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) return undefined;
  return Math.min(Math.max(0, at - serviceTime(headers, now)), MAX_WAIT_S * 1_000);
}

/** What time the service says it is; else what time it is here. */
export function serviceTime(headers: Readonly<Record<string, string>>, now: number): number {
  const said = Date.parse(headers["date"] ?? "");
  return Number.isNaN(said) ? now : said;
}

function scrubbed(words: string, redactor: ReturnType<typeof createRedactor>): string {
  const clean = redactShapes(redactor.text(words.slice(0, MAX_TOKEN_CHARS).toWellFormed()).value);
  const line = clean.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim();
  return line.length <= MAX_WORDS_CHARS ? line : `${line.slice(0, MAX_WORDS_CHARS)}…`;
}
