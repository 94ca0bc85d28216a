import { describe, expect, test } from "vitest";
import { ownHostsOf } from "../../src/compose-egress.ts";

describe("hosts that no step may call", () => {
  test("are those that the operator names, and that of the public origin", () => {
    expect(ownHostsOf({ PUBLIC_ORIGIN: "https://app.example.com" })).toEqual(["app.example.com"]);
    expect(ownHostsOf({ OWN_HOSTS: "a.example,b.example", PUBLIC_ORIGIN: "https://b.example:8443" })).toEqual(
      ["a.example", "b.example"],
    );
    expect(ownHostsOf({ OWN_HOSTS: "a.example", PUBLIC_ORIGIN: "https://c.example" })).toEqual([
      "a.example",
      "c.example",
    ]);
    expect(ownHostsOf({ OWN_HOSTS: "", PUBLIC_ORIGIN: "" })).toEqual([]);
    expect(ownHostsOf({})).toEqual([]);
  });
});
