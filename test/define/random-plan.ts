/** Plans by chance: most of them sound, some with a fault in any place that a plan can have one. */
import * as fc from "fast-check";
import type { Json } from "../../src/kernel/index.ts";

const NAMES = ["a", "b", "c", "d", "e-1"] as const;
export const AIRLINE = "https://api.skyline.example/bookings";

/** Expressions that can stand anywhere; some of them fail when they are evaluated, as authors' do. */
const sound = (earlier: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom("input.n + 1", "input.list", "run.id", "input.nope", "size(input.list) > 1", "1 / 0"),
    ...(earlier.length === 0
      ? []
      : [
          fc
            .tuple(fc.constantFrom(...earlier), fc.constantFrom("output", "status", "failure", "attempts"))
            .map(([name, field]) => `steps['${name}'].${field}`),
        ]),
  );
const truth = (earlier: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom("true", "input.n == 1", "size(input.list) > 5", "input.nope"),
    sound(earlier).map((text) => `(${text}) == null || true`),
  );
/** Expressions of which most cannot stand where they are put. */
const wild = fc.constantFrom(
  ...["item", "index", "iteration", "output", "failure", "own", "stepKey", "1 +", "'", "steps.z.output"],
  ...[
    "steps.a.output",
    "steps.a.nope",
    "input.x.matches('a')",
    "steps",
    "${{ 1 }}",
    "[1].map(x, [x].map(y, y))",
  ],
);
const template = (expression: fc.Arbitrary<string>): fc.Arbitrary<Json> =>
  fc.oneof(
    expression.map((text): Json => `\${{ ${text} }}`),
    expression.map((text): Json => ({ k: [`x \${{ ${text} }} y`, 1, null] })),
  );

type Loose = Readonly<Record<string, unknown>>;
const call = (method: string, more: Loose = {}, rest: Loose = {}): Loose => ({
  action: "http",
  with: { method, url: `${AIRLINE}/\${{ input.word }}`, ...more },
  retry: { attempts: 2, initial: 0, jitter: "none" },
  unknownLimit: "50ms",
  ...rest,
});
export const { unknownLimit: _, ...look } = call("GET");

/** What a step does, in the ways that fit together. */
const sane = (expression: fc.Arbitrary<string>): fc.Arbitrary<Loose> =>
  fc.oneof(
    template(expression).map((value) => ({ action: "transform", with: { value } })),
    template(expression).map((value) => ({ action: "transform", with: { value }, forEach: "input.list" })),
    template(expression).map((json) =>
      call(
        "POST",
        { json },
        { effect: "keyed", compensate: { ...look, with: { method: "DELETE", url: `${AIRLINE}/1` } } },
      ),
    ),
    template(expression).map((json) => call("POST", { json }, { verify: { ...look, after: 0 } })),
    fc.constantFrom<Loose>(
      call("GET"),
      call("GET", {}, { repeat: { until: "iteration > 0", every: 0, max: 3 } }),
      call("GET", { query: { i: "${{ index }}" } }, { forEach: { list: "input.list", tolerate: 1 } }),
      call("PUT", { json: "${{ item }}" }, { forEach: "input.list" }),
      { action: "sleep", with: { for: 0 } },
      { action: "fail", with: { message: "no: ${{ input.word }}" } },
    ),
  );
const odd = fc.constantFrom<Loose>(
  call("${{ input.word }}"),
  call("GET", { url: "https://${{ input.word }}/" }),
  call("GET", { url: "http://a.example/" }),
  call("GET", { json: 1 }),
  call("POST", {}, { repeat: { until: "true", every: 0 } }),
  call("GET", {}, { compensate: look }),
  { action: "nothing", with: {} },
  { action: "transform" },
);
const frills = (earlier: readonly string[]): fc.Arbitrary<Loose> =>
  fc.record(
    {
      join: fc.constantFrom("all", "any", "settled"),
      when: truth(earlier),
      onFailure: fc.constantFrom<Json>("fail", "continue", { fallback: 1 }),
    },
    { requiredKeys: [] },
  );

function step(earlier: readonly string[]): fc.Arbitrary<Loose> {
  return fc
    .tuple(
      fc.oneof(
        { arbitrary: sane(sound(earlier)), weight: 40 },
        { arbitrary: sane(wild), weight: 1 },
        { arbitrary: odd, weight: 1 },
      ),
      frills(earlier),
      fc.oneof(
        { arbitrary: fc.constant(earlier), weight: 20 },
        { arbitrary: fc.subarray([...NAMES, "z"]), weight: 1 },
      ),
      fc.oneof(
        { arbitrary: fc.constant({}), weight: 40 },
        { arbitrary: fc.constantFrom<Loose>({ extra: 1 }, { when: true }), weight: 1 },
      ),
    )
    .map(([what, more, needs, stray]) => ({ ...what, ...more, needs, ...stray }));
}

/** About two of three can run. Their calls carry no token. */
export const randomPlan = fc
  .record({
    steps: fc.tuple(...NAMES.map((name, i) => step(NAMES.slice(0, i)).map((one) => [name, one] as const))),
    length: fc.integer({ min: 1, max: NAMES.length }),
    onFailure: fc.option(sane(fc.constantFrom("failure.code", "steps.a.status", "input.n"))),
    output: fc.option(
      template(fc.oneof({ arbitrary: sound(["a"]), weight: 20 }, { arbitrary: wild, weight: 1 })),
    ),
  })
  .map(({ steps, length, onFailure, output }) => {
    const tell = onFailure === null ? null : { ...onFailure };
    // Whatever a handler does stays.
    if (tell !== null && "compensate" in tell) delete (tell as { compensate?: unknown }).compensate;
    return {
      steps: Object.fromEntries(steps.slice(0, length)),
      ...(tell === null ? {} : { onFailure: { tell } }),
      ...(output === null ? {} : { output }),
      deadline: "1h",
    };
  });

/** What every one of them is given. */
export const PLAN_INPUT: Json = { n: 1, word: "tea", list: [1, 2] };

/** Whether the pointer leads to something in the document, or, of what is missing, to where it would stand. */
export function pointsInto(document: unknown, pointer: string, missing: boolean): boolean {
  const tokens = pointer === "" ? [] : pointer.slice(1).split("/");
  const path = missing ? tokens.slice(0, -1) : tokens;
  let at: unknown = document;
  for (const token of path) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key)) return false;
    at = Reflect.get(at, key) as unknown;
  }
  return true;
}
