/** Hooks as they are shown, never with a secret, and what became of their deliveries. */
import * as z from "zod";
import { count, json, named, nextCursor, nullable, time } from "./schema.ts";

const secretFields = () => ({ id: z.string(), made_at: time(), until: nullable(time()) });
const hookFields = () => ({
  ...{ name: z.string(), id: z.string() },
  url: z.string().describe("Where the service delivers."),
  workflow: nullable(z.string()),
  revokes: nullable(z.string()).describe("The integration whose connections it marks."),
  user: nullable(z.string()),
  scheme: z.looseObject({ type: z.string() }),
  paused: z.boolean(),
  paused_reason: nullable(z.enum(["maker_revoked"])).describe("Null: nobody but a person paused it."),
  max_body_bytes: count(),
  rate: nullable(z.strictObject({ per_minute: count(), burst: count() })),
  filter: nullable(z.string()),
  input: json().exactOptional(),
  headers: z.array(z.string()),
  version: count(),
  answers: z
    .string()
    .describe("Who answers for what it starts: whoever has last changed it, or given it a secret."),
  ...{ created_at: time(), created_by: z.string(), updated_at: time() },
});

export const HookSecret = named("HookSecret", () => z.strictObject(secretFields()));
export const HookWithSecrets = named("HookWithSecrets", () =>
  z.strictObject({
    ...hookFields(),
    secrets: z.array(z.strictObject(secretFields())).describe("Those that have not ended, the newest first."),
  }),
);
export const ChangedHook = named("ChangedHook", () =>
  z.strictObject({ ...hookFields(), effective_by: time().describe("From then on it holds everywhere.") }),
);
export const HookList = named("HookList", () =>
  z.strictObject({ data: z.array(z.strictObject(hookFields())), next_cursor: nextCursor() }),
);
export const DeletedHook = named("DeletedHook", () =>
  z.strictObject({ name: z.string(), effective_by: time() }),
);
export const EndedHookSecret = named("EndedHookSecret", () =>
  z.strictObject({ id: z.string(), effective_by: time() }),
);

const OUTCOMES = [
  ...["accepted", "duplicate", "filtered", "failed", "limited", "handshake", "refused"],
] as const;

const deliveryFields = () => ({
  id: nullable(z.string()),
  at: time(),
  outcome: z.enum(OUTCOMES),
  code: nullable(z.string()).describe("Why it was refused, or failed."),
  detail: nullable(z.string()),
  bytes: count().describe("Of the body."),
  delivery: nullable(z.string()).describe("What the sender calls it."),
  event: nullable(z.string()),
  signed_at: nullable(time()),
  secret: nullable(z.string()).describe("Id of the secret that it was made with."),
  run: nullable(z.string()),
  by: nullable(z.string()).describe("Who had it delivered anew, or as a test; null: the service did."),
  again: nullable(z.string()).describe("The line of what was delivered anew."),
  revoked: count().describe("Connections that it marked as taken back."),
});

export const HookDeliveries = named("HookDeliveries", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        ...deliveryFields(),
        kept: z.boolean().describe("Whether it can be delivered again."),
      }),
    ),
    next_cursor: nextCursor(),
  }),
);
export const DeliveredHook = named("DeliveredHook", () =>
  z.strictObject({
    ...deliveryFields(),
    input: json()
      .exactOptional()
      .describe("Of the run that it starts, or would start; if the key may see it."),
  }),
);
