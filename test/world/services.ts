/** The businesses of the world, as data. Amounts are in minor units (cents). */
import { day, text, whole } from "./fields.ts";
import { problem, type Answer } from "./http.ts";
import { CALENDAR_SCOPES } from "./login-names.ts";
import { resource, view, withDeed, type Resource } from "./resource.ts";
import type { ApiService, Call, ServiceRoute } from "./service.ts";

const CURRENCY = "EUR";
const MAX_AMOUNT = 100_000_000;
/** Every SKU has this many in stock, but those that begin with `OUT-` have none. */
const STOCK = 25;
/** This payment method is always declined. */
const DECLINED = "pm_declined";
/** On this day of every year the hotel is sold out. */
const SOLD_OUT = "-12-24";
/** There is no such place. */
const NOWHERE = "00000";

const airline: ApiService = {
  name: "airline",
  host: "api.skyline.example",
  routes: resource({
    path: "/bookings",
    kind: "booking",
    prefix: "bk",
    fields: { from: text(64), to: text(64), date: day(), traveller: text(200) },
    words: { stands: "confirmed", undone: "cancelled" },
    filters: ["date", "traveller"],
    derive: (body) => price(10_000, `${String(body["from"])} ${String(body["to"])} ${String(body["date"])}`),
  }),
};

const hotel: ApiService = {
  name: "hotel",
  host: "api.harbour.example",
  routes: resource({
    path: "/reservations",
    kind: "reservation",
    prefix: "rs",
    fields: { city: text(64), date: day(), nights: whole(1, 60), guest: text(200) },
    words: { stands: "confirmed", undone: "cancelled" },
    filters: ["date", "guest"],
    refuse: (body) =>
      String(body["date"]).endsWith(SOLD_OUT)
        ? problem(422, "sold_out", `There is no room left on ${String(body["date"])}.`)
        : null,
    derive: (body) =>
      price(5_000 * Number(body["nights"]), `${String(body["city"])} ${String(body["date"])}`),
  }),
};

const calendar: ApiService = {
  name: "calendar",
  host: "api.calendar.example",
  scopes: CALENDAR_SCOPES,
  routes: resource({
    path: "/events",
    kind: "event",
    prefix: "ev",
    fields: { day: day(), title: text(200) },
    words: { stands: "held", undone: "released" },
    filters: ["day"],
  }),
};

const mail: ApiService = {
  name: "mail",
  host: "api.mail.example",
  routes: resource({
    path: "/messages",
    kind: "message",
    prefix: "ms",
    fields: { to: text(320), subject: text(500), text: text(10_000) },
    words: { stands: "sent" },
  }),
};

const voice: ApiService = {
  name: "voice",
  host: "api.voice.example",
  routes: resource({
    path: "/calls",
    kind: "call",
    prefix: "cl",
    fields: { to: text(64), text: text(2_000) },
    words: { stands: "placed" },
  }),
};

const charges: Resource = {
  path: "/charges",
  kind: "charge",
  prefix: "ch",
  fields: { amount: whole(1, MAX_AMOUNT), currency: text(3), payment_method: text(64) },
  words: { stands: "captured", undone: "refunded" },
  refuse: (body) =>
    body["payment_method"] === DECLINED
      ? problem(402, "card_declined", "The payment method was declined.")
      : null,
};

const pay: ApiService = {
  name: "pay",
  host: "api.pay.example",
  routes: [
    ...resource(charges).filter((route) => route.method !== "DELETE"),
    { method: "POST", path: "/charges/:id/refunds", fields: {}, handle: refund },
    {
      method: "POST",
      path: "/payment-methods/validate",
      fields: { payment_method: text(64) },
      handle: validatePayment,
    },
  ],
};

const shop: ApiService = {
  name: "shop",
  host: "api.shop.example",
  routes: [
    { method: "GET", path: "/stock/:sku", handle: stock },
    {
      method: "POST",
      path: "/addresses/check",
      fields: { street: text(200), city: text(100), postcode: text(16), country: text(2) },
      handle: checkAddress,
    },
    ...resource({
      path: "/invoices",
      kind: "invoice",
      prefix: "in",
      fields: { customer: text(200), amount: whole(1, MAX_AMOUNT), currency: text(3) },
      words: { stands: "issued" },
      needsKey: true,
    }),
  ] satisfies ServiceRoute[],
};

export const BUSINESSES: readonly ApiService[] = [airline, hotel, calendar, mail, voice, pay, shop];

/** A refund undoes a charge whole, and is itself something that happens. */
function refund(call: Call): Answer {
  return withDeed(charges, call, (charge) => {
    if (charge.undoneAt !== null)
      return problem(409, "already_refunded", `The charge ${charge.id} has been refunded.`);
    const made = call.make("refund", "rf", {
      charge: charge.id,
      amount: charge.data["amount"],
      currency: charge.data["currency"],
    });
    call.undo(charge);
    return {
      status: 201,
      body: { id: made.id, ...made.data, charge_status: view(charges, charge)["status"] },
    };
  });
}

function validatePayment(call: Call): Answer {
  const valid = call.body["payment_method"] !== DECLINED;
  return { status: 200, body: valid ? { valid } : { valid, reason: "declined" } };
}

function stock(call: Call): Answer {
  const sku = call.params["sku"] ?? "";
  const wanted = Number(call.query.get("quantity") ?? 1);
  if (!Number.isInteger(wanted) || wanted < 1)
    return problem(422, "invalid_query", "quantity must be a whole number from 1.");
  const available = sku.startsWith("OUT-") ? 0 : STOCK;
  return { status: 200, body: { sku, quantity: wanted, available, in_stock: available >= wanted } };
}

function checkAddress(call: Call): Answer {
  const deliverable = call.body["postcode"] !== NOWHERE;
  return { status: 200, body: deliverable ? { deliverable } : { deliverable, reason: "no_such_place" } };
}

/** The same trip always costs the same. */
function price(base: number, trip: string): { price: number; currency: string } {
  let mixed = 0;
  for (const char of trip) mixed = (mixed * 31 + (char.codePointAt(0) ?? 0)) % 997;
  return { price: base + mixed * 10, currency: CURRENCY };
}
