/** What is said of an endpoint. What may be said is decided in the triggers room. */
import * as z from "zod";
import type { EventType, KeyKind } from "../triggers/index.ts";
import { named, time } from "./schema.ts";

/** The door of the triggers reaches the runtime, and this file does not: so its lists are held to be the same by type. */
export const EVENT_TYPES = Object.keys({
  "run.ended": 0,
  "connection.required": 0,
  "approval.required": 0,
  "outcome.unknown": 0,
} satisfies Record<EventType, 0>) as [EventType, ...EventType[]];
export const KEY_KINDS = Object.keys({ hmac: 0, ed25519: 0 } satisfies Record<KeyKind, 0>) as [
  KeyKind,
  ...KeyKind[],
];

export const MAX_LOGGED = 200;
const MAX_DESCRIPTION_CHARS = 256;
const MAX_URL_CHARS = 2_048;
const MAX_OVERLAP_S = 7 * 24 * 60 * 60;

const url = () =>
  z
    .string()
    .max(MAX_URL_CHARS)
    .describe("Where messages are sent, exactly: an https address of a public host that is not ours.");
const events = () =>
  z.array(z.enum(EVENT_TYPES)).min(1).max(EVENT_TYPES.length).describe("Types of events that are sent.");
const description = () => z.string().max(MAX_DESCRIPTION_CHARS);
const kind = () =>
  z
    .enum(KEY_KINDS)
    .exactOptional()
    .describe(
      "`hmac` (if it is missing): a shared key, shown once. `ed25519`: its public key is all that is needed.",
    );

export const CreateEndpoint = named("CreateEndpoint", () =>
  z.strictObject({ url: url(), events: events(), description: description().exactOptional(), key: kind() }),
);
export const ChangeEndpoint = named("ChangeEndpoint", () =>
  z.strictObject({
    url: url().exactOptional(),
    events: events().exactOptional(),
    description: description().exactOptional(),
  }),
);
export const RotateEndpointKey = named("RotateEndpointKey", () =>
  z.strictObject({
    key: kind(),
    overlap_s: z
      .int()
      .min(0)
      .max(MAX_OVERLAP_S)
      .exactOptional()
      .describe(
        "For how long keys before it go on signing beside it; a day if it is missing. 0: they end at once, because somebody else knows them.",
      ),
  }),
);
export const ReplayFailed = named("ReplayFailed", () =>
  z.strictObject({ since: time().describe("Of what happened since then. Milliseconds since 1970, UTC.") }),
);
export const loggedQuery = () =>
  z.strictObject({
    limit: z.coerce
      .number<string>()
      .int()
      .min(1)
      .max(MAX_LOGGED)
      .exactOptional()
      .describe("50 if it is missing."),
  });
