import { expect, test } from "vitest";
import { REDACTED, redactShapes } from "../../src/platform/index.ts";

const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

test.each([
  ["a bearer token", "Bearer 8fG2kLm0pQ", "8fG2kLm0pQ"],
  ["a bearer token of small letters", "refused: bearer abcdefghijklmnop", "abcdefghijklmnop"],
  ["a bearer token of words and digits", "Bearer correct-horse-7", "correct-horse-7"],
  ["a bearer token of many words", "Bearer correct-horse-battery-staple", "horse"],
  ["a bearer token of mixed letters", "Bearer aBcDeFgHiJ", "aBcDeFgHiJ"],
  ["a bearer token in capitals with _", "Bearer MAIL_TOKEN_OF_ADA", "MAIL_TOKEN_OF_ADA"],
  ["basic credentials", "Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"],
  ["credentials with padding", "Token QUJDREVGRw==", "QUJDREVGRw"],
  ["DPoP", `DPoP ${JWT}`, "eyJzdWIi"],
  ["a word, in the header itself", "authorization: Bearer swordfish", "swordfish"],
  ["a short word, in the header as JSON", '{"Authorization":"Basic abc"}', "abc"],
  ["the header of a proxy", "Proxy-Authorization: custom-scheme hunter", "hunter"],
  ["our own key", `sck_${"0".repeat(20)}`, "0000"],
  ["user-info of a URL", "https://ada:swordfish@api.example/", "swordfish"],
  ["a parameter of a URL", "https://api.example/?a=1&access_token=swordfish", "swordfish"],
  ["a JSON Web Token", JWT, "eyJzdWIi"],
])("%s is taken out", (_, text, secret) => {
  const redacted = redactShapes(text);
  expect(redacted).toContain(REDACTED);
  expect(redacted).not.toContain(secret);
});

test.each([
  ["The service wants basic authentication, not this."],
  ["Bearer authentication is missing. Token verification failed."],
  ["POST to the token endpoint (the bearer token/assertion profile)."],
  ['Nothing was sent: the service token "MAIL_TOKEN" is not for steps that come as JSON.'],
  ["BASIC AUTHENTICATION REQUIRED"],
])("prose is left alone: %s", (text) => {
  expect(redactShapes(text)).toBe(text);
});

test("a hostile text costs its length", () => {
  for (const part of ["authorization: ", "authorization:a ", "Bearer a-", "Token  ", "Basic "]) {
    const began = performance.now();
    redactShapes(part.repeat(100_000));
    expect(performance.now() - began).toBeLessThan(2_000);
  }
});
