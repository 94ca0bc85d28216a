import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const SRC = new URL("../../src/", import.meta.url).pathname;
/** Names that are made of what is followed (src/run/follower.ts). */
const FOLLOWED = ["uses", "spans"];

function eventsInCode(): string[] {
  const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".ts") && !file.startsWith("cli/"),
  );
  const found = files.flatMap((file) =>
    [
      ...readFileSync(join(SRC, file), "utf8").matchAll(/\.(?:warn|error|info|debug)\(\s*["`]([^"`]+)["`]/g),
    ].map(([, event = ""]) => event),
  );
  const all = found.flatMap((event) =>
    event.startsWith("${") ? FOLLOWED.map((name) => event.replace(/^\$\{[^}]+\}/, name)) : [event],
  );
  return [...new Set(all)].toSorted();
}

function eventsInDocs(): string[] {
  const page = readFileSync(join(SRC, "../docs/operations.md"), "utf8");
  const section = page.split("\n## Logs\n")[1]?.split("\n## ")[0] ?? "";
  const cells = [...section.matchAll(/^\| (`.*?`) \|/gm)].map(([, cell = ""]) => cell);
  return cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, event = ""]) => event)).toSorted();
}

it("every event that the code logs is in docs/operations.md, once, and every one there is logged", () => {
  const events = eventsInCode();
  expect(events.length).toBeGreaterThan(100);
  expect(eventsInDocs()).toEqual(events);
});
