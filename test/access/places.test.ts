/** Where the objects of a tenant live. The platform's namespaces are recorded: workerd has no jurisdictions. */
import { describe, expect, test } from "vitest";
import { type Place } from "../../src/access/index.ts";
import { hasJurisdiction, knowOwnPlace, objectNamed, places } from "../../src/compose-objects.ts";

const EU: Place = { jurisdiction: "eu", locationHint: "weur" };

interface Recorded {
  /** `jurisdiction name hint` of every stub that was made. */
  readonly stubs: string[];
  readonly namespace: DurableObjectNamespace;
}

function recorded(): Recorded {
  const stubs: string[] = [];
  const inside = (jurisdiction: string): unknown => ({
    jurisdiction: (wanted: string) => inside(wanted),
    getByName(name: string, options?: { locationHint?: string }) {
      stubs.push(`${jurisdiction} ${name} ${options?.locationHint ?? "-"}`);
      return { poke: async (tenant: string) => `${jurisdiction} was asked for ${tenant}` };
    },
  });
  return { stubs, namespace: inside("-") as DurableObjectNamespace };
}

/** A database that knows one tenant, or none; it counts how often it is asked. */
function database(row: object | null | Error): { readonly db: D1Database; asked: number } {
  const one = {
    asked: 0,
    db: {
      prepare: () => ({
        bind: () => ({
          async first() {
            one.asked += 1;
            if (row instanceof Error) throw row;
            return row;
          },
        }),
      }),
    } as unknown as D1Database,
  };
  return one;
}

interface Poked {
  poke(tenant: string): Promise<string>;
}

describe("the objects of a tenant", () => {
  test("are in its jurisdiction, near its hint, which is asked for once", async () => {
    const { stubs, namespace } = recorded();
    const one = database({ jurisdiction: "eu", location_hint: "weur" });
    const first = objectNamed(namespace, one.db, "run:places-1:a") as Poked;
    expect(await first.poke("places-1")).toBe("eu was asked for places-1");
    expect(await first.poke("places-1")).toBe("eu was asked for places-1");
    const second = objectNamed(namespace, one.db, "directory:places-1:0") as Poked;
    expect(await second.poke("places-1")).toBe("eu was asked for places-1");
    expect(one.asked).toBe(1);
    expect(new Set(stubs)).toEqual(new Set(["eu run:places-1:a weur", "eu directory:places-1:0 weur"]));
  });

  test("a stub can be handed through promises before its tenant's place is known", async () => {
    const { namespace } = recorded();
    const one = database({ jurisdiction: null, location_hint: null });
    const stub = await Promise.resolve(objectNamed(namespace, one.db, "run:places-2:a") as Poked);
    expect(one.asked).toBe(0);
    expect(await stub.poke("places-2")).toBe("- was asked for places-2");
  });

  test("are never looked for in a place that was guessed: without the database nothing is called", async () => {
    const { stubs, namespace } = recorded();
    const away = objectNamed(namespace, database(new Error("D1 is away.")).db, "run:places-3:a") as Poked;
    await expect(away.poke("places-3")).rejects.toThrow("D1 is away.");
    const nobody = objectNamed(namespace, database(null).db, "run:places-3:a") as Poked;
    await expect(nobody.poke("places-3")).rejects.toThrow("There is no tenant places-3.");
    const newer = database({ jurisdiction: "moon", location_hint: null });
    const unknown = objectNamed(namespace, newer.db, "run:places-3:a") as Poked;
    await expect(unknown.poke("places-3")).rejects.toThrow("moon is no jurisdiction");
    expect(stubs).toEqual([]);
  });

  test("an object knows where its tenant lives without the database", async () => {
    const { stubs, namespace } = recorded();
    const id = { name: "run:places-4:a", jurisdiction: "eu" } as unknown as DurableObjectId;
    knowOwnPlace(id);
    const away = database(new Error("D1 is away."));
    await (objectNamed(namespace, away.db, "flow:places-4:f") as Poked).poke("places-4");
    knowOwnPlace({ name: "run:places-5:a" } as unknown as DurableObjectId);
    await (objectNamed(namespace, away.db, "flow:places-5:f") as Poked).poke("places-5");
    expect(away.asked).toBe(0);
    expect(stubs).toEqual(["eu flow:places-4:f -", "- flow:places-5:f -"]);
  });

  test("what an object knows takes no hint away, and a jurisdiction of a newer platform is not taken for none", async () => {
    places.know("places-6", EU);
    knowOwnPlace({ name: "run:places-6:a", jurisdiction: "eu" } as unknown as DurableObjectId);
    expect(places.known("places-6")).toEqual(EU);
    knowOwnPlace({ name: "run:places-7:a", jurisdiction: "moon" } as unknown as DurableObjectId);
    expect(places.known("places-7")).toBeUndefined();
  });
});

test("a platform without a jurisdiction, or whose objects do not know that they are in it, is found out before a tenant is made", async () => {
  const answering = (said: string | null): DurableObjectNamespace =>
    ({
      jurisdiction: () => ({ getByName: () => ({ jurisdiction: async () => said }) }),
    }) as unknown as DurableObjectNamespace;
  const none = {
    jurisdiction: () => {
      throw new Error("Jurisdiction restrictions are not implemented in workerd.");
    },
  } as unknown as DurableObjectNamespace;
  expect(await hasJurisdiction(none, "eu")).toBe(false);
  expect(await hasJurisdiction(answering("eu"), "eu")).toBe(true);
  expect(await hasJurisdiction(answering(null), "eu")).toBe(false);
  expect(await hasJurisdiction(answering("moon"), "moon")).toBe(false);
});
