/** What docs/connect.md shows can be sent as it stands there. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CreateIntegration } from "../../src/api/request-connections.ts";

async function bodies(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const text = await readFile(join(import.meta.dirname, "../../docs/connect.md"), "utf8");
  const found = [...text.matchAll(/-d '(\{[^']*\})'/g), ...text.matchAll(/```json\n(\{[^`]*\})\n```/g)];
  return found.map(([, body = ""]) => JSON.parse(body) as Readonly<Record<string, unknown>>);
}

describe("the integrations of docs/connect.md", () => {
  it("are what the API takes: one of the catalogue, and one of each of three kinds", async () => {
    const made = (await bodies()).filter((body) => "provider" in body);
    expect(made.map(({ provider }) => provider)).toEqual(["google", "oidc", "api_key", "oauth2"]);
    for (const body of made) expect(CreateIntegration.schema().safeParse(body).error).toBeUndefined();
  });
});
