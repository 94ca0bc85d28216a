/**
 * Credentials that stand in a plan as they are. A plan is stored, pinned, shown and logged; what proves who somebody is has
 * no place in it. Only what is unmistakable is refused, and it is not repeated here; what other findings repeat of it is taken
 * out where findings leave.
 */

import { holdsSecret, type Finding } from "../actions/index.ts";
import { escapePointer } from "../kernel/index.ts";
import { writtenOut } from "./constant.ts";
import { isLoose } from "./places.ts";

const MAX_DEPTH = 256;
const MAX_FINDINGS = 20;

/** A parameter of this name is a credential, whatever its value. */
const CREDENTIAL_NAME = /^(?:access[_-]?token|api[_-]?key|client[_-]?secret|refresh[_-]?token)$/i;
/** One of this name is a credential if its value looks like one. */
const LIKELY_NAME = /^(?:token|key|secret|password|auth|sig|signature|id_token)$/i;
const MIN_RANDOM_CHARS = 20;
/** Stands where an expression stood: such a value is not literal. */
const HOLE = "\0";

/** @param at pointer to the JSON, which may not fit any schema */
export function secretsIn(json: unknown, at = ""): Finding[] {
  const found: Finding[] = [];
  look(json, at, found, 0);
  return found.slice(0, MAX_FINDINGS);
}

function look(value: unknown, at: string, found: Finding[], depth: number): void {
  if (depth > MAX_DEPTH || found.length >= MAX_FINDINGS) return;
  if (typeof value === "string") {
    if (holdsSecret(value)) found.push(secret(at, "This text holds a credential."));
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (isLoose(value)) {
    const { url, query, json, form } = value;
    if (typeof url === "string") found.push(...inQuery(queryOf(url), `${at}/url`, () => ""));
    // Beside an address: the parameters of a request.
    if (typeof url === "string" && isLoose(query))
      found.push(...inQuery(Object.entries(query), `${at}/query`, (name) => `/${escapePointer(name)}`));
    if (typeof url === "string") found.push(...inBody(json, `${at}/json`), ...inBody(form, `${at}/form`));
  }
  for (const [key, member] of Object.entries(value)) {
    // The name itself would be repeated by a pointer.
    if (holdsSecret(key)) found.push(secret(at, "The name of a field here holds a credential."));
    else look(member, `${at}/${escapePointer(key)}`, found, depth + 1);
  }
}

function queryOf(url: string): (readonly [string, unknown])[] {
  const text = writtenOut(url, HOLE);
  const [before = ""] = text.split("#", 1);
  const from = before.indexOf("?");
  return from < 0 ? [] : [...new URLSearchParams(before.slice(from + 1))];
}

function inQuery(
  pairs: readonly (readonly [string, unknown])[],
  at: string,
  pointerOf: (name: string) => string,
): Finding[] {
  return pairs.flatMap(([name, value]) => {
    const texts = (Array.isArray(value) ? (value as readonly unknown[]) : [value])
      .map(known)
      .filter(isLiteral);
    if (!texts.some((text) => CREDENTIAL_NAME.test(name) || (LIKELY_NAME.test(name) && looksRandom(text))))
      return [];
    const detail = holdsSecret(name) ? "A query parameter" : `The query parameter \`${name}\``;
    return [secret(at + (holdsSecret(name) ? "" : pointerOf(name)), `${detail} holds a credential.`)];
  });
}

/** Fields of a body are named in more ways than parameters: there the value has to look like a credential too. */
function inBody(body: unknown, at: string): Finding[] {
  if (!isLoose(body)) return [];
  return Object.entries(body).flatMap(([name, value]) =>
    CREDENTIAL_NAME.test(name) && [known(value)].some((text) => isLiteral(text) && looksRandom(text))
      ? [secret(`${at}/${escapePointer(name)}`, `The field \`${name}\` holds a credential.`)]
      : [],
  );
}

function isLiteral(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes(HOLE);
}

/** A literal in an expression is one all the same. */
function known(value: unknown): unknown {
  return typeof value === "string" ? writtenOut(value, HOLE) : value;
}

/** No word or sentence has letters and digits in one long row. */
function looksRandom(text: string): boolean {
  return (
    text.length >= MIN_RANDOM_CHARS && /^[\w.~+/=-]+$/.test(text) && /\d/.test(text) && /[a-z]/i.test(text)
  );
}

function secret(pointer: string, what: string): Finding {
  const detail = `${what} Name one with \`auth\`; its value stays out of the plan.`;
  return { pointer, code: "secret_in_plan", detail };
}
