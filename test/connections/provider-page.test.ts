import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CATALOG } from "../../src/connections/providers/index.ts";
import { NOTES } from "./provider-notes.ts";
import { providerPage } from "./provider-page.ts";

describe("docs/providers.md", () => {
  it("is what `npm run docs:providers` writes", async () => {
    const page = await readFile(join(import.meta.dirname, "../../docs/providers.md"), "utf8");
    expect(page).toBe(providerPage());
  });

  it("has words about every provider, and no other", () => {
    expect(Object.keys(NOTES).toSorted()).toEqual(CATALOG.map(({ name }) => name).toSorted());
  });

  it("marks as unverified as much as the data does", () => {
    const page = providerPage();
    for (const provider of CATALOG) {
      const [, section = ""] = page.split(`<a id="${provider.name}"></a>`);
      const own = section.split("<a id=")[0] ?? "";
      expect([provider.name, own.includes("**(unverified)**")]).toEqual([
        provider.name,
        (provider.unverified ?? []).some((pointer) =>
          /^\/(?:pkce|scopes|refresh|revoke|identity|hosts|hostFrom|denied|apiErrors|tokenErrors)/.test(
            pointer,
          ),
        ),
      ]);
    }
  });
});
