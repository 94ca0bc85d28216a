/** Plans that are wrong in more than one place, of which one could hide the others. All is told, and nothing that only follows from it. */

import { get, post, say } from "./bad-plans.ts";

type Loose = Record<string, unknown>;
const one = (step: Loose): Loose => ({ steps: { a: step } });

/** What is wrong; the plan; every finding, as pointer and code, in any order. */
export const WRONG_TWICE: readonly (readonly [what: string, plan: unknown, findings: readonly string[]])[] = [
  [
    "wraps a condition that reads what is not there and not awaited",
    { steps: { a: say(1), b: say(1, { when: "${{ steps.a.output == steps.z.output }}", needs: ["q"] }) } },
    [
      "/steps/b/when expression_wrapped",
      "/steps/b/when not_an_ancestor",
      "/steps/b/when unknown_step",
      "/steps/b/needs/0 unknown_need",
    ],
  ],
  [
    "repeats a once step for each, without a pause, and blindly",
    one(post({}, { retry: { only: ["timeout", "oops"] }, repeat: { until: "true" }, forEach: "input.x" })),
    [
      "/steps/a/repeat/every missing",
      "/steps/a/repeat repeat_once",
      "/steps/a/repeat repeat_and_for_each",
      "/steps/a/retry/only once_blind_retry",
      "/steps/a/retry/only/1 invalid",
    ],
  ],
  [
    "reads pages in no way, and wrongly in each",
    one(get({ paginate: { cursor: "next", param: "", max: 0, items: "items" } })),
    ["by missing", "cursor invalid", "param invalid", "max invalid", "items invalid"].map(
      (rest) => `/steps/a/with/paginate/${rest}`,
    ),
  ],
  [
    "reads pages of a POST by a way that does not exist",
    one(post({ paginate: { by: "page", max: 0, foo: 1 } })),
    [
      "/steps/a/with/paginate/by invalid",
      "/steps/a/with/paginate/max invalid",
      "/steps/a/with/paginate/foo unknown_field",
      "/steps/a/with/paginate invalid",
    ],
  ],
  [
    "names half of a cursor",
    one(get({ paginate: { cursor: "/next" } })),
    ["by missing", "param missing", "max missing"].map((rest) => `/steps/a/with/paginate/${rest}`),
  ],
  [
    "has an action that nobody knows among other mistakes",
    one({ action: "shell", with: { command: "${{ foo }}" }, needs: ["z"], retries: 3, when: "a and b" }),
    [
      "/steps/a/action invalid",
      "/steps/a/with/command unknown_name",
      "/steps/a/needs/0 unknown_need",
      "/steps/a/retries unknown_field",
      "/steps/a/when expression_invalid",
      "/steps/a/when unknown_name",
      "/steps/a/when unknown_name",
    ],
  ],
  [
    "misspells an action whose parameters are wrong too",
    one({ action: "HTTP", with: { method: "GTE", url: "http://a.example/" }, repeat: { until: "true" } }),
    [
      "/steps/a/action invalid",
      "/steps/a/with/method invalid",
      "/steps/a/with/url url_refused",
      "/steps/a/repeat/every missing",
    ],
  ],
  [
    "has no method, two bodies and a host that cannot be called",
    one({ action: "http", with: { url: "http://a.example/", json: 1, text: "x" } }),
    ["/steps/a/with/method missing", "/steps/a/with/url url_refused", "/steps/a/with/text invalid"],
  ],
  [
    "has an expression that is wrong in an address that is",
    one(get({ url: "http://a.example/${{ inputs.x }}" })),
    ["/steps/a/with/url unknown_name", "/steps/a/with/url url_refused"],
  ],
  [
    "waits for two things, too long, with a payload of none",
    {
      steps: {
        a: { action: "wait", with: { signal: "s", approval: "x", timeout: "x" } },
        b: { action: "wait", with: { approval: "x", schema: {}, signl: 1 } },
      },
    },
    [
      "/steps/a/with/timeout invalid",
      "/steps/a/with invalid",
      "/steps/b/with/signl unknown_field",
      "/steps/b/with/schema invalid",
    ],
  ],
  [
    "needs by a text, and so may wait for what it reads",
    {
      steps: {
        a: say(1),
        b: say("${{ steps.a.output }}", { needs: "a" }),
        c: say("${{ steps.a.output }}", { needs: ["b"] }),
      },
    },
    ["/steps/b/needs invalid"],
  ],
  [
    "has needs that are no names among those that are",
    one(say(1, { needs: ["A", 1, "z"] })),
    ["/steps/a/needs/0 invalid", "/steps/a/needs/1 invalid", "/steps/a/needs/2 unknown_need"],
  ],
  [
    "misspells the need of what it reads",
    { steps: { flight: say(1), b: say("${{ steps.flight.output }}", { needs: ["flihgt"] }) } },
    ["/steps/b/needs/0 unknown_need"],
  ],
  [
    "misspells needs in a circle, of which one is read from outside",
    {
      steps: {
        flight: say("${{ steps.hotel.output }}", { needs: ["hotle"] }),
        hotel: say(1, { needs: ["fligth"] }),
        mail: say("${{ [steps.hotel.output, steps.early.output] }}", { needs: ["fligth"] }),
        early: say(1),
      },
    },
    [
      "/steps/flight/needs/0 unknown_need",
      "/steps/hotel/needs/0 unknown_need",
      "/steps/mail/needs/0 unknown_need",
      "/steps/mail/with/value not_an_ancestor",
    ],
  ],
  [
    "misspells a field, and so lacks it and what is in it",
    one({
      action: "http",
      with: { method: "GET", ulr: "${{ input.x }}" },
      foreach: "input.l",
      when: "item.x",
    }),
    ["/steps/a/with/ulr unknown_field", "/steps/a/foreach unknown_field", "/steps/a/when unknown_name"],
  ],
  [
    "lists its steps, which others read",
    { steps: [say(1)], output: "${{ steps.a.output }}", onFailure: { x: say("${{ steps.a.output }}") } },
    ["/steps invalid"],
  ],
  [
    "misspells its steps, and has no deadline",
    { stpes: {}, deadline: 0 },
    ["/stpes unknown_field", "/deadline bad_duration"],
  ],
  [
    "ends before any of its steps could",
    { deadline: "soon", undoBudget: "400d", steps: { a: get({ json: 1 }, { timeout: "11m" }) } },
    [
      "/deadline invalid",
      "/undoBudget bad_duration",
      "/steps/a/with/json invalid",
      "/steps/a/timeout timeout_too_long",
    ],
  ],
  [
    "verifies in time, of a time that is none",
    one(post({}, { unknownLimit: "x", verify: { ...get(), after: "100h" }, compensate: { action: "http" } })),
    ["/steps/a/unknownLimit invalid", "/steps/a/compensate/with missing"],
  ],
  [
    "calls a function of elsewhere on what it does not wait for",
    { steps: { a: say(1), b: say("${{ len(steps.a.output) + inputs.x + None }}") } },
    [
      "/steps/b/with/value expression_refused",
      "/steps/b/with/value unknown_name",
      "/steps/b/with/value unknown_name",
      "/steps/b/with/value not_an_ancestor",
    ],
  ],
  [
    "writes another language about what it does not wait for",
    { steps: { a: say(1), b: say(1, { when: "not steps.a.output and steps['q'].output is None" }) } },
    [
      ...["not", "and", "is None"].map(() => "/steps/b/when expression_invalid"),
      "/steps/b/when not_an_ancestor",
      "/steps/b/when unknown_step",
    ],
  ],
  [
    "writes three other languages in one condition",
    {
      steps: {
        a: get(),
        b: say(1, { needs: ["a"], when: "len(steps.a-b.output) > 0 and input.n is not None" }),
      },
    },
    [
      "/steps/b/when expression_refused",
      "/steps/b/when expression_refused",
      "/steps/b/when expression_invalid",
      "/steps/b/when expression_invalid",
      "/steps/b/when unknown_step",
    ],
  ],
  [
    "asks for the answer of a verify to what cannot be called",
    one(post({}, { verify: { ...get({ url: "http://a.example/" }), happened: "output.items == []" } })),
    ["/steps/a/verify/with/url url_refused", "/steps/a/verify/happened unknown_output_field"],
  ],
  [
    "lists what takes it back",
    one(post({}, { compensate: [get({ url: "https://a.example/${{ input.x }}" })] })),
    ["/steps/a/compensate invalid"],
  ],
  [
    "computes with what cannot be computed with",
    {
      steps: {
        a: say("${{ input.n || 3 }}"),
        b: say("${{ 'n: ' + 1 }}"),
        c: say("${{ input.l[-1] }}"),
        d: say("${{ !size(input.l) ? 1 : -'a' }}"),
        e: say("${{ input.l.map(x, x * 'a') }}"),
        f: say("${{ string(input.n) < 3 }}"),
      },
    },
    ["a", "b", "c", "d", "d", "e", "f"].map((name) => `/steps/${name}/with/value expression_invalid`),
  ],
  [
    "reads fields of what has none",
    {
      steps: {
        a: get(),
        b: say("${{ [steps.a.failure.error, run.user.name, steps.a.status.x] }}", { needs: ["a"] }),
      },
      onFailure: { c: say("${{ [failure.error, failure.step.name, failure.child.run] }}") },
    },
    [
      ...["/steps/b", "/steps/b", "/steps/b", "/onFailure/c", "/onFailure/c"].map(
        (at) => `${at}/with/value unknown_name`,
      ),
    ],
  ],
];

