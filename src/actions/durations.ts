/** Spans of time as authors write them: milliseconds, or a number with a unit. */

import * as z from "zod";

const UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS_MS;

/** Milliseconds, or text like `"500ms"`, `"2s"`, `"1.5m"`, `"3h"`, `"30d"`. */
export type Duration = number | `${number}${Unit}`;

const RULE = "Write milliseconds, or a number with a unit: 500ms, 2s, 5m, 3h or 30d.";
const DURATION = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h|d)$/;

/** Whole milliseconds; NaN for what is no duration, so that the bounds of the kernel refuse it. */
export function toMs(duration: number | string): number {
  if (typeof duration === "number") return duration;
  const [, amount, unit] = DURATION.exec(duration) ?? [];
  return amount === undefined || unit === undefined
    ? Number.NaN
    : Math.round(Number(amount) * UNITS_MS[unit as Unit]);
}

export function durationSchema() {
  return z
    .union([z.int().nonnegative(), z.string().regex(DURATION, RULE)], { error: RULE })
    .meta({ description: 'Milliseconds, or text with a unit: "500ms", "2s", "5m", "3h", "30d".' });
}

/** A duration, or a text with an expression that gives one. */
export function durationTemplateSchema() {
  return z
    .union(
      [
        z.int().nonnegative(),
        z.string().refine((text) => DURATION.test(text) || text.includes("${{"), { message: RULE }),
      ],
      { error: RULE },
    )
    .meta({
      description:
        'Milliseconds, or text with a unit: "500ms", "2s", "5m", "3h", "30d". May hold an expression.',
    });
}
