import { describe, expect, it } from "vitest";
import { parseAuthCheck, parseServiceTokens } from "../../src/actions/index.ts";
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

describe("the check of a credential before a run", () => {
  const HOST = "api.skyline.example";
  const GIVEN = {
    OPEN: { hosts: [HOST], token: TOKEN, inline: true },
    ELSEWHERE: { hosts: ["api.harbour.example"], token: TOKEN, inline: true },
    CLOSED: { hosts: [HOST], token: TOKEN },
  };
  const ask = async (bearer: string, host = HOST) => {
    const check = parseAuthCheck(JSON.stringify(GIVEN));
    if (!check.ok) throw new Error(check.error);
    return check.value({ bearer }, host);
  };

  it("refuses what the run would refuse, names only what a plan could be given there, and never a value", async () => {
    expect(await ask("OPEN")).toBe(undefined);
    for (const [name, code] of [
      ["NOBODY", "unknown_token"],
      ["toString", "unknown_token"],
      ["CLOSED", "token_not_for_plans"],
      ["ELSEWHERE", "token_not_for_host"],
    ] as const) {
      const refusal = await ask(name);
      expect(refusal).toMatchObject({ at: "/bearer", code, allowed: ["OPEN"] });
      expect(JSON.stringify(refusal)).not.toContain(TOKEN);
    }
    expect(await ask("OPEN", "evil.example")).toMatchObject({ code: "token_not_for_host", allowed: [] });
  });

  it("says the same as what lends them, for every name and host", async () => {
    const tokens = parseServiceTokens(JSON.stringify(GIVEN));
    if (!tokens.ok) throw new Error(tokens.error);
    const step = call();
    const def = { ...step.def, with: { method: "GET", url: `https://${HOST}/` } };
    for (const name of [...Object.keys(GIVEN), "NOBODY"])
      for (const host of [HOST, "api.harbour.example", "evil.example"]) {
        const lent = await tokens.value({ bearer: name }, host, { ...step, def });
        expect([name, host, lent.ok]).toEqual([name, host, (await ask(name, host)) === undefined]);
      }
  });
});
