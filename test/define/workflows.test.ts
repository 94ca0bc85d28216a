import type { Lease } from "../../src/platform/index.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parseServiceTokens, type CredentialPort, type UsePort } from "../../src/actions/index.ts";
import { createRegistry, type Definition } from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { createEgress, createLogger, parseDevelopmentHosts } from "../../src/platform/index.ts";
import { bookTrip } from "../../src/workflows/book-trip.ts";
import { processOrder } from "../../src/workflows/process-order.ts";
import { serviceTokens, startWorld, type World } from "../world/index.ts";
import { NO_CHILDREN, NO_CONNECTIONS } from "./support.ts";
import { ROLE_SECRET } from "./lending.ts";
import { ObjectStore } from "./object-store.ts";
import { runInMemory, type Ended } from "./run-in-memory.ts";

// Names of the world are mapped to loopback ports in development builds only.
vi.hoisted(() => vi.stubGlobal("DEVELOPMENT", true));

const TRIP = {
  traveller: { name: "Ada", email: "ada@example.com", phone: "+43 1 234" },
  from: "VIE",
  to: "Lisbon",
  date: "2026-12-01",
  nights: 2,
};
const ORDER = {
  customer: { name: "Ada", email: "ada@example.com" },
  sku: "TEA-1",
  quantity: 2,
  payment_method: "pm_visa",
  amount: 2_400,
  address: { street: "Ring 1", city: "Wien", postcode: "1010", country: "AT" },
};

let world: World;
let store: ObjectStore;
let credential: CredentialPort;

beforeAll(async () => {
  world = await startWorld();
  const tokens = parseServiceTokens(JSON.stringify(serviceTokens(world.tokens)));
  if (!tokens.ok) throw new Error(tokens.error);
  credential = tokens.value;
});
afterAll(() => world.close());
beforeEach(() => {
  world.faults([]);
  world.referee.reset();
  store = new ObjectStore();
});

const CALENDAR = "api.calendar.example";

/** The traveller has lent their calendar: the token goes to its host only. */
const lent: UsePort = async ({ reference }) => {
  const token = world.tokens[CALENDAR] ?? "";
  const lease: Lease = {
    about: { connection: "conn_1", integration: "agenda", account: "default", version: 1 },
    headers: { authorization: `Bearer ${token}` },
    ...{ defaults: {}, secrets: [token], keepHeaders: [] },
    refusalFor: (url) => (new URL(url).hostname === CALENDAR ? null : "It is not sent there."),
    read: () => undefined,
    renew: () => Promise.reject(new Error("the token is good")),
    limited: async () => {},
    dead: () => Promise.reject(new Error("the token is good")),
    need: (reason) => ({ kind: "connection", integration: "agenda", reason, limitMs: 1, recheckMs: 1 }),
  };
  expect(reference).toMatchObject({ connection: "agenda" });
  return { kind: "ready", lease, bound: { name: "agenda", to: { connection: "conn_1" } } };
};

function run(definition: Definition, input: Json): Promise<Ended> {
  const surroundings = {
    egress: store.beside(
      createEgress({
        ownHosts: [],
        developmentHosts: parseDevelopmentHosts(JSON.stringify(world.names), true),
      }),
    ),
    credential,
    policy: async () => ({ kind: "allowed", approval: false }) as const,
    holdingPolicy: async () => ({ kind: "allowed", approval: false }) as const,
    children: NO_CHILDREN,
    lend: NO_CONNECTIONS,
    log: createLogger("error"),
    now: () => Date.now(),
  };
  return runInMemory(impatient(definition), input, surroundings, lent, store.use);
}

/** The same workflow with shorter waits: what it does is what counts here, not how long it waits in between. */
function impatient(definition: Definition): Definition {
  const steps = definition.steps.map((step) => {
    const { retry, verify, ...spec } = step.spec;
    return {
      ...step,
      spec: {
        ...spec,
        retry: { ...retry, initial: 5, jitter: "none" as const },
        ...(verify === undefined ? {} : { verify: { ...verify, after: 5 } }),
      },
    };
  });
  return { ...definition, steps };
}

/** What stands in the world, by kind. */
function standing(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const deed of world.referee.deeds({ standing: true }))
    counts[deed.kind] = (counts[deed.kind] ?? 0) + 1;
  return counts;
}

function expectNoTokens({ journal }: Ended): void {
  for (const token of Object.values(world.tokens)) expect(journal).not.toContain(token);
}

describe("the input of a workflow that comes along", () => {
  it.each([
    [bookTrip, { ...TRIP, nigths: 3 }, "/input/nigths"],
    [bookTrip, { ...TRIP, traveller: { ...TRIP.traveller, fax: "1" } }, "/input/traveller/fax"],
    [processOrder, { ...ORDER, qty: 3 }, "/input/qty"],
    [processOrder, { ...ORDER, address: { ...ORDER.address, floor: "2" } }, "/input/address/floor"],
  ] as const)("is refused where it has a field that is not known", (definition, input, pointer) => {
    const parsed = createRegistry([definition]).list()[0]?.parseInput(input);
    expect(parsed).toMatchObject({ ok: false, errors: [{ pointer, code: "unknown_field" }] });
  });
});

