/** Somebody who is to be told never takes it: a receiver of webhooks that says 500, a listener that is away. Runs go on. */
import { setTimeout as sleep } from "node:timers/promises";
import { RECEIVER } from "../stage.ts";
import { claim, House, until, type Play } from "./common.ts";

const QUICK = { steps: { one: { action: "transform", with: { value: 1 } } } };
const RUNS = 10;

interface EndpointView {
  readonly status: string;
  readonly queue?: { readonly pending: number; readonly failing_since: number | null };
  readonly pending?: number;
}

export const stuckOutbox: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ quick: QUICK });
  const { id, effective_by: from } = await house.make<{ id: string; effective_by: number }>("/v1/endpoints", {
    ...{ url: `https://${RECEIVER}/in`, events: ["run.ended"] },
  });
  await sleep(Math.max(0, from - Date.now()));
  stage.receiver.status = 500;
  stage.sink.away = true;
  const runs = await Promise.all(Array.from({ length: RUNS }, async () => house.run("quick")));
  await until("the runs succeed all the same", async () => {
    const views = await Promise.all(runs.map(async (run) => house.view(run)));
    return views.every(({ status }) => status === "succeeded");
  });
  await until("the receiver refused each", () => stage.receiver.refused >= RUNS);
  const stuck = await house.call<EndpointView>("GET", `/v1/endpoints/${id}`);
  claim(!runs.some((run) => stage.sink.hasEnded(run)), "the listener heard of none");
  await house.restart();
  stage.receiver.status = 204;
  stage.sink.away = false;
  const { data } = await house.call<{ data: { id: string; status: string }[] }>(
    ...(["GET", `/v1/endpoints/${id}/messages?limit=200`] as const),
  );
  const pending = data.filter(({ status }) => status === "pending");
  await house.make(`/v1/endpoints/${id}/replay`, { since: 0 });
  const endpointMs = await until("the receiver has all", () => {
    const heard = new Set([...stage.receiver.bodies.values()].map(({ data: { run } }) => run));
    return runs.every((run) => heard.has(run));
  });
  const listenerMs = await until(
    "the listener has all",
    () => runs.every((run) => stage.sink.hasEnded(run)),
    120_000,
  );
  await house.kill();
  return { runs: RUNS, stuck: stuck.queue ?? stuck, replayed: pending.length, endpointMs, listenerMs };
};
