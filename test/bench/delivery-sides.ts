/** What deliveries are sent to, beside the product's own door: the same signature is checked, and as little as possible is done then. */
import { Hono } from "hono";
import { DELIVERY_ID, SECRET, SIGNATURE } from "./shapes.ts";

/** Keeps one delivery, in an object of its own: what a run needs of the platform at least. */
export interface Keeper {
  keep(body: string): Promise<void>;
}

interface Bindings {
  readonly Bindings: { readonly FLOOR: { getByName(name: string): Keeper } };
}

const DIGITS = /^sha256=([0-9a-f]{64})$/;

/** One per isolate: the key is imported once. */
export function createSides(): Hono<Bindings> {
  const app = new Hono<Bindings>();
  let key: CryptoKey | undefined;
  const isSigned = async (header: string | undefined, body: ArrayBuffer): Promise<boolean> => {
    const [, digits = ""] = DIGITS.exec(header ?? "") ?? [];
    if (digits === "") return false;
    const algorithm = { name: "HMAC", hash: "SHA-256" } as const;
    key ??= await crypto.subtle.importKey("raw", new TextEncoder().encode(SECRET), algorithm, false, [
      "verify",
    ]);
    const mac = Uint8Array.from(digits.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
    return crypto.subtle.verify("HMAC", key, mac, body);
  };
  app.post("/bare", async (c) => {
    const body = await c.req.arrayBuffer();
    return c.body(null, (await isSigned(c.req.header(SIGNATURE), body)) ? 202 : 404);
  });
  app.post("/kept", async (c) => {
    const body = await c.req.arrayBuffer();
    if (!(await isSigned(c.req.header(SIGNATURE), body))) return c.body(null, 404);
    await c.env.FLOOR.getByName(c.req.header(DELIVERY_ID) ?? "").keep(new TextDecoder().decode(body));
    return c.body(null, 202);
  });
  return app;
}
