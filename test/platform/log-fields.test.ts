/** What docs/operations.md "Logs" says that a line carries: held over every log call of the sources, and over the loggers of objects. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = new URL("../../src/", import.meta.url).pathname;

interface LogCall {
  readonly file: string;
  readonly event: string;
  /** The text of its fields. */
  readonly fields: string;
}

const FILES: ReadonlyMap<string, string> = new Map(
  readdirSync(SRC, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.startsWith("cli/"))
    .map((file) => [file, readFileSync(join(SRC, file), "utf8")]),
);

const CALLS: readonly LogCall[] = [...FILES].flatMap(([file, text]) =>
  [...text.matchAll(/\.(?:warn|error|info|debug)\(\s*["`]([^"`]+)["`]/g)].map((match) => ({
    file,
    event: match[1] ?? "",
    fields: text.slice(match.index + match[0].length, endOfCall(text, match.index)),
  })),
);

function endOfCall(text: string, from: number): number {
  let depth = 0;
  for (let at = text.indexOf("(", from); at < text.length; at++) {
    if (text[at] === "(") depth += 1;
    if (text[at] === ")" && --depth === 0) return at;
  }
  throw new Error("A call has no end.");
}

function has({ fields }: LogCall, name: string): boolean {
  return new RegExp(`[{,]\\s*${name}\\b\\s*[,:}]`).test(fields);
}

/** Objects whose logger says the tenant with each line, and what uses that logger. */
const OF_OBJECTS: Readonly<Record<string, RegExp>> = {
  "run/lives.ts": /^run\/(?:life|lives|follower|outbox|queueing|reports|run-key)\.ts$/,
  "connections/object.ts":
    /^connections\/(?:acquiring|after|granting|leaving|mirroring|renewing|revoking|rewrapping|telling|waking)\.ts$/,
  "identity/credential-object.ts": /^identity\/credential-object\.ts$/,
  "triggers/schedule-object.ts": /^triggers\/schedule-(?:object|listing|starting)\.ts$/,
  "triggers/flow/flow-object.ts": /^triggers\/flow\/flow-object\.ts$/,
  "triggers/events/events-object.ts": /^triggers\/events\/events-(?:object|desk)\.ts$/,
  "triggers/outgoing/endpoint-object.ts": /^triggers\/outgoing\/(?:endpoint-object|queue)\.ts$/,
};

function isOfTenant(call: LogCall): boolean {
  if (has(call, "tenant") || call.fields.includes("...which") || call.fields.includes("...where"))
    return true;
  // One that is made in the file with the tenant in it.
  if (/\.log\.with\(\{ tenant, /.test(FILES.get(call.file) ?? "")) return true;
  return Object.values(OF_OBJECTS).some((files) => files.test(call.file));
}

/** Of many tenants at once: sums of the cron trigger. */
const OF_ALL = new Set([
  "connection.not_poked",
  "connection.not_rewrapped",
  "issuer.not_asked",
  "issuer.not_swept",
]);
/** What a tenant has. */
const OF_TENANTS =
  /^(?:connection|integration|hook|endpoint|events|queue|schedule|issuer|cloud_role|quota|run)[._]/;
/** Of code, which is every tenant's. */
const OF_CODE = new Set(["run.code_missing", "run_keys.not_moved"]);

describe("a line of the log", () => {
  it("that names a run names its tenant, and so does one of a connection, a hook, an endpoint, a queue, a schedule", () => {
    const held = CALLS.filter(
      (call) =>
        has(call, "run") ||
        (OF_TENANTS.test(call.event) && !OF_ALL.has(call.event) && !OF_CODE.has(call.event)),
    );
    expect(held.length).toBeGreaterThan(70);
    const without = held.filter((call) => !isOfTenant(call));
    expect(without.map(({ file, event }) => `${file}: ${event}`)).toEqual([]);
  });

  it("is written by a logger that says the tenant, where an object writes it", () => {
    for (const [file, files] of Object.entries(OF_OBJECTS)) {
      const text = FILES.get(file) ?? "";
      expect([file, /log: (?:wiring|ports)\.log\.with\((?:\{ tenant \}|who)\)/.test(text)]).toEqual([
        file,
        true,
      ]);
      // What is given on is that one: the other is named only where it is made.
      expect([file, text.match(/\b(?:wiring|ports)\.log\b/g)?.length]).toEqual([
        file,
        1 + (text.match(/this\.#(?:wiring|ports)\.log\b/g)?.length ?? 0),
      ]);
      expect([file, CALLS.some((call) => files.test(call.file))]).toEqual([file, true]);
    }
  });

  it("of a step that could not begin, that threw or that says something has unit and attempt as well", () => {
    for (const event of ["credential_not_asked", "step_log", "step_threw"]) {
      const calls = CALLS.filter((one) => one.event === event);
      for (const name of ["tenant", "run", "unit", "attempt"])
        expect([event, name, calls.map((call) => has(call, name))]).toEqual([event, name, [true]]);
    }
  });
});
