/** `process-order` exists twice, in TypeScript and as a plan. For the same answers of the world both write one journal. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parseServiceTokens, type CredentialPort } from "../../src/actions/index.ts";
import { compilePlan, type CompiledPlan } from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { createEgress, createLogger, parseDevelopmentHosts } from "../../src/platform/index.ts";
import { processOrder } from "../../src/workflows/process-order.ts";
import { serviceTokens, startWorld, type World } from "../world/index.ts";
import { ObjectStore } from "./object-store.ts";
import { NO_USE, runInMemory, runPlanInMemory, type Ended } from "./run-in-memory.ts";
import { NO_CHILDREN, NO_CONNECTIONS } from "./support.ts";

vi.hoisted(() => vi.stubGlobal("DEVELOPMENT", true));

const ORDER = {
  customer: { name: "Ada", email: "ada@example.com" },
  sku: "TEA 1/2",
  payment_method: "pm_visa",
  amount: 2_400,
  address: { street: "Ring 1", city: "Wien", postcode: "1010", country: "AT" },
};

let world: World;
let credential: CredentialPort;
let plan: CompiledPlan;
const store = new ObjectStore();

beforeAll(async () => {
  world = await startWorld();
  const given = serviceTokens(world.tokens, { inline: ["PAY_TOKEN", "SHOP_TOKEN", "MAIL_TOKEN"] });
  const tokens = parseServiceTokens(JSON.stringify(given));
  if (!tokens.ok) throw new Error(tokens.error);
  credential = tokens.value;
  const text = await readFile(join(import.meta.dirname, "../plans/process-order.json"), "utf8");
  const compiled = compilePlan(JSON.parse(text));
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
  plan = compiled.plan;
});
afterAll(() => world.close());

function surroundings() {
  const names = JSON.stringify(world.names);
  const egress = createEgress({ ownHosts: [], developmentHosts: parseDevelopmentHosts(names, true) });
  return {
    egress: store.beside(egress),
    credential,
    policy: async () => ({ kind: "allowed", approval: false }) as const,
    holdingPolicy: async () => ({ kind: "allowed", approval: false }) as const,
    children: NO_CHILDREN,
    lend: NO_CONNECTIONS,
    log: createLogger("error"),
    now: () => Date.now(),
  };
}

/** What is another in every run, and in another language. */
const PASSING = /^(?:at|.*At|deadline|id|headers|version|workflow|invoice|created_at)$/;
const AFTER_INVOICE = new Set(["archive", "confirmation"]);
const OPAQUE = new Set(["with", "when", "expressions", "reads", "connections"]);

/** The journal without times and ids, fact by fact. Two steps side by side are answered in either order: facts are sorted. */
function told({ rows }: Ended): readonly string[] {
  const plain = (value: unknown): unknown => {
    if (typeof value === "string") return value.replace(/\bin_\d+/, "the invoice");
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) return value.map(plain);
    if ("template" in value) return true;
    const members = Object.entries(value)
      .filter(([key]) => !OPAQUE.has(key))
      .map(([key, member]) => [key, PASSING.test(key) && typeof member !== "object" ? key : plain(member)]);
    const sorted = members.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
    // What these send holds the id of the invoice, so its digest is another each time.
    return Object.fromEntries(
      sorted.map(([key, member]) => [
        key,
        key === "digest" && "step" in value && AFTER_INVOICE.has(String(value.step))
          ? key
          : key === "headers"
            ? key
            : member,
      ]),
    );
  };
  return rows.flatMap((row) => row.facts.map((fact) => JSON.stringify(plain(fact)))).toSorted();
}

describe("process-order, in TypeScript and as a plan", () => {
  beforeEach(() => {
    world.faults([]);
    world.referee.reset();
  });

  it.each<[string, Readonly<Record<string, Json>>, string]>([
    ["the order goes through", {}, "succeeded"],
    ["the payment is declined", { payment_method: "pm_declined" }, "failed"],
    ["nothing is in stock", { sku: "OUT-1" }, "failed"],
    ["nobody delivers there", { address: { ...ORDER.address, postcode: "00000" } }, "failed"],
  ])("gives the same journal when %s", async (_, change, status) => {
    const order = { ...ORDER, ...change };
    const typed = await runInMemory(processOrder, order, surroundings(), NO_USE, store.use);
    const planned = await runPlanInMemory(plan, order, surroundings(), NO_USE, store.use);
    expect(typed.status).toBe(status);
    expect(planned.status).toBe(status);
    expect(told(planned)).toEqual(told(typed));
    expect(planned.steps).toEqual(typed.steps);
  });
});
