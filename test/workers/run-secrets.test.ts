import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, inject, it, vi } from "vitest";
import { createLogger, text } from "../../src/platform/index.ts";
import { expectAnswer, send } from "./api-support.ts";
import { leaks, lines as logged, secrets, sees } from "./log-watch.ts";
import { ended, events, start, TENANT, view, type Started } from "./run-support.ts";
import { setCallsPerEvent } from "./worker.ts";

const trip = {
  traveller: { name: "Ada", email: "ada@example.com", phone: "+43 1 234" },
  from: "VIE",
  to: "LIS",
  date: "2026-12-01",
  nights: 2,
};

/** The calendar of the trip is a connection: of the tenant itself, as these runs act for nobody. */
beforeAll(async () => {
  const path = `/v1/tenants/${TENANT}/keys`;
  const answer = await send("POST", path, { key: env.ROOT_API_KEY ?? "", body: { name: "admin" } });
  const { key } = await expectAnswer<{ key: string }>(answer, "createAdminKey", 201);
  const integration = {
    ...{ name: "agenda", provider: "api_key", owner: "tenant", workflows: ["book-trip"] },
    custom: { hosts: ["api.calendar.example"] },
  };
  const made = await send("POST", "/v1/integrations", { key, body: integration });
  await expectAnswer(made, "createIntegration", 201);
  const token = inject("world").tokens["api.calendar.example"] ?? "";
  const body = { integration: "agenda", api_key: token };
  await expectAnswer(await send("POST", "/v1/connections", { key, body }), "createConnection", 201);
});

/** Every byte that an object has stored: all rows of all tables, and its key-value part. */
async function everythingStored(run: Started): Promise<string> {
  return runInDurableObject(run.stub(), async (_object, state) => {
    const tables = state.storage.sql
      .exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'")
      .toArray();
    const rows = tables.map((table) =>
      state.storage.sql.exec(`SELECT * FROM "${text(table, "name")}"`).toArray(),
    );
    return JSON.stringify([rows, [...(await state.storage.list())]]);
  });
}

afterEach(() => {
  vi.restoreAllMocks();
  setCallsPerEvent(1_000);
});

describe("a run that used credentials (K12)", () => {
  it("has none of them in its journal, its views, its events or the log", async () => {
    const lines: string[] = [];
    for (const level of ["log", "info", "warn", "error", "debug"] as const) {
      vi.spyOn(console, level).mockImplementation((...words: unknown[]) => {
        lines.push(words.map(String).join(" "));
      });
    }
    const run = await start("book-trip", trip);
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    const searched = [
      await everythingStored(run),
      JSON.stringify(await view(run)),
      JSON.stringify(await events(run)),
      lines.join("\n"),
    ].join("\n");
    expect(searched).toContain(run.id);
    for (const secret of [...Object.values(inject("world").tokens), env.SERVER_KEY, env.ROOT_API_KEY ?? ""]) {
      expect(secret.length).toBeGreaterThan(8);
      expect(searched).not.toContain(secret);
      expect(searched).not.toContain(btoa(secret).replaceAll("=", ""));
    }
  });
});

describe("the watch over the log of a test file", () => {
  it("has lines and secrets to look for, and finds one that is logged", () => {
    // The tokens of the world, our own keys, and those that passed meanwhile.
    expect(secrets.size).toBeGreaterThan(8);
    const names = new Set(secrets.values());
    for (const name of ["server key", "root key", "service token", "key, or link", "credential of a request"])
      expect([name, names.has(name)]).toEqual([name, true]);
    const before = logged.length;
    console.warn(`told ${btoa(`x${env.ROOT_API_KEY ?? ""}`)}`);
    expect(leaks()).toEqual([expect.stringMatching(/^root key, in base64 behind 1: /)]);
    logged.splice(before);
    expect(leaks()).toEqual([]);
  });

  it("sees a line of the product also where a test has put its own console, which it does not see then", () => {
    for (const level of ["debug", "info", "warn", "error"] as const)
      vi.spyOn(console, level).mockImplementation(() => {});
    expect(sees()).toBe(false);
    const before = logged.length;
    createLogger().warn("told", { text: btoa(`x${env.ROOT_API_KEY ?? ""}`) });
    expect(leaks()).toEqual([expect.stringMatching(/^root key, in base64 behind 1: /)]);
    logged.splice(before);
    vi.restoreAllMocks();
    expect(sees()).toBe(true);
  });
});

describe("a run with more calls than one event of the platform allows", () => {
  it("goes on in fresh events and loses no attempt", async () => {
    setCallsPerEvent(7);
    const run = await start("t-chain-100");
    const seen = await ended(run);
    expect(seen.status).toBe("succeeded");
    expect(seen.steps.every((step) => step.attempts === 1)).toBe(true);
  });
});
