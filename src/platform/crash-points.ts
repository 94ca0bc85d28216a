/**
 * Named points at commit boundaries at which the crash tests stop the world, to kill the process exactly there.
 *
 * A point stands as `if (CRASH_POINTS) crashPoint("crash-point:name")`. CRASH_POINTS is a constant of the build
 * (`[define]` of wrangler.toml), so a deployed bundle holds neither the points nor this file.
 */

import { createLogger } from "./log.ts";

const PREFIX = "crash-point:";

export type CrashPoint = `${typeof PREFIX}${string}`;

/** Of the whole process: one point is armed, and hits of every object count. */
let armed: { readonly point: CrashPoint; left: number } | null = null;
let settled = false;

/** Reads CRASH_AT, `NAME:N`: stop at the N-th hit of the point NAME. The first call decides; undefined or "" arms nothing. */
export function armCrashPoint(setting: string | undefined): void {
  if (settled) return;
  settled = true;
  if (setting === undefined || setting === "") return;
  const [, name, hits] = /^([a-z-]+):([1-9]\d{0,6})$/.exec(setting) ?? [];
  if (name === undefined) throw new TypeError("CRASH_AT must be like turn-appended:3.");
  armed = { point: `${PREFIX}${name}`, left: Number(hits) };
}

/**
 * Counts a hit, and stops the whole process at the one that was asked for: a loop that never ends, so that no other
 * event, no timer and no write that waits for the end of this one goes on. Only a signal ends it.
 */
export function crashPoint(point: CrashPoint): void {
  if (armed?.point !== point) return;
  armed.left -= 1;
  if (armed.left > 0) return;
  createLogger().warn("crash_point", { point });
  for (;;);
}