/** A field that is not known; a plan with it; what is allowed there among others; what was meant. */
export const STRAYS: readonly (readonly [
  pointer: string,
  plan: unknown,
  allowed: string,
  meant: string | null,
])[] = [
  ["/stpes", { stpes: {} }, "steps", "steps"],
  ["/steps/a/retries", one(get({}, { retries: 3 })), "retry", "retry"],
  ["/steps/a/type", one({ type: "transform", with: { value: 1 } }), "action", "action"],
  ["/steps/a/repeat/interval", one(get({}, { repeat: { until: "true", interval: 1 } })), "every", "every"],
  ["/steps/a/with/auth/token", one(get({ auth: { token: "x" } })), "bearer", "bearer"],
  ["/steps/a/with/auth/connections", one(get({ auth: { connections: "x" } })), "connection", "connection"],
  ["/steps/a/with/auth/integration", one(get({ auth: { integration: "x" } })), "scopes", null],
  ["/steps/a/time_out", one(get({}, { time_out: 3 })), "timeout", "timeout"],
  ["/steps/a/depends_on", one(say(1, { depends_on: [] })), "needs", "needs"],
  ["/steps/a/retry", one(say(1, { retry: {} })), "when", null],
  ["/steps/a/with/body", one(post({ body: 1 })), "json", "json"],
  ["/steps/a/with/body", one(get({ body: 1 })), "query", "query"],
  [
    "/steps/a/verify/with/auth/token",
    one(post({}, { verify: get({ auth: { token: "x" } }) })),
    "bearer",
    "bearer",
  ],
  ["/steps/a/with/keep/header", one(get({ keep: { header: [] } })), "headers", "headers"],
  [
    "/steps/a/with/paginate/curser",
    one(get({ paginate: { by: "cursor", cursor: "/n", param: "c", max: 1, curser: 1 } })),
    "cursor",
    "cursor",
  ],
  ["/steps/a/retry/attemps", one(get({}, { retry: { attemps: 1 } })), "attempts", "attempts"],
  ["/steps/a/repeat/evry", one(get({}, { repeat: { until: "true", every: 1, evry: 1 } })), "every", "every"],
  ["/steps/a/forEach/parallel", one(get({}, { forEach: { list: "[]", parallel: 3 } })), "concurrency", null],
  ["/steps/a/verify/happend", one(post({}, { verify: { ...get(), happend: "x" } })), "happened", "happened"],
  [
    "/steps/a/verify/with/jsn",
    one(post({}, { verify: { action: "http", with: { ...(get()["with"] as Loose), jsn: 1 } } })),
    "json",
    "json",
  ],
  ["/steps/a/compensate/wiht", one(post({}, { compensate: { ...post(), wiht: 1 } })), "with", "with"],
  ["/steps/a/onFailure/fallbak", one(say(1, { onFailure: { fallbak: 1 } })), "fallback", "fallback"],
  [
    "/onFailure/b/onFailure",
    { steps: { a: say(1) }, onFailure: { b: say(1, { onFailure: "fail" }) } },
    "sensitive",
    null,
  ],
  ["/steps/a/with/signl", one({ action: "wait", with: { signl: "x" } }), "signal", "signal"],
  ["/steps/a/with/fro", one({ action: "sleep", with: { fro: "1s" } }), "until", "for"],
  ["/steps/a/with/values", one({ action: "transform", with: { values: 1 } }), "value", "value"],
];

