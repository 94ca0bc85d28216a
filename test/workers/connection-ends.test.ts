/** Grants that end whatever happens: who is warned of it, when, and where it is seen. */
import { describe, expect, it } from "vitest";
import { warningOf } from "../../src/connections/ending.ts";
import { listedOf } from "../../src/connections/listing.ts";
import { grantsPage } from "../../src/connections/pages/grants.ts";
import type { PairTimes } from "../../src/connections/grant.ts";
import { ConnectionHouse } from "./connection-house.ts";
import { Connected, DAY_MS, HOUR_MS, TENANT } from "./connection-support.ts";

async function ending(afterMs: number): Promise<Connected> {
  const one = new Connected(new ConnectionHouse());
  const { now } = one.house;
  const times: PairTimes = { issuedAt: now, expiresAt: now + HOUR_MS, idleEndsAt: null };
  await one.grant({ times: { ...times, endsAt: now + afterMs } });
  await one.ring();
  return one;
}

const warnings = async (one: Connected): Promise<number> =>
  (await one.audited()).filter((action) => action === "connection.ends_soon").length;

async function seen(one: Connected): Promise<readonly [unknown, boolean]> {
  const view = await one.object.view(TENANT);
  if (view === null) throw new Error("There is no connection.");
  const connection = listedOf(view);
  const { now } = one.house;
  const grant = { connection, provider: "Double", uses: [], form: "form" };
  const page = grantsPage({ tenant: TENANT, user: "ada" }, [grant], { more: false, now });
  return [warningOf(connection, now), JSON.stringify(page).includes("soon: ")];
}

describe("a grant with an absolute end", () => {
  it("is warned of 7 days before, and a day before, each once; from then on it is seen in the API and on the user's page", async () => {
    const one = await ending(90 * DAY_MS);
    const end = one.house.now + 90 * DAY_MS;
    expect(await seen(one)).toEqual([null, false]);
    expect(await one.toNextAlarm()).toBe(end - 7 * DAY_MS);
    expect(await warnings(one)).toBe(1);
    expect(await seen(one)).toEqual(["ends_soon", true]);
    // A refresh does not put it off, and nobody is warned again for it.
    await one.token();
    await one.ring();
    while ((await warnings(one)) < 2) await one.toNextAlarm();
    expect(one.house.now).toBe(end - DAY_MS);
    while ((await one.toNextAlarm()) !== null);
    expect(await warnings(one)).toBe(2);
  });

  it("of a week is warned of a day before only, and one of a day not at all", async () => {
    const [week, day] = [await ending(7 * DAY_MS), await ending(DAY_MS)];
    expect(await seen(week)).toEqual([null, false]);
    const end = week.house.now + 7 * DAY_MS;
    expect(await week.toNextAlarm()).toBe(end - DAY_MS);
    expect(await warnings(week)).toBe(1);
    while ((await day.toNextAlarm()) !== null);
    expect(await warnings(day)).toBe(0);
  });

  it("that slept through both warnings is warned of once; a new consent ends the warning", async () => {
    const one = await ending(90 * DAY_MS);
    one.house.later(89 * DAY_MS + HOUR_MS);
    await one.ring();
    expect(await warnings(one)).toBe(1);
    await one.grant({}, `${one.family}b`);
    await one.ring();
    expect(await seen(one)).toEqual([null, false]);
    while ((await one.toNextAlarm()) !== null);
    expect(await warnings(one)).toBe(1);
  });

  it("that was taken back is not warned of", async () => {
    const one = await ending(90 * DAY_MS);
    await one.object.disconnect(TENANT, { by: "user" });
    while ((await one.toNextAlarm()) !== null);
    expect(await warnings(one)).toBe(0);
    expect((await seen(one))[0]).toBe(null);
  });
});