describe("book-trip", () => {
  it("books flight and hotel, mails a confirmation, and answers with both", async () => {
    const ended = await run(bookTrip, TRIP);
    expect(ended).toMatchObject({
      status: "succeeded",
      output: { flight: expect.stringMatching(/^bk/), hotel: expect.stringMatching(/^rs/), currency: "EUR" },
      steps: {
        ...{ calendar: "succeeded", flight: "succeeded", hotel: "succeeded" },
        ...{ entry: "succeeded", confirmation: "succeeded" },
      },
    });
    expect(standing()).toEqual({ booking: 1, reservation: 1, event: 1, message: 1 });
    expectNoTokens(ended);
  });

  it("books nothing twice when answers are lost or services busy", async () => {
    world.faults([
      { service: "airline", method: "POST", times: 2, fault: { kind: "lost_answer" } },
      { service: "hotel", method: "POST", fault: { kind: "status", status: 503, after: true } },
      { service: "calendar", fault: { kind: "status", status: 429, retryAfterSeconds: 1 } },
      { service: "mail", fault: { kind: "reset" } },
    ]);
    const ended = await run(bookTrip, TRIP);
    expect(ended.status).toBe("succeeded");
    expect(standing()).toEqual({ booking: 1, reservation: 1, event: 1, message: 1 });
    expect(world.referee.duplicates()).toEqual([]);
  });

  it("takes back the flight when the hotel cannot be had, and calls the traveller", async () => {
    world.faults([{ service: "hotel", method: "POST", fault: { kind: "status", status: 422 } }]);
    const ended = await run(bookTrip, TRIP);
    expect(ended).toMatchObject({
      status: "failed",
      state: { failure: { code: "http_422", step: "hotel", left_behind: [], undone: [{ step: "flight" }] } },
      steps: { hotel: "failed", confirmation: "cancelled", voicemail: "succeeded" },
    });
    expect(standing()).toEqual({ call: 1 });
    expectNoTokens(ended);
  });

  it("asks by its key whether it was booked what nobody answered, goes on, and takes it back in the end", async () => {
    world.faults([
      { service: "hotel", method: "POST", times: 6, fault: { kind: "lost_answer" } },
      { service: "mail", fault: { kind: "status", status: 422 } },
    ]);
    const ended = await run(bookTrip, TRIP);
    expect(ended.status).toBe("failed");
    expect(ended.steps["hotel"]).toBe("succeeded");
    expect(ended.state.failure).toMatchObject({ step: "confirmation", code: "http_422", left_behind: [] });
    expect(standing()).toEqual({ call: 1 });
  });

  it("takes everything back, the entry in the lent calendar too, when it cannot be confirmed", async () => {
    world.faults([{ service: "mail", fault: { kind: "status", status: 422 } }]);
    const ended = await run(bookTrip, TRIP);
    expect(ended.state.failure).toMatchObject({
      ...{ step: "confirmation", code: "http_422", left_behind: [] },
      undone: expect.arrayContaining([expect.objectContaining({ step: "entry" })]),
    });
    expect(standing()).toEqual({ call: 1 });
    expectNoTokens(ended);
  });

  it("asks whether the call was made before it would make it again", async () => {
    world.faults([
      { service: "hotel", method: "POST", fault: { kind: "status", status: 422 } },
      { service: "voice", method: "POST", fault: { kind: "lost_answer" } },
    ]);
    const ended = await run(bookTrip, TRIP);
    expect(ended.steps["voicemail"]).toBe("succeeded");
    expect(standing()).toEqual({ call: 1 });
  });
});

describe("process-order", () => {
  it("checks, invoices once and confirms", async () => {
    world.faults([{ service: "shop", path: "/invoices", fault: { kind: "lost_answer" } }]);
    const ended = await run(processOrder, ORDER);
    expect(ended).toMatchObject({ status: "succeeded", output: { invoice: expect.stringMatching(/^in/) } });
    expect(ended.steps).toMatchObject({ declined: "skipped", stock: "succeeded", address: "succeeded" });
    expect(standing()).toEqual({ invoice: 1, message: 1 });
    expectNoTokens(ended);
  });

  it("stores the invoice under its own identity, and keeps nothing of the credential", async () => {
    store.expired = 1;
    const ended = await run(processOrder, ORDER);
    const { invoice } = ended.output as { readonly invoice: string };
    expect([...store.objects]).toEqual([
      [
        `/${invoice}.json`,
        {
          ...{ invoice, customer: "Ada", amount: 2_400, currency: "EUR" },
          reference: expect.stringMatching(/^run_.*archive/),
        },
      ],
    ]);
    expect(store.uses).toMatchObject([
      { role: "invoices-writer", subject: { kind: "code", name: "process-order" }, workflowVersion: "3" },
    ]);
    for (const secret of [ROLE_SECRET, "session-token-of"]) expect(ended.journal).not.toContain(secret);
    expect(ended.journal).toContain('"role":"writer"');
  });

  it.each([
    ["the payment is declined", { payment_method: "pm_declined" }, { step: "declined", reason: "declined" }],
    ["nothing is in stock", { sku: "OUT-1" }, { step: "out_of_stock", reason: "out_of_stock" }],
    [
      "nobody delivers there",
      { address: { ...ORDER.address, postcode: "00000" } },
      { step: "undeliverable", reason: "undeliverable" },
    ],
  ])("changes nothing when %s", async (_, change, failure) => {
    const ended = await run(processOrder, { ...ORDER, ...change });
    expect(ended).toMatchObject({
      status: "failed",
      state: { failure: { code: "step_failed", ...failure } },
    });
    expect(standing()).toEqual({});
  });
});
