/**
 * Finds secrets in whatever was kept, logged or said: bytes of any kind, and texts. Of its own make, so that it does not share
 * the mistakes of the product's redaction.
 *
 * A secret is looked for as itself, in lower case, as UTF-16, URL-encoded (what must be, and every byte), escaped for JSON, in
 * hex, and in base64 and base64url at each alignment. One that is base64url of a key's bytes also as those bytes, in the same
 * forms. Of a long one each half is looked for, too, so that one that was cut, or that a page of a file divides, is found.
 */

/** Shorter ones would be found by chance. */
const MIN_CHARS = 6;
const MIN_FORM_BYTES = 8;
/** Halves of what is shorter say little, and would be found by chance. */
const MIN_HALVED_CHARS = 32;
/** The texts of keys of 256 bits. */
const KEY_TEXT = /^[\w-]{43}$/;
/** By so many first bytes a form is found. */
const HEAD_BYTES = 4;

interface Needle {
  readonly bytes: Uint8Array;
  /** What is said of a finding: `<name>, <form>`. */
  readonly what: string;
}

export class SecretSearch {
  readonly #byHead = new Map<number, Needle[]>();

  /** @param secrets the name of each, by the secret */
  constructor(secrets: ReadonlyMap<string, string>) {
    for (const [secret, name] of secrets) {
      if (secret.length < MIN_CHARS) throw new RangeError(`${name} is too short to be looked for`);
      for (const [form, bytes] of formsOf(secret)) {
        const head = headAt(bytes, 0);
        const others = this.#byHead.get(head) ?? [];
        this.#byHead.set(head, [...others, { bytes, what: `${name}, ${form}` }]);
      }
    }
  }

  /** What is in there, each once: `<name>, <form>`. */
  in(content: Uint8Array | string): string[] {
    const bytes = typeof content === "string" ? utf8(content) : content;
    const found = new Set<string>();
    for (let at = 0; at + HEAD_BYTES <= bytes.length; at++)
      for (const needle of this.#byHead.get(headAt(bytes, at)) ?? [])
        if (isAt(bytes, at, needle.bytes)) found.add(needle.what);
    return [...found];
  }
}

function headAt(bytes: Uint8Array, at: number): number {
  let head = 0;
  for (let i = 0; i < HEAD_BYTES; i++) head = head * 256 + (bytes[at + i] ?? 0);
  return head;
}

function isAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  return at + part.length <= bytes.length && part.every((byte, i) => bytes[at + i] === byte);
}

/** The secret itself, however short, and those of its forms that are long enough. */
function formsOf(secret: string): [string, Uint8Array][] {
  const long: [string, Uint8Array][] = encodingsOf(utf8(secret)).map(([form, text]) => [form, utf8(text)]);
  const half = Math.ceil(secret.length / 2);
  const texts: [string, string][] = [
    ["in lower case", secret.toLowerCase()],
    ["URL-encoded", encodeURIComponent(secret)],
    ["escaped for JSON", JSON.stringify(secret).slice(1, -1)],
    ...(secret.length < MIN_HALVED_CHARS
      ? []
      : ([
          ["its first half", secret.slice(0, half)],
          ["its second half", secret.slice(half)],
        ] satisfies [string, string][])),
  ];
  for (const [form, text] of texts) if (text !== secret) long.push([form, utf8(text)]);
  long.push(["as UTF-16", utf16(secret)]);
  if (KEY_TEXT.test(secret)) {
    const key = Uint8Array.from(atob(secret.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    long.push(["its bytes", key]);
    for (const [form, text] of encodingsOf(key)) long.push([`its bytes ${form}`, utf8(text)]);
  }
  return [["itself", utf8(secret)], ...long.filter(([, bytes]) => bytes.length >= MIN_FORM_BYTES)];
}

function encodingsOf(bytes: Uint8Array): [string, string][] {
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const upper = hex.map((digits) => digits.toUpperCase());
  return [
    ["in hex", hex.join("")],
    ["in upper-case hex", upper.join("")],
    ["all URL-encoded", upper.map((digits) => `%${digits}`).join("")],
    ...[0, 1, 2].flatMap((lead): [string, string][] => {
      const text = base64Behind(lead, bytes);
      const url = text.replaceAll("+", "-").replaceAll("/", "_");
      return [
        [`in base64 behind ${lead}`, text],
        ...(url === text ? [] : ([[`in base64url behind ${lead}`, url]] satisfies [string, string][])),
      ];
    }),
  ];
}

/** Whatever stands before and behind: the characters that are the same between zeros and between ones. */
function base64Behind(lead: number, bytes: Uint8Array): string {
  const between = (byte: number): string =>
    btoa(String.fromCharCode(...Array.from({ length: lead }, () => byte), ...bytes, ...[byte, byte, byte]));
  const [zeros, ones] = [between(0), between(0xff)];
  return Array.from(zeros)
    .filter((char, i) => char === ones[i] && char !== "=")
    .join("");
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Little-endian, as the engine keeps a text that has other characters beside it. */
function utf16(text: string): Uint8Array {
  return Uint8Array.from(
    Array.from({ length: text.length }, (_, i) => text.charCodeAt(i)).flatMap((code) => [
      code & 0xff,
      code >> 8,
    ]),
  );
}
