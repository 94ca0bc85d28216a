/** Child runs on real objects: one child per step, whatever dies; and nobody goes on without the other knowing. */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, test, vi } from "vitest";
import { traceparentOf } from "../../src/actions/index.ts";
import { Run } from "../../src/api/answer-runs.ts";
import { compileSteps } from "../../src/define/index.ts";
import { refOf } from "../../src/kernel/index.ts";
import { migrate } from "../../src/platform/index.ts";
import { FAMILY_SCHEMA, OUTBOX_SCHEMA } from "../../src/run/schema.ts";
import type { Command } from "../../src/run/index.ts";
import { ended, events, start, step, stubOf, until, view, VIEWER, type Started } from "./run-support.ts";

afterEach(() => {
  vi.useRealTimers();
});

function runOf(id: string): Started {
  return { id, stub: () => stubOf(id) };
}

/** The child of the step `sub`, once there is one. */
async function childOf(run: Started): Promise<Started> {
  const seen = await until(run, (one) => step(one, "sub").child !== undefined);
  return runOf(step(seen, "sub").child ?? "");
}

async function command(run: Started, what: Command): Promise<void> {
  const answer = await run.stub().command(VIEWER, what);
  if (!answer.ok) throw new Error(`${answer.code}: ${answer.message}`);
}

const go: Command = { t: "signal", id: "1", name: "go", payload: "now", by: "key:test" };

describe("a child run", () => {
  test("gives its output to the step that started it, for the same user and under the same trace", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const policies = [{ hosts: [{ host: "api.skyline.example" }] }];
    const run = await start("t-parent-sleep", { ms: 10 }, { user: "ada", traceparent, policies });
    expect((await ended(run)).output).toEqual({ value: { said: "awake" } });
    const child = await childOf(run);
    const seen = await view(child);
    expect(seen).toMatchObject({
      workflow: "t-sleep",
      user: "ada",
      started_by: `run:${run.id}`,
      parent: { run: run.id, unit: "sub" },
      tags: ["sub"],
      open: false,
    });
    const begun = (await events(child))[0]?.data;
    expect(begun).toMatchObject({ policies, origins: ["key:test"] });
    // Under the attempt that started it.
    const attempt = traceparentOf({
      ...{ run: { id: run.id, traceparent }, unit: refOf("sub"), generation: 1, attempt: 1 },
    });
    expect(begun).toMatchObject({ traceparent: attempt });
    expect(attempt.slice(3, 35)).toBe(traceparent.slice(3, 35));
    for (const shown of [seen, await view(run)]) expect(Run.schema().safeParse(shown).error).toBeUndefined();
  });

  test("costs its parent nothing while it goes on: it waits, with no attempt in flight", async () => {
    const run = await start("t-parent-wait");
    await childOf(run);
    const seen = await view(run);
    expect([seen.status, step(seen, "sub").status]).toEqual(["waiting", "waiting"]);
    expect(step(seen, "sub").deadline_at).toBeGreaterThan(Date.now() + 7_000_000);
  });

  test("is the same one after both objects were lost, and is heard all the same", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    await abortAllDurableObjects();
    expect((await childOf(run)).id).toBe(child.id);
    await command(child, go);
    expect((await ended(run)).output).toEqual({ value: { heard: "now" } });
    expect((await events(child)).filter(({ type }) => type === "run_started")).toHaveLength(1);
  });

  test("is found by a look of its parent's alarm, should its message be lost (K3)", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    await runInDurableObject(child.stub(), (_object, { storage }) => {
      migrate(storage, OUTBOX_SCHEMA);
      storage.sql.exec(
        "CREATE TRIGGER lose AFTER INSERT ON outbox BEGIN DELETE FROM outbox WHERE id = NEW.id; END",
      );
    });
    await command(child, go);
    await ended(child);
    expect((await view(run)).status).toBe("waiting");
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + 61_000);
    await runDurableObjectAlarm(run.stub());
    expect((await ended(run)).status).toBe("succeeded");
  });

  test("that fails, fails its step with child_failed, and says which run and why", async () => {
    const run = await start("t-parent-fatal");
    const seen = await ended(run);
    expect(seen.failure).toMatchObject({
      code: "child_failed",
      step: "sub",
      child: { run: (await childOf(run)).id, code: "step_failed" },
    });
    expect(step(seen, "sub").outcome).toBe("not_done");
  });

  test("is redriven with its parent, and is the same run", async () => {
    const run = await start("t-parent-fatal");
    await ended(run);
    const child = await childOf(run);
    await command(run, { t: "redrive", by: "key:test", resolve: [] });
    await ended(run);
    expect((await childOf(run)).id).toBe(child.id);
    expect((await view(child)).generation).toBe(2);
  });

  test("is one for each item of a list", async () => {
    const run = await start("t-parent-each");
    const seen = await ended(run);
    expect(seen.output).toEqual({ value: ["awake", "awake", "awake"] });
    expect(new Set(step(seen, "sub").items?.map(({ child }) => child)).size).toBe(3);
  });

  test("stands at most 8 deep", async () => {
    const root = await start("t-nest");
    expect((await ended(root)).failure?.code).toBe("child_failed");
    let deepest = root;
    let depth = 0;
    for (;;) {
      const { child } = step(await view(deepest), "sub");
      if (child === undefined) break;
      deepest = runOf(child);
      depth++;
    }
    expect(depth).toBe(8);
    expect((await ended(deepest)).failure?.code).toBe("child_too_deep");
  });

  test("is one of 1,000 below one run, at whatever depth, and who asks again for one is not counted again", async () => {
    const root = await start("t-later", {}, { open: true });
    const admitted = async (id: string): Promise<boolean> => {
      const answer = await stubOf(root.id).admit(VIEWER, id);
      if (!answer.ok) throw new Error(answer.code);
      return answer.value;
    };
    await runInDurableObject(stubOf(root.id), (_, { storage }) => {
      migrate(storage, FAMILY_SCHEMA);
      storage.sql.exec(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 996) INSERT INTO descendants SELECT 'run_' || i FROM n",
      );
    });
    expect(await admitted("run_0")).toBe(true);
    const compiled = compileSteps({ sub: { action: "run", with: { workflow: "t-nest" } } });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.errors));
    await command(root, { t: "append", steps: compiled.steps, by: "key:test" });
    let last = await childOf(root);
    for (let below = 1; below < 3; below += 1) last = await childOf(last);
    expect((await ended(last)).failure?.code).toBe("child_limit");
    expect(step(await view(last), "sub").child).toBeUndefined();
    await abortAllDurableObjects();
    expect(await admitted("run_0")).toBe(true);
    expect(await admitted("run_new")).toBe(false);
    expect(await stubOf(root.id).admit({ tenant: "other" }, "run_0")).toMatchObject({ code: "not_found" });
  });

  test("takes no approval from whoever started the run above it", async () => {
    const run = await start("t-parent-asks");
    const child = await childOf(run);
    await until(child, (seen) => seen.status === "waiting");
    const address = { id: `${child.id}.ok.g1`, step: "ok" };
    for (const by of ["key:test", `run:${run.id}`])
      expect(await child.stub().decide(VIEWER, address, { as: "approved", by })).toMatchObject({
        ok: false,
        code: "approver_is_starter",
      });
    await child.stub().decide(VIEWER, address, { as: "approved", by: "key:other" });
    expect((await ended(run)).status).toBe("succeeded");
  });
});

