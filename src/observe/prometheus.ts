/**
 * Numbers as text, for whoever scrapes: the Prometheus text format 0.0.4, and OpenMetrics 1.0. Pure.
 *
 * Owns: names, units, escaping, which of the formats is wanted. Does not own: what is counted.
 */

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Readonly<Record<string, string>>;
  /** Of each bound, how many were at most so much and more than the bound before; the last: more than all bounds. */
  readonly counts: readonly number[];
  readonly sum: number;
}

interface FamilyBase {
  /** Without the `_total` of a counter; ends with its unit, where it has one. */
  readonly name: string;
  /** `seconds`; missing: a number of things. */
  readonly unit?: string;
  readonly help: string;
}

export type Family =
  | (FamilyBase & { readonly type: "counter" | "gauge"; readonly samples: readonly Sample[] })
  | (FamilyBase & {
      readonly type: "histogram";
      readonly bounds: readonly number[];
      readonly samples: readonly HistogramSample[];
    });

export type TextFormat = "prometheus" | "openmetrics";

export const CONTENT_TYPES: Readonly<Record<TextFormat, string>> = {
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

/** OpenMetrics if the header asks for it by name, and for nothing that it likes more; else what everybody reads. */
export function formatFor(accept: string | null): TextFormat {
  let openmetrics = 0;
  let text = 0;
  for (const part of (accept ?? "").split(",")) {
    const [type = "", ...parameters] = part.split(";").map((one) => one.trim().toLowerCase());
    const of = (name: string): string | undefined =>
      parameters.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
    const q = Number(of("q") ?? "1");
    const version = of("version");
    if (type === "application/openmetrics-text" && (version === undefined || version === "1.0.0"))
      openmetrics = Math.max(openmetrics, q);
    if (type === "text/plain" && (version === undefined || version === "0.0.4")) text = Math.max(text, q);
  }
  return openmetrics > 0 && openmetrics >= text ? "openmetrics" : "prometheus";
}

/** Families without a sample are left out. */
export function encodeMetrics(families: readonly Family[], format: TextFormat): string {
  const some = families.filter(({ samples }) => samples.length > 0);
  const lines = some.flatMap((family) => [...heads(family, format), ...linesOf(family)]);
  if (format === "openmetrics") lines.push("# EOF");
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function heads({ name, type, unit, help }: Family, format: TextFormat): string[] {
  const openmetrics = format === "openmetrics";
  const family = type === "counter" && !openmetrics ? `${name}_total` : name;
  const said = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return [
    `# HELP ${family} ${openmetrics ? said.replaceAll('"', '\\"') : said}`,
    `# TYPE ${family} ${type}`,
    ...(openmetrics && unit !== undefined ? [`# UNIT ${family} ${unit}`] : []),
  ];
}

function linesOf(family: Family): string[] {
  if (family.type !== "histogram") {
    const name = family.type === "counter" ? `${family.name}_total` : family.name;
    return family.samples.map(({ labels, value }) => line(name, labels, value));
  }
  const { name, bounds } = family;
  return family.samples.flatMap(({ labels, counts, sum }) => {
    let upTo = 0;
    const buckets = [...bounds, Infinity].map((bound, i) => {
      upTo += counts[i] ?? 0;
      return line(`${name}_bucket`, { ...labels, le: boundText(bound) }, upTo);
    });
    return [...buckets, line(`${name}_sum`, labels, sum), line(`${name}_count`, labels, upTo)];
  });
}

function line(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
  return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${numberText(value)}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

/** The same text in both formats, as it is a label: OpenMetrics wants a point in it. */
function boundText(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : numberText(bound);
}

function numberText(value: number): string {
  return value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);
}
