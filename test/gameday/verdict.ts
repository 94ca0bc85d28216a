/**
 * What a game day comes to. Beside the faults of the crash tests (`test/crash/verdict.ts`), which mean the same here:
 *
 * - `wrongAnswers`: answers of the API that were neither right nor a clear "not now", and calls that a standing server left
 *   unanswered (`calls.ts`).
 * - `notNowInCalm`: "not now" while nothing was wrong.
 * - `endedOtherwise`: runs that ended, and not as they had to.
 * - `twice`, `missingDeliveries`: a start or a delivery with two runs; a delivery that was answered 202 and has none.
 * - `ticksLost`: ticks of the schedule without a run, or with two.
 * - `unheardByEndpoint`: ended runs of which no message stands at the receiver, and none waits for its next try.
 * - `secretsInLogs`: secrets that stand in a line of any server's log.
 */
import type { Verdict } from "../crash/verdict.ts";
import { Given } from "../dev-server/given.ts";
import type { Counts } from "./calls.ts";
import type { Stage } from "./stage.ts";

export interface Result extends Verdict {
  readonly wrongAnswers: number;
  readonly notNowInCalm: number;
  readonly endedOtherwise: number;
  readonly twice: number;
  readonly missingDeliveries: number;
  readonly ticksLost: number;
  readonly unheardByEndpoint: number;
  readonly secretsInLogs: number;
}

export const FAULTS = [
  "lost",
  "hung",
  "duplicatedOnce",
  "duplicatedKeyed",
  "contradicted",
  "unknownNeedless",
  "unknownResolvedWrongly",
  "unheard",
  "wrongAnswers",
  "notNowInCalm",
  "endedOtherwise",
  "twice",
  "missingDeliveries",
  "ticksLost",
  "unheardByEndpoint",
  "secretsInLogs",
] as const satisfies readonly (keyof Result)[];

/** How many of the secrets, and of those that the world has issued, stand in what was logged, each counted for each form. */
export function secretsIn(
  { lines, given, world }: Pick<Stage, "lines" | "given" | "world">,
  complain: (line: string) => void,
): number {
  const all = new Given();
  all.add("what was given out", ...given);
  all.addWorld(world);
  return all.foundIn(lines, complain);
}

export function told(acts: ReadonlyMap<string, Counts>): Record<string, string> {
  return Object.fromEntries(
    [...acts].map(([act, { right, notNow, unanswered, wrong }]) => [
      act,
      `${right} right, ${notNow} not now, ${unanswered} cut, ${wrong} wrong`,
    ]),
  );
}