describe("a run that ends while it has a child", () => {
  test("cancels it, and ends only after it", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    await command(run, { t: "cancel", mode: "graceful", by: "key:test" });
    const seen = await ended(run);
    const gone = await view(child);
    expect([seen.status, gone.status, gone.failure?.code]).toEqual(["cancelled", "cancelled", "cancelled"]);
    expect(gone.ended_at).toBeLessThanOrEqual(seen.ended_at ?? 0);
    expect(step(seen, "sub")).toMatchObject({ status: "cancelled", outcome: "not_done" });
  });

  test("cancels it also when it does not wait for it, and in a later life", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    await command(run, { t: "cancel", mode: "immediate", by: "key:test" });
    expect(step(await ended(run), "sub").outcome).toBe("unknown");
    await abortAllDurableObjects();
    vi.setSystemTime(Date.now() + 120_000);
    await view(run);
    expect((await ended(child)).status).toBe("cancelled");
  });

  test("cancels one that took longer than its step would wait", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    vi.setSystemTime(Date.now() + 7_200_001);
    await runDurableObjectAlarm(run.stub());
    expect((await ended(run)).failure?.code).toBe("wait_expired");
    expect((await ended(child)).status).not.toBe("succeeded");
  });

  test("is the only one that can recall it, and only in the generation that it knows", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    const recall = (generation: number, by: string) =>
      child.stub().recall(VIEWER, { generation, mode: "immediate", by });
    expect(await recall(1, "key:test")).toMatchObject({ ok: false, code: "not_found" });
    expect(await recall(2, `run:${run.id}`)).toMatchObject({ ok: false, code: "not_found" });
    expect((await view(child)).status).toBe("waiting");
  });

  test("leaves it to go on while it is only paused, and takes its answer when it is resumed", async () => {
    const run = await start("t-parent-wait");
    const child = await childOf(run);
    await command(run, { t: "pause", by: "key:test" });
    await command(child, go);
    expect((await ended(child)).status).toBe("succeeded");
    await command(run, { t: "resume", by: "key:test" });
    expect((await ended(run)).status).toBe("succeeded");
  });
});
