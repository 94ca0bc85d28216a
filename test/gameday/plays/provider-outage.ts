/** A provider is away: its API, or who issues its credentials. Runs wait by themselves, and go on by themselves. */
import { trustRoles } from "../../../src/cli/roles.ts";
import { createApi } from "../../../src/cli/api.ts";
import { claim, House, until, type Play } from "./common.ts";

const RUNS = 10;
const retry = { attempts: 100, initial: "500ms", cap: "3s", jitter: "equal" } as const;
const INVOICE = {
  steps: {
    bill: {
      ...{ action: "http", effect: "keyed", retry, timeout: "5s" },
      with: {
        ...{ method: "POST", url: "https://api.shop.example/invoices", auth: { bearer: "SHOP_TOKEN" } },
        json: { customer: "Ada", amount: 4_200, currency: "EUR" },
      },
    },
  },
};
const ORDER = {
  customer: { name: "Ada Lovelace", email: "ada@mail.example" },
  ...{ sku: "TEAPOT-1", quantity: 1, payment_method: "pm_card", amount: 4_200 },
  address: { street: "Main St 1", city: "Zurich", postcode: "8001", country: "CH" },
};

export const providerOutage: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ invoice: INVOICE });
  const trusted = await trustRoles(createApi(house.caller.url, house.keys.admin), stage.referee);
  claim(trusted.ok, "the cloud trusts the role");
  stage.world.faults([
    {
      service: "shop",
      method: "POST",
      path: "/invoices",
      probability: 1,
      fault: { kind: "status", status: 503 },
    },
    { service: "aws", probability: 1, fault: { kind: "reset" } },
  ]);
  const bills = await Promise.all(Array.from({ length: RUNS }, async () => house.run("invoice")));
  const order = await house.run("process-order", ORDER);
  await until("all invoices back off", async () => {
    const codes = await Promise.all(bills.map(async (run) => (await house.explained(run)).reasons[0]?.code));
    return codes.every((code) => code === "backing_off" || code === "attempt");
  });
  stage.world.faults([{ service: "aws", probability: 1, fault: { kind: "reset" } }]);
  const backMs = await until("all invoices are made", () => bills.every((run) => stage.sink.hasEnded(run)));
  await until("the order waits for its cloud", async () =>
    (await house.explained(order)).reasons.some(({ code }) => code === "cloud"),
  );
  const { summary } = await house.explained(order);
  stage.world.faults([]);
  const cloudMs = await until("the order goes on by itself", () => stage.sink.hasEnded(order));
  claim((await house.view(order)).status === "succeeded", "the order succeeded");
  const deeds = stage.world.referee.deeds({ service: "shop", kind: "invoice" });
  claim(stage.world.referee.duplicates().length === 0, "nothing was done twice");
  await house.kill();
  return { runs: RUNS, backMs, cloudMs, summary, invoices: deeds.length };
};
