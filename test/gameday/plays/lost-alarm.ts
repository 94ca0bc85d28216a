/** An alarm that is gone from an object's storage: nobody hears of the run again, until it is looked at, or the sweeper comes. */
import { setTimeout as sleep } from "node:timers/promises";
import { claim, House, storageOf, until, type Play } from "./common.ts";

const NAP = { steps: { nap: { action: "sleep", with: { for: "12s" } } } };
/** A lease ends ten minutes after the wake that was promised. */
const LEASE_MS = 15 * 60_000;

export const lostAlarm: Play = async (stage) => {
  const house = new House(stage);
  await house.up();
  await house.furnish({ nap: NAP });
  const [swept, looked, well] = await Promise.all([house.run("nap"), house.run("nap"), house.run("nap")]);
  await until("they sleep", async () =>
    (await house.explained(well)).reasons.some(({ code }) => code === "sleeping"),
  );
  await sleep(2_000);
  await house.kill();
  for (const run of [swept, looked]) {
    const storage = storageOf(stage.state, "RunObject", `run:default:${run}`);
    const { changes } = storage.prepare("DELETE FROM _cf_METADATA WHERE key = 1").run();
    storage.close();
    claim(changes === 1, "the alarm stood in the storage");
  }
  await house.up();
  await until("the run whose alarm stands has ended", () => stage.sink.hasEnded(well));
  await sleep(5_000);
  claim(!stage.sink.hasEnded(swept) && !stage.sink.hasEnded(looked), "without its alarm a run does nothing");
  // Whoever asks for it wakes it.
  await house.view(looked);
  const lookMs = await until("a look wakes a run", () => stage.sink.hasEnded(looked));
  await house.tick();
  claim(!stage.sink.hasEnded(swept), "the sweeper asks nobody before the lease is over");
  await house.kill();
  const directory = storageOf(stage.state, "DirectoryObject", "directory:default:0");
  const { changes } = directory
    .prepare("UPDATE runs SET lease_at = lease_at - ? WHERE id = ?")
    .run(LEASE_MS, swept);
  directory.close();
  claim(changes === 1, "the directory has the lease");
  await house.up();
  await house.tick();
  const sweptMs = await until("the sweeper wakes it", () => stage.sink.hasEnded(swept));
  const { status } = await house.view(swept);
  claim(status === "succeeded", "it ends as it should");
  const said = house.logged('"swept"');
  await house.kill();
  return { lookMs, sweptMs, sweptInLog: said };
};
