import { describe, expect, it } from "vitest";
import { DEMOS } from "../../src/cli/demos.ts";
import {
  createReferee,
  isOfRun,
  judge,
  tellEntry,
  type Deed,
  type LedgerEntry,
} from "../../src/cli/referee.ts";
import { serviceTokens } from "../../src/cli/words.ts";
import { startWorld } from "../world/index.ts";

const RUN = "run_1";

function deed(service: string, kind: string, more: Partial<Deed> = {}): Deed {
  return { id: `${kind}_1`, service, kind, key: `${RUN}.step.g0`, reference: null, undoneAt: null, ...more };
}

function entry(more: Partial<LedgerEntry>): LedgerEntry {
  const base = { seq: 1, at: 1, service: "airline", method: "POST", key: null, reference: null } as const;
  return { ...base, answer: "delivered", absorbed: false, made: [], undid: [], ...more };
}

describe("the verdict", () => {
  const expected = { "airline booking": { made: 1, standing: 1 } };

  it("agrees where exactly that happened which should have", () => {
    expect(judge(RUN, expected, [deed("airline", "booking")], []).agrees).toBe(true);
  });

  it("does not agree where something is missing, was taken back, happened twice, or should not have happened", () => {
    const booking = deed("airline", "booking");
    const second = { ...booking, id: "booking_2" };
    expect(judge(RUN, expected, [], []).agrees).toBe(false);
    expect(judge(RUN, expected, [{ ...booking, undoneAt: 5 }], []).agrees).toBe(false);
    expect(judge(RUN, expected, [booking, second], []).agrees).toBe(false);
    expect(judge(RUN, expected, [booking, deed("mail", "message")], []).agrees).toBe(false);
  });

  it("does not agree with a duplicate, also where the counts are right", () => {
    const duplicate = { service: "airline", kind: "booking", first: "booking_0", second: "booking_1" };
    expect(judge(RUN, expected, [deed("airline", "booking")], [duplicate]).agrees).toBe(false);
  });

  it("says in whose name a cloud's object was stored", () => {
    const data = { by: { subject: "tenant:default:code:process-order" } };
    const { counts } = judge(
      RUN,
      { "s3 object": { made: 1, standing: 1 } },
      [deed("s3", "object", { data })],
      [],
    );
    expect(counts).toEqual([
      "s3 object: 1 made, 1 standing, by tenant:default:code:process-order",
      "duplicates: 0",
    ]);
  });

  it("counts nothing that another run did", () => {
    const other = deed("airline", "booking", { id: "booking_9", key: "run_10.step.g0" });
    const theirs = { service: "airline", kind: "booking", first: "booking_8", second: "booking_9" };
    expect(judge(RUN, expected, [deed("airline", "booking"), other], [theirs]).agrees).toBe(true);
    expect(isOfRun(RUN, { key: null, reference: `${RUN}.call.g0` })).toBe(true);
    expect(isOfRun(RUN, { key: null, reference: null })).toBe(false);
  });
});

describe("what the referee saw", () => {
  it("is told where something was made, taken back or absorbed, and only once it is answered", () => {
    expect(tellEntry(entry({ made: ["bk_1"], answer: "lost" }))?.what).toBe(
      "really made bk_1; its answer was lost on the way",
    );
    expect(tellEntry(entry({ absorbed: true }))?.what).toBe(
      "the key is known: same answer, nothing done twice",
    );
    expect(tellEntry(entry({ undid: ["bk_1"] }))?.what).toBe("really took back bk_1");
    expect(tellEntry(entry({ made: ["bk_1"], answer: "open" }))).toBeNull();
    expect(tellEntry(entry({}))).toBeNull();
  });
});

describe("the real world", () => {
  it("takes the faults of every demo, and answers what the start asks of it", async () => {
    const world = await startWorld();
    try {
      const referee = createReferee(world.origin("referee.example"));
      for (const { good, bad } of Object.values(DEMOS)) {
        for (const { faults } of [good, bad]) {
          await referee.setFaults(faults);
          expect(world.faultBook.list()).toHaveLength(faults.length);
        }
      }
      await referee.setFaults([]);
      const made = await fetch(`${world.origin("api.skyline.example")}/bookings`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${world.tokens["api.skyline.example"] ?? ""}`,
          "content-type": "application/json",
          "idempotency-key": `${RUN}.flight.g0`,
        },
        body: JSON.stringify({ from: "LHR", to: "ZRH", date: "2031-05-17", traveller: "Ada" }),
      });
      expect(made.status).toBe(201);
      const { entries, next } = await referee.ledger(0, 0);
      expect(entries.map((one) => tellEntry(one)?.what)).toEqual(["really made bk_1"]);
      expect((await referee.ledger(next, 0)).entries).toEqual([]);
      const expected = { "airline booking": { made: 1, standing: 1 } };
      const verdict = judge(RUN, expected, await referee.deeds(), await referee.duplicates());
      expect(verdict).toEqual({
        agrees: true,
        counts: ["airline booking: 1 made, 1 standing", "duplicates: 0"],
      });
    } finally {
      await world.close();
    }
  });

  it("has a service for every one that the demos speak of", async () => {
    const world = await startWorld();
    try {
      const tokens = serviceTokens(world.tokens);
      expect(tokens["SKYLINE_TOKEN"]).toEqual({
        hosts: ["api.skyline.example"],
        token: world.tokens["api.skyline.example"],
        inline: true,
      });
      expect(Object.keys(tokens).sort()).toEqual(
        ["CALENDAR", "HARBOUR", "MAIL", "PAY", "SHOP", "SKYLINE", "VOICE"].map((name) => `${name}_TOKEN`),
      );
    } finally {
      await world.close();
    }
  });
});
