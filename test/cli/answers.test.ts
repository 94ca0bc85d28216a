/** What a command says of a deployment that refuses, or is none: a sentence and what to do, not what came over the wire. */
import { describe, expect, test } from "vitest";
import { asked, saidBy } from "../../src/cli/answers.ts";

describe("an answer that is none", () => {
  test("of the API is said in its own words", () => {
    const text = JSON.stringify({
      code: "invalid_key",
      detail: "There is no such API key.",
      hint: "Check it.",
    });
    expect(saidBy("/v1/export", 401, text)).toBe("invalid_key: There is no such API key.\nCheck it.");
  });

  test("of something else is shown as it came", () => {
    expect(saidBy("/v1/export", 502, "<html>")).toContain(
      "/v1/export answers 502: <html>\nCheck the address.",
    );
    expect(saidBy("/v1/export", 502, "null")).toContain("answers 502: null");
  });

  test("of nobody says whom was asked", async () => {
    await expect(asked("http://127.0.0.1:1", "/v1/export", {})).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:1 does not answer: .*\nCheck the address\.$/,
    );
  });
});
