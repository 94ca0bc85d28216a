/** That the search for secrets finds them: what finds nothing proves nothing. */
import { describe, expect, it } from "vitest";
import { SecretSearch } from "./secret-search.ts";

const TOKEN = "tok/EN+with?signs-0123456789";
const KEY = Buffer.alloc(32, 0xfb).fill(0x1f, 7).toString("base64url");
const search = new SecretSearch(
  new Map([
    [TOKEN, "the token"],
    [KEY, "the key"],
  ]),
);

const within = (text: string): string => `before ${text} after`;
const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("a secret is found", () => {
  it.each<[string, string | Uint8Array]>([
    ["itself", within(TOKEN)],
    ["in lower case", within(TOKEN.toLowerCase())],
    ["URL-encoded", within(encodeURIComponent(TOKEN))],
    ["all URL-encoded", within(TOKEN.replace(/./g, (c) => `%${base16(c).toUpperCase()}`))],
    ["in hex", within(base16(TOKEN))],
    ["as UTF-16", Buffer.from(within(`${TOKEN}…`), "utf16le")],
    ["in base64 behind 0", base64(`abc${TOKEN}`)],
    ["in base64 behind 1", base64(`a${TOKEN}bc`)],
    ["in base64 behind 2", base64(`ab${TOKEN}c`)],
  ])("%s", (form, content) => {
    expect(search.in(content)).toEqual([`the token, ${form}`]);
  });

  it("that is a key, as its bytes, and these in hex", () => {
    const bytes = Buffer.from(KEY, "base64url");
    expect(search.in(Buffer.concat([Buffer.from("ab"), bytes]))).toEqual(["the key, its bytes"]);
    expect(search.in(bytes.toString("hex"))).toEqual(["the key, its bytes in hex"]);
  });

  it("where it was cut in the middle, at either end", () => {
    expect(search.in(KEY.slice(0, 25))).toEqual(["the key, its first half"]);
    expect(search.in(KEY.slice(20))).toEqual(["the key, its second half"]);
  });
});

it("nothing is found where nothing is", () => {
  expect(search.in(within(TOKEN.slice(1)))).toEqual([]);
  expect(search.in(new Uint8Array(100_000))).toEqual([]);
});

it("what is too short to be looked for is said", () => {
  expect(() => new SecretSearch(new Map([["short", "it"]]))).toThrow("too short");
});

function base16(text: string): string {
  return Buffer.from(text).toString("hex");
}
