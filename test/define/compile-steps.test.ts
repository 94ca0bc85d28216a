import { describe, expect, it } from "vitest";
import { compileSteps, stepsSchema } from "../../src/define/index.ts";
import { checkSteps, limits } from "../../src/kernel/index.ts";
import * as z from "zod";

const GET = { action: "http", with: { method: "GET", url: "https://api.skyline.example/" } };
const POST = {
  action: "http",
  with: { method: "POST", url: "https://api.skyline.example/bookings", json: {} },
};

function errorsOf(steps: unknown): string[] {
  const compiled = compileSteps(steps);
  return compiled.ok ? [] : compiled.errors.map(({ pointer, code }) => `${pointer} ${code}`);
}

describe("steps as JSON", () => {
  it("become steps of a graph with every default filled in, needs first", () => {
    const compiled = compileSteps({
      mail: {
        ...POST,
        needs: ["flight"],
        effect: "keyed",
        retry: { attempts: 6, initial: "2s" },
        timeout: "10s",
      },
      nap: { action: "sleep", with: { for: "5m" } },
      flight: {
        ...POST,
        verify: { ...GET, after: "1s" },
        compensate: {
          action: "http",
          with: { method: "DELETE", url: "https://api.skyline.example/bookings/1" },
        },
        onFailure: { fallback: null },
      },
      go: { action: "wait", with: { signal: "go", timeout: "2h" }, sensitive: true },
      sub: {
        action: "run",
        with: { workflow: "notify", input: { to: "ada" }, timeout: "1d" },
        needs: ["go"],
      },
      ok: { action: "wait", with: { approval: "Pay 100?", timeout: "2h" }, needs: ["go"] },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    const byName = new Map(compiled.steps.map((step) => [step.name, step]));
    expect(compiled.steps.map((step) => step.name)).toEqual(["nap", "flight", "mail", "go", "sub", "ok"]);
    expect(byName.get("mail")).toMatchObject({
      kind: "call",
      effect: "keyed",
      timeoutMs: 10_000,
      retry: { attempts: 6, initialMs: 2_000, factor: 2, jitter: "full" },
      keyTtlMs: limits.KEY_TTL_MS,
      join: "all",
      part: "main",
    });
    expect(byName.get("flight")).toMatchObject({
      effect: "once",
      verify: { action: "http", effect: "safe", afterMs: 1_000 },
      compensate: { effect: "idempotent" },
      onFailure: { fallback: null },
    });
    expect(byName.get("nap")).toMatchObject({ kind: "timer", effect: "safe" });
    expect(byName.get("go")).toMatchObject({ kind: "signal", signal: "go", sensitive: true });
    expect(byName.get("sub")).toMatchObject({
      kind: "call",
      effect: "keyed",
      keyTtlMs: 120 * 24 * 3_600_000,
      with: { workflow: "notify", timeout: "1d" },
    });
    expect(byName.get("ok")).toMatchObject({ kind: "approval", with: { approval: "Pay 100?" } });
    expect(byName.get("ok")).not.toHaveProperty("signal");
    // Absent means: as the run is, open or not.
    expect(byName.get("mail")).not.toHaveProperty("onFailure");
    expect(
      checkSteps(compiled.steps, {
        existing: [],
        deadlineMs: limits.RUN_DEADLINE_MS,
        undoBudgetMs: limits.UNDO_BUDGET_MS,
      }),
    ).toEqual([]);
  });

  it("compile the same twice, so that appending twice changes nothing", () => {
    const steps = { a: POST, b: { ...GET, needs: ["a"] } };
    expect(compileSteps(steps)).toEqual(compileSteps(structuredClone(steps)));
  });

  it("take the default effect from the method", () => {
    const effects = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"].map((method) => {
      const compiled = compileSteps({ s: { action: "http", with: { method, url: "https://a.example/" } } });
      return compiled.ok ? compiled.steps[0]?.effect : null;
    });
    expect(effects).toEqual(["safe", "safe", "safe", "idempotent", "idempotent", "once", "once"]);
  });

  it.each([
    ["no steps at all", null, [" invalid"]],
    ["a name that breaks the grammar", { "Bad Name": GET }, ["/Bad Name invalid"]],
    ["an action that does not exist", { a: { action: "teleport", with: {} } }, ["/a/action invalid"]],
    ["an unknown field", { a: { ...GET, retries: 3 } }, ["/a/retries unknown_field"]],
    ["a missing parameter", { a: { action: "http", with: { method: "GET" } } }, ["/a/with/url missing"]],
    ["a missing action", { a: { with: {} } }, ["/a/action missing"]],
    [
      "a credential in a header",
      { a: { action: "http", with: { ...GET.with, headers: { "X-Api-Key": "x" } } } },
      ["/a/with/headers/X-Api-Key secret_in_plan"],
    ],
    [
      "a bearer token under a harmless name",
      { a: { action: "http", with: { ...GET.with, headers: { "X-Thing": "Bearer abcdefgh12345678" } } } },
      ["/a/with/headers/X-Thing secret_in_plan"],
    ],
    [
      "a password in the URL",
      { a: { action: "http", with: { method: "GET", url: "https://u:p@a.example/" } } },
      ["/a/with/url secret_in_plan"],
    ],
    [
      "an address that cannot be called",
      { a: { action: "http", with: { method: "GET", url: "http://169.254.169.254/" } } },
      ["/a/with/url url_refused"],
    ],
    [
      "an expression in the host",
      { a: { action: "http", with: { method: "GET", url: "https://${{ input.x }}.example/" } } },
      ["/a/with/url url_not_literal"],
    ],
    ["a condition in braces", { a: { ...GET, when: "${{ true }}" } }, ["/a/when expression_wrapped"]],
    [
      "a key on an action that calls nobody",
      { a: { action: "sleep", with: { for: 1 }, effect: "keyed" } },
      ["/a/effect keyed_not_carried"],
    ],
    [
      "retries of an action that calls nobody",
      { a: { action: "transform", with: { value: 1 }, retry: {} } },
      ["/a/retry unknown_field"],
    ],
    [
      "two credentials for one request",
      { a: { action: "http", with: { ...GET.with, auth: { cloud: "writer", connection: "google" } } } },
      ["/a/with/auth invalid"],
    ],
    [
      "a credential of three kinds",
      { a: { action: "http", with: { ...GET.with, auth: { cloud: "w", connection: "g", bearer: "T" } } } },
      ["/a/with/auth invalid"],
    ],
    [
      "two credentials of what verifies",
      { a: { ...POST, verify: { ...GET, with: { ...GET.with, auth: { bearer: "T", connection: "g" } } } } },
      ["/a/verify/with/auth invalid"],
    ],
    ["a time without a unit", { a: { ...GET, timeout: "10" } }, ["/a/timeout invalid"]],
    ["a body with GET", { a: { action: "http", with: { ...GET.with, json: 1 } } }, ["/a/with/json invalid"]],
    ["two bodies", { a: { action: "http", with: { ...POST.with, text: "x" } } }, ["/a/with/text invalid"]],
    [
      "a failure code that does not exist",
      { a: { ...GET, retry: { only: ["http_500", "oops"] } } },
      ["/a/retry/only/1 invalid"],
    ],
  ])("refuse %s, and say where", (_, steps, errors) => {
    expect(errorsOf(steps)).toEqual(errors.map((error) => `/steps${error}`));
  });

  it("never repeat in an error what they hold", () => {
    const steps = {
      a: { action: "http", with: { ...GET.with, headers: { Authorization: "Bearer top-secret-value" } } },
    };
    expect(JSON.stringify(compileSteps(steps))).not.toContain("top-secret-value");
  });

  it("have a JSON Schema", () => {
    const schema = z.toJSONSchema(stepsSchema(), { target: "draft-2020-12", io: "input" });
    expect(JSON.stringify(schema)).toContain("Default: Idempotency-Key");
  });
});
