/** What a run of the simulator can be found guilty of. */

export const VERDICTS = [
  /** A run that was acknowledged is gone, or a command that was acknowledged left no trace. */
  "lost",
  /** A run that does not end, or spins, once people have stopped. */
  "hung",
  /** Something happened twice that must not. */
  "duplicated",
  /** An invariant does not hold. */
  "broken",
] as const;
export type Verdict = (typeof VERDICTS)[number];

/** The first thing that was found wrong; later findings may follow from it. */
export class Findings {
  first: { readonly verdict: Verdict; readonly what: string } | null = null;

  find(verdict: Verdict, what: string): void {
    this.first ??= { verdict, what };
  }

  expect(holds: boolean, what: string | (() => string), verdict: Verdict = "broken"): void {
    if (!holds) this.find(verdict, typeof what === "string" ? what : what());
  }
}
