import { describe, expect, it } from "vitest";
import { parseServiceTokens } from "../../src/actions/index.ts";
import { call, TOKEN } from "./support.ts";

const SKYLINE = { hosts: ["api.skyline.example"], token: TOKEN };

describe("service tokens", () => {
  it("are given to their own hosts only", async () => {
    const tokens = parseServiceTokens(JSON.stringify({ SKYLINE_TOKEN: SKYLINE }));
    if (!tokens.ok) throw new Error(tokens.error);
    const ask = (bearer: string, host: string) => tokens.value({ bearer }, host, call());
    expect(await ask("SKYLINE_TOKEN", "api.skyline.example")).toEqual({
      ok: true,
      header: "authorization",
      value: `Bearer ${TOKEN}`,
      secrets: [TOKEN],
    });
    for (const host of ["skyline.example", "x.api.skyline.example", "api.skyline.example.evil.example"])
      expect(await ask("SKYLINE_TOKEN", host)).toMatchObject({
        ok: false,
        failure: { code: "egress_blocked" },
      });
    expect(await ask("OTHER", "api.skyline.example")).toMatchObject({
      ok: false,
      failure: { code: "not_sent" },
    });
    expect(await ask("toString", "api.skyline.example")).toMatchObject({
      ok: false,
      failure: { code: "not_sent" },
    });
  });

  it("are for the deployment's own steps, and for steps that came as JSON only where an operator said so", async () => {
    const asked = async (entry: object) => {
      const tokens = parseServiceTokens(JSON.stringify({ SKYLINE_TOKEN: entry }));
      if (!tokens.ok) throw new Error(tokens.error);
      const fromOutside = call();
      const def = { ...fromOutside.def, with: { method: "GET", url: "https://api.skyline.example/" } };
      return tokens.value({ bearer: "SKYLINE_TOKEN" }, "api.skyline.example", { ...fromOutside, def });
    };
    expect(await asked(SKYLINE)).toMatchObject({ ok: false, failure: { code: "egress_blocked" } });
    expect(await asked({ ...SKYLINE, inline: false })).toMatchObject({ ok: false });
    expect(await asked({ ...SKYLINE, inline: true })).toMatchObject({ ok: true });
  });

  it("may be absent", () => {
    for (const text of [undefined, "", "  ", "{}"]) expect(parseServiceTokens(text).ok).toBe(true);
  });

  it.each([
    ["no JSON", "{"],
    ["no object", "[]"],
    ["a host that is an address", JSON.stringify({ A: { ...SKYLINE, hosts: ["127.0.0.1"] } })],
    ["a host with a port", JSON.stringify({ A: { ...SKYLINE, hosts: ["api.skyline.example:8443"] } })],
    ["a host in capitals", JSON.stringify({ A: { ...SKYLINE, hosts: ["API.skyline.example"] } })],
    ["no host", JSON.stringify({ A: { ...SKYLINE, hosts: [] } })],
    ["a token that would break the header", JSON.stringify({ A: { ...SKYLINE, token: `${TOKEN}\r\nx: y` } })],
    ["a token that is too short to be found again", JSON.stringify({ A: { ...SKYLINE, token: "abc" } })],
    ["an unknown field", JSON.stringify({ A: { ...SKYLINE, host: "x" } })],
  ])("are refused as %s, without a word of what they hold", (_, text) => {
    const tokens = parseServiceTokens(text);
    expect(tokens.ok).toBe(false);
    expect(JSON.stringify(tokens)).not.toContain(TOKEN);
  });
});
