import { describe, expect, test } from "vitest";
import { MAX_BODY_BYTES, MAX_JSON_DEPTH, readJsonBody } from "../../src/api/body.ts";
import type { FieldError } from "../../src/api/problems.ts";
import * as requests from "../../src/api/request-schemas.ts";
import type { Named } from "../../src/api/schema.ts";
import { check } from "../../src/api/validate.ts";

function post(
  body: BodyInit | null,
  headers: Record<string, string> = { "content-type": "application/json" },
) {
  return new Request("https://showcaller.test/v1/runs", { method: "POST", body, headers });
}

async function refusal(request: Request) {
  const read = await readJsonBody(request);
  if (read.ok) throw new Error("The body was taken.");
  return read.error;
}

function errorsOf(schema: Named, body: unknown): readonly FieldError[] {
  const checked = check(schema.schema(), body, "body");
  if (checked.ok) throw new Error("The body was taken.");
  expect(checked.error.problem).toBe("invalid_request");
  return checked.error.errors ?? [];
}

describe("a body", () => {
  test("that is JSON is read, with any +json type and a charset of UTF-8", async () => {
    for (const type of [
      "application/json",
      "application/json; charset=utf-8",
      'Application/JSON;charset="UTF-8"',
      "application/merge-patch+json",
    ])
      expect(await readJsonBody(post('{"a": 1}', { "content-type": type }))).toEqual({
        ok: true,
        value: { a: 1 },
      });
  });

  test("that is missing is undefined, whatever its type", async () => {
    expect(await readJsonBody(post(null, {}))).toEqual({ ok: true, value: undefined });
  });

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
    "application/json; charset=latin1",
    "text/json",
  ])("sent as %j is not taken", async (type) => {
    expect(await refusal(post("{}", { "content-type": type }))).toMatchObject({
      problem: "unsupported_media_type",
    });
  });

  test("with a content encoding is not taken", async () => {
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    expect(await refusal(post("{}", headers))).toMatchObject({ problem: "unsupported_media_type" });
  });

  test("that is not JSON is refused with the place, and without a piece of it", async () => {
    const { problem, detail } = await refusal(post('{\n  "password": hunter2\n}'));
    expect(problem).toBe("malformed_json");
    expect(detail).toBe("The body is not JSON: unexpected character at position 16 (line 2, column 15).");
  });

  test("that is not UTF-8 is refused", async () => {
    expect(await refusal(post(new Uint8Array([0x22, 0xff, 0x22])))).toMatchObject({
      problem: "malformed_json",
    });
  });

  test("that nests too deep is refused", async () => {
    const nest = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect((await readJsonBody(post(nest(MAX_JSON_DEPTH)))).ok).toBe(true);
    expect(await refusal(post(nest(MAX_JSON_DEPTH + 1)))).toMatchObject({ problem: "malformed_json" });
  });

  test.each([
    ["a number beyond what can be kept", '{"input":{"total":[1,-1e400]}}', "/input/total/1"],
    ["a field that checking would drop", '{"input":{"__proto__":{"a":1}}}', "/input"],
    ["an integer that would be rounded", '{"input":{"account":9007199254740993}}', "/input/account"],
    ["the same name twice", '{"workflow":"a","input":1,"workflow":"b"}', "/workflow"],
    ["such a field, written with an escape", '{"\\u005f_proto__":1}', ""],
  ])("with %s is refused with its pointer", async (_, body, pointer) => {
    expect(await refusal(post(body))).toMatchObject({
      problem: "invalid_request",
      errors: [{ pointer }],
    });
  });

  test("with half of a surrogate pair is refused with its pointer", async () => {
    const { problem, errors } = await refusal(post(String.raw`{"a/b": ["ok \ud83d\ude00", "\ud800"]}`));
    expect(problem).toBe("invalid_request");
    expect(errors?.[0]?.pointer).toBe("/a~1b/1");
  });

  test("over 1 MiB is refused, whether its length was announced or not", async () => {
    const text = JSON.stringify("x".repeat(MAX_BODY_BYTES - 2));
    expect((await readJsonBody(post(text))).ok).toBe(true);
    expect(await refusal(post(`${text} `))).toMatchObject({ problem: "body_too_large" });
    const announced = post("{}", { "content-type": "application/json", "content-length": "2000000" });
    expect(await refusal(announced)).toMatchObject({ problem: "body_too_large" });
  });
});

describe("what does not fit a schema is named by JSON Pointers", () => {
  test.each<[string, Named, unknown, readonly string[]]>([
    ["an unknown field", requests.StartRun, { workflow: "w", wrokflow: 1, Tags: [] }, ["/wrokflow", "/Tags"]],
    [
      "a wrong type",
      requests.StartRun,
      { workflow: 7, tags: "a", open: "yes" },
      ["/workflow", "/tags", "/open"],
    ],
    ["an item of a list", requests.StartRun, { workflow: "w", tags: ["a", 1, ""] }, ["/tags/1", "/tags/2"]],
    ["a name that breaks the grammar", requests.StartRun, { workflow: "Book Trip" }, ["/workflow"]],
    ["something that is no object", requests.StartRun, [], [""]],
    ["a missing choice", requests.ResolveStep, {}, ["/as"]],
    ["a choice that there is not", requests.ResolveStep, { as: "maybe" }, ["/as"]],
    ["a field of another choice", requests.ResolveStep, { as: "retry", output: 1 }, ["/output"]],
    ["a missing field of a choice", requests.ResolveStep, { as: "succeeded" }, ["/output"]],
    [
      "a unit that cannot be",
      requests.RedriveRun,
      { resolve: { "Flight!": { as: "retry" } } },
      ["/resolve/Flight!"],
    ],
    [
      "a part of a unit's answer",
      requests.RedriveRun,
      { resolve: { "mails[3]/undo": { as: "x" } } },
      ["/resolve/mails[3]~1undo/as"],
    ],
    [
      "a scope that there is not",
      requests.CreateKey,
      { name: "k", scopes: ["runs:read", "runs:fly"] },
      ["/scopes/1"],
    ],
    [
      "an expiry that is no time",
      requests.CreateKey,
      { name: "k", scopes: ["*"], expires_at: "soon" },
      ["/expires_at"],
    ],
  ])("%s", (_, schema, body, pointers) => {
    expect(errorsOf(schema, body).map(({ pointer }) => pointer)).toEqual(pointers);
  });

  test("a missing field is said to be missing", () => {
    expect(errorsOf(requests.AppendSteps, {})).toEqual([
      { pointer: "/steps", detail: "The field is missing." },
    ]);
  });

  test("no value that was sent is repeated", () => {
    const secret = "hunter2hunter2";
    const bodies = [
      [requests.StartRun, { workflow: secret.toUpperCase(), tags: [{ secret }], open: secret }],
      [requests.ResolveStep, { as: secret }],
      [requests.CreateKey, { name: "k", scopes: [secret], user: 7 }],
    ] as const;
    for (const [schema, body] of bodies)
      expect(JSON.stringify(errorsOf(schema, body)).toLowerCase()).not.toContain(secret);
  });
});
