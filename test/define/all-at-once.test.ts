import { describe, expect, it } from "vitest";
import { compilePlan } from "../../src/define/index.ts";
import { FORMS, OTHER_LANGUAGES, STRAYS, WRONG_TWICE } from "./all-at-once.ts";
import { get, post, say } from "./bad-plans.ts";

type Findings = Extract<ReturnType<typeof compilePlan>, { readonly ok: false }>["errors"];

function findingsOf(plan: unknown): Findings {
  const compiled = compilePlan(plan);
  return compiled.ok ? [] : compiled.errors;
}

function only(plan: unknown): Findings[number] {
  const [first, second] = findingsOf(plan);
  if (first === undefined || second !== undefined) throw new Error(JSON.stringify(findingsOf(plan)));
  return first;
}

describe("everything that is wrong with a plan", () => {
  it.each(WRONG_TWICE)("that %s is told at once, and nothing else", (_, plan, expected) => {
    const found = findingsOf(plan).map(({ pointer, code }) => `${pointer} ${code}`);
    expect(found.toSorted()).toEqual(expected.toSorted());
  });

  it.each(STRAYS)(
    "tells at %s what is allowed there, and what was meant",
    (pointer, plan, allowed, meant) => {
      const stray = findingsOf(plan).find((one) => one.pointer === pointer);
      expect(stray?.code).toBe("unknown_field");
      expect(stray?.allowed).toContain(allowed);
      expect(stray?.allowed).not.toContain(pointer.slice(pointer.lastIndexOf("/") + 1));
      expect(/Did you mean `(\w+)`\?$/.exec(stray?.detail ?? "")?.[1] ?? null).toBe(meant);
    },
  );

  it.each(OTHER_LANGUAGES)("tells of %s at %i to write %s", (expression, offset, instead) => {
    const [first] = findingsOf({ steps: { a: say(1, { when: expression }) } });
    expect(first).toMatchObject({ pointer: "/steps/a/when", offset });
    expect(first?.detail).toMatch(/Write|write|Did you mean/);
    expect(first?.detail).toContain(instead);
  });

  it.each(FORMS)("tells at %s which form fits", (pointer, plan, form) => {
    const { detail } = only(plan);
    expect(only(plan).pointer).toBe(pointer);
    expect(detail).toContain(form);
    expect(detail).not.toContain("PAY_TOKEN");
  });

  it.each([["ignore"], [5], [null], [[]]])("lists for onFailure %j every form of it", (onFailure) => {
    expect(only({ steps: { a: say(1, { onFailure }) } })).toMatchObject({
      pointer: "/steps/a/onFailure",
      code: "invalid",
      allowed: ["fail", "continue", '{"fallback": …}'],
    });
  });

  it("tells a sleep that exactly one of its fields is needed", () => {
    const sleep = (parameters: unknown): unknown => ({ steps: { a: { action: "sleep", with: parameters } } });
    const detail = "Exactly one of `for` and `until` is needed.";
    const allowed = ["for", "until"];
    const until = "2027-03-14T09:00:00Z";
    expect(only(sleep({ for: "1s", until }))).toEqual({
      pointer: "/steps/a/with",
      code: "invalid",
      detail,
      allowed,
    });
    expect(only(sleep({}))).toEqual({ pointer: "/steps/a/with/for", code: "missing", detail, allowed });
    expect(findingsOf(sleep({ for: "1s", until: "x" })).map(({ pointer }) => pointer)).toEqual([
      "/steps/a/with/until",
      "/steps/a/with",
    ]);
    expect(compilePlan(sleep({ until })).ok).toBe(true);
  });

  it("tells which actions and which ways of reading pages there are", () => {
    expect(findingsOf({ steps: { a: { with: {} } } })[0]).toMatchObject({
      pointer: "/steps/a/action",
      code: "missing",
      allowed: ["http", "run", "sleep", "wait", "transform", "fail"],
    });
    expect(only({ steps: { a: get({ paginate: { max: 1 } }) } })).toMatchObject({
      pointer: "/steps/a/with/paginate/by",
      code: "missing",
      allowed: ["link", "cursor"],
    });
  });

  it("advises a blind retry on a verify only where there is none, and names the codes", () => {
    const retry = { only: ["timeout", "http_500", "http_429"] };
    const bare = only({ steps: { a: post({}, { retry }) } });
    const verified = only({ steps: { a: post({}, { retry, verify: get() }) } });
    const undone = only({ steps: { a: post({}, { verify: get(), compensate: { ...post(), retry } }) } });
    expect([bare.code, verified.code, undone.code]).toEqual(Array(3).fill("once_blind_retry"));
    expect(bare.detail).toContain("take timeout, http_500 out (a `verify` can ask");
    expect(verified.detail).toContain("take timeout, http_500 out (its `verify` asks");
    expect(undone.detail).not.toContain("verify");
  });

  it("holds no field named length against a plan, but says how a size is written", () => {
    const compiled = compilePlan({
      steps: { a: say(1, { when: "input.parcel.length > 1 && 'x.length' != ''" }) },
    });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    expect(compiled.plan.advice).toMatchObject([
      { pointer: "/steps/a/when", code: "field_named_as_size", offset: 12 },
    ]);
  });

  it("finds what is made of itself, whoever reads it", () => {
    const itself = { b: say("${{ steps['a'].output.x }}", { needs: ["a"] }) };
    const own = findingsOf({ steps: { a: say("${{ own }}"), ...itself } });
    expect(own).toMatchObject([{ pointer: "/steps/a/with/value", code: "unknown_name" }]);
    const item = { forEach: { list: "item.x" } };
    const listed = findingsOf({ steps: { a: say("${{ item.y }}", item), ...itself } });
    expect(listed[0]).toMatchObject({ pointer: "/steps/a/forEach/list", code: "unknown_name" });
  });

  it("shows no credential of an expression that reads what is not there", () => {
    const token = "sk_live_0123456789abcdefghij";
    const findings = findingsOf({ steps: { a: say(`\${{ steps.z.output + '${token}' }}`) } });
    expect(findings.map(({ code }) => code)).toEqual(["unknown_step", "secret_in_plan"]);
    expect(JSON.stringify(findings)).not.toContain(token);
  });
});
