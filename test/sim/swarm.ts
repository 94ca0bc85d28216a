/**
 * What a seed has much of. Each seed draws its own mix, extremes included: what is rare in an average world is common
 * in some of them.
 */

import type { Random } from "./random.ts";

export interface Swarm {
  /** Share of the attempts to which something happens. */
  readonly rough: number;
  /** How often answers are late, beside the other things that happen to an attempt. */
  readonly late: number;
  /** How often an answer cannot be used, likewise. */
  readonly garbage: number;
  /** How often an action goes on though it was aborted. */
  readonly stubborn: number;
  /** Scales how often storage refuses. */
  readonly storage: number;
  /** Share of the alarms that are lost, and of those that are late. */
  readonly alarmsLost: number;
  readonly alarmsLate: number;
  /** Share of providers that forget keys soon, and of graphs whose limits are short. */
  readonly shortKeys: number;
  readonly shortLimits: number;
  /** Share of steps that can be undone, and of those with a condition. */
  readonly compensated: number;
  readonly conditional: number;
  /** How often somebody who stopped a run redrives it at once. */
  readonly haste: number;
  /** Share of the calls that need a connection. */
  readonly connected: number;
}

/** @param connections drawn apart, so that a seed without any stays what it was */
export function drawSwarm(random: Random, connections: Random): Swarm {
  return {
    rough: random.pick([0, 0.1, 0.25, 0.4, 0.6]),
    late: random.pick([2, 5, 5, 40]),
    garbage: random.pick([1, 2, 20]),
    stubborn: random.pick([0.2, 0.5, 1]),
    storage: random.pick([0, 0.5, 1, 3]),
    alarmsLost: random.pick([0, 0.01, 0.01, 0.2]),
    alarmsLate: random.pick([0, 0.03, 0.03, 0.4]),
    shortKeys: random.pick([0.05, 0.25, 1]),
    shortLimits: random.pick([0.1, 0.3, 0.9]),
    compensated: random.pick([0, 0.6, 0.9]),
    conditional: random.pick([0.05, 0.2, 0.6]),
    haste: random.pick([0.1, 0.5, 1]),
    connected: connections.pick([0, 0, 0.1, 0.4, 1]),
    ...(random.chance(0.1) ? HASTY : random.chance(0.05) ? FORGETFUL : {}),
  };
}

/** Much is stopped and started again while old answers are still on their way. */
const HASTY: Partial<Swarm> = {
  rough: 0.6,
  late: 40,
  stubborn: 1,
  compensated: 0,
  conditional: 0.6,
  haste: 1,
};
/** Much happens whose answer is of no use, and is asked for again when its key has been forgotten. */
const FORGETFUL: Partial<Swarm> = { rough: 0.4, garbage: 20, shortKeys: 1 };
