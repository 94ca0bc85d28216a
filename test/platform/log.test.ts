import { describe, expect, test } from "vitest";
import {
  createLogger,
  describeError,
  type LogLevel,
  REDACTED,
  redactShapes,
} from "../../src/platform/index.ts";

function recorder(least: LogLevel = "debug") {
  const lines: { level: LogLevel; line: string }[] = [];
  const log = createLogger(least, (level, line) => lines.push({ level, line }));
  return { log, lines, last: () => JSON.parse(lines.at(-1)?.line ?? "null") as Record<string, unknown> };
}

describe("log", () => {
  test("a line is JSON with its level, its event and the fields of the logger", () => {
    const { log, last, lines } = recorder();
    log.with({ run: "run_1" }).warn("attempt.lost", { attempt: 2 });
    expect(last()).toEqual({ level: "warn", event: "attempt.lost", run: "run_1", attempt: 2 });
    expect(lines[0]?.level).toBe("warn");
  });

  test.each([
    "ada@example.com",
    '{"mail":"ada@example.com","x":tru}',
    '["ada@example.com",,"ada@example.com and a long text behind it"]',
    'a "quote" of ada@example.com, who is at the beginning of a long text',
  ])("what is no JSON is not quoted, in the message, in the stack or among the causes: %s", (text) => {
    const { log, lines } = recorder();
    const thrown = (): unknown => {
      try {
        return JSON.parse(text);
      } catch (error) {
        return error;
      }
    };
    const quoted = / "?\.*("[^]+")\.* is not valid JSON/.exec(String(thrown()))?.[1] ?? "";
    expect(quoted.length).toBeGreaterThan(10);
    log.warn("answer.unread", { error: new Error(`Could not: ${String(thrown())}`, { cause: thrown() }) });
    expect(lines[0]?.line).toContain("Could not: SyntaxError: Unexpected token (it is not valid JSON)");
    expect(lines[0]?.line).not.toContain("ample");
    expect(lines[0]?.line).not.toContain("ada");
    expect(lines[0]?.line).not.toContain(JSON.stringify(quoted).slice(1, -1));
  });

  test("lines below the level are not written", () => {
    const { log, lines } = recorder("warn");
    log.debug("a");
    log.info("b");
    log.error("c");
    expect(lines.map(({ level }) => level)).toEqual(["error"]);
  });

  test.each([
    "authorization",
    "Authorization",
    "cookie",
    "set-cookie",
    "password",
    "client_secret",
    "refresh_token",
    "accessToken",
    "x-api-key",
    "apiKey",
    "private_key",
  ])("a field named %s is not shown", (name) => {
    const { log, last } = recorder();
    log.info("e", { [name]: "plain words", deep: { list: [{ [name]: { a: 1 } }] } });
    expect(last()).toEqual({
      level: "info",
      event: "e",
      [name]: REDACTED,
      deep: { list: [{ [name]: REDACTED }] },
    });
  });

  test("nothing that a field holds makes a log call throw or grow without bound", () => {
    const { log, lines } = recorder();
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    const hostile = {
      get boom(): string {
        throw new Error("boom");
      },
    };
    log.info("e", { circle });
    log.info("e", { hostile });
    log.info("e", { big: 1n, symbol: Symbol("s"), call: () => 1, bytes: new Uint8Array(9) });
    log.info("e", { long: "x".repeat(1_000_000) });
    log.info("e", { many: Array.from({ length: 1_000 }, () => "y".repeat(1_000)) });
    log.info("e", Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`f${n}`, "z".repeat(100)])));
    for (const { line } of lines) expect(line.length).toBeLessThanOrEqual(16_384);
  });

  test("a writer that throws does not reach the caller", () => {
    const log = createLogger("debug", () => {
      throw new Error("no console");
    });
    expect(() => log.error("e")).not.toThrow();
  });

  test("an error is shown with its causes, without secrets", () => {
    const { log, last } = recorder();
    const error = new Error("call failed", { cause: new Error("Bearer abcdefghijklmnop was refused") });
    log.error("e", { error });
    expect(last()["error"]).toMatchObject({
      name: "Error",
      message: "call failed",
      causes: [`Bearer ${REDACTED} was refused`],
    });
  });
});

describe("shapes of secrets", () => {
  const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
  test.each([
    ["Authorization: Bearer abcdefgh.ijkl", `Authorization: Bearer ${REDACTED}`],
    ["basic dXNlcjpwYXNzd29yZA==", `basic ${REDACTED}`],
    ["https://ada:lovelace@api.example/x", `https://${REDACTED}@api.example/x`],
    ["GET /cb?code=abc&state=def#x", `GET /cb?code=${REDACTED}&state=${REDACTED}#x`],
    ["https://a.example/?page=2&access_token=abc", `https://a.example/?page=2&access_token=${REDACTED}`],
    [`key sck_${"a1B2".repeat(10)}.`, `key ${REDACTED}.`],
    [`whsec_${"a1B2".repeat(8)}`, REDACTED],
    [`ghp_${"a1B2".repeat(9)}`, REDACTED],
    [`xoxb-${"1234-".repeat(5)}`, REDACTED],
    ["AKIAIOSFODNN7EXAMPLE", REDACTED],
    [`token=${jwt}`, `token=${REDACTED}`],
    [`{"id_token":"${jwt}"}`, `{"id_token":"${REDACTED}"}`],
    ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", REDACTED],
    ["-----BEGIN PRIVATE KEY-----\nMIIE", REDACTED],
  ])("%s", (text, expected) => {
    expect(redactShapes(text)).toBe(expected);
  });

  test.each([
    "The bearer is late",
    "run_00000000000000000000000000",
    "https://a.example/x?page=2",
    "a basic plan",
  ])("%s is left as it is", (text) => {
    expect(redactShapes(text)).toBe(text);
  });
});

describe("describeError", () => {
  test.each([
    ["a text", "boom", "boom"],
    ["null", null, "null"],
    ["undefined", undefined, "undefined"],
    ["a number", 7, "7"],
    ["a plain object", { a: 1 }, '{"a":1}'],
    ["an object without prototype", Object.create(null), "{}"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["NUL characters", new Error("a\0b"), "ab"],
    ["half a surrogate pair", new Error("a\ud800"), "a\ufffd"],
  ])("%s", (_, thrown, message) => {
    expect(describeError(thrown).message).toBe(message);
  });

  test("what throws when looked at is described all the same", () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error("get");
        },
        ownKeys() {
          throw new Error("keys");
        },
      },
    );
    expect(describeError(hostile).message).toBe("a value that cannot be shown");
    const circle = new Error("round");
    circle.cause = circle;
    expect(describeError(circle).causes?.length).toBeLessThan(10);
  });

  test("lengths are capped and a code is kept", () => {
    const error = Object.assign(new TypeError("x".repeat(100_000)), { code: "too_long" });
    expect(JSON.stringify(describeError(error)).length).toBeLessThan(10_000);
    expect(describeError(error)).toMatchObject({ name: "TypeError", code: "too_long" });
  });
});
