import { expect, test, vi } from "vitest";
import { browserAddress, createEgress, parseDevelopmentHosts } from "../../src/platform/index.ts";

const HOSTS = '{"api.skyline.example":41001}';

test("a build that is not for development refuses the variable", () => {
  expect(() => parseDevelopmentHosts(HOSTS)).toThrow(TypeError);
  expect(parseDevelopmentHosts(undefined).size).toBe(0);
  expect(parseDevelopmentHosts("").size).toBe(0);
});

test("a table that got in all the same is without effect in such a build", async () => {
  const fetch = vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response("ok"));
  const egress = createEgress({ ownHosts: [], developmentHosts: parseDevelopmentHosts(HOSTS, true) });
  await egress({ url: "https://api.skyline.example/x", method: "GET", effect: "safe" });
  const [request] = fetch.mock.calls[0] ?? [];
  expect(request).toHaveProperty("url", "https://api.skyline.example/x");
  fetch.mockRestore();
});

test("browsers are sent to the provider itself in such a build, whatever a table says", () => {
  const hosts = parseDevelopmentHosts('{"login.agenda.example":41002}', true);
  const address = "https://login.agenda.example/auth?state=x&scope=a%20b";
  expect(browserAddress(hosts, address)).toBe(address);
});

test("browsers are sent to the port of a mapped name in a development build, with all that the address says", () => {
  vi.stubGlobal("DEVELOPMENT", true);
  const hosts = parseDevelopmentHosts('{"login.agenda.example":41002}', true);
  const address = "https://login.agenda.example/auth?state=x&scope=a%20b";
  expect(browserAddress(hosts, address)).toBe("http://127.0.0.1:41002/auth?state=x&scope=a%20b");
  for (const other of ["https://login.agenda.example.evil.example/auth", "https://agenda.example/auth"])
    expect(browserAddress(hosts, other)).toBe(other);
  vi.unstubAllGlobals();
});

test("a development build reads names and ports", () => {
  expect([...parseDevelopmentHosts(HOSTS, true)]).toEqual([["api.skyline.example", 41_001]]);
});

test.each([
  ["not json"],
  ["[]"],
  ["null"],
  ['"text"'],
  ['{"localhost":41001}'],
  ['{"127.0.0.1":41001}'],
  ['{"api.skyline.example:81":41001}'],
  ['{"api.skyline.example/x":41001}'],
  ['{"u@api.skyline.example":41001}'],
  ['{"API.skyline.example":41001}'],
  ['{"api.skyline.example":0}'],
  ['{"api.skyline.example":65536}'],
  ['{"api.skyline.example":"41001"}'],
  ['{"api.skyline.example":1.5}'],
])("a table like %s is refused", (variable) => {
  expect(() => parseDevelopmentHosts(variable, true)).toThrow(TypeError);
});
