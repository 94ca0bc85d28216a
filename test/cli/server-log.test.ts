import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLogReader, followFile } from "../../src/cli/server-log.ts";

/** As wrangler 4 writes it. */
const BUILD_FAILED = `\u001B[31m✘ \u001B[41;31m[\u001B[41;97mERROR\u001B[41;31m]\u001B[0m \u001B[1mBuild failed with 1 error:\u001B[0m

  \u001B[31m✘ \u001B[41;31m[\u001B[41;97mERROR\u001B[41;31m]\u001B[0m \u001B[1mUnexpected ";"\u001B[0m

      ../../project/src/workflows/process-order.ts:111:10:
  \u001B[37m      111 │ const x = \u001B[32m;\u001B[37m
            ╵           \u001B[32m^\u001B[0m
`;

const read = (text: string) => {
  const reader = createLogReader();
  return text
    .split("\n")
    .map(reader)
    .filter((notice) => notice !== null);
};

describe("the server's log", () => {
  it("says in one line that a saved file cannot be built, why, and where", () => {
    const [notice, ...more] = read(BUILD_FAILED);
    expect(more).toEqual([]);
    expect(notice?.colour).toBe("red");
    expect(notice?.what).toContain('Unexpected ";" (project/src/workflows/process-order.ts:111:10)');
  });

  it("says it also where the failure has no place, and hears what comes after it", () => {
    const failed = "✘ [ERROR] Build failed with 1 error:\n\n  ✘ [ERROR] No entry point\n\n";
    const notices = read(`${failed}⎔ Reloading local server...\n⎔ Local server updated and ready`);
    expect(notices.map(({ colour }) => colour)).toEqual(["red", "green"]);
    expect(notices[0]?.what).toContain("No entry point.");
  });

  it("says that a saved file took effect, that its code does not start, that the runtime crashed", () => {
    const notices = read(
      [
        "⎔ Reloading local server...",
        "⎔ Local server updated and ready",
        "✘ [ERROR] service core:user:showcaller: Uncaught Error: boom",
        "[wrangler:info] GET /v1/runs/run_1 200 OK (7ms)",
        "The Workers runtime crashed unexpectedly and is being restarted (crash #1).",
      ].join("\n"),
    );
    expect(notices.map(({ colour }) => colour)).toEqual(["green", "red", "red"]);
    expect(notices[1]?.what).toContain("Error: boom");
  });

  it("cannot move the cursor", () => {
    const [notice] = read("✘ [ERROR] service core:user:showcaller: Uncaught Error: a\u001B[2Jb\rc\u0007");
    expect(notice?.what).not.toMatch(/\p{Cc}/u);
  });
});

describe("a file that is followed", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "showcaller-log-"));
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
    rmSync(folder, { recursive: true });
  });

  it("is read line by line as it grows, each line once and whole, wherever it is cut", () => {
    const path = join(folder, "server.log");
    const lines: string[] = [];
    const end = followFile(path, (line) => lines.push(line));
    vi.advanceTimersByTime(1_000);
    writeFileSync(path, Buffer.from("one\ntwö").subarray(0, -1));
    vi.advanceTimersByTime(1_000);
    expect(lines).toEqual(["one"]);
    appendFileSync(path, Buffer.from("ö").subarray(1));
    appendFileSync(path, "\nthree\n");
    end();
    expect(lines).toEqual(["one", "twö", "three"]);
    appendFileSync(path, "four\n");
    vi.advanceTimersByTime(1_000);
    expect(lines).toHaveLength(3);
  });
});