/** What is written from memory of another language; the place in it; what to write instead. */
export const OTHER_LANGUAGES: readonly (readonly [expression: string, offset: number, instead: string])[] = [
  ["not input.x", 0, "`!x`"],
  ["input.a and input.b", 8, "`a && b`"],
  ["input.a or input.b", 8, "`a || b`"],
  ["1 if input.c else 2", 2, "`c ? x : y`"],
  ["input.x is None", 8, "`x == null`"],
  ["input.x is not None", 8, "`x != null`"],
  ["input.x == None", 11, "`null`"],
  ["input.x == undefined", 11, "`null`"],
  ["input.x == True", 11, "`true`"],
  ["input.x not in input.l", 8, "`!(x in y)`"],
  ["input.x ?? 1", 8, "`has(x.a) ? x.a : y`"],
  ["input.x?.y", 7, "`has(x.a) ? x.a : null`"],
  ["input.l.map(x => x + 1)", 14, "`list.map(x, x + 1)`"],
  ["[x for x in input.l]", 3, "`list.map(x, x + 1)`"],
  ["input.a === 1", 8, "`==`"],
  ["input.a !== 1", 8, "`!=`"],
  ["input.a = 1", 8, "`==`"],
  ["input.a & input.b", 8, "`a && b`"],
  ["input.x | length", 8, "size(x)"],
  ["`a${input.x}`", 0, "quotes"],
  ["f'{input.x}'", 0, "joined by `+`"],
  ["$input.x", 0, "`input.x`"],
  ["{{ input.x }}", 0, "`input.x`"],
  ["len(input.x)", 0, "`size(x)`"],
  ["input.x.length()", 0, "`size(x)`"],
  ["str(input.x)", 0, "`string(x)`"],
  ["JSON.stringify(input)", 0, "`json(x)`"],
  ["input.x.some(y, y > 1)", 0, "`list.exists(x, x > 1)`"],
  ["input.x.toLowerCase()", 0, "`x.lowerAscii()`"],
  ["inputs.x", 0, "`input`"],
  ["steps.in.output", 5, "`steps['in']`"],
  ["steps.true.output", 5, "`steps['true']`"],
  ["steps.null.output", 5, "`steps['null']`"],
  ["steps.my-step.output", 0, "`steps['my-step']`"],
  ["steps.1st.output", 5, "`steps['1st']`"],
  ["input.in", 5, "`input['in']`"],
  ["input.headers.content-type", 22, "['content-type']"],
  ["'it is not so and' + None", 21, "`null`"],
  ["input.items.0 == 1", 11, "`x[0]`"],
  ["input.l[0:2]", 7, "`x[0]`"],
  ["timestamp(input.x)", 0, "`millis("],
  ["input.n or 3", 8, "`has(x.a) ? x.a : y`"],
  ["steps.a.body.x", 0, "`steps['a'].output.body`"],
];

/** What does not fit, and the form that is told. */
export const FORMS: readonly (readonly [pointer: string, plan: unknown, form: string])[] = [
  ["/steps/a/with/auth", one(get({ auth: "PAY_TOKEN" })), '`{"bearer": "NAME"}`'],
  ["/steps/a/retry", one(get({}, { retry: 3 })), '`{"attempts": 3}`'],
  ["/steps/a/needs", one(get({}, { needs: "b" })), '`["a"]`'],
  ["/steps/a/url", one(get({}, { url: "https://a.example/" })), "`with.url`"],
  ["/steps/a/method", one(get({}, { method: "GET" })), "`with.method`"],
  ["/steps/a/value", one(say(1, { value: 1 })), "`with.value`"],
  ["/steps/a/forEach/as", one(get({}, { forEach: { list: "[]", as: "x" } })), "`item`"],
  ["/input/n", { input: { n: "string" }, steps: { a: say(1) } }, '"properties": {"n"'],
  ["/input/n", { input: { n: { type: "string" } }, steps: { a: say(1) } }, '"properties": {"n"'],
];
