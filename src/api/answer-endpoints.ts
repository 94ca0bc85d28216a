/** Endpoints, and what became of the messages to them. */
import * as z from "zod";
import { EVENT_TYPES, KEY_KINDS } from "./request-endpoints.ts";
import { count, named, nullable, time } from "./schema.ts";

const viewFields = () => ({
  ...{ id: z.string(), url: z.string(), events: z.array(z.enum(EVENT_TYPES)), description: z.string() },
  status: z
    .enum(["active", "held", "disabled"])
    .describe(
      "`held`: the key that answers for it was revoked or has expired; messages wait until another one changes or enables it, for five days at most.",
    ),
  disabled: nullable(
    z.strictObject({ reason: z.enum(["by_request", "gone", "failing", "maker_revoked"]), at: time() }),
  ).describe(
    "`gone`: it answered 410. `failing`: it took nothing for five days. `maker_revoked`: it was held for five days.",
  ),
  maker: z.string().describe("Who answers for it: whoever last changed or enabled it."),
  ...{ version: count(), created_at: time(), created_by: z.string(), updated_at: time() },
});
const keyFields = () => ({
  ...{ id: z.string(), kind: z.enum(KEY_KINDS) },
  public_key: nullable(z.string()).describe("Of `ed25519`: `whpk_` and the key in base64."),
  made_at: time(),
  until: nullable(time()).describe("It signs nothing from then on; null: it is the newest."),
});
const madeKey = () =>
  z.strictObject({
    ...keyFields(),
    secret: nullable(z.string()).describe("Of `hmac`: `whsec_` and the key in base64. Never shown again."),
  });
const attempt = () =>
  z.strictObject({
    at: time(),
    status: nullable(z.int()).describe("Of the answer; null: there was none."),
    ms: count(),
    code: nullable(z.string()).describe("Why there was no answer, or it could not be read."),
  });

export const EndpointView = named("Endpoint", () => z.strictObject(viewFields()));
export const EndpointDetail = named("EndpointDetail", () =>
  z.strictObject({
    ...viewFields(),
    keys: z.array(z.strictObject(keyFields())).describe("Those that sign now, the newest first."),
    queue: z.strictObject({
      ...{ pending: count(), failed: count() },
      failing_since: nullable(time()).describe("Nothing was delivered since then, and something was tried."),
      next_at: nullable(time()).describe("When the next try is."),
    }),
  }),
);
export const EndpointList = named("EndpointList", () =>
  z.strictObject({ data: z.array(EndpointView.schema()) }),
);
export const NewEndpoint = named("NewEndpoint", () =>
  z.strictObject({
    ...viewFields(),
    key: madeKey(),
    effective_by: time().describe("What happens from then on is sent; before, some of it may not be."),
  }),
);
export const NewEndpointKey = named("NewEndpointKey", () => madeKey());
export const MessageList = named("MessageList", () =>
  z.strictObject({
    data: z.array(
      z.strictObject({
        ...{ id: z.string(), type: z.string() },
        at: time().describe("When it happened."),
        taken_at: time(),
        status: z.enum(["pending", "delivered", "failed"]),
        code: nullable(z.enum(["given_up", "endpoint_disabled", "queue_full", "ping_failed"])),
        tries: count().describe("Since it was last sent again by hand."),
        ...{ next_at: nullable(time()), ended_at: nullable(time()), attempts: z.array(attempt()) },
        replayable: z.boolean().describe("Whether it can be sent again: it is kept whole."),
      }),
    ),
  }),
);
export const Replayed = named("Replayed", () =>
  z.strictObject({ messages: count().describe("So many are sent again.") }),
);
export const EndpointPing = named("EndpointPing", () =>
  z.strictObject({ message: z.string(), delivered: z.boolean(), attempt: attempt() }),
);
