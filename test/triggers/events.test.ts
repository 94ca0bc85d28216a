import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../src/kernel/index.ts";
import {
  accept,
  digestAt,
  digestOf,
  GIVE_UP_MS,
  hears,
  KEPT_GRACE_MS,
  KEPT_MS,
  keyOf,
  MAX_KEPT,
  MAX_KEPT_BYTES,
  MAX_SHAPES,
  MAX_UNDER_WAY,
  newTask,
  planOf,
  SETTLE_MS,
  told,
  tried,
  type Kept,
} from "../../src/triggers/events/event-rules.ts";
import { createValueExpressions } from "../../src/define/index.ts";
import { EventsWorld, type Fate } from "./events-world.ts";

const IDLE = { underWay: 0, kept: 0, bytes: 0 };
const HOUR = 3_600_000;

describe("whether an event is taken", () => {
  test("an id is one event: the same content again is a copy, other content is refused", () => {
    expect(accept(null, "a", 1, IDLE)).toEqual({ kind: "new" });
    expect(accept({ at: 5, digest: "a" }, "a", 1, IDLE)).toEqual({ kind: "duplicate", at: 5 });
    expect(accept({ at: 5, digest: "a" }, "b", 1, IDLE)).toEqual({ kind: "mismatch" });
  });

  test.each([
    [{ ...IDLE, underWay: MAX_UNDER_WAY }, "under_way"],
    [{ ...IDLE, kept: MAX_KEPT }, "kept"],
    [{ ...IDLE, bytes: MAX_KEPT_BYTES }, "kept"],
  ])("with %j it waits, but a copy is answered", (load, why) => {
    expect(accept(null, "a", 1, load)).toMatchObject({ kind: "full", why });
    expect(accept({ at: 5, digest: "a" }, "a", 1, load)).toMatchObject({ kind: "duplicate" });
  });

  test("keys that are bound to users take half of the room at most: what one floods with stops no event of the tenant", () => {
    for (const load of [
      { ...IDLE, underWay: MAX_UNDER_WAY / 2 },
      { ...IDLE, kept: MAX_KEPT / 2 },
      { ...IDLE, bytes: MAX_KEPT_BYTES / 2 },
    ]) {
      expect(accept(null, "a", 1, load, true)).toMatchObject({ kind: "full" });
      expect(accept(null, "a", 1, load, false)).toEqual({ kind: "new" });
      expect(accept({ at: 5, digest: "a" }, "a", 1, load, true)).toMatchObject({ kind: "duplicate" });
    }
  });

  test("an event of a user's key has an id of its own, and of another user's another one", () => {
    const keys = [
      { id: "1", only: null },
      { id: "1", only: "ada" },
      { id: "1", only: "ada b" },
      { id: "1", only: "" },
    ].map(keyOf);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("which events a wait hears", () => {
  const event = (data: Json, more: Partial<Kept> = {}): Kept => ({
    ...{ id: "1", data, user: null, tags: [], only: null, maker: { actor: "key:k", policies: [] } },
    ...{ traceparent: null, name: "paid", key: "1", at: 100, digest: "" },
    ...more,
  });
  const wait = { run: "r", step: "s", since: 100, until: 200, user: null };

  test.each<[fields: string[], values: Json[], data: Json, heard: boolean]>([
    [[], [], { any: 1 }, true],
    [["order"], ["o-1"], { order: "o-1", more: 1 }, true],
    [["order"], ["o-1"], { order: "o-2" }, false],
    [["order"], ["1"], { order: 1 }, false],
    [["order"], [null], { order: null }, true],
    [["order"], [null], {}, false],
    [["/order/id"], ["o-1"], { order: { id: "o-1" } }, true],
    [["/a~1b"], [true], { "a/b": true }, true],
    [["/list/1"], [2], { list: [1, 2] }, true],
    [["order"], [{ b: 1, a: 2 }], { order: { a: 2, b: 1 } }, true],
    [["toString"], [null], {}, false],
    [["order"], ["o-1"], "o-1", false],
  ])("%j with values %j in %j: %j", (fields, values, data, heard) => {
    expect(digestAt(data, fields) === digestOf(values)).toBe(heard);
    expect(hears({ ...wait, fields, digest: digestOf(values) }, event(data))).toBe(heard);
  });

  test("from its beginning to its end, and of users' events those of its user", () => {
    const any = { ...wait, fields: [], digest: digestOf([]) };
    const at = (time: number): boolean => hears(any, event({}, { at: time }));
    expect([99, 100, 199, 200].map(at)).toEqual([false, true, true, false]);
    const of = (only: string | null, user: string | null): boolean =>
      hears({ ...any, user }, event({}, { only }));
    expect([of(null, "ada"), of("ada", "ada"), of("ada", "bob"), of("ada", null)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("what an event starts", () => {
  const event: Kept = {
    ...{ id: "1", data: { amount: 5 }, user: "ada", tags: ["t"], only: null },
    ...{
      maker: { actor: "key:k", policies: [] },
      traceparent: null,
      name: "paid",
      key: "1",
      at: 7,
      digest: "",
    },
  };

  test("what cannot be evaluated is refused, and holds back no other", () => {
    const plan = planOf(
      event,
      [
        { workflow: "all", subscription: {} },
        { workflow: "large", subscription: { filter: "event.data.amount > 10" } },
        { workflow: "wrong", subscription: { filter: "event.data.absent.more" } },
        { workflow: "shaped", version: "3", subscription: { input: { n: "${{ event.data.amount }}" } } },
        { workflow: "unshaped", subscription: { input: "${{ event.data.absent.more }}" } },
        {
          workflow: "told",
          subscription: {
            filter:
              "event.user == 'ada' && event.name == 'paid' && event.receivedAt == 7 && event.tags[0] == 't' && event.id == '1'",
          },
        },
      ],
      createValueExpressions("event"),
    );
    expect(plan.deeds).toEqual([
      { t: "start", workflow: "all" },
      { t: "start", workflow: "shaped", version: "3", input: { n: "${{ event.data.amount }}" } },
      { t: "start", workflow: "told" },
    ]);
    expect(plan.filtered).toEqual(["large"]);
    expect(plan.failed.map(({ workflow, code }) => [workflow, code])).toEqual([
      ["wrong", "filter_failed"],
      ["unshaped", "input_failed"],
    ]);
  });
});

describe("a task", () => {
  const start = newTask({ t: "start", workflow: "w" }, 0);

  test("is refused at once, but not while an earlier try may still begin the run", () => {
    const refused = { kind: "refused", code: "policy_denied", message: "" } as const;
    expect(told(tried(start, 0), refused, { at: 0, now: 1 }).settled).toMatchObject({ t: "refused" });
    const lost = told(tried(start, 0), { kind: "lost" }, { at: 0, now: 10 });
    expect(lost).toMatchObject({ settled: null, lostAt: 0 });
    const again = told(tried(lost, 2_000), refused, { at: 0, now: 2_001 });
    expect(again).toMatchObject({ settled: null, due: SETTLE_MS });
    expect(told(tried(again, SETTLE_MS), refused, { at: 0, now: SETTLE_MS }).settled).toMatchObject({
      t: "refused",
    });
  });

  test("of which nothing was heard in three days is given up, and what it is told then changes nothing", () => {
    const over = told(tried(start, GIVE_UP_MS), { kind: "lost" }, { at: 0, now: GIVE_UP_MS });
    expect(over).toMatchObject({ due: null, settled: { t: "refused", code: "gave_up" } });
    expect(told(over, { kind: "started", created: true, run: "r" }, { at: 0, now: GIVE_UP_MS })).toBe(over);
  });
});

describe("events of a name", () => {
  test("one starts each workflow once and is told to each wait once, whatever is posted again", async () => {
    const world = new EventsWorld();
    world.subscribers = [
      { workflow: "ship", subscription: {} },
      { workflow: "bad-one", subscription: {} },
    ];
    world.desk.listen(world.wait("r1", "pay", { order: "o-1" }));
    world.desk.listen(world.wait("r2", "pay", { order: "o-2" }));
    world.desk.listen(world.wait("r3", "pay"));
    const post = world.posted("e1", { order: "o-1" });
    expect(world.desk.post(post)).toMatchObject({ kind: "taken", duplicate: false });
    expect(world.desk.post(post)).toMatchObject({ kind: "taken", duplicate: true });
    expect(world.desk.post(world.posted("e1", { order: "o-9" }))).toEqual({ kind: "mismatch" });
    await world.work();
    expect(world.desk.view(null, "e1")).toMatchObject({
      status: "done",
      runs: [{ workflow: "ship", run: "run_ship_payment.received:e1" }],
      refused: [{ workflow: "bad-one", code: "invalid_input" }],
    });
    expect([...world.waits.values()].map(({ took }) => took)).toEqual([["e1"], [], ["e1"]]);
    expect([...world.runs.values()].map(({ start }) => start)).toMatchObject([
      { startedBy: "event:payment.received", target: { workflow: "ship", input: { order: "o-1" } } },
    ]);
  });

  test("a wait that is told of late hears the first that came since it began", async () => {
    const world = new EventsWorld();
    world.desk.post(world.posted("before", {}));
    world.now += 10;
    const wait = world.wait("r1", "pay");
    for (const id of ["e1", "e2"]) {
      world.now += 10;
      world.desk.post(world.posted(id, {}));
    }
    await world.work();
    world.now += HOUR;
    expect(world.desk.listen(wait)).toBe(true);
    await world.work();
    expect(wait.took).toEqual(["e1"]);
    expect(world.desk.view(null, "e1")).toMatchObject({
      status: "done",
      resumed: [{ run: "r1", step: "pay" }],
    });
    expect(world.desk.view(null, "before")).toMatchObject({ resumed: [] });
  });

  test("a wait that is over is told nothing more, and one that an event does not fit, or that its run had before, waits on", async () => {
    const world = new EventsWorld();
    const [over, fits] = [world.wait("r1", "pay"), world.wait("r2", "pay")];
    for (const wait of [over, fits]) world.desk.listen(wait);
    world.desk.forget(over);
    world.judge = (_, data) =>
      data === 1
        ? { kind: "refused", code: "invalid_payload", message: "no object" }
        : data === 2
          ? { kind: "past" }
          : null;
    for (const [id, data] of [
      ["e1", 1],
      ["e2", 2],
      ["e3", {}],
    ] as const) {
      world.desk.post(world.posted(id, data));
      await world.work();
    }
    expect([over.took, fits.took]).toEqual([[], ["e3"]]);
    expect(world.desk.view(null, "e2")).toMatchObject({ resumed: [], refused: [], status: "done" });
    expect(world.desk.view(null, "e1")).toMatchObject({
      refused: [{ run: "r2", step: "pay", code: "invalid_payload" }],
    });
  });

  test("those of a user's key are that user's: seen by nobody else, and heard by that user's runs only", async () => {
    const world = new EventsWorld();
    const waits = [null, "ada", "bob"].map((user) => world.wait(`r-${user}`, "pay", {}, user));
    for (const wait of waits) world.desk.listen(wait);
    world.desk.post(world.posted("e1", {}, { only: "ada", user: "ada" }));
    expect(world.desk.post(world.posted("e1", { other: 1 }))).toMatchObject({ duplicate: false });
    await world.work();
    expect(world.desk.view("bob", "e1")).toBeNull();
    expect(world.desk.view("ada", "e1")).toMatchObject({ resumed: [{ run: "r-ada" }] });
    expect(world.desk.recent("ada", 9).map(({ user }) => user)).toEqual(["ada"]);
    expect(world.desk.recent(null, 9)).toHaveLength(2);
    expect(waits.map(({ took }) => took)).toEqual([["e1"], ["e1 ada"], ["e1"]]);
  });

  test("what could not be looked up is looked up again, and a key that has ended since starts nothing", async () => {
    const world = new EventsWorld();
    world.subscribers = [{ workflow: "ship", subscription: {} }];
    let away = true;
    world.nextFate = () => (away ? "lost before" : "ok");
    world.desk.post(world.posted("e1", {}));
    await world.settle(10 * 60_000);
    expect(world.desk.view(null, "e1")).toMatchObject({ status: "dispatching" });
    world.revoked.add("key:key_1");
    away = false;
    await world.settle(HOUR);
    expect(world.desk.view(null, "e1")).toMatchObject({
      ...{ status: "done", runs: [] },
      refused: [{ workflow: "ship", code: "maker_revoked" }],
    });
  });

  test.each<[Fate, boolean]>([
    ["lost before", false],
    ["lost after", true],
  ])("whose start was %s the key that posted it ended is known as started: %j", async (fate, isThere) => {
    const world = new EventsWorld();
    world.subscribers = [{ workflow: "ship", subscription: {} }];
    const fates: Fate[] = ["ok", fate];
    world.nextFate = () => {
      const next = fates.shift() ?? "lost before";
      return world.revoked.size > 0 ? "ok" : next;
    };
    world.desk.post(world.posted("e1", {}));
    await world.settle(5 * 60_000);
    expect(world.runs.size).toBe(isThere ? 1 : 0);
    world.revoked.add("key:key_1");
    await world.settle(HOUR);
    expect(world.runs.size).toBe(isThere ? 1 : 0);
    expect(world.desk.view(null, "e1")).toMatchObject(
      isThere
        ? { status: "done", runs: [{ workflow: "ship" }], refused: [] }
        : { status: "done", runs: [], refused: [{ code: "maker_revoked" }] },
    );
  });

  test("what they start stands under the policies of who posted, and of who stored what subscribes", async () => {
    const world = new EventsWorld();
    const [mine, theirs] = [{ workflows: ["ship"] }, { hosts: [] }];
    world.subscribers = [{ workflow: "ship", subscription: {}, policies: [theirs] }];
    world.desk.post(world.posted("e1", {}, { maker: { actor: "key:key_1", policies: [mine] } }));
    await world.work();
    expect([...world.runs.values()].map(({ start }) => start.maker.policies)).toEqual([[mine, theirs]]);
  });

  test("one user's runs cannot keep those of others from hearing, however many different things they wait for", () => {
    const world = new EventsWorld();
    const listens = (run: string, field: string, user: string | null): boolean =>
      world.desk.listen(world.wait(run, "s", { [field]: 1 }, user));
    let heard = 0;
    for (let n = 0; n < MAX_SHAPES; n += 1) if (listens(`r-${n}`, `f-${n}`, "mallory")) heard += 1;
    expect(heard).toBe(MAX_SHAPES / 2);
    expect(listens("r-known", "f-1", "mallory")).toBe(true);
    expect(listens("r-ada", "order", "ada")).toBe(true);
    expect(listens("r-tenant", "invoice", null)).toBe(true);
  });

  test("are kept for a day, then nothing is left of them, and nothing is armed", async () => {
    const world = new EventsWorld();
    world.subscribers = [{ workflow: "ship", subscription: {} }];
    world.desk.post(world.posted("e1", {}));
    await world.settle(KEPT_MS - 1);
    expect(world.desk.view(null, "e1")).not.toBeNull();
    await world.settle(KEPT_GRACE_MS + 2);
    expect(world.desk.view(null, "e1")).toBeNull();
    expect(world.disk.sql.exec("SELECT count(*) AS n FROM tasks").toArray()).toEqual([{ n: 0 }]);
    expect(world.alarmAt).toBeNull();
  });

  test("take no more shapes of waits than they compare, but go on with those that there are", () => {
    const world = new EventsWorld();
    for (let n = 0; n < MAX_SHAPES; n += 1)
      expect(world.desk.listen(world.wait(`r${n}`, "s", { [`field-${n}`]: 1 }))).toBe(true);
    expect(world.desk.listen(world.wait("more", "s", { other: 1 }))).toBe(false);
    expect(world.desk.listen(world.wait("more", "s", { "field-7": 2 }))).toBe(true);
  });

  test("write nothing where nothing was posted and nobody waits", () => {
    const world = new EventsWorld();
    expect(world.desk.view(null, "e1")).toBeNull();
    world.desk.forget({ run: "r", step: "s", since: 1 });
    expect(world.disk.sql.exec("SELECT name FROM sqlite_master").toArray()).toEqual([]);
  });
});

/** What may happen, in any order. */
type Deed =
  | { readonly t: "post"; readonly id: number; readonly order: number }
  | { readonly t: "wait"; readonly run: number; readonly order: number | null; readonly lateMs: number }
  | { readonly t: "dies" }
  | { readonly t: "passes"; readonly ms: number };

const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ t: fc.constant("post" as const), id: fc.nat(5), order: fc.nat(2) }),
  fc.record({
    t: fc.constant("wait" as const),
    run: fc.nat(8),
    order: fc.option(fc.nat(2)),
    lateMs: fc.constantFrom(0, 0, 5_000, 600_000),
  }),
  fc.record({ t: fc.constant("dies" as const) }),
  fc.record({ t: fc.constant("passes" as const), ms: fc.constantFrom(1, 500, 40_000) }),
);
const fate = fc.constantFrom<Fate>("ok", "ok", "lost before", "lost after", "dies before", "dies after");

describe("whatever dies and whatever answer is lost", () => {
  test("each event starts each workflow that wants it exactly once, and each wait that one came for hears exactly one", async () => {
    let posts = 0;
    let heard = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(deed, { maxLength: 24 }),
        fc.array(fate, { maxLength: 40 }),
        async (deeds, fates) => {
          const world = new EventsWorld();
          const left = [...fates];
          world.nextFate = () => left.shift() ?? "ok";
          world.subscribers = [
            { workflow: "all", subscription: {} },
            {
              workflow: "first",
              subscription: { filter: "event.data.order == 0", input: { o: "${{ event.data.order }}" } },
            },
            { workflow: "bad", subscription: {} },
          ];
          const posted = new Map<string, { readonly order: number; readonly at: number }>();
          const late: { readonly at: number; readonly listen: () => void }[] = [];
          const listenLate = (): void => {
            for (const one of late.splice(0))
              if (one.at <= world.now) one.listen();
              else late.push(one);
          };
          for (const one of deeds) {
            // Nothing here happens twice in one moment.
            world.now += 1;
            if (one.t === "post") {
              const id = `e${one.id}`;
              const answer = world.desk.post(world.posted(id, { order: one.order }));
              const before = posted.get(id);
              if (before === undefined) {
                expect(answer).toMatchObject({ kind: "taken", duplicate: false });
                posted.set(id, { order: one.order, at: world.now });
              } else if (before.order === one.order) expect(answer).toMatchObject({ duplicate: true });
              else expect(answer).toEqual({ kind: "mismatch" });
            } else if (one.t === "wait") {
              if (world.waits.has(`r${one.run} s`)) continue;
              const wait = world.wait(`r${one.run}`, "s", one.order === null ? {} : { order: one.order });
              if (one.lateMs === 0) world.desk.listen(wait);
              else late.push({ at: world.now + one.lateMs, listen: () => void world.desk.listen(wait) });
            } else if (one.t === "dies") world.restart();
            else await world.settle(one.ms);
            listenLate();
            if (one.t === "post") await world.work();
          }
          world.now += 700_000;
          listenLate();
          await world.settle(12 * HOUR);
          posts += posted.size;
          for (const [id, { order }] of posted) {
            const view = world.desk.view(null, id);
            expect(view).toMatchObject({
              status: "done",
              refused: [{ workflow: "bad", code: "invalid_input" }],
            });
            const wanted = order === 0 ? ["all", "first"] : ["all"];
            expect(view?.runs.map(({ workflow }) => workflow).toSorted()).toEqual(wanted);
            for (const workflow of wanted)
              expect(world.runs.has(`run_${workflow}_${world.name}:${id}`)).toBe(true);
          }
          const count = [...posted.values()].reduce((sum, { order }) => sum + (order === 0 ? 2 : 1), 0);
          expect(world.runs.size).toBe(count);
          for (const wait of world.waits.values()) {
            const order = [0, 1, 2].find((one) => digestOf([one]) === wait.digest);
            const came = [...posted].filter(
              ([, event]) => event.at >= wait.since && (wait.fields.length === 0 || event.order === order),
            );
            expect(wait.took).toHaveLength(came.length > 0 ? 1 : 0);
            if (wait.took.length > 0) expect(came.map(([id]) => id)).toContain(wait.took[0]);
            heard += wait.took.length;
          }
        },
      ),
      { numRuns: 300 },
    );
    // It did happen.
    expect(posts).toBeGreaterThan(100);
    expect(heard).toBeGreaterThan(20);
  }, 60_000);
});
