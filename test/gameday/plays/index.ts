/** The runbooks of docs/runbooks.md, played through: each breaks what it is about, looks, does what is said there, and looks again. */
import type { Play } from "./common.ts";
import { lostAlarm } from "./lost-alarm.ts";

export const PLAYS: Readonly<Record<string, Play>> = {
  "lost-alarm": lostAlarm,
};
