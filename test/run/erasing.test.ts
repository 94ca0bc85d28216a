import { describe, expect, it } from "vitest";
import { type ErasingHost, eraseRun } from "../../src/run/erasing.ts";
import { SEAL_AFTER_MS } from "../../src/run/failing.ts";
import type { Meta } from "../../src/run/meta.ts";

/** A run whose life cannot begin. */
function failing(more: Partial<Meta>): { readonly host: ErasingHost; readonly expired: Meta[] } {
  const meta: Meta = { tenant: "t", id: "run_1", bodyDigest: "d", ...more };
  const expired: Meta[] = [];
  const never = (): never => {
    throw new Error("nothing of it is touched");
  };
  const host: ErasingHost = {
    get storage() {
      return never();
    },
    current: async () => "failing",
    meta: () => meta,
    putMeta: never,
    renew: never,
    expire: async (one) => void expired.push(one),
    deliver: never,
  };
  return { host, expired };
}

describe("a run that cannot be read", () => {
  const how = { user: "u", by: "key:key_1", seen: false };

  it("is left alone while its key may still be put back: it may go on, and names the places around it", async () => {
    for (const lockedSince of [Date.now(), Date.now() - SEAL_AFTER_MS + 60_000]) {
      const { host, expired } = failing({ lockedSince });
      expect(await eraseRun(host, "t", how)).toEqual({ kind: "later" });
      expect(expired).toEqual([]);
    }
  });

  it("is deleted once nobody has put its key back for days", async () => {
    const { host, expired } = failing({ lockedSince: Date.now() - SEAL_AFTER_MS });
    expect(await eraseRun(host, "t", how)).toEqual({ kind: "gone" });
    expect(expired).toHaveLength(1);
  });

  it("is nobody's else: another tenant's is not there", async () => {
    const { host, expired } = failing({ lockedSince: 0 });
    expect(await eraseRun(host, "other", how)).toEqual({ kind: "gone" });
    expect(expired).toEqual([]);
  });
});
