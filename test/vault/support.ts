import type { Place } from "../../src/vault/index.ts";
import { type Keyring, loadKeyring } from "../../src/vault/index.ts";

/** Base64 of 32 times the same byte. */
export function keyText(byte: number): string {
  return Buffer.alloc(32, byte).toString("base64");
}

/** The text of a keyring; the keys by the byte that they are made of. */
export function ringText(active: string, keys: Readonly<Record<string, number>>): string {
  const texts = Object.entries(keys).map(([kid, byte]) => [kid, keyText(byte)]);
  return JSON.stringify({ active, keys: Object.fromEntries(texts) });
}

export function ring(active: string, keys: Readonly<Record<string, number>>): Keyring {
  return loadKeyring(ringText(active, keys));
}

export const PLACE: Place = {
  purpose: "connection.token",
  tenant: "acme",
  record: "con_1",
  field: "refresh",
  version: 7,
};
