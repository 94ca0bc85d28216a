/** Stories of triggers, connections, identity and keys. */
import {
  ended,
  explained,
  signal,
  stands,
  start,
  store,
  text,
  texts,
  type Kept,
  type Run,
  type Story,
  type Teller,
} from "./story.ts";

const HOUR_MS = 3_600_000;
const HOOK_KEY = "hook-key-of-the-upgrade-stories-1";
/** Where endpoints are told: whoever tells the stories stands there. */
export const RECEIVER_HOST = "backend.receiver.example";
/** A service that takes any token. */
export const LENT_HOST = "api.bench.example";

interface Deliveries {
  readonly data: readonly { readonly id: string; readonly outcome?: string; readonly run?: string | null }[];
}

async function deliver(teller: Teller, n: number): Promise<void> {
  await teller.ask("POST", "/hooks/default/up-hook", {
    key: null,
    body: { n },
    headers: { "x-hook-key": HOOK_KEY, "x-delivery": `delivery-${n}` },
  });
}

const hooks: Story = {
  name: "hook",
  async begin(teller) {
    await store(teller, "up-hooked", {
      steps: { say: { action: "transform", with: { value: "${{ input.body.n }}" } } },
    });
    await teller.ask("POST", "/v1/hooks", {
      body: {
        ...{ name: "up-hook", workflow: "up-hooked", secret: HOOK_KEY },
        scheme: { type: "api_key", header: "x-hook-key", id: { header: "x-delivery" } },
        input: { body: "${{ input.body }}" },
      },
    });
    await deliver(teller, 1);
    return {};
  },
  async middle(teller) {
    await deliver(teller, 1);
    await deliver(teller, 2);
    return {};
  },
  async end(teller) {
    await deliver(teller, 2);
    const log = await teller.until(
      "the log has the deliveries",
      () => teller.ask<Deliveries>("GET", "/v1/hooks/up-hook/deliveries"),
      ({ data }) => data.length >= 3,
    );
    const runs = new Set(log.data.flatMap(({ run }) => (typeof run === "string" ? [run] : [])));
    teller.hold(runs.size === 2, "each delivery is one run, however often it came", log);
    for (const run of runs) await ended(teller, run, "succeeded");
  },
};

interface Ticks {
  readonly data: readonly { readonly what: string; readonly run?: string }[];
}

const schedules: Story = {
  name: "schedule",
  async begin(teller) {
    await store(teller, "up-ticked", { steps: { say: { action: "transform", with: { value: "tick" } } } });
    const timing = { kind: "interval", every_ms: HOUR_MS, anchor: teller.now() + 4_000 };
    await teller.ask("PUT", "/v1/schedules/up-schedule", { body: { timing, workflow: "up-ticked" } });
    return {};
  },
  async middle(teller) {
    await teller.ask("GET", "/v1/schedules/up-schedule");
    await teller.ask("POST", "/v1/schedules/up-schedule/trigger", {
      headers: { "idempotency-key": '"up-trigger"' },
      expect: [200, 201, 202],
    });
    return {};
  },
  async end(teller) {
    const log = await teller.until(
      "the schedule has ticked",
      () => teller.ask<Ticks>("GET", "/v1/schedules/up-schedule/log"),
      ({ data }) => data.filter(({ what }) => what === "started").length >= 2,
    );
    for (const { run, what } of log.data)
      if (what === "started" && run !== undefined) await ended(teller, run, "succeeded");
  },
};

interface EventSeen {
  readonly status: string;
  readonly runs: readonly { readonly run: string }[];
  readonly resumed: readonly { readonly run: string }[];
}

