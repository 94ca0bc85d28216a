/** The runbooks of docs/runbooks.md, played through: each breaks what it is about, looks, does what is said there, and looks again. */
import type { Play } from "./common.ts";
import { d1Outage } from "./d1-outage.ts";
import { leakedKey } from "./leaked-key.ts";
import { lostAlarm } from "./lost-alarm.ts";
import { poisonedRun } from "./poisoned-run.ts";
import { providerOutage } from "./provider-outage.ts";
import { restore } from "./restore.ts";
import { stuckOutbox } from "./stuck-outbox.ts";
import { wrongDeploy } from "./wrong-deploy.ts";

export const PLAYS: Readonly<Record<string, Play>> = {
  "lost-alarm": lostAlarm,
  "provider-outage": providerOutage,
  "leaked-key": leakedKey,
  "poisoned-run": poisonedRun,
  "d1-outage": d1Outage,
  "wrong-deploy": wrongDeploy,
  "stuck-outbox": stuckOutbox,
  restore,
};
