/** Bounds of the simulated world. A claim about the world can only be checked if its delays are bounded. */

/** A request that has left lands within this time, or never. */
export const LAND_MS = 3_000;
/** A life that was replaced goes on for at most this long, and cannot write. */
export const ZOMBIE_MS = 1_000;
/** Between a write and its flush. */
export const FLUSH_MS = 8;
/** A life's clock differs from the platform's by at most this much, to either side. */
export const SKEW_MS = 20;
/** An alarm that is late is late by at most this much (a failover of the platform). */
export const ALARM_LATE_MS = 60_000;
/** The platform retries a failed alarm after this time, doubled each time, and gives up after six tries. */
export const ALARM_RETRY_MS = 2_000;
export const ALARM_TRIES = 6;
/** A lost alarm is healed by a poke from outside within this time: the lease of a run in its directory. */
export const LEASE_MS = 24 * 60 * 60_000;
/** An answer that comes late comes within this time after the timeout. */
export const LATE_ANSWER_MS = 60_000;
/** Whoever is asked for a credential has answered by then, or is not waited for any more. */
export const ACQUIRE_MS = 60_000;
/** Events of one run; a run that needs more spins. */
export const MAX_EVENTS = 20_000;
/** Lives that are taken from one run. */
export const MAX_CRASHES = 12;
/** Generations that people open. */
export const MAX_GENERATIONS = 4;
/** After its end a run stays readable for so long; then its alarm deletes it. */
export const RETENTION_MS = 30 * 24 * 60 * 60_000;
