/** What the runs of a crash test are given. Some of them are to be lost, so that undoing meets crashes too. */
import type { Random } from "../sim/random.ts";

export interface Order {
  /** Idempotency key of the start: sent again, it must find the same run. */
  readonly key: string;
  readonly workflow: string;
  readonly input: unknown;
}

export function drawOrder(random: Random, key: string): Order {
  const workflow = random.weighted({ hammer: 3, "book-trip": 2, "process-order": 1 });
  return { key, workflow, input: INPUTS[workflow](random) };
}

const INPUTS = {
  hammer: (random: Random) => ({ fails: random.chance(0.25) }),
  "book-trip": (random: Random) => ({
    traveller: { name: "Ada Lovelace", email: "ada@mail.example", phone: "+41 44 000 00 00" },
    from: "LHR",
    // The hotel knows no city with a name of more than 64 characters: the flight is taken back, the traveller called.
    to: random.chance(0.25) ? "Z".repeat(65) : "ZRH",
    date: "2027-03-14",
    nights: 2,
  }),
  "process-order": (random: Random) => ({
    customer: { name: "Ada Lovelace", email: "ada@mail.example" },
    sku: random.chance(0.2) ? "OUT-1" : "TEAPOT-1",
    quantity: 1,
    payment_method: random.chance(0.2) ? "pm_declined" : "pm_card",
    amount: 4_200,
    address: { street: "Main St 1", city: "Zurich", postcode: "8001", country: "CH" },
  }),
} as const satisfies Record<string, (random: Random) => unknown>;
