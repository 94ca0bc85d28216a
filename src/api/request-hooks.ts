/** What comes in about hooks. What a hook may be is decided in the triggers room. */
import * as z from "zod";
import { MAX_USER_CHARS } from "../access/index.ts";
import { MAX_BODY_BYTES } from "./body.ts";
import { json, named, nameSchema, nullable, time } from "./schema.ts";

const MAX_PAGE = 100;
const MAX_EXPRESSION_CHARS = 4_096;
const MAX_SECRET_CHARS = 4_096;
const MAX_REDELIVERIES = 1_000;

/** What can stand in a header as it is. */
const headerText = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[ -~]*$/, "A header holds visible characters of ASCII, and spaces.");
const header = () => z.string().min(1).max(64);
/** Where a value of a delivery stands. */
const place = () =>
  z.union([z.strictObject({ header: header() }), z.strictObject({ pointer: z.string().max(256) })]);
const id = () =>
  nullable(place()).exactOptional().describe("What the sender calls a delivery, the same over its retries.");
const event = () => nullable(place()).exactOptional().describe("What a delivery tells of.");
const toleranceS = () => z.int().describe("Seconds that the time may be off, both ways.");
const unit = () => z.enum(["s", "ms"]);

const schemeSchema = () =>
  z
    .discriminatedUnion("type", [
      z.strictObject({ type: z.enum(["standard", "github", "stripe", "slack", "shopify"]) }),
      z.strictObject({
        type: z.literal("hmac"),
        hash: z.enum(["SHA-256", "SHA-512"]),
        header: header().describe("That holds the signature."),
        prefix: z.string().max(64).exactOptional().describe("Stands before the signature: `sha256=`."),
        encoding: z.enum(["hex", "base64"]),
        signed: z
          .string()
          .max(256)
          .describe("`{body}` at its end, before it `{id}` and `{time}` with something between them."),
        secret_encoding: z.enum(["text", "hex", "base64"]).exactOptional(),
        time: z
          .union([
            z.strictObject({ header: header(), unit: unit(), tolerance_s: toleranceS() }),
            z.strictObject({ pointer: z.string().max(256), unit: unit(), tolerance_s: toleranceS() }),
          ])
          .exactOptional(),
        ...{ id: id(), event: event() },
      }),
      z.strictObject({ type: z.literal("basic"), id: id(), event: event() }),
      z.strictObject({
        type: z.literal("api_key"),
        header: header(),
        prefix: z.string().max(64).exactOptional().describe("Stands before the key: `Bearer `."),
        ...{ id: id(), event: event() },
      }),
    ])
    .describe("How the service proves that a delivery is its own. It stays as it is.");

const secretText = () =>
  z.string().max(MAX_SECRET_CHARS).describe("Shared with the service. It is sealed, and never shown.");

const settings = () => ({
  workflow: nameSchema()
    .exactOptional()
    .describe("What each delivery starts. May be missing beside `revokes`."),
  revokes: nameSchema()
    .exactOptional()
    .describe(
      "An integration: what Slack or GitHub say that users took back marks its connections. Needs `connections:write`.",
    ),
  user: z
    .string()
    .min(1)
    .max(MAX_USER_CHARS)
    .exactOptional()
    .describe("On whose behalf the runs act; missing: the tenant."),
  scheme: schemeSchema(),
  paused: z.boolean().exactOptional(),
  max_body_bytes: z.int().exactOptional().describe(`At most, and unless it is said, ${MAX_BODY_BYTES}.`),
  rate: z
    .strictObject({ per_minute: z.int(), burst: z.int() })
    .exactOptional()
    .describe("Of genuine deliveries; missing: no limit."),
  filter: z
    .string()
    .min(1)
    .max(MAX_EXPRESSION_CHARS)
    .exactOptional()
    .describe("An expression over `input`, that says whether a delivery starts a run."),
  input: json()
    .exactOptional()
    .describe("The input of the runs, with expressions over `input` in its texts; missing: the body."),
  headers: z
    .array(z.string().max(64))
    .max(16)
    .exactOptional()
    .describe("That expressions see, in lower case; none that proves who sends."),
});

export const PutHook = named("PutHook", () => z.strictObject(settings()));
export const CreateHook = named("CreateHook", () =>
  z.strictObject({ name: nameSchema(), secret: secretText().exactOptional(), ...settings() }),
);
export const AddHookSecret = named("AddHookSecret", () => z.strictObject({ secret: secretText() }));
export const EndHookSecret = named("EndHookSecret", () =>
  z.strictObject({ until: time().exactOptional().describe("Missing: now. An end is never put off.") }),
);
export const Redeliver = named("Redeliver", () =>
  z.strictObject({
    number: z
      .int()
      .min(1)
      .max(MAX_REDELIVERIES)
      .exactOptional()
      .describe("1 if it is missing. Each number is one run: the same again is the same run."),
  }),
);
export const TestDelivery = named("TestDelivery", () =>
  z.strictObject({
    body: json().exactOptional().describe("Sent as JSON."),
    event: headerText(255)
      .min(1)
      .exactOptional()
      .describe(
        "What it tells of, where the scheme has a header for it (github, shopify). Else put it into `body`.",
      ),
    headers: z.record(z.string().regex(/^[a-z0-9-]{1,64}$/), headerText(2_048)).exactOptional(),
    start: z.boolean().exactOptional().describe("False if it is missing: it is only judged."),
  }),
);

export const hooksQuery = () =>
  z.strictObject({
    cursor: z.string().max(64).exactOptional(),
    limit: z.coerce.number().int().min(1).max(MAX_PAGE).exactOptional(),
  });
export const deliveriesQuery = () =>
  z.strictObject({
    cursor: z
      .string()
      .regex(/^[1-9]\d{0,14}$/, "It is no cursor of this list.")
      .exactOptional(),
    limit: z.coerce.number().int().min(1).max(MAX_PAGE).exactOptional(),
  });
