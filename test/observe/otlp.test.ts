/** What leaves for a collector, beside what OpenTelemetry's own encoder makes of the same spans. */
import { JsonTraceSerializer } from "@opentelemetry/otlp-transformer";
import { describe, expect, test } from "vitest";
import { createSpanExport, parseTraceTarget } from "../../src/observe/index.ts";
import { createLogger, type EgressRequest, type EgressResult, type Span } from "../../src/platform/index.ts";

const SPANS: readonly Span[] = [
  {
    ...{
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      parentSpanId: "00f067aa0ba902b7",
    },
    ...{ name: "pay", startAt: 1_800_000_000_123, endAt: 1_800_000_000_999, error: "http_503" },
    attributes: { "showcaller.run": "run_1", "showcaller.attempt": 2, sampled: true, ratio: 0.5 },
  },
  {
    ...{ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "00f067aa0ba902b7", parentSpanId: null },
    ...{
      name: "run book-trip",
      startAt: 1_800_000_000_000,
      endAt: 1_800_000_001_000,
      error: null,
      attributes: {},
    },
  },
];
const RESOURCE = { "service.name": "showcaller" };
const TARGET = { url: "https://otel.example/v1/traces", headers: { authorization: "Basic a-secret" } };

function exporting(answers: readonly (EgressResult | number)[]) {
  const sent: EgressRequest[] = [];
  const lines: string[] = [];
  const left = [...answers];
  const sink = createSpanExport(
    TARGET,
    RESOURCE,
    async (request) => {
      sent.push(request);
      const next = left.shift() ?? 200;
      if (typeof next !== "number") return next;
      return { kind: "answered", status: next, headers: {}, body: new Uint8Array(), redirects: 0 };
    },
    createLogger("debug", (_, line) => lines.push(line)),
  );
  return { sink, sent, lines };
}

const OF_ALL = {
  resource: { attributes: RESOURCE, asyncAttributesPending: false },
  instrumentationScope: { name: "showcaller" },
};

/** As the SDK would hold it. */
function readable(span: Span): unknown {
  const time = (ms: number): [number, number] => [Math.floor(ms / 1_000), (ms % 1_000) * 1_000_000];
  const { traceId, spanId, parentSpanId, error } = span;
  return {
    ...{ name: span.name, kind: 0, startTime: time(span.startAt), endTime: time(span.endAt) },
    spanContext: () => ({ traceId, spanId, traceFlags: 1 }),
    ...(parentSpanId === null ? {} : { parentSpanContext: { traceId, spanId: parentSpanId, traceFlags: 1 } }),
    status: error === null ? { code: 0 } : { code: 2, message: error },
    attributes: error === null ? span.attributes : { ...span.attributes, "error.type": error },
    ...{ links: [], events: [], duration: [0, 0], ended: true },
    ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
    ...OF_ALL,
  };
}

/** What we leave out, as the format lets one: empty lists, zeros, flags. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const left = Object.entries(value).filter(
    ([name, one]) =>
      name !== "flags" &&
      !name.startsWith("dropped") &&
      !(["links", "events"].includes(name) && Array.isArray(one)),
  );
  // The format takes whole numbers as texts and as numbers.
  return Object.fromEntries(
    left.map(([name, one]) => [name, name === "intValue" ? String(one) : plain(one)]),
  );
}

describe("spans for a collector", () => {
  test("say what OpenTelemetry's own encoder says of them", async () => {
    const { sink, sent } = exporting([]);
    await sink.write(SPANS);
    const official = JsonTraceSerializer.serializeRequest(SPANS.map(readable) as never);
    const theirs: unknown = JSON.parse(new TextDecoder().decode(official));
    expect(plain(JSON.parse(String(sent[0]?.body)))).toEqual(plain(theirs));
    expect(sent[0]).toMatchObject({
      method: "POST",
      url: TARGET.url,
      headers: { ...TARGET.headers, "content-type": "application/json" },
    });
  });

  test.each([429, 502, 503, 504])("are sent again after %i", async (status) => {
    await expect(exporting([status]).sink.write(SPANS)).rejects.toThrow(String(status));
  });

  test("are sent again when nobody was reached", async () => {
    const failed = { kind: "failed", code: "network", message: "", sent: true, answer: null } as const;
    await expect(exporting([failed]).sink.write(SPANS)).rejects.toThrow("network");
  });

  test.each([400, 401, 500])(
    "are let go after %i, and the log says so without the secret",
    async (status) => {
      const { sink, lines } = exporting([status]);
      await sink.write(SPANS);
      expect(lines.join("")).toContain("spans_refused");
      expect(lines.join("")).not.toContain("a-secret");
    },
  );
});

describe("where spans go", () => {
  test("is nowhere unless it is said", () => {
    expect(parseTraceTarget(undefined, undefined)).toEqual({ ok: true, value: null });
    expect(parseTraceTarget("", "a=b")).toEqual({ ok: true, value: null });
  });

  test("takes headers as OpenTelemetry's variable writes them", () => {
    expect(parseTraceTarget(TARGET.url, "Authorization=Basic%20a-secret, x-team = tea ,")).toEqual({
      ok: true,
      value: { url: TARGET.url, headers: { authorization: "Basic a-secret", "x-team": "tea" } },
    });
  });

  test.each([
    ["http://otel.example/v1/traces", undefined],
    ["otel.example", undefined],
    [TARGET.url, "=a-secret"],
    [TARGET.url, "a-secret"],
    [TARGET.url, "a b=a-secret"],
    [TARGET.url, "a=%zz"],
  ])("is refused as %s with %s, and the secret is not repeated", (url, headers) => {
    const refused = parseTraceTarget(url, headers);
    expect(refused.ok).toBe(false);
    expect(JSON.stringify(refused)).not.toContain("a-secret");
  });
});
