/** Signals that were kept, and steps that begin to wait: how much of a turn they may take. */

import { describe, expect, it } from "vitest";
import type { Taking } from "../../src/driver/index.ts";
import { limits, type Json } from "../../src/kernel/index.ts";
import { graph, Host, OK, RUN, step, unit } from "./memory-host.ts";

const MOST = limits.PAYLOAD_CHECKS_PER_TURN;

/** Takes true alone, each for so many checks, and counts what it is asked. */
class Scale {
  seen = 0;
  checks = 0;
  readonly #each: number;
  readonly schema: string;

  constructor(each: number, schema = "the schema") {
    this.#each = each;
    this.schema = schema;
  }

  weigh(payload: Json): ReturnType<Taking["weigh"]> {
    return {
      checks: this.#each,
      see: () => {
        this.seen += 1;
        this.checks += this.#each;
        return payload === true ? payload : undefined;
      },
    };
  }
}

function wait(name: string) {
  return step(name, { kind: "signal", signal: "go", needs: ["first"] });
}

/** A run that has kept these signals when its first step ends. */
function kept(payloads: readonly Json[], ...waits: readonly ReturnType<typeof wait>[]) {
  const host = new Host();
  const driver = host.live();
  driver.start(RUN, graph(step("first"), ...waits, step("beside", { needs: ["first"] })), null);
  for (const [i, payload] of payloads.entries())
    expect(driver.signal(`s${i}`, "go", payload)).toEqual({ ok: true });
  return { host, driver };
}

describe("what one turn checks", () => {
  it("is bounded; the next event goes on, and what was kept is taken in the end", async () => {
    const { host, driver } = kept([...Array(9).fill(false), true] as Json[], wait("w"));
    const scale = new Scale(MOST / 2);
    host.taking = scale;
    await host.attempt(1).end(OK);
    expect(unit(driver.state, "w").status).toBe("pending");
    let events = 0;
    for (let before = 0; unit(driver.state, "w").status === "pending"; events += 1) {
      expect(scale.checks - before).toBeLessThanOrEqual(MOST);
      expect(scale.checks).toBeGreaterThan(before);
      before = scale.checks;
      expect(host.alarmAt).toBe(host.now + 1);
      host.now += 1;
      driver.alarmFired();
    }
    expect({ events, seen: scale.seen }).toEqual({ events: 4, seen: 10 });
    expect(unit(driver.state, "w")).toMatchObject({ status: "succeeded", output: { v: true } });
  });

  it("does not keep other steps of the run from beginning", async () => {
    const { host, driver } = kept([false, false, false], wait("w"));
    host.taking = new Scale(MOST);
    await host.attempt(1).end(OK);
    expect(unit(driver.state, "w").status).toBe("pending");
    expect(unit(driver.state, "beside").status).toBe("running");
  });

  it("is one check at least, whatever that costs", async () => {
    const { host, driver } = kept([false, true], wait("w"));
    const scale = new Scale(MOST * 10);
    host.taking = scale;
    await host.attempt(1).end(OK);
    expect(scale.seen).toBe(1);
    driver.alarmFired();
    expect(unit(driver.state, "w").status).toBe("succeeded");
  });

  it("is the same for hundreds of steps of one schema as for one", async () => {
    const waits = Array.from({ length: 300 }, (_, i) => wait(`w${i}`));
    const { host, driver } = kept(Array(64).fill(false) as Json[], ...waits);
    const scale = new Scale(1);
    host.taking = scale;
    await host.attempt(1).end(OK);
    expect(scale.seen).toBe(64);
    expect(waits.every(({ name }) => unit(driver.state, name).status === "waiting")).toBe(true);
  });

  it("begins anew in a life that does not know what another has seen, and ends all the same", async () => {
    const { host } = kept([false, false, false, true], wait("w"));
    host.taking = new Scale(MOST / 2);
    await host.attempt(1).end(OK);
    const driver = host.live();
    for (let i = 0; i < 2; i += 1) driver.alarmFired();
    expect(unit(driver.state, "w").status).toBe("succeeded");
  });
});

describe("a schema that cannot be used", () => {
  const thrown = (): never => {
    throw new TypeError("cannot read");
  };

  it.each<[string, (host: Host) => Taking]>([
    ["when a payload is weighed", () => ({ schema: "s", weigh: thrown })],
    ["when it is looked at", () => ({ schema: "s", weigh: () => ({ checks: 1, see: thrown }) })],
  ])("fails its step, and not the life of the run: %s", async (_, taking) => {
    const { host, driver } = kept([true], wait("w"));
    host.taking = taking(host);
    await host.attempt(1).end(OK);
    expect(host.gaveUp).toEqual([]);
    expect(unit(driver.state, "w")).toMatchObject({
      status: "failed",
      failure: { code: "template_failed" },
    });
  });

  it("does so, too, when the step asks for it", async () => {
    const { host, driver } = kept([true], wait("w"));
    Object.defineProperty(host, "taking", { get: thrown });
    await host.attempt(1).end(OK);
    expect(host.gaveUp).toEqual([]);
    expect(unit(driver.state, "w").status).toBe("failed");
  });
});
