/** What `npm start` can show: a workflow, what goes wrong on the way, and what must have happened in the end. Data. */
import { USER } from "./consents.ts";
import type { Expected } from "./referee.ts";

export const DEMO_NAMES = ["book-trip", "process-order"] as const;
export type DemoName = (typeof DEMO_NAMES)[number];

/** A fault rule of the world (`test/world/README.md`). */
export interface FaultRule {
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly times?: number;
  readonly fault: {
    readonly kind: "status" | "lost_answer" | "late";
    readonly status?: number;
    readonly retryAfterSeconds?: number;
    readonly ms?: number;
  };
}

/** One course that a demo can take. */
export interface Course {
  /** What is about to be seen, in a sentence. */
  readonly title: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly faults: readonly FaultRule[];
  /** The step after which the user takes back what they lent. */
  readonly takenBackAfter?: string;
  /** How the run must end. */
  readonly ends: "succeeded" | "failed";
  /** What must have happened, by the referee's count. */
  readonly expected: Expected;
}

export interface Demo {
  /** The user for whom it runs, who lends their calendar first. Missing: it needs nobody's. */
  readonly user?: string;
  /** Service of each step that calls one, to tell which Retry-After it heard. */
  readonly services: Readonly<Record<string, string>>;
  readonly good: Course;
  readonly bad: Course;
}

const TRIP = {
  traveller: { name: "Ada Lovelace", email: "ada@mail.example", phone: "+44 20 7946 0018" },
  from: "LHR",
  to: "ZRH",
  date: "2031-05-17",
  nights: 2,
};
/** The hotel of the world has no room on that day of any year. */
const SOLD_OUT_DATE = "2031-12-24";

const ORDER = {
  customer: { name: "Ada Lovelace", email: "ada@mail.example" },
  sku: "DECK-42",
  quantity: 2,
  payment_method: "pm_card",
  amount: 4_990,
  address: { street: "12 Hay Hill", city: "London", postcode: "W1J", country: "GB" },
};
/** Nobody delivers there. */
const NOWHERE = "00000";

const ONE = { made: 1, standing: 1 };
const UNDONE = { made: 1, standing: 0 };
const NONE = { made: 0, standing: 0 };

export const DEMOS: Readonly<Record<DemoName, Demo>> = {
  "book-trip": {
    user: USER,
    services: {
      calendar: "calendar",
      entry: "calendar",
      flight: "airline",
      hotel: "hotel",
      confirmation: "mail",
      voicemail: "voice",
    },
    good: {
      title:
        "Ada lends her calendar, and a trip is booked: a look into the calendar, flight and hotel side by side, an entry, a mail. On the way she takes her consent back, and gives it again.",
      input: TRIP,
      faults: [
        fault("calendar GET /events", { kind: "status", status: 503 }),
        fault("airline POST /bookings", { kind: "status", status: 503 }),
        fault("airline POST /bookings", { kind: "lost_answer" }),
        fault("hotel POST /reservations", { kind: "status", status: 429, retryAfterSeconds: 2 }),
      ],
      takenBackAfter: "calendar",
      ends: "succeeded",
      expected: {
        "airline booking": ONE,
        "hotel reservation": ONE,
        "calendar event": ONE,
        "mail message": ONE,
      },
    },
    bad: {
      title:
        "A trip is booked, but the hotel is sold out: the flight is taken back, and the traveller called.",
      input: { ...TRIP, date: SOLD_OUT_DATE },
      faults: [
        fault("hotel POST /reservations", { kind: "status", status: 429, retryAfterSeconds: 1 }),
        fault("airline DELETE /bookings/:id", { kind: "status", status: 503 }),
        fault("voice POST /calls", { kind: "lost_answer" }),
      ],
      ends: "failed",
      expected: { "airline booking": UNDONE, "voice call": ONE },
    },
  },
  "process-order": {
    services: {
      payment: "pay",
      stock: "shop",
      address: "shop",
      invoice: "shop",
      archive: "s3-invoices",
      confirmation: "mail",
    },
    good: {
      title:
        "An order is processed: payment, stock and address side by side, invoice, mail. The invoice is stored at AWS, where no key of ours is known: AWS trusts the workflow itself.",
      input: ORDER,
      faults: [
        fault("pay POST /payment-methods/validate", { kind: "status", status: 503 }),
        fault("shop GET /stock/:sku", { kind: "status", status: 429, retryAfterSeconds: 1 }),
        fault("shop POST /invoices", { kind: "lost_answer" }),
        fault("s3-invoices PUT /*", { kind: "status", status: 503 }),
      ],
      ends: "succeeded",
      expected: { "shop invoice": ONE, "s3 object": ONE, "mail message": ONE },
    },
    bad: {
      title:
        "An order is processed, but nobody delivers to its address: no invoice, nothing stored, no mail.",
      input: { ...ORDER, address: { ...ORDER.address, postcode: NOWHERE } },
      faults: [fault("shop GET /stock/:sku", { kind: "status", status: 503 })],
      ends: "failed",
      expected: { "shop invoice": NONE, "s3 object": NONE, "mail message": NONE },
    },
  },
};

export function isDemoName(name: string): name is DemoName {
  return (DEMO_NAMES as readonly string[]).includes(name);
}

/** @param where `service METHOD /path` */
function fault(where: string, what: FaultRule["fault"]): FaultRule {
  const [service = "", method = "", path = ""] = where.split(" ");
  return { service, method, path, fault: what };
}
