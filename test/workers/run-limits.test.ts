/** Runs that hold as much as they may: they can still be looked at, steered and ended. */

import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { compileSteps } from "../../src/define/index.ts";
import type { Json } from "../../src/kernel/index.ts";
import { text } from "../../src/platform/index.ts";
import type { Answer, RunView } from "../../src/run/index.ts";
import { ended, start, until, VIEWER, view, type Started } from "./run-support.ts";

const MIB = 1_048_576;

function append(run: Started, steps: Readonly<Record<string, Json>>): Promise<Answer<RunView>> {
  // What code appends has no limit of its own but those of the run.
  const compiled = compileSteps(steps, "/steps", "code");
  if (!compiled.ok) throw new Error(compiled.errors[0]?.detail);
  return run.stub().command(VIEWER, { t: "append", steps: compiled.steps, by: "key:test" });
}

/** An open run without a workflow; it has steps as soon as some are appended. */
const openRun = (): Promise<Started> => start("t-wait", {}, { open: true });

function named(prefix: string, count: number, step: Json): Record<string, Json> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}-${i}`, step]));
}

describe("a run with many outputs", () => {
  it("shows in its list as many as an answer has room for, and each one whole at its own address", async () => {
    const run = await openRun();
    const value = "x".repeat(4_000);
    for (let k = 0; k < 10; k++)
      expect((await append(run, named(`s${k}`, 100, { action: "transform", with: { value } }))).ok).toBe(
        true,
      );
    const { steps } = await until(run, (seen) =>
      seen.steps.every(({ name, outcome }) => outcome === "done" || !name.startsWith("s")),
    );
    const outputs = steps.flatMap(({ name, output }) => (name.startsWith("s") ? [output] : []));
    expect(outputs).toHaveLength(1_000);
    expect(outputs[0]).toEqual({ value });
    expect(outputs.at(-1)).toEqual({ bytes: 4_002 });
    const shown = outputs.filter((output) => output !== null && "value" in output).length;
    expect(shown * 4_002).toBeLessThanOrEqual(MIB);
    expect(await run.stub().step(VIEWER, "s9-99")).toMatchObject({ ok: true, value: { output: { value } } });
  });

  it("cuts what failures say where the list is full, and tells it whole at the step's own address", async () => {
    const run = await openRun();
    const message = "no ".repeat(300).trim();
    for (let k = 0; k < 13; k++)
      await append(run, named(`f${k}`, 100, { action: "fail", with: { message } }));
    const { steps } = await view(run);
    const last = steps.find(({ name }) => name === "f12-99");
    expect(steps.find(({ name }) => name === "f0-0")?.failure?.message).toBe(message);
    expect(last?.failure?.message).toMatch(/^(?:no ){20}.*…$/);
    expect(await run.stub().step(VIEWER, "f12-99")).toMatchObject({
      ok: true,
      value: { failure: { message } },
    });
  });
});

describe("a turn with many values", () => {
  /** Bytes of the largest row of each table, in UTF-8. */
  async function largestRows(run: Started): Promise<{ readonly turn: number; readonly chunks: number }> {
    return runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      const turns = sql.exec(
        "SELECT max(coalesce(octet_length(facts), 0) + coalesce(octet_length(vals), 0)) AS bytes FROM turns",
      );
      const chunks = sql.exec("SELECT count(*) AS n FROM chunks WHERE slot >= 0");
      return { turn: Number(turns.one()["bytes"]), chunks: Number(chunks.one()["n"]) };
    });
  }

  it("keeps its row far below the 2 MB that the platform holds, and gives back each value as it was", async () => {
    const run = await openRun();
    // As JSON in JSON each backslash is four characters; so much in one row would be 15 MB.
    const value = "\\😀".repeat(2_300);
    for (let k = 0; k < 8; k++)
      expect(
        (await append(run, named(`s${k}`, 100, { action: "transform", with: { value }, needs: ["ask"] }))).ok,
      ).toBe(true);
    const told = await run
      .stub()
      .command(VIEWER, { t: "signal", id: "1", name: "go", payload: "go", by: "key:test" });
    expect(told.ok).toBe(true);
    const rows = await largestRows(run);
    expect(rows.turn).toBeLessThanOrEqual(524_288);
    expect(rows.turn).toBeGreaterThan(400_000);
    expect(rows.chunks).toBeGreaterThan(700);
    await abortAllDurableObjects();
    for (const name of ["s0-0", "s3-50", "s7-99"])
      expect(await run.stub().step(VIEWER, name)).toMatchObject({ ok: true, value: { output: { value } } });
  }, 30_000);

  it("reads rows of earlier builds, which held every value that was not long by itself", async () => {
    const run = await openRun();
    const values = Array.from({ length: 100 }, (_, i) => `${i} ${"x".repeat(9_000)}`);
    const steps = values.map((value, i) => [
      `s-${i}`,
      { action: "transform", with: { value }, needs: ["ask"] },
    ]);
    expect((await append(run, Object.fromEntries(steps) as Record<string, Json>)).ok).toBe(true);
    await run.stub().command(VIEWER, { t: "signal", id: "1", name: "go", payload: "go", by: "key:test" });
    expect((await largestRows(run)).chunks).toBeGreaterThan(0);
    await runInDurableObject(run.stub(), (_object, { storage: { sql } }) => {
      for (const row of sql.exec("SELECT seq, vals FROM turns WHERE vals IS NOT NULL").toArray()) {
        const inline = JSON.parse(text(row, "vals")) as (string | null)[];
        const whole = inline.map((value, slot) => {
          const chunk = "SELECT body FROM chunks WHERE seq = ? AND slot = ?";
          return value ?? text(sql.exec(chunk, row["seq"], slot).one(), "body");
        });
        sql.exec("UPDATE turns SET vals = ? WHERE seq = ?", JSON.stringify(whole), row["seq"]);
      }
      sql.exec("DELETE FROM chunks WHERE slot >= 0");
    });
    await abortAllDurableObjects();
    for (const i of [0, 57, 99])
      expect(await run.stub().step(VIEWER, `s-${i}`)).toMatchObject({
        ok: true,
        value: { output: { value: values[i] } },
      });
  });

  it("writes no more rows than it must: what fits stands in its row", async () => {
    const run = await openRun();
    const step = { action: "transform", with: { value: "x".repeat(4_000) }, needs: ["ask"] };
    expect((await append(run, named("s", 90, step))).ok).toBe(true);
    await run.stub().command(VIEWER, { t: "signal", id: "1", name: "go", payload: "go", by: "key:test" });
    expect(await largestRows(run)).toMatchObject({ chunks: 0 });
  });
});

describe("a long text", () => {
  it("comes back as it was, with pairs of surrogates at every cut (K8)", async () => {
    const run = await openRun();
    for (const lead of ["", "a"]) {
      const value = lead + "😀".repeat(200_000);
      const name = `big${lead}`;
      expect((await append(run, { [name]: { action: "transform", with: { value } } })).ok).toBe(true);
      await abortAllDurableObjects();
      expect(await run.stub().step(VIEWER, name)).toMatchObject({ ok: true, value: { output: { value } } });
    }
  });
});

describe("signals", () => {
  it("beyond what a run may hold are refused, small ones and repeated ones are not", async () => {
    const run = await openRun();
    const send = (name: string, payload: Json) =>
      run.stub().command(VIEWER, { t: "signal", id: name, name, payload, by: "key:test" });
    const payload = "p".repeat(MIB - 2);
    for (let k = 0; k < 100; k++) expect((await send(`n${k}`, payload)).ok).toBe(true);
    expect(await send("n100", payload)).toMatchObject({ ok: false, code: "signal_buffer_full" });
    expect((await send("n99", payload)).ok).toBe(true);
    // Nor is there room for an output; the step says so, and nothing else of the run is lost.
    const step = { action: "transform", with: { value: "x".repeat(2_000) } };
    expect((await append(run, { large: step })).ok).toBe(true);
    const { steps } = await until(run, (seen) => seen.steps.some(({ failure }) => failure !== null));
    expect(steps.find(({ name }) => name === "large")?.failure?.code).toBe("run_too_large");
    expect((await send("go", "small")).ok).toBe(true);
    expect((await run.stub().command(VIEWER, { t: "close", by: "key:test" })).ok).toBe(true);
    expect((await ended(run)).status).toBe("succeeded");
  }, 30_000);
});

describe("growth", () => {
  it("ends where the steps together are larger than an object can hold, and the run goes on", async () => {
    const run = await openRun();
    const big = { action: "transform", with: { value: "x".repeat(1_000_000) } };
    for (let k = 0; k < 8; k++) expect((await append(run, { [`b${k}`]: big })).ok).toBe(true);
    expect(await append(run, { b8: big })).toMatchObject({
      ok: false,
      code: "bad_graph",
      details: [{ pointer: "/steps" }],
    });
    expect((await append(run, { small: { action: "transform", with: { value: 1 } } })).ok).toBe(true);
    expect((await append(run, { b7: big })).ok).toBe(true);
  });
});
