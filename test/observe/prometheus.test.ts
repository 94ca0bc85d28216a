import { readFileSync } from "node:fs";
import parse from "parse-prometheus-text-format";
import { describe, expect, it } from "vitest";
import { CONTENT_TYPES, encodeMetrics, type Family, formatFor } from "../../src/observe/index.ts";

const NASTY = 'C:\\dir\n"quoted" {a="b"} 1';
const FAMILIES: readonly Family[] = [
  {
    ...{ name: "things", type: "counter", help: 'How many.\nA "line" more, and a \\.' },
    samples: [
      { labels: { tenant: "acme", what: NASTY }, value: 12_345_678_901 },
      { labels: { tenant: "acme", what: "" }, value: 0 },
    ],
  },
  { name: "depth", type: "gauge", help: "Now.", samples: [{ labels: {}, value: 0.25 }] },
  { name: "unheard", type: "gauge", help: "Nothing.", samples: [] },
  {
    ...{ name: "took_seconds", type: "histogram", unit: "seconds", help: "How long." },
    bounds: [0.05, 1, 2.5],
    samples: [{ labels: { tenant: NASTY }, counts: [2, 0, 3, 1], sum: 9.5 }],
  },
];

/** The parser passes over the labels of a histogram: without its type, each of its lines is a sample with labels. */
function samplesOf(text: string): ReturnType<typeof parse> {
  return parse(text.replaceAll(/^# HELP .*\n# TYPE \S+ histogram\n/gm, ""));
}

describe("numbers as text", () => {
  it("are read back as they were by an independent parser: names, help, labels of any kind, buckets that add up", () => {
    const text = encodeMetrics(FAMILIES, "prometheus");
    expect(parse(text).map(({ name, type }) => `${type} ${name}`)).toEqual([
      "COUNTER things_total",
      "GAUGE depth",
      "HISTOGRAM took_seconds",
    ]);
    const bucket = (le: string, value: string) => ({ labels: { tenant: NASTY, le }, value });
    expect(samplesOf(text)).toMatchObject([
      {
        ...{ name: "things_total", type: "COUNTER", help: 'How many.\nA "line" more, and a \\.' },
        metrics: [
          { labels: { tenant: "acme", what: NASTY }, value: "12345678901" },
          { labels: { tenant: "acme", what: "" }, value: "0" },
        ],
      },
      { name: "depth", type: "GAUGE", help: "Now.", metrics: [{ value: "0.25" }] },
      {
        name: "took_seconds_bucket",
        metrics: [bucket("0.05", "2"), bucket("1.0", "2"), bucket("2.5", "5"), bucket("+Inf", "6")],
      },
      { name: "took_seconds_sum", metrics: [{ labels: { tenant: NASTY }, value: "9.5" }] },
      { name: "took_seconds_count", metrics: [{ labels: { tenant: NASTY }, value: "6" }] },
    ]);
  });

  it("name a counter without its ending in OpenMetrics, say the unit, and say that they are all", () => {
    const lines = encodeMetrics(FAMILIES, "openmetrics").split("\n");
    expect(lines.filter((line) => line.startsWith("# "))).toEqual([
      String.raw`# HELP things How many.\nA \"line\" more, and a \\.`,
      "# TYPE things counter",
      "# HELP depth Now.",
      "# TYPE depth gauge",
      "# HELP took_seconds How long.",
      "# TYPE took_seconds histogram",
      "# UNIT took_seconds seconds",
      "# EOF",
    ]);
    expect(lines.at(-2)).toBe("# EOF");
    expect(lines.filter((line) => line.startsWith("things"))).toEqual([
      String.raw`things_total{tenant="acme",what="C:\\dir\n\"quoted\" {a=\"b\"} 1"} 12345678901`,
      'things_total{tenant="acme",what=""} 0',
    ]);
  });
});

describe("the format", () => {
  it.each([
    [null, "prometheus"],
    ["*/*", "prometheus"],
    ["text/plain", "prometheus"],
    ["text/plain;version=0.0.4;q=0.9, application/openmetrics-text;version=1.0.0;q=0.5", "prometheus"],
    ["application/openmetrics-text; version=1.0.0", "openmetrics"],
    ["application/openmetrics-text;version=0.0.1", "prometheus"],
    ["application/openmetrics-text;q=0", "prometheus"],
    // Prometheus 3.
    [
      "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
      "openmetrics",
    ],
  ] as const)("for %s is %s", (accept, format) => {
    expect(formatFor(accept)).toBe(format);
    expect(CONTENT_TYPES[format]).toContain(format === "openmetrics" ? "version=1.0.0" : "version=0.0.4");
  });
});

it("every alert rule of docs/operations.md asks for numbers that there are, and names a runbook that there is", () => {
  const read = (path: string): string =>
    readFileSync(new URL(`../../${path}`, import.meta.url).pathname, "utf8");
  const [, rules = ""] = /```yaml\n(groups:[^]*?)```/.exec(read("docs/operations.md")) ?? [];
  const names = new Set(
    [...read("src/api/metrics.ts").matchAll(/name: "(\w+)", type: "(\w+)"/g)].map(([, name = "", type]) =>
      type === "counter" ? `${name}_total` : name,
    ),
  );
  const asked = [...rules.matchAll(/showcaller_\w+/g)].map(([name]) => name);
  expect(asked.length).toBeGreaterThan(4);
  expect(asked.filter((name) => !names.has(name))).toEqual([]);
  const anchors = new Set(
    [...read("docs/runbooks.md").matchAll(/^## (.+)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replaceAll(" ", "-"),
    ),
  );
  const books = [...rules.matchAll(/runbook: "([^"]+)"/g)].map(([, book = ""]) => book);
  expect(books.length).toBe(rules.match(/- alert:/g)?.length);
  expect(books.filter((book) => !anchors.has(book.replace("docs/runbooks.md#", "")))).toEqual([]);
});
