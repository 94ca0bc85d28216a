/** Plans that cannot run. Each is a plan that can, changed at one place; the finding has to name that place and its rule. */

type Loose = Record<string, unknown>;

export const get = (more: Loose = {}, rest: Loose = {}): Loose => ({
  action: "http",
  with: { method: "GET", url: "https://api.skyline.example/bookings", ...more },
  ...rest,
});
export const post = (more: Loose = {}, rest: Loose = {}): Loose => ({
  action: "http",
  with: { method: "POST", url: "https://api.skyline.example/bookings", json: {}, ...more },
  ...rest,
});
export const say = (value: unknown, rest: Loose = {}): Loose => ({
  action: "transform",
  with: { value },
  ...rest,
});
const one = (step: Loose): Loose => ({ steps: { a: step } });
const two = (a: Loose, b: Loose): Loose => ({ steps: { a, b } });
const text = (expression: string): Loose => one(say(`\${{ ${expression} }}`));
const input = (schema: unknown): Loose => ({ input: schema, steps: { a: say(1) } });
const flow = (value: unknown): Loose => ({ flow: value, steps: { a: say(1) } });

/** What is wrong; the plan; pointer and code of a finding. */
export const BAD_PLANS: readonly (readonly [what: string, plan: unknown, pointer: string, code: string])[] = [
  // The frame.
  ["is no object", [], "", "invalid"],
  ["is null", null, "", "invalid"],
  ["has no steps", {}, "/steps", "missing"],
  ["has no step in its steps", { steps: {} }, "/steps", "no_steps"],
  ["lists its steps", { steps: [say(1)] }, "/steps", "invalid"],
  ["has a field that nobody knows", { steps: { a: say(1) }, stpes: {} }, "/stpes", "unknown_field"],
  ["limits nothing in its flow", flow({}), "/flow", "bad_flow"],
  ["has a queue and no limit", flow({ queue: { limit: 5 } }), "/flow", "bad_flow"],
  ["lets nobody work", flow({ concurrency: { limit: 0 } }), "/flow/concurrency/limit", "invalid"],
  [
    "has three limits",
    flow({ concurrency: [{ limit: 1 }, { limit: 2 }, { limit: 3 }] }),
    "/flow/concurrency",
    "invalid",
  ],
  [
    "has a limit by a key that is no expression",
    flow({ concurrency: { limit: 1, key: "input." } }),
    "/flow/concurrency/key",
    "expression_invalid",
  ],
  [
    "has a second limit by what steps put out",
    flow({ concurrency: [{ limit: 1 }, { limit: 1, key: "steps.a.output" }] }),
    "/flow/concurrency/1/key",
    "unknown_name",
  ],
  [
    "has a rate by the id of the run",
    flow({ rate: { limit: 1, per: "1m", key: "run.id" } }),
    "/flow/rate/key",
    "unknown_name",
  ],
  [
    "has a limit by a field that its input cannot have",
    {
      input: { type: "object", properties: { customer: { type: "string" } }, additionalProperties: false },
      ...flow({ concurrency: { limit: 1, key: "input.custmer" } }),
    },
    "/flow/concurrency/key",
    "unknown_input_field",
  ],
  ["has a rate of a month", flow({ rate: { limit: 1, per: "30d" } }), "/flow/rate/per", "bad_duration"],
  ["has a rate of 2,000 at once", flow({ rate: { limit: 2_000, per: "1d" } }), "/flow/rate/limit", "invalid"],
  [
    "is quiet for longer than it may be",
    flow({ debounce: { for: "2m", max: "1m" } }),
    "/flow/debounce/max",
    "bad_flow",
  ],
  [
    "has a priority in braces",
    flow({ concurrency: { limit: 1 }, priority: "${{ input.p }}" }),
    "/flow/priority",
    "expression_wrapped",
  ],
  [
    "waits for a year",
    flow({ concurrency: { limit: 1 }, queue: { timeout: "365d" } }),
    "/flow/queue/timeout",
    "bad_duration",
  ],
  ["spells its limit otherwise", flow({ concurency: { limit: 1 } }), "/flow/concurency", "unknown_field"],
  ["has a name with a blank", { name: "my plan", steps: { a: say(1) } }, "/name", "invalid"],
  ["has a deadline without a unit", { deadline: "10", steps: { a: say(1) } }, "/deadline", "invalid"],
  ["has a deadline of 400 days", { deadline: "400d", steps: { a: say(1) } }, "/deadline", "bad_duration"],
  [
    "has an expression as its deadline",
    { deadline: "${{ input.d }}", steps: { a: say(1) } },
    "/deadline",
    "expression_not_allowed",
  ],
  ["is too large", { steps: { a: say("x".repeat(262_145)) } }, "", "plan_too_large"],
  [
    "has too many steps",
    { steps: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`s${i}`, say(1)])) },
    "/steps",
    "too_many_steps",
  ],
  ["opens with a text", { open: "yes", steps: { a: say(1) } }, "/open", "invalid"],

  // Its input.
  ["has a schema that is a text", input("object"), "/input", "invalid"],
  [
    "has a pattern in its schema",
    input({ properties: { x: { pattern: "^(a+)+$" } } }),
    "/input/properties/x/pattern",
    "input_schema_refused",
  ],
  [
    "refers to a schema elsewhere",
    input({ $ref: "https://schemas.example/x.json" }),
    "/input/$ref",
    "input_schema_refused",
  ],
  [
    "refers to its own schema",
    input({ properties: { x: { $ref: "#" } } }),
    "/input/properties/x/$ref",
    "input_schema_refused",
  ],
  [
    "asks for unique items",
    input({ type: "array", uniqueItems: true }),
    "/input/uniqueItems",
    "input_schema_refused",
  ],
  ["has a type that does not exist", input({ type: "text" }), "/input/type", "input_schema_invalid"],
  [
    "has a format that does not exist",
    input({ type: "string", format: "regex" }),
    "/input/format",
    "input_schema_invalid",
  ],
  ["requires by a text", input({ required: "x" }), "/input/required", "input_schema_invalid"],
  [
    "has a schema deeper than any input",
    input(JSON.parse(`${'{"items":'.repeat(30)}{}${"}".repeat(30)}`)),
    `/input${"/items".repeat(21)}`,
    "input_schema_too_large",
  ],

  // Steps.
  ["has a step with a blank in its name", { steps: { "a b": say(1) } }, "/steps/a b", "invalid"],
  ["has a step that is a text", { steps: { a: "say" } }, "/steps/a", "invalid"],
  ["has a step without an action", one({ with: {} }), "/steps/a/action", "missing"],
  [
    "has an action that does not exist",
    one({ action: "shell", with: { command: "ls" } }),
    "/steps/a/action",
    "invalid",
  ],
  ["has a step without parameters", one({ action: "http" }), "/steps/a/with", "missing"],
  [
    "has a step with a field that nobody knows",
    one(get({}, { retries: 3 })),
    "/steps/a/retries",
    "unknown_field",
  ],
  ["has an effect that does not exist", one(post({}, { effect: "twice" })), "/steps/a/effect", "invalid"],
  ["carries a key to nobody", one(say(1, { effect: "keyed" })), "/steps/a/effect", "keyed_not_carried"],
  ["needs a step that is not there", one(say(1, { needs: ["z"] })), "/steps/a/needs/0", "unknown_need"],
  ["needs itself", one(say(1, { needs: ["a"] })), "/steps/a/needs/0", "cycle"],
  ["needs in a circle", two(say(1, { needs: ["b"] }), say(1, { needs: ["a"] })), "/steps/a/needs/0", "cycle"],
  [
    "joins in a way that does not exist",
    two(say(1), say(1, { needs: ["a"], join: "first" })),
    "/steps/b/join",
    "invalid",
  ],
  [
    "waits longer than an attempt may take",
    one(get({}, { timeout: "11m" })),
    "/steps/a/timeout",
    "timeout_too_long",
  ],
  ["retries without end", one(get({}, { retry: { attempts: 1_000 } })), "/steps/a/retry/attempts", "invalid"],
  [
    "retries on a failure that does not exist",
    one(get({}, { retry: { only: ["oops"] } })),
    "/steps/a/retry/only/0",
    "invalid",
  ],
  [
    "retries a once step blindly",
    one(post({}, { retry: { only: ["http_500"] } })),
    "/steps/a/retry/only",
    "once_blind_retry",
  ],
  [
    "retries longer than it may run",
    { deadline: "1m", steps: { a: get({}, { retry: { attempts: 50, initial: "1m", jitter: "none" } }) } },
    "/steps/a/retry",
    "retry_window_exceeds_deadline",
  ],
  ["verifies a safe step", one(get({}, { verify: get() })), "/steps/a/verify", "verify_on_safe"],
  ["undoes a safe step", one(get({}, { compensate: post() })), "/steps/a/compensate", "compensate_on_safe"],
  [
    "repeats a once step",
    one(post({}, { repeat: { until: "true", every: "1s" } })),
    "/steps/a/repeat",
    "repeat_once",
  ],
  [
    "repeats for each",
    one(get({}, { repeat: { until: "true", every: "1s" }, forEach: "input.x" })),
    "/steps/a/repeat",
    "repeat_and_for_each",
  ],
  [
    "repeats without saying until when",
    one(get({}, { repeat: { every: "1s" } })),
    "/steps/a/repeat/until",
    "missing",
  ],
  [
    "sleeps for each",
    one({ action: "sleep", with: { for: "1s" }, forEach: "input.x" }),
    "/steps/a/forEach",
    "unknown_field",
  ],
  [
    "has a handler of failures with its own onFailure",
    { steps: { a: say(1) }, onFailure: { b: say(1, { onFailure: "continue" }) } },
    "/onFailure/b/onFailure",
    "unknown_field",
  ],
  ["has a name twice", { steps: { a: say(1) }, onFailure: { a: say(1) } }, "/onFailure/a", "duplicate_step"],
  [
    "lets a handler need a main step",
    { steps: { a: say(1) }, onFailure: { b: say(1, { needs: ["a"] }) } },
    "/onFailure/b/needs/0",
    "need_across_parts",
  ],
  [
    "undoes what a handler did",
    { steps: { a: say(1) }, onFailure: { b: post({}, { effect: "keyed", compensate: post() }) } },
    "/onFailure/b/compensate",
    "compensate_on_failure_step",
  ],

  // Requests.
  ["calls without TLS", one(get({ url: "http://api.skyline.example/" })), "/steps/a/with/url", "url_refused"],
  [
    "calls an address",
    one(get({ url: "https://169.254.169.254/latest" })),
    "/steps/a/with/url",
    "url_refused",
  ],
  [
    "calls a port",
    one(get({ url: "https://api.skyline.example:8443/" })),
    "/steps/a/with/url",
    "url_refused",
  ],
  ["calls a local name", one(get({ url: "https://localhost/" })), "/steps/a/with/url", "url_refused"],
  [
    "has a password in a URL",
    one(get({ url: "https://u:p@api.skyline.example/" })),
    "/steps/a/with/url",
    "secret_in_plan",
  ],
  [
    "has an expression as a host",
    one(get({ url: "https://${{ input.host }}/" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression in a host",
    one(get({ url: "https://api.${{ input.x }}.example/" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression right behind a host",
    one(get({ url: "https://api.skyline.example${{ input.x }}" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression as a port",
    one(get({ url: "https://api.skyline.example:${{ input.port }}/" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression as a scheme",
    one(get({ url: "${{ input.scheme }}://api.skyline.example/" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression as a URL",
    one(get({ url: "${{ input.url }}" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression behind a backslash",
    one(get({ url: "https://api.skyline.example\\${{ input.x }}" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression before an at sign",
    one(get({ url: "https://${{ input.x }}@api.skyline.example/" })),
    "/steps/a/with/url",
    "url_not_literal",
  ],
  [
    "has an expression as a method",
    one(get({ method: "${{ input.m }}" })),
    "/steps/a/with/method",
    "expression_not_allowed",
  ],
  [
    "has an expression as a credential",
    one(get({ auth: { bearer: "${{ input.t }}" } })),
    "/steps/a/with/auth/bearer",
    "expression_not_allowed",
  ],
  [
    "has an expression as a status",
    one(get({ success: ["${{ input.s }}"] })),
    "/steps/a/with/success/0",
    "expression_not_allowed",
  ],
  [
    "has a credential in a header",
    one(get({ headers: { "X-Api-Key": "${{ input.key }}" } })),
    "/steps/a/with/headers/X-Api-Key",
    "secret_in_plan",
  ],
  [
    "has a token in a header",
    one(get({ headers: { "X-Thing": "Bearer abcdefgh12345678" } })),
    "/steps/a/with/headers/X-Thing",
    "secret_in_plan",
  ],
  ["sends a body with GET", one(get({ json: {} })), "/steps/a/with/json", "invalid"],
  ["sends two bodies", one(post({ text: "x" })), "/steps/a/with/text", "invalid"],
  [
    "undoes at a host that it computes",
    one(post({}, { compensate: get({ url: "https://${{ own.body.host }}/" }) })),
    "/steps/a/compensate/with/url",
    "url_not_literal",
  ],

  [
    "reads pages with POST",
    one(post({ paginate: { by: "link", max: 2 } })),
    "/steps/a/with/paginate",
    "invalid",
  ],
  [
    "reads pages without an end",
    one(get({ paginate: { by: "link" } })),
    "/steps/a/with/paginate/max",
    "missing",
  ],
  [
    "reads pages by a way that does not exist",
    one(get({ paginate: { by: "page", max: 2 } })),
    "/steps/a/with/paginate/by",
    "invalid",
  ],
  [
    "asks whether it happened by doing it again",
    one({
      action: "http",
      with: { method: "POST", url: "https://api.pay.example/charges", json: {} },
      verify: { action: "http", with: { method: "POST", url: "https://api.pay.example/charges", json: {} } },
    }),
    "/steps/a/verify/with/method",
    "verify_not_safe",
  ],
  [
    "finds out whether it happened by its own output",
    one({
      action: "http",
      with: { method: "POST", url: "https://api.pay.example/charges", json: {} },
      verify: {
        action: "http",
        with: { method: "GET", url: "https://api.pay.example/charges" },
        happened: "steps.a.output == null ? null : true",
      },
    }),
    "/steps/a/verify/happened",
    "not_an_ancestor",
  ],
  [
    "asks whether it happened by its own output",
    one({
      action: "http",
      with: { method: "POST", url: "https://api.pay.example/charges", json: {} },
      verify: {
        action: "http",
        with: { method: "GET", url: "https://api.pay.example/charges/${{ steps.a.output.body.id }}" },
      },
    }),
    "/steps/a/verify/with/url",
    "not_an_ancestor",
  ],
  [
    "checks its input by more schemas than it may, though each is only true or false",
    input({ allOf: Array.from({ length: 600 }, () => true) }),
    "/input/allOf/499",
    "input_schema_too_large",
  ],
  [
    "reads pages of what is not safe",
    one(get({ paginate: { by: "link", max: 2 } }, { effect: "once" })),
    "/steps/a/effect",
    "paginate_not_safe",
  ],
  [
    "computes where the cursor is",
    one(get({ paginate: { by: "cursor", cursor: "${{ input.c }}", param: "c", max: 2 } })),
    "/steps/a/with/paginate/cursor",
    "expression_not_allowed",
  ],

  // Other actions.
  [
    "waits for a signal that it computes",
    one({ action: "wait", with: { signal: "${{ input.s }}" } }),
    "/steps/a/with/signal",
    "expression_not_allowed",
  ],
  ["sleeps for no time", one({ action: "sleep", with: {} }), "/steps/a/with/for", "missing"],
  [
    "sleeps for a time without a unit",
    one({ action: "sleep", with: { for: "soon" } }),
    "/steps/a/with/for",
    "invalid",
  ],
  ["fails without a word", one({ action: "fail", with: {} }), "/steps/a/with/message", "missing"],

  // Expressions.
  ["has half an expression", text("input. "), "/steps/a/with/value", "expression_invalid"],
  ["has an expression without an end", one(say("${{ input.x")), "/steps/a/with/value", "expression_invalid"],
  ["has an empty expression", text(""), "/steps/a/with/value", "expression_invalid"],
  [
    "has braces around a condition",
    one(say(1, { when: "${{ input.x }}" })),
    "/steps/a/when",
    "expression_wrapped",
  ],
  [
    "has braces around a list",
    one(say(1, { forEach: "${{ input.x }}" })),
    "/steps/a/forEach",
    "expression_wrapped",
  ],
  ["has a condition that is true", one(say(1, { when: true })), "/steps/a/when", "invalid"],
  ["reads a name that is not there", text("inputs.x"), "/steps/a/with/value", "unknown_name"],
  [
    "reads a field that no step has",
    two(say(1), say("${{ steps.a.result }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_name",
  ],
  ["reads a field that no run has", text("run.secret"), "/steps/a/with/value", "unknown_name"],
  ["reads an item where there is none", text("item"), "/steps/a/with/value", "unknown_name"],
  ["reads an item in its own list", one(say(1, { forEach: "item" })), "/steps/a/forEach", "unknown_name"],
  ["reads an output where there is none", text("output"), "/steps/a/with/value", "unknown_name"],
  ["reads a failure before there is one", text("failure.code"), "/steps/a/with/value", "unknown_name"],
  ["reads a key", text("stepKey"), "/steps/a/with/value", "unknown_name"],
  ["reads the environment", text("env.SERVER_KEY"), "/steps/a/with/value", "unknown_name"],
  ["reads a step that is not there", text("steps.z.output"), "/steps/a/with/value", "unknown_step"],
  [
    "reads a step that it does not wait for",
    two(say(1), say("${{ steps.a.output }}")),
    "/steps/b/with/value",
    "not_an_ancestor",
  ],
  ["reads itself", one(say("${{ steps.a.output }}")), "/steps/a/with/value", "not_an_ancestor"],
  [
    "reads in its condition what comes later",
    two(say(1, { when: "steps.b.output" }), say(1, { needs: ["a"] })),
    "/steps/a/when",
    "not_an_ancestor",
  ],
  [
    "answers with a step that is not there",
    { steps: { a: say(1) }, output: { x: "${{ steps.z.output }}" } },
    "/output/x",
    "unknown_step",
  ],
  [
    "answers with a handler of failures",
    { steps: { a: say(1) }, onFailure: { b: say(1) }, output: "${{ steps.b.output }}" },
    "/output",
    "not_an_ancestor",
  ],
  [
    "reads a step by a name that it computes",
    text("steps[input.name].output"),
    "/steps/a/with/value",
    "expression_refused",
  ],
  ["reads all steps", text("size(steps)"), "/steps/a/with/value", "expression_refused"],
  ["reads a step whole", text("steps.a"), "/steps/a/with/value", "expression_refused"],
  ["matches a pattern", text("input.x.matches('^(a+)+$')"), "/steps/a/with/value", "expression_refused"],
  [
    "calls a function that does not exist",
    text("fetch('https://evil.example')"),
    "/steps/a/with/value",
    "expression_refused",
  ],
  [
    "compares each with each",
    text("input.a.exists(x, input.b.exists(y, x == y))"),
    "/steps/a/with/value",
    "expression_refused",
  ],
  ["binds a name", text("cel.bind(x, input, x)"), "/steps/a/with/value", "expression_refused"],
  ["counts unsigned", text("1u"), "/steps/a/with/value", "expression_refused"],
  [
    "counts beyond what a number can hold",
    text("9007199254740993"),
    "/steps/a/with/value",
    "expression_invalid",
  ],
  [
    "is longer than an expression may be",
    text(`'${"x".repeat(4_100)}'`),
    "/steps/a/with/value",
    "expression_too_large",
  ],
  [
    "is nested deeper than an expression may be",
    text(`${"(".repeat(300)}1${")".repeat(300)}`),
    "/steps/a/with/value",
    "expression_too_large",
  ],
  [
    "has more parts than an expression may have",
    text(`[${"1,".repeat(1_500)}1]`),
    "/steps/a/with/value",
    "expression_too_large",
  ],

  // What nothing can be there of.
  [
    "reads of an answer what is in its body",
    two(get(), say("${{ steps.a.output.id }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "asks whether an answer has what can only be in its body",
    two(get(), say("${{ has(steps.a.output.id) ? 1 : 2 }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads a body that it did not keep",
    two(get({ keep: { body: "none" } }), say("${{ steps.a.output.body.id }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads a field of a text",
    two(get({ keep: { body: "text" } }), say(1, { needs: ["a"], when: "steps.a.output.body.id == 1" })),
    "/steps/b/when",
    "unknown_output_field",
  ],
  [
    "reads a header in upper case",
    two(get(), say("${{ steps.a.output.headers['ETag'] }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads a header that it did not keep",
    two(get({ keep: { headers: ["ETag"] } }), say("${{ steps.a.output.headers.link }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads a field of all pages at once",
    two(get({ paginate: { by: "link", max: 2 } }), say("${{ steps.a.output.body.items }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads a list as if it was one of its elements",
    two(get({}, { forEach: "input.x" }), say("${{ steps.a.output.body }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads of each element of a list what is in its body",
    two(get({}, { forEach: "input.x" }), say("${{ steps.a.output.map(x, x.id) }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads of an item what is in its body",
    two(get({}, { forEach: "input.x" }), say("${{ item.id }}", { needs: ["a"], forEach: "steps.a.output" })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "polls for what is in the body",
    one(get({}, { repeat: { until: "output.done", every: "1s" } })),
    "/steps/a/repeat/until",
    "unknown_output_field",
  ],
  [
    "looks for what happened outside of the body",
    one(post({}, { verify: { ...get(), happened: "size(output.items) > 0" } })),
    "/steps/a/verify/happened",
    "unknown_output_field",
  ],
  [
    "takes back what it does not find",
    one(post({}, { compensate: get({ url: "https://api.skyline.example/${{ own.id }}" }) })),
    "/steps/a/compensate/with/url",
    "unknown_output_field",
  ],
  [
    "reads what a sleep brought",
    two({ action: "sleep", with: { for: "1s" } }, say("${{ steps.a.output.at }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads of a fallback what it does not have",
    two(
      { action: "sleep", with: { for: "1s" }, onFailure: { fallback: { id: 1 } } },
      say("${{ steps.a.output.at }}", { needs: ["a"] }),
    ),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads of a decision what it does not have",
    two(
      { action: "wait", with: { approval: "Go?" } },
      say(1, { needs: ["a"], when: "steps.a.output.approved" }),
    ),
    "/steps/b/when",
    "unknown_output_field",
  ],
  [
    "reads of a payload what its schema forbids",
    two(
      {
        action: "wait",
        with: {
          signal: "go",
          schema: { type: "object", properties: { seat: {} }, additionalProperties: false },
        },
      },
      say("${{ steps.a.output.set }}", { needs: ["a"] }),
    ),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads of a computed value what was not computed",
    two(say({ total: "${{ input.n }}" }), say("${{ steps.a.output.totl }}", { needs: ["a"] })),
    "/steps/b/with/value",
    "unknown_output_field",
  ],
  [
    "reads through a computed value what an answer does not have",
    {
      steps: {
        a: get(),
        b: say("${{ {'answer': steps.a.output} }}", { needs: ["a"] }),
        c: say("${{ steps.b.output.answer.id }}", { needs: ["b"] }),
      },
    },
    "/steps/c/with/value",
    "unknown_output_field",
  ],
  [
    "answers with what no step has",
    { steps: { a: get() }, output: { id: "${{ steps.a.output.id }}" } },
    "/output/id",
    "unknown_output_field",
  ],
  [
    "reads an input that its schema forbids",
    {
      input: { type: "object", properties: { to: {} }, additionalProperties: false },
      steps: { a: say("${{ input.too }}") },
    },
    "/steps/a/with/value",
    "unknown_input_field",
  ],
  [
    "reads a field of an input that is a number",
    { input: { properties: { n: { type: "integer" } } }, steps: { a: say("${{ input.n.x }}") } },
    "/steps/a/with/value",
    "unknown_input_field",
  ],

  // Credentials.
  [
    "has a key in the query of a URL",
    one(get({ url: "https://api.skyline.example/x?a=1&api_key=abc" })),
    "/steps/a/with/url",
    "secret_in_plan",
  ],
  [
    "has a key in its query",
    one(get({ query: { "client-secret": "abc" } })),
    "/steps/a/with/query/client-secret",
    "secret_in_plan",
  ],
  [
    "has in its query what looks like a token",
    one(get({ query: { token: "a8Kd93hfA02mdkeP40dk" } })),
    "/steps/a/with/query/token",
    "secret_in_plan",
  ],
  [
    "has a key in a body",
    one(post({ json: { deep: ["x", `sk_live_${"a1".repeat(12)}`] } })),
    "/steps/a/with/json/deep/1",
    "secret_in_plan",
  ],
  [
    "has a key in a form",
    one({
      action: "http",
      with: { method: "POST", url: "https://a.example/", form: { a: `ghp_${"a1".repeat(18)}` } },
    }),
    "/steps/a/with/form/a",
    "secret_in_plan",
  ],
  [
    "has in a body a secret by its name",
    one(post({ json: { client_secret: "a8Kd93hfA02mdkeP40dk" } })),
    "/steps/a/with/json/client_secret",
    "secret_in_plan",
  ],
  [
    "has one of our own keys in a text",
    one({
      action: "http",
      with: { method: "POST", url: "https://a.example/", text: `key: sck_${"a1".repeat(19)}` },
    }),
    "/steps/a/with/text",
    "secret_in_plan",
  ],
  [
    "has a signed token within an expression",
    text(`'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${"x".repeat(20)}'`),
    "/steps/a/with/value",
    "secret_in_plan",
  ],
  [
    "has a key as the name of a field",
    one(say({ [`AKIA${"A1".repeat(8)}`]: 1 })),
    "/steps/a/with/value",
    "secret_in_plan",
  ],
  [
    "has a key as a default of its input",
    input({ properties: { k: { default: `xoxb-${"1".repeat(12)}-${"a".repeat(12)}` } } }),
    "/input/properties/k/default",
    "secret_in_plan",
  ],
];
