/** The world keeps its word: tokens, checks, idempotency keys, the services. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CLOUD_HOSTS, startWorld, type World } from "../world/index.ts";
import { AIRLINE, ask, book, gate, GATE, TRIP } from "./world-client.ts";

const WAIT_MS = 5_000;

let world: World;

beforeEach(async () => {
  world = await startWorld();
});

afterEach(async () => {
  await world.close();
});

describe("tokens", () => {
  test("a request without token gets 401 with a challenge that names no error", async () => {
    const got = await book(world, { token: null });
    expect(got.status).toBe(401);
    expect(got.headers.get("www-authenticate")).toBe(`Bearer realm="${AIRLINE}"`);
  });

  test("another service's token gets 401 invalid_token, and nothing happens", async () => {
    const got = await book(world, { token: world.tokens["api.harbour.example"] ?? "" });
    expect(got.status).toBe(401);
    expect(got.headers.get("www-authenticate")).toContain('error="invalid_token"');
    expect(world.referee.counts().made).toBe(0);
  });

  test("every service but the bench, the clouds and the referee has a token of its own", () => {
    const others = ["api.bench.example", "login.agenda.example", "referee.example"];
    const hosts = Object.keys(world.names).filter(
      (host) => ![...others, ...Object.values(CLOUD_HOSTS)].includes(host),
    );
    expect(Object.keys(world.tokens).toSorted()).toEqual(hosts.toSorted());
    expect(new Set(Object.values(world.tokens)).size).toBe(hosts.length);
  });
});

describe("checks", () => {
  test("a body that does not fit gets 422 with a JSON Pointer for each fault", async () => {
    const got = await book(world, { body: { ...TRIP, date: "2027-02-30", to: 7 } });
    expect(got.status).toBe(422);
    expect(got.headers.get("content-type")).toBe("application/problem+json");
    expect(got.body).toMatchObject({
      code: "invalid_body",
      errors: [{ pointer: "/to" }, { pointer: "/date" }],
    });
  });

  test.each([
    ["a cut-off body", { body: '{"from":' }, 400, "malformed_body"],
    ["a list as body", { body: [] }, 400, "malformed_body"],
    [
      "another content type",
      { body: "from=OSL", headers: { "content-type": "text/plain" } },
      415,
      "unsupported_media_type",
    ],
    ["an empty key", { key: '""' }, 400, "idempotency_key_malformed"],
    ["a body over 1 MiB", { body: { ...TRIP, padding: "a".repeat(1024 * 1024) } }, 413, "body_too_large"],
  ])("%s is refused", async (_, sending, status, code) => {
    expect(await book(world, sending)).toMatchObject({ status, body: { code } });
    expect(world.referee.counts().made).toBe(0);
  });

  test("an unknown path gets 404, an unknown method 405 with Allow", async () => {
    expect((await ask(world, AIRLINE, "GET", "/nothing")).status).toBe(404);
    const got = await ask(world, AIRLINE, "PUT", "/bookings", { body: TRIP });
    expect(got.status).toBe(405);
    expect(got.headers.get("allow")).toBe("POST, GET");
  });

  test("an invoice without idempotency key is refused with 400", async () => {
    const body = { customer: "Ada", amount: 100, currency: "EUR" };
    expect(await ask(world, "api.shop.example", "POST", "/invoices", { body })).toMatchObject({
      status: 400,
      body: { code: "idempotency_key_missing" },
    });
    expect((await ask(world, "api.shop.example", "POST", "/invoices", { body, key: "k" })).status).toBe(201);
  });
});

describe("idempotency keys", () => {
  test("the same key with the same body replays the stored answer and does nothing", async () => {
    const first = await book(world, { key: "k1" });
    const second = await book(world, { key: '"k1"' });
    expect(second).toMatchObject({ status: 201, body: first.body });
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    expect(second.headers.get("idempotent-replayed")).toBe("true");
    expect(world.referee.counts()).toMatchObject({ requests: 2, made: 1, absorbed: 1, duplicates: 0 });
  });

  test("the same key with another body gets 422", async () => {
    await book(world, { key: "k1" });
    expect(await book(world, { key: "k1", body: { ...TRIP, to: "FAO" } })).toMatchObject({
      status: 422,
      body: { code: "idempotency_key_reused" },
    });
    expect(world.referee.counts().made).toBe(1);
  });

  test("the same key while the first request is at work gets 409, and a replay once it is done", async () => {
    const pass = gate();
    await world.close();
    world = await startWorld({ services: [pass.service] });
    const first = ask(world, GATE, "POST", "/pass", { key: "k1" });
    await world.referee.until(() => world.referee.open().length === 1, WAIT_MS);
    const second = await ask(world, GATE, "POST", "/pass", { key: "k1" });
    expect(second).toMatchObject({ status: 409, body: { code: "idempotency_key_in_flight" } });
    pass.open();
    expect((await first).status).toBe(201);
    const third = await ask(world, GATE, "POST", "/pass", { key: "k1" });
    expect(third.headers.get("idempotent-replayed")).toBe("true");
  });

  test("a key belongs to one path: another service or collection takes it anew", async () => {
    await book(world, { key: "k1" });
    const body = { to: "ada@example.com", subject: "s", text: "t" };
    const got = await ask(world, "api.mail.example", "POST", "/messages", { key: "k1", body });
    expect(got.status).toBe(201);
    expect(world.referee.duplicates()).toEqual([]);
  });

  test("a refused request leaves its key free", async () => {
    expect((await book(world, { key: "k1", body: {} })).status).toBe(422);
    expect((await book(world, { key: "k1" })).status).toBe(201);
    const pay = (method: string): Promise<{ status: number }> => {
      const body = { amount: 1, currency: "EUR", payment_method: method };
      return ask(world, "api.pay.example", "POST", "/charges", { key: "k1", body });
    };
    expect((await pay("pm_declined")).status).toBe(402);
    expect((await pay("pm_card")).status).toBe(201);
  });

  test("a forgotten key lets it happen twice, and the referee says so", async () => {
    await book(world, { key: "k1" });
    world.referee.forgetKeys();
    await book(world, { key: "k1" });
    expect(world.referee.duplicates()).toMatchObject([
      { service: "airline", kind: "booking", first: "bk_1", second: "bk_2", keyed: true },
    ]);
  });

  test("a key that is older than its time to live is forgotten", async () => {
    await world.close();
    world = await startWorld({ keyTtlMs: 0 });
    await book(world, { key: "k1" });
    expect((await book(world, { key: "k1" })).headers.get("idempotent-replayed")).toBeNull();
  });
});

describe("services", () => {
  test("a booking is found by its id, reference and key, is cancelled once, and is gone then", async () => {
    const made = await book(world, { key: "k1", reference: "run-1/flight" });
    expect(made.body).toMatchObject({
      id: "bk_1",
      status: "confirmed",
      currency: "EUR",
      price: expect.any(Number) as number,
    });
    for (const name of ["run-1%2Fflight", "k1"]) {
      expect((await ask(world, AIRLINE, "GET", `/bookings?reference=${name}`)).body).toMatchObject({
        total: 1,
        items: [{ id: "bk_1" }],
      });
    }
    expect((await ask(world, AIRLINE, "DELETE", "/bookings/bk_1")).status).toBe(204);
    expect((await ask(world, AIRLINE, "DELETE", "/bookings/bk_1")).status).toBe(410);
    expect((await ask(world, AIRLINE, "DELETE", "/bookings/bk_9")).status).toBe(404);
    expect((await ask(world, AIRLINE, "GET", "/bookings/bk_1")).body).toMatchObject({ status: "cancelled" });
    expect(world.referee.deeds({ standing: true })).toEqual([]);
  });

  test("a calendar lists what is held on one day, without what was released", async () => {
    const calendar = "api.calendar.example";
    for (const day of ["2027-03-01", "2027-03-01", "2027-03-02"]) {
      await ask(world, calendar, "POST", "/events", { body: { day, title: "Trip" } });
    }
    await ask(world, calendar, "DELETE", "/events/ev_1");
    expect((await ask(world, calendar, "GET", "/events?day=2027-03-01")).body).toMatchObject({
      total: 1,
      items: [{ id: "ev_2", status: "held" }],
    });
    expect((await ask(world, calendar, "GET", "/events?day=soon")).status).toBe(422);
  });

  test("a call cannot be un-made", async () => {
    const body = { to: "+47 22 00 00 00", text: "The trip fell through.", reference: "run-1" };
    expect((await ask(world, "api.voice.example", "POST", "/calls", { body })).status).toBe(201);
    expect((await ask(world, "api.voice.example", "DELETE", "/calls/cl_1")).status).toBe(405);
    expect((await ask(world, "api.voice.example", "GET", "/calls?reference=run-1")).body).toMatchObject({
      total: 1,
    });
  });

  test("a charge is refunded once, and a declined payment method is charged never", async () => {
    const pay = "api.pay.example";
    const body = { amount: 4200, currency: "EUR", payment_method: "pm_card" };
    expect((await ask(world, pay, "POST", "/charges", { body })).body).toMatchObject({
      id: "ch_1",
      status: "captured",
    });
    expect((await ask(world, pay, "POST", "/charges/ch_1/refunds")).body).toMatchObject({
      id: "rf_2",
      amount: 4200,
      charge_status: "refunded",
    });
    expect((await ask(world, pay, "POST", "/charges/ch_1/refunds")).status).toBe(409);
    expect(
      await ask(world, pay, "POST", "/charges", { body: { ...body, payment_method: "pm_declined" } }),
    ).toMatchObject({ status: 402, body: { code: "card_declined" } });
    expect(
      (
        await ask(world, pay, "POST", "/payment-methods/validate", {
          body: { payment_method: "pm_declined" },
        })
      ).body,
    ).toEqual({ valid: false, reason: "declined" });
  });

  test("a shop answers for stock and addresses, and these questions make nothing happen", async () => {
    const shop = "api.shop.example";
    expect((await ask(world, shop, "GET", "/stock/LAMP?quantity=2")).body).toMatchObject({ in_stock: true });
    expect((await ask(world, shop, "GET", "/stock/OUT-LAMP?quantity=2")).body).toMatchObject({
      in_stock: false,
    });
    const address = { street: "Storgata 1", city: "Oslo", postcode: "00000", country: "NO" };
    expect((await ask(world, shop, "POST", "/addresses/check", { body: address })).body).toMatchObject({
      deliverable: false,
    });
    expect(world.referee.counts()).toMatchObject({ requests: 3, made: 0 });
  });

  test("a hotel reservation costs by its nights", async () => {
    const body = { city: "Lisbon", date: "2027-03-01", nights: 2, guest: "Ada" };
    expect(await ask(world, "api.harbour.example", "POST", "/reservations", { body })).toMatchObject({
      status: 201,
      body: { id: "rs_1", nights: 2 },
    });
  });
});
