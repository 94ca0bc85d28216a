/** One example per request body, for the OpenAPI document; a test checks each against its schema. */

export const EXAMPLES = {
  start: {
    workflow: "book-trip",
    input: {
      traveller: { name: "Ada Lovelace", email: "ada@mail.example", phone: "+44 20 7946 0018" },
      from: "LHR",
      to: "ZRH",
      date: "2027-03-14",
    },
    tags: ["demo"],
  },
  plan: {
    plan: {
      input: { type: "object", required: ["city"], properties: { city: { type: "string" } } },
      steps: {
        weather: {
          action: "http",
          with: {
            method: "GET",
            url: "https://weather.example/today",
            query: { city: "${{ input.city }}" },
          },
        },
      },
      output: { rain: "${{ steps.weather.output.body.rain }}" },
    },
  },
  event: {
    name: "payment.received",
    id: "pay_1001",
    data: { order: "o-1001", amount: 4_200, currency: "EUR" },
  },
  cloudRole: {
    name: "invoices-writer",
    provider: "aws" as const,
    role_arn: "arn:aws:iam::123456789012:role/invoices-writer",
    region: "eu-central-1",
    workflows: ["code:process-order"],
    hosts: ["invoices.s3.eu-central-1.amazonaws.com"],
  },
  changedCloudRole: {
    provider: "aws" as const,
    role_arn: "arn:aws:iam::123456789012:role/invoices-writer",
    region: "eu-central-1",
    duration_s: 900,
    workflows: ["code:process-order", "plan:nightly"],
    hosts: ["invoices.s3.eu-central-1.amazonaws.com"],
  },
  trustedIssuer: {
    name: "github",
    issuer: "https://token.actions.githubusercontent.com",
    rules: [
      {
        subject: "repo:acme/shop:environment:production",
        scopes: ["runs:write", "runs:read"],
        policy: { workflows: ["process-order"] },
      },
    ],
  },
  changedIssuer: {
    issuer: "https://token.actions.githubusercontent.com",
    max_age_s: 900,
    rules: [{ subject: "repo:acme/shop:ref:refs/heads/*", scopes: ["runs:read"] }],
  },
  testToken: { token: "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl" },
  schedule: {
    timing: { kind: "cron" as const, expression: "0 9 * * MON-FRI", timezone: "Europe/Berlin" },
    workflow: "weather-report",
    input: { city: "Zurich" },
    tags: ["daily"],
    overlap: "skip" as const,
  },
  pauseSchedule: { reason: "The warehouse is closed." },
  testCloudRole: { workflow: "code:process-order" },
  endpoint: {
    url: "https://backend.example.com/showcaller",
    events: ["run.ended" as const, "approval.required" as const],
    description: "orders",
    key: "hmac" as const,
  },
  changedEndpoint: { events: ["run.ended" as const] },
  rotatedKey: { key: "hmac" as const, overlap_s: 86_400 },
  replayFailed: { since: 1_800_000_000_000 },
  cancel: { mode: "graceful" as const, reason: "The traveller fell ill." },
  redrive: { resolve: { invoice: { as: "failed" as const, note: "The ledger has no such invoice." } } },
  resolve: {
    as: "succeeded" as const,
    output: { id: "bk_1042" },
    note: "The airline lists the booking under the run's id.",
  },
  signal: { id: "delivery-2042", payload: { delivered: true } },
  decide: { decision: "approved" as const, note: "Within the budget." },
  link: { identity: "ada@corp.example" },
  append: {
    steps: {
      weather: {
        action: "http",
        with: { method: "GET", url: "https://weather.example/today?city=Zurich" },
      },
    },
  },
  key: { name: "reporting", scopes: ["runs:read" as const, "outputs:read" as const] },
  policy: {
    hosts: [
      { host: "weather.example", methods: ["GET" as const] },
      { host: "api.skyline.example", paths: ["/bookings/*"], approval: "writes" as const },
    ],
    workflows: ["book-trip"],
    inline: true,
  },
  adminKey: { name: "first admin key" },
  tenant: { id: "acme" },
  relist: { objects: ["0".repeat(64)] },
  rewrap: { limit: 100 },
  verifyAudit: { after: 0, limit: 50 },
  integration: {
    name: "google",
    provider: "google",
    client_id: "1042-abc.apps.googleusercontent.com",
    client_secret: "GOCSPX-of-your-own-app",
    scopes_allowed: [
      "https://www.googleapis.com/auth/calendar.events",
      "https://www.googleapis.com/auth/calendar.readonly",
    ],
    scopes_default: ["https://www.googleapis.com/auth/calendar.readonly"],
    return_to: ["https://app.example.com/connected"],
  },
  changedIntegration: { client_secret: "GOCSPX-the-next-one" },
  connectSession: { integration: "google", user: "ada" },
  confirm: { code: "the-code-that-came-with-the-browser", user: "ada" },
  ticket: { user: "ada" },
  reconnect: { scopes: ["https://www.googleapis.com/auth/calendar.events"] },
  hook: {
    name: "github-push",
    workflow: "book-trip",
    scheme: { type: "github" as const },
    secret: "a-long-text-that-only-github-knows",
    filter: "input.event == 'push' && input.body.ref == 'refs/heads/main'",
    input: { repository: "${{ input.body.repository.full_name }}", commit: "${{ input.body.after }}" },
  },
  changedHook: {
    workflow: "book-trip",
    scheme: { type: "github" as const },
    rate: { per_minute: 60, burst: 20 },
    headers: ["x-github-event"],
  },
  hookSecret: { secret: "the-next-one-that-only-github-knows" },
  endSecret: { until: 1_798_761_600_000 },
  redeliver: { number: 1 },
  testHook: { event: "push", body: { ref: "refs/heads/main", after: "9f8e7d" } },
  connection: { integration: "weather", user: "ada", api_key: "wk_0123456789", label: "weather" },
};
