/** What docs/connect.md shows can be sent as it stands there, its pictures are there, and so are the tests that docs/security.md names. */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CreateConnection, CreateIntegration } from "../../src/api/request-connections.ts";
import { MIN_SECRET_CHARS } from "../../src/connections/secrets.ts";

const DOCS = join(import.meta.dirname, "../../docs");
const TESTS = join(import.meta.dirname, "..");

async function bodies(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const text = await readFile(join(DOCS, "connect.md"), "utf8");
  const found = [...text.matchAll(/-d '(\{[^']*\})'/g), ...text.matchAll(/```json\n(\{[^`]*\})\n```/g)];
  return found.map(([, body = ""]) => JSON.parse(body) as Readonly<Record<string, unknown>>);
}

describe("the integrations of docs/connect.md", () => {
  it("are what the API takes: one of the catalogue, and one of each of four kinds", async () => {
    const made = (await bodies()).filter((body) => "provider" in body);
    expect(made.map(({ provider }) => provider)).toEqual([
      "google",
      "oidc",
      "client_credentials",
      "api_key",
      "oauth2",
    ]);
    for (const body of made) expect(CreateIntegration.schema().safeParse(body).error).toBeUndefined();
  });

  it("are connected without a browser by what the API takes", async () => {
    const made = (await bodies()).filter((body) =>
      ["weather", "ourcal"].includes(String(body["integration"])),
    );
    expect(made.map(({ integration }) => integration)).toEqual(["ourcal", "weather"]);
    for (const body of made) {
      expect(CreateConnection.schema().safeParse(body).error).toBeUndefined();
      if ("api_key" in body) expect(String(body["api_key"]).length).toBeGreaterThanOrEqual(MIN_SECRET_CHARS);
    }
  });
});

describe("the pictures of docs/connect.md", () => {
  it("are those that the tests in the browser keep, each named once", async () => {
    const text = await readFile(join(DOCS, "connect.md"), "utf8");
    const named = [...text.matchAll(/\(images\/(connect-[\w-]+\.png)\)/g)].map(([, name]) => name);
    const kept = (await readdir(join(DOCS, "images"))).filter((name) => name.startsWith("connect-"));
    expect(kept.length).toBe(named.length);
    expect(new Set(named)).toEqual(new Set(kept));
  });
});

describe("docs/security.md", () => {
  it("names tests that there are, and files", async () => {
    const text = await readFile(join(DOCS, "security.md"), "utf8");
    const files = await readdir(TESTS, { recursive: true });
    const sources = await Promise.all(
      files.filter((file) => file.endsWith(".ts")).map((file) => readFile(join(TESTS, file), "utf8")),
    );
    const cells = text
      .split("\n")
      .flatMap((line) => (line.startsWith("|") ? [line.split("|").at(-2) ?? ""] : []));
    const titles = cells.flatMap((cell) => [...cell.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => title));
    expect(titles.length).toBeGreaterThan(50);
    const pieces = titles.flatMap((title) => title.split("...").map((piece) => piece.trim()));
    expect(pieces.filter((piece) => !sources.some((source) => source.includes(piece)))).toEqual([]);
    const named = [...text.matchAll(/`((?:src|test)\/[^`]+\.ts)`/g)].map(([, file = ""]) => file);
    expect(named.filter((file) => !existsSync(join(DOCS, "..", file)))).toEqual([]);
  });
});
