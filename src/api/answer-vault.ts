/** The vault: its keys, and what was moved between them. */
import * as z from "zod";
import { count, named, nullable, time } from "./schema.ts";

const perKind = () =>
  z.record(z.string(), count()).describe("By kind of record; kinds without one are left out.");

export const VaultKeys = named("VaultKeys", () =>
  z.strictObject({
    active: z.string().describe("Name of the key that new secrets are sealed under."),
    data: z.array(
      z.strictObject({
        kid: z.string(),
        active: z.boolean(),
        in_keyring: z.boolean().describe("Whether the `KEYRING` of the isolate that answers has it."),
        check: z
          .enum(["passed", "failed", "unknown", "not_here"])
          .describe("Whether the key here is the one that is known by this name."),
        added_at: nullable(time()).describe("When a deployed isolate first had it."),
        sealed_at: nullable(time()).describe("When something was last sealed under it, to about 3 minutes."),
        dropped_at: nullable(time()),
        records: perKind(),
        droppable: z.boolean(),
        in_use: nullable(z.string()).describe("Why it cannot be dropped."),
      }),
    ),
  }),
);

export const Rewrapped = named("Rewrapped", () =>
  z.strictObject({
    active: z.string(),
    rewrapped: perKind(),
    left: perKind(),
    done: z.boolean().describe("Whether all records are under the active key."),
  }),
);

export const DroppedKey = named("DroppedKey", () =>
  z.strictObject({
    kid: z.string(),
    dropped_at: time(),
    in_keyring: z.boolean().describe("Take it out of `KEYRING` now."),
  }),
);
