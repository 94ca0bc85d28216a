/** Runs that cannot go on: a journal that does not fold, and a step that takes its process with it, each time. */
import { claim, House, storageOf, until, type Play } from "./common.ts";

const HOLD = { steps: { hold: { action: "wait", with: { signal: "go", timeout: "2h" } } } };
const KILLER = {
  steps: {
    look: {
      ...{ action: "http", timeout: "60s" },
      with: { method: "GET", url: "https://api.shop.example/stock/SLOW-1", auth: { bearer: "SHOP_TOKEN" } },
    },
  },
};
const DAY_MS = 86_400_000;
const MOST_DEATHS = 6;

export const poisonedRun: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ hold: HOLD, killer: KILLER });
  const [bad, healed, well] = await Promise.all([house.run("hold"), house.run("hold"), house.run("hold")]);
  await until("they wait", async () => (await house.view(well)).status === "waiting");
  await house.kill();
  const rows = new Map<string, string>();
  for (const run of [bad, healed]) {
    const storage = storageOf(stage.state, "RunObject", `run:default:${run}`);
    rows.set(run, String(storage.prepare("SELECT facts FROM turns WHERE seq = 1").get()?.["facts"]));
    storage.prepare("UPDATE turns SET facts = ? WHERE seq = 1").run('[{"t":"a_fact_of_no_build"}]');
    storage.close();
  }
  await house.up();
  const said = await house.status("GET", `/v1/runs/${bad}`);
  claim(said.status === 503 && said.code === "unavailable", "it cannot be shown just now");
  const explained = await house.explained(bad);
  claim(explained.reasons[0]?.code === "failing", "explain says that it cannot be brought to life");
  const days = Math.round((explained.limit_at - Date.now()) / DAY_MS);
  const cancel = await house.status("POST", `/v1/runs/${bad}/cancel`, house.keys.admin, {
    mode: "immediate",
  });
  claim(cancel.status === 503, "a cancel is not taken either");
  claim(house.logged("life_not_loaded") > 0, "the log says why");
  // Others know nothing of it.
  await house.call("POST", `/v1/runs/${well}/signals/go`, { id: "1", payload: {} });
  await until("another run goes on", () => stage.sink.hasEnded(well));

  // What could be read once is put back, as a build that reads it would: the run goes on where it was.
  await house.kill();
  const storage = storageOf(stage.state, "RunObject", `run:default:${healed}`);
  storage.prepare("UPDATE turns SET facts = ? WHERE seq = 1").run(rows.get(healed) ?? "");
  storage.close();
  await house.up();
  await house.call("POST", `/v1/runs/${healed}/signals/go`, { id: "1", payload: {} });
  const healedMs = await until("the healed run goes on", () => stage.sink.hasEnded(healed), 90_000);

  // Dies three times under one step.
  stage.world.faults([{ path: "/stock/SLOW-*", probability: 1, fault: { kind: "slow", ms: 60_000 } }]);
  const killer = await house.run("killer");
  let deaths = 0;
  const seen = new Set<number>();
  const fresh = (): number[] => {
    const open = stage.world.referee.open().map(({ seq }) => seq);
    return open.filter((seq) => !seen.has(seq));
  };
  while (deaths < MOST_DEATHS) {
    await until(
      "an attempt is in flight, or it is over",
      () => fresh().length > 0 || stage.sink.hasEnded(killer),
      150_000,
    );
    if (stage.sink.hasEnded(killer)) break;
    for (const seq of fresh()) seen.add(seq);
    deaths += 1;
    await house.restart();
    await house.view(killer);
  }
  const { status, failure } = await house.view(killer);
  await house.kill();
  return { days, healedMs, deaths, ended: status, failure: failure?.code ?? null };
};