const events: Story = {
  name: "event",
  async begin(teller) {
    await store(teller, "up-evented", {
      on: [{ event: "up.happened", filter: "event.data.total >= 10" }],
      steps: { say: { action: "transform", with: { value: "${{ input.total }}" } } },
    });
    const plan = { steps: { heard: { action: "wait", with: { event: "up.happened", timeout: "1h" } } } };
    const run = await start(teller, "up-event-1", { plan });
    await stands(teller, run, "heard", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    await teller.ask("POST", "/v1/events", { body: { name: "up.happened", id: "e-1", data: { total: 42 } } });
    return kept;
  },
  async end(teller, kept) {
    await teller.ask("POST", "/v1/events", { body: { name: "up.happened", id: "e-1", data: { total: 42 } } });
    await ended(teller, text(kept, "run"), "succeeded");
    const seen = await teller.until(
      "the event is done with",
      () => teller.ask<EventSeen>("GET", "/v1/events/up.happened/e-1"),
      ({ status }) => status === "done",
    );
    teller.hold(
      seen.runs.length === 1 && seen.resumed.length === 1,
      "it has started one run and resumed one",
      seen,
    );
    await ended(teller, seen.runs[0]?.run ?? "", "succeeded");
  },
};

interface Messages {
  readonly data: readonly { readonly id: string; readonly type: string; readonly status: string }[];
}

const endpoints: Story = {
  name: "endpoint",
  async begin(teller) {
    const { id } = await teller.ask<{ id: string }>("POST", "/v1/endpoints", {
      body: { url: `https://${RECEIVER_HOST}/told`, events: ["run.ended", "approval.required"] },
    });
    await teller.ask("POST", `/v1/endpoints/${id}/ping`);
    return { id };
  },
  async middle(teller, kept) {
    const pinged = await teller.ask<{ delivered: boolean }>("POST", `/v1/endpoints/${text(kept, "id")}/ping`);
    teller.hold(pinged.delivered, "a ping arrives", pinged);
    return kept;
  },
  async end(teller, kept) {
    const id = text(kept, "id");
    const log = await teller.ask<Messages>("GET", `/v1/endpoints/${id}/messages`);
    teller.hold(log.data.length > 0, "its log is there", log);
    const again = await teller.ask<{ delivered: boolean }>("POST", `/v1/endpoints/${id}/ping`);
    teller.hold(again.delivered, "a ping arrives at the end", again);
  },
};

async function lends(teller: Teller, integration: string): Promise<void> {
  await teller.ask("POST", "/v1/integrations", {
    body: {
      ...{ name: integration, provider: "api_key", owner: "tenant", workflows: [`${integration}-plan`] },
      custom: { hosts: [LENT_HOST] },
    },
  });
  const call = (id: string, needs: readonly string[] = []) => ({
    action: "http",
    needs,
    with: {
      method: "GET",
      url: `https://${LENT_HOST}/report?id=${id}`,
      auth: { connection: integration },
    },
  });
  await store(teller, `${integration}-plan`, {
    steps: {
      call: call("first"),
      go: { action: "wait", needs: ["call"], with: { signal: "go", timeout: "1h" } },
      again: call("again", ["go"]),
    },
    output: "${{ steps.again.output.status }}",
  });
}

async function connected(teller: Teller, integration: string): Promise<void> {
  await teller.ask("POST", "/v1/connections", {
    body: { integration, api_key: "lent-key-of-the-stories" },
  });
}

/** A lent token, used by one run in different parts. */
const connections: Story = {
  name: "connection",
  async begin(teller) {
    await lends(teller, "up-lent");
    await connected(teller, "up-lent");
    const run = await start(teller, "up-connection-1", { workflow: "up-lent-plan" });
    await stands(teller, run, "go", "waiting");
    return { runs: [run] };
  },
  async middle(teller, kept) {
    const run = await start(teller, "up-connection-2", { workflow: "up-lent-plan" });
    await stands(teller, run, "go", "waiting");
    return { runs: [...texts(kept, "runs"), run] };
  },
  async end(teller, kept) {
    const { data } = await teller.ask<{ data: { status: string }[] }>("GET", "/v1/connections");
    teller.hold(
      data.some(({ status }) => status === "active"),
      "the connection is listed as active",
      data,
    );
    for (const run of texts(kept, "runs")) {
      await signal(teller, run, "go", 1);
      await ended(teller, run, "succeeded");
    }
  },
};

/** Runs that wait for a connection, until somebody makes it. */
const parks: Story = {
  name: "park",
  async begin(teller) {
    await lends(teller, "up-parked");
    const run = await start(teller, "up-park-1", { workflow: "up-parked-plan" });
    await stands(teller, run, "call", "waiting");
    return { run };
  },
  async middle(teller, kept) {
    await explained(teller, text(kept, "run"));
    await connected(teller, "up-parked");
    await stands(teller, text(kept, "run"), "go", "waiting");
    return kept;
  },
  async end(teller, kept) {
    await signal(teller, text(kept, "run"), "go", 1);
    await ended(teller, text(kept, "run"), "succeeded");
  },
};

const ORDER = {
  customer: { name: "Ada Lovelace", email: "ada@mail.example" },
  sku: "TEAPOT-1",
  quantity: 1,
  payment_method: "pm_card",
  amount: 4_200,
  address: { street: "Main St 1", city: "Zurich", postcode: "8001", country: "CH" },
};

/** The identity of a workflow, traded for a credential of a cloud that trusts it. Whoever tells the stories has told the cloud whom to trust. */
const identity: Story = {
  name: "identity",
  async begin(teller) {
    return {
      kids: await kids(teller),
      runs: [await start(teller, "up-order-1", { workflow: "process-order", input: ORDER })],
    };
  },
  async middle(teller, kept) {
    await heldKeys(teller, kept);
    const run = await start(teller, "up-order-2", { workflow: "process-order", input: ORDER });
    return { kids: kept["kids"] ?? [], runs: [...texts(kept, "runs"), run] };
  },
  async end(teller, kept) {
    await heldKeys(teller, kept);
    const run = await start(teller, "up-order-3", { workflow: "process-order", input: ORDER });
    for (const one of [...texts(kept, "runs"), run]) await ended(teller, one, "succeeded");
  },
};

async function kids(teller: Teller): Promise<string[]> {
  const issuer = await teller.ask<{ keys: { kid: string }[] }>("GET", "/v1/issuer");
  return issuer.keys.map(({ kid }) => kid);
}

/** No key that verifiers know is lost, or replaced. */
async function heldKeys(teller: Teller, kept: Kept): Promise<void> {
  const now = await kids(teller);
  teller.hold(
    texts(kept, "kids").every((kid) => now.includes(kid)),
    "the issuer has its keys",
    now,
  );
}

/** A key that is made, used, and taken back. */
const keys: Story = {
  name: "key",
  async begin(teller) {
    const made = await teller.ask<{ id: string; key: string }>("POST", "/v1/keys", {
      body: {
        name: "story",
        scopes: ["runs:read", "runs:write"],
        policy: { hosts: [{ host: "api.skyline.example" }] },
      },
    });
    const user = await teller.ask<{ key: string }>("POST", "/v1/keys", {
      body: { name: "of ada", scopes: ["runs:read"], user: "ada", expires_at: teller.now() + HOUR_MS / 2 },
    });
    return { id: made.id, key: made.key, user: user.key };
  },
  async middle(teller, kept) {
    const { data } = await teller.ask<{ data: Run[] }>("GET", "/v1/runs?limit=1", { key: text(kept, "key") });
    teller.hold(data.length === 1, "an older key reads", data);
    const own = await teller.ask<{ data: Run[] }>("GET", "/v1/runs?limit=5", { key: text(kept, "user") });
    teller.hold(own.data.length === 0, "a key that is bound to a user sees only their runs", own);
    await teller.ask("DELETE", `/v1/keys/${text(kept, "id")}`, { expect: [200, 204] });
    return kept;
  },
  async end(teller, kept) {
    await teller.until(
      "the revoked key is refused",
      () =>
        teller.ask<{ code?: string }>("GET", "/v1/runs?limit=1", {
          key: text(kept, "key"),
          expect: [200, 401],
        }),
      ({ code }) => code !== undefined,
    );
    const { data } = await teller.ask<{ data: unknown[] }>("GET", "/v1/audit?kind=key");
    teller.hold(data.length > 0, "the audit has it", data);
  },
};

export const DOOR_STORIES: readonly Story[] = [
  hooks,
  schedules,
  events,
  endpoints,
  connections,
  parks,
  identity,
  keys,
];
