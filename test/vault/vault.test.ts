import { createDecipheriv, createHmac, hkdfSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { createVault, type Place, type Vault } from "../../src/vault/index.ts";
import { PLACE, ring } from "./support.ts";

const SECRET = "1//refresh-token £";

// PERSISTED CONTRACT: what was sealed or derived once must open, or be the same, for ever. Never edit these; a new form gets
// new ones beside them. Made with node:crypto, the key of 32 bytes 0x01 under the name k1.
const SEALED =
  "v1.k1.AgICAgICAgICAgICDt_AQENeyPTaxbXBVa7Lu6u82ObiuIR41I7p8nHyfXZ_8pIYifvUd1SfRDdMv2Zi.AwMDAwMDAwMDAwMD.4LvEADDaGcmoyoIBg1O3nJk9YpaKI8ORiGUD671Jin0Bdhs";
const DERIVED = "5lQiBc8zHHHDUFmAj8iqB_170mUpo_aQdq0IXrayBAg";

function vaultOf(active: string, keys: Readonly<Record<string, number>>): Vault {
  return createVault(ring(active, keys));
}

const vault = vaultOf("k1", { k1: 1 });

/** The code of a refusal, or what was opened. */
async function opened(by: Vault, place: Place, sealed: string): Promise<string> {
  const result = await by.open(place, sealed);
  return result.ok ? `opened: ${result.value}` : result.error.code;
}

/** What another library finds in it. */
function decipher(key: Buffer, iv: Buffer, boundTo: readonly unknown[], sealed: Buffer): Buffer {
  const gcm = createDecipheriv("aes-256-gcm", key, iv);
  gcm.setAAD(Buffer.from(JSON.stringify(["showcaller.vault.v1", ...boundTo])));
  gcm.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([gcm.update(sealed.subarray(0, -16)), gcm.final()]);
}

function partsOf(sealed: string): [version: string, kid: string, wrapped: Buffer, iv: Buffer, text: Buffer] {
  const [version = "", kid = "", ...rest] = sealed.split(".");
  const [wrapped, iv, text] = rest.map((part) => Buffer.from(part, "base64url"));
  return [version, kid, wrapped!, iv!, text!];
}

describe("a sealed text", () => {
  it("of the first build opens", async () => {
    expect(await opened(vault, PLACE, SEALED)).toBe(`opened: ${SECRET}`);
  });

  it("is opened by another library, by the form that is written down", async () => {
    const [version, kid, wrapped, iv, text] = partsOf(await vault.seal(PLACE, SECRET));
    const place = [PLACE.purpose, PLACE.tenant, PLACE.record, PLACE.field, PLACE.version];
    const own = decipher(
      Buffer.alloc(32, 1),
      wrapped.subarray(0, 12),
      ["key", kid, ...place],
      wrapped.subarray(12),
    );
    expect([version, kid, own.length]).toEqual(["v1", "k1", 32]);
    expect(decipher(own, iv, ["text", ...place], text).toString()).toBe(SECRET);
  });

  it("gives back any text, at any place", async () => {
    const text = fc.string({ unit: "binary", maxLength: 200 });
    const places = fc.record<Place>({
      ...{ purpose: text, tenant: text, record: text, field: text },
      version: fc.maxSafeInteger(),
    });
    await fc.assert(
      fc.asyncProperty(places, text, async (place, plaintext) => {
        const sealed = await vault.seal(place, plaintext);
        expect(await opened(vault, place, sealed)).toBe(`opened: ${plaintext}`);
        expect(vault.kidOf(sealed)).toBe("k1");
      }),
    );
    // Those that decoders like to lose.
    for (const plaintext of ["", "\uFEFFmark", "\0", "\u{10FFFF}", "a".repeat(1_048_576)])
      expect(await opened(vault, PLACE, await vault.seal(PLACE, plaintext))).toBe(`opened: ${plaintext}`);
  });

  it("is another one each time, in every part", async () => {
    const [one, two] = [partsOf(await vault.seal(PLACE, SECRET)), partsOf(await vault.seal(PLACE, SECRET))];
    for (const part of [2, 3, 4] as const) expect(one[part].equals(two[part])).toBe(false);
    expect(one[2].subarray(0, 12).equals(one[3])).toBe(false);
  });

  it("is refused for what could not be given back, and for a place that is none", async () => {
    await expect(vault.seal(PLACE, "half \uD800")).rejects.toThrow(TypeError);
    await expect(vault.seal(PLACE, "a".repeat(1_048_577))).rejects.toThrow(TypeError);
    await expect(vault.seal({ ...PLACE, version: 1.5 }, "")).rejects.toThrow(TypeError);
    await expect(vault.seal({ ...PLACE, tenant: "\uDC00" }, "")).rejects.toThrow(TypeError);
  });
});

describe("somebody who can write the database", () => {
  test.each<[string, Partial<Place>]>([
    ["another purpose", { purpose: "connection.secret" }],
    ["another tenant", { tenant: "acme2" }],
    ["another record", { record: "con_2" }],
    ["another field", { field: "access" }],
    ["a later version", { version: 8 }],
    ["an earlier version", { version: 6 }],
    ["no tenant", { tenant: "" }],
    ["two parts that read the same together", { tenant: "acmec", record: "on_1" }],
    ["a part that ends the text of another", { tenant: 'acme","con_1', record: "" }],
  ])("cannot move a text to %s", async (_, other) => {
    expect(await opened(vault, { ...PLACE, ...other }, SEALED)).toBe("not_authentic");
    expect(await vaultOf("k2", { k1: 1, k2: 2 }).rewrap({ ...PLACE, ...other }, SEALED)).toMatchObject({
      error: { code: "not_authentic" },
    });
  });

  it("cannot exchange the records of two tenants, whole or in parts", async () => {
    const there: Place = { ...PLACE, tenant: "other" };
    const mine = (await vault.seal(PLACE, "mine")).split(".");
    const theirs = (await vault.seal(there, "theirs")).split(".");
    for (let mask = 1; mask < 8; mask += 1) {
      const mixed = mine.map((part, i) => (i >= 2 && mask & (1 << (i - 2)) ? theirs[i] : part)).join(".");
      expect(await opened(vault, PLACE, mixed)).toBe("not_authentic");
    }
  });

  it("cannot put an older text in the place of a newer one", async () => {
    const older = await vault.seal({ ...PLACE, version: 1 }, "older");
    const newer = await vault.seal({ ...PLACE, version: 2 }, "newer");
    expect(await opened(vault, { ...PLACE, version: 2 }, older)).toBe("not_authentic");
    // Nor the older one's ciphertext behind the newer one's key.
    const mixed = [...newer.split(".").slice(0, 3), ...older.split(".").slice(3)].join(".");
    expect(await opened(vault, { ...PLACE, version: 2 }, mixed)).toBe("not_authentic");
  });

  it("cannot change one bit of it", async () => {
    const [version, kid, ...parts] = partsOf(SEALED);
    let flipped = 0;
    for (const [at, part] of parts.entries()) {
      for (let bit = 0; bit < part.length * 8; bit += 1) {
        const bytes = parts.map((other) => Buffer.from(other));
        bytes[at]![bit >> 3]! ^= 1 << (bit & 7);
        const text = [version, kid, ...bytes.map((one) => one.toString("base64url"))].join(".");
        expect(await opened(vault, PLACE, text)).toBe("not_authentic");
        flipped += 1;
      }
    }
    expect(flipped).toBe((60 + 12 + 35) * 8);
  });

  it("cannot have it opened by another key: its name is part of what is bound", async () => {
    const twin = vaultOf("k2", { k2: 1 });
    expect(await opened(twin, PLACE, SEALED.replace(".k1.", ".k2."))).toBe("not_authentic");
  });

  const [, , WRAPPED, IV, TEXT] = SEALED.split(".");
  test.each([
    ["nothing", ""],
    ["a plain text", "1//refresh-token"],
    ["another version of the form", SEALED.replace("v1.", "v2.")],
    ["a part less", `v1.k1.${WRAPPED}.${IV}`],
    ["a part more", `${SEALED}.AAAA`],
    ["no name of a key", `v1..${WRAPPED}.${IV}.${TEXT}`],
    ["a name in capitals", `v1.K1.${WRAPPED}.${IV}.${TEXT}`],
    ["a short key", `v1.k1.${WRAPPED!.slice(4)}.${IV}.${TEXT}`],
    ["a short IV", `v1.k1.${WRAPPED}.${IV!.slice(4)}.${TEXT}`],
    ["less than a tag", `v1.k1.${WRAPPED}.${IV}.AAAA`],
    ["padding", `${SEALED}=`],
    ["the other alphabet", `v1.k1.${WRAPPED}.++++++++++++++++.${TEXT}`],
    ["white space", ` ${SEALED}`],
    ["a line after it", `${SEALED}\n`],
    ["another spelling of the same bytes", `${SEALED.slice(0, -1)}t`],
    ["a giant", `v1.k1.${WRAPPED}.${IV}.${"A".repeat(2_000_000)}`],
  ])("gets `malformed` for %s", async (_, text) => {
    expect(await opened(vault, PLACE, text)).toBe("malformed");
    expect(vault.kidOf(text)).toBeNull();
  });

  it("learns nothing of a secret from a refusal", async () => {
    const refusal = await vault.open({ ...PLACE, tenant: "x" }, SEALED);
    expect(JSON.stringify(refusal)).not.toMatch(/refresh|acme|AgICAg|4LvE/);
  });
});

describe("a keyring that is not the one of the text", () => {
  it("lacks the key: a passing fault, as of an isolate that has the old one still", async () => {
    const next = vaultOf("k2", { k1: 1, k2: 2 });
    const row = await next.seal(PLACE, "new");
    expect(await opened(vault, PLACE, row)).toBe("unknown_key");
    expect(await vault.rewrap(PLACE, row)).toMatchObject({ error: { code: "unknown_key" } });
    expect(await opened(next, PLACE, row)).toBe("opened: new");
    expect(await opened(next, PLACE, SEALED)).toBe(`opened: ${SECRET}`);
  });

  it("has another key of the same name: the text does not open", async () => {
    expect(await opened(vaultOf("k1", { k1: 9 }), PLACE, SEALED)).toBe("not_authentic");
  });
});

describe("moving a text under the active key", () => {
  it("changes the key around it, and nothing of the ciphertext", async () => {
    const next = vaultOf("k2", { k1: 1, k2: 2 });
    const moved = await next.rewrap(PLACE, SEALED);
    if (!moved.ok) throw new Error(moved.error.code);
    expect(moved.value.split(".").slice(3)).toEqual(SEALED.split(".").slice(3));
    expect(next.kidOf(moved.value)).toBe("k2");
    // The old key is needed no more.
    expect(await opened(vaultOf("k2", { k2: 2 }), PLACE, moved.value)).toBe(`opened: ${SECRET}`);
    expect(await opened(vaultOf("k2", { k1: 1, k2: 2 }), { ...PLACE, record: "x" }, moved.value)).toBe(
      "not_authentic",
    );
    expect(await next.rewrap(PLACE, moved.value)).toEqual(moved);
  });
});

describe("a derived key", () => {
  it("gives the same for ever", async () => {
    expect(await vault.derive("active", "connect.link").mac("cs_1")).toBe(DERIVED);
    const info = JSON.stringify(["showcaller.vault.derive.v1", "connect.link"]);
    const key = Buffer.from(hkdfSync("sha256", Buffer.alloc(32, 1), Buffer.alloc(0), info, 32));
    expect(createHmac("sha256", key).update("cs_1").digest("base64url")).toBe(DERIVED);
  });

  it("is another one for each purpose and each key, and names its key", async () => {
    const both = vaultOf("k2", { k1: 1, k2: 2 });
    const [active, old] = [both.derive("active", "connect.link"), both.derive("k1", "connect.link")];
    expect(active.kid).toBe("k2");
    if (!old.ok) throw new Error(old.error.code);
    expect(old.value.kid).toBe("k1");
    expect(await old.value.mac("cs_1")).toBe(DERIVED);
    const other = both.derive("active", "blind.index");
    expect(new Set([DERIVED, await active.mac("cs_1"), await other.mac("cs_1")]).size).toBe(3);
    expect(await active.hmac("cs_1")).toHaveLength(32);
  });

  it("of a key that is not here is a passing fault", () => {
    expect(vault.derive("k2", "connect.link")).toMatchObject({ ok: false, error: { code: "unknown_key" } });
  });
});
