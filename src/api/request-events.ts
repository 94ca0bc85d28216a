/** What comes in about events of a tenant. */
import * as z from "zod";
import { MAX_USER_CHARS } from "../access/index.ts";
import { EVENT_PATTERN } from "../kernel/index.ts";
import { json, named } from "./schema.ts";

const MAX_TAGS = 16;
const MAX_TAG_CHARS = 64;
export const MAX_EVENT_DATA_BYTES = 262_144;
const MAX_EVENT_ID_CHARS = 128;
const MAX_RECENT_EVENTS = 100;
/** Visible characters without a space. */
const EVENT_ID = /^[!-~]+$/;

const eventName = (): z.ZodType<string> =>
  z
    .string()
    .regex(
      EVENT_PATTERN,
      "An event's name has 1 to 64 of a-z, 0-9, ., _ and -, and begins with a letter or digit.",
    );

export const PostEvent = named("PostEvent", () =>
  z.strictObject({
    name: eventName().describe("Name of the event: what workflows subscribe to, and steps wait for."),
    data: json()
      .exactOptional()
      .describe("What happened, at most 256 KiB as JSON; {} if it is missing. Not shown again by the API."),
    id: z
      .string()
      .max(MAX_EVENT_ID_CHARS)
      .regex(EVENT_ID, "An id is of visible characters, without spaces.")
      .exactOptional()
      .describe("Within the name: the same id again is the same event. One is made if it is missing."),
    user: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .exactOptional()
      .describe("The end user that the runs act for which it starts. Needs runs:act_as."),
    tags: z
      .array(z.string().min(1).max(MAX_TAG_CHARS))
      .max(MAX_TAGS)
      .exactOptional()
      .describe("Words to find the runs by which it starts."),
  }),
);

export const eventQuery = () =>
  z.strictObject({
    user: z
      .string()
      .min(1)
      .max(MAX_USER_CHARS)
      .exactOptional()
      .describe(
        "Of events that came from a key bound to a user: which. Not for keys that are bound themselves.",
      ),
  });

export const recentEventsQuery = () =>
  eventQuery().extend({
    limit: z.coerce
      .number()
      .int()
      .min(1)
      .max(MAX_RECENT_EVENTS)
      .exactOptional()
      .describe(`At most so many (20).`),
  });

/** A path parameter: whether it can be an event's name, or an event's id. */
export function isEventId(text: string): boolean {
  return text.length <= MAX_EVENT_ID_CHARS && EVENT_ID.test(text);
}
