/** Events of a run. */
import * as z from "zod";
import { FACT_TYPES } from "../kernel/index.ts";
import { count, json, named, time } from "./schema.ts";

export const Event = named("Event", () =>
  z.strictObject({
    seq: count(),
    at: time(),
    type: z.enum(FACT_TYPES as [string, ...string[]]).describe("What happened. There will be more types."),
    data: json(),
  }),
);

export const EventPage = named("EventPage", () =>
  z.strictObject({
    data: z.array(Event.schema()),
    next: count().describe("Pass it as `after` to go on."),
    ended: z.boolean().describe("The run has ended, and nothing comes after this page."),
  }),
);
