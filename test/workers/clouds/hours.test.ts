/** A run of twelve virtual hours with credentials of a quarter of an hour: what reaches the service, and what it costs. */
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { step } from "../run-support.ts";
import { Clock, CloudTenant, settings, trust } from "./support.ts";

const TENANT = "cloud-hours";
const MINUTE_MS = 60_000;
const LIFE_MS = 15 * MINUTE_MS;
const EVERY_MS = 5 * MINUTE_MS;
const STEPS = (12 * 60 * MINUTE_MS) / EVERY_MS;

const clock = new Clock("exchange", "exchange-api");
let tenant: CloudTenant;

beforeAll(async () => {
  tenant = await CloudTenant.begin(TENANT);
  await settings("exchange", { lifeS: LIFE_MS / 1_000 });
}, 30_000);
afterEach(async () => {
  await clock.back();
});

/** Asks every five minutes who it is, and how long its credential would still be taken. */
function stepsOf(role: string, timeout: string): object {
  const steps: Record<string, object> = {};
  for (let i = 0; i < STEPS; i += 1) {
    steps[`ask${i}`] = {
      ...{ action: "http", timeout, needs: i === 0 ? [] : [`rest${i - 1}`] },
      with: { method: "GET", url: "https://api.exchange.example/whoami", auth: { cloud: role } },
    };
    steps[`rest${i}`] = { action: "sleep", needs: [`ask${i}`], with: { for: `${EVERY_MS / MINUTE_MS}m` } };
  }
  return steps;
}

const LIVES = Array.from({ length: STEPS }, (_, i) => `\${{ steps.ask${i}.output.body.life_ms }}`);

describe("a run of twelve hours", () => {
  it.each([
    // At an age of 10 minutes a credential still has the 4.5 that such a step needs; at 15 it has ended.
    ["4m", 4.5 * MINUTE_MS, 3],
    // 5.5 it has not, nor half of its life.
    ["5m", 5.5 * MINUTE_MS, 2],
    // 10.5 it has not at an age of 5, but over half of its life, for which none is exchanged.
    ["10m", LIFE_MS / 2, 2],
  ])(
    "whose steps may take %s sends no credential that is too short, and exchanges no more than it must",
    async (timeout, neededMs, servesFor) => {
      const name = `hours-${timeout}`;
      const audience = `https://tokens.exchange.example/${name}`;
      await tenant.role(name, {
        ...{ provider: "token_exchange", token_url: "https://tokens.exchange.example/token", audience },
        ...{ hosts: ["api.exchange.example"], workflows: [`plan:${name}`] },
      });
      await tenant.plan(name, stepsOf(name, timeout), LIVES);
      const subject = `tenant:${TENANT}:plan:${name}`;
      await trust({ kind: "exchange", issuer: tenant.issuer, audience, subject, once: true });
      await tenant.publish();
      const run = await tenant.start({ workflow: name, input: {} });
      for (let i = 0; i < STEPS; i += 1) {
        await run.until((seen) => step(seen, `rest${i}`).status === "waiting" || seen.ended_at !== null);
        await clock.later(EVERY_MS);
        await run.ring();
      }
      const seen = await run.ended();
      expect(seen.status).toBe("succeeded");
      expect(seen.steps.every(({ attempts }) => attempts <= 1)).toBe(true);
      const lives = (seen.output as { value: number[] }).value;
      expect(lives).toHaveLength(STEPS);
      expect(Math.min(...lives)).toBeGreaterThanOrEqual(neededMs);
      const exchanges = await tenant.exchanges("exchange", subject);
      expect(exchanges).toHaveLength(Math.ceil(STEPS / servesFor));
      expect(exchanges.every(({ refused }) => refused === null)).toBe(true);
    },
    120_000,
  );
});
