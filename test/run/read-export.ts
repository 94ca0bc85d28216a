/** Reads an export of a run as somebody would who has only docs/data.md. */
import type { Fact, Json } from "../../src/kernel/index.ts";

interface ValueLine {
  readonly ref: readonly [number, number];
  readonly bytes: number;
  readonly value: Json;
}

export interface ReadExport {
  /** Other lines, in order. */
  readonly others: readonly { readonly type: string; readonly [field: string]: unknown }[];
  readonly facts: readonly Fact[];
  readonly values: readonly ValueLine[];
}

/** Throws where numbers of facts do not follow each other. */
export function readExport(text: string): ReadExport {
  const lines = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { readonly type: string; readonly [field: string]: unknown });
  const facts = lines.filter(({ type }) => type === "fact") as unknown as { seq: number; fact: Fact }[];
  for (const [i, { seq }] of facts.entries())
    if (seq !== i + 1) throw new Error(`fact ${i + 1} has the number ${seq}`);
  return {
    facts: facts.map(({ fact }) => fact),
    values: lines.filter(({ type }) => type === "value") as unknown as ValueLine[],
    others: lines.filter(({ type }) => type !== "fact" && type !== "value"),
  };
}
