/** The command line of the crash tests. */
import { parseArgs } from "node:util";

export interface Options {
  readonly cycles: number;
  readonly seed: number;
  readonly runsPerCycle: number;
  readonly keep: boolean;
}

export const USAGE =
  "npm run crash -- [--cycles N] [--seed S] [--runs N per cycle] [--keep: leave the state on disk]";

export function parseOptions(args: string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      cycles: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
      runs: { type: "string", default: "4" },
      keep: { type: "boolean", default: false },
    },
  });
  const whole = (name: string, text: string): number => {
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new TypeError(`--${name} takes a whole number from 1. ${USAGE}`);
    return Number(text);
  };
  return {
    cycles: whole("cycles", values.cycles),
    seed: whole("seed", values.seed),
    runsPerCycle: whole("runs", values.runs),
    keep: values.keep,
  };
}
