/** Deliberate small bugs. Each must be found by the tests that it names first, or by the other ones. */

export interface Mutant {
  readonly name: string;
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** What would go wrong in the world. */
  readonly why: string;
  /** Which tests are asked first. */
  readonly first: "kernel" | "simulator";
}

const KERNEL: readonly Omit<Mutant, "first">[] = [
  {
    name: "once-retried",
    file: "src/kernel/judge.ts",
    find: `if (performance.effect === "once") return becomeUnknown(j, failure, how.listening === true);`,
    replace: "",
    why: "A step that must not be repeated is sent again after an unclear end (K5).",
  },
  {
    name: "unusable-repeated",
    file: "src/kernel/judge.ts",
    find: `if (performance.effect === "safe") return again(j, end.failure, 0, false, how.strike);`,
    replace: `if (performance.effect !== "once") return again(j, end.failure, 0, false, how.strike);`,
    why: "What happened, but answered badly, is done a second time.",
  },
  {
    name: "unclear-forgotten",
    file: "src/kernel/judge.ts",
    find: `again(j, failure, retryAfterMs, performance.effect !== "safe", how.strike);`,
    replace: "again(j, failure, retryAfterMs, false, how.strike);",
    why: "A step that may have happened ends as if it had not, and is not undone.",
  },
  {
    name: "key-never-forgotten",
    file: "src/kernel/judge.ts",
    find: "startAt > unit.keySince + performance.keyTtlMs",
    replace: "startAt > unit.keySince + performance.keyTtlMs * 1_000",
    why: "A key that the provider has forgotten is sent again, and the effect happens twice (K6).",
  },
  {
    name: "retry-after-ignored",
    file: "src/kernel/policy.ts",
    find: "Math.max(jittered, retryAfterMs)",
    replace: "Math.max(jittered, 0)",
    why: "A service that asked for time gets none.",
  },
  {
    name: "one-attempt-too-many",
    file: "src/kernel/judge.ts",
    find: "unit.tries < policy.attempts &&",
    replace: "unit.tries <= policy.attempts &&",
    why: "The policy's number of attempts is exceeded.",
  },
  {
    name: "join-all-too-early",
    file: "src/kernel/joins.ts",
    find: `return succeeded === all ? "run" :`,
    replace: `return succeeded > 0 || all === 0 ? "run" :`,
    why: "A step starts before everything that it needs has succeeded (K2).",
  },
  {
    name: "stale-attempt-counts",
    file: "src/kernel/decide.ts",
    find: "attempt === unit.attempt && generation === turn.state.generation",
    replace: "generation === turn.state.generation",
    why: "The late answer of an old attempt settles the new one (K7).",
  },
  {
    name: "undo-in-order",
    file: "src/kernel/due.ts",
    find: "const held = (state.dependents[index] ?? []).some((dependent) => holds[dependent]);",
    replace: "const held = false;",
    why: "A step is undone while what was built on it still stands (K10).",
  },
  {
    name: "unknown-not-undone",
    file: "src/kernel/due.ts",
    find: `if (unit.outcome !== "done" && unit.outcome !== "unknown") return false;`,
    replace: `if (unit.outcome !== "done") return false;`,
    why: "What may have happened is left standing, though it knows how to be undone (K10).",
  },
  {
    name: "starts-while-paused",
    file: "src/kernel/due.ts",
    find: `if (state.pausedSince !== null || state.phase === "ended") return [];`,
    replace: `if (state.phase === "ended") return [];`,
    why: "A paused run starts new attempts.",
  },
  {
    name: "deadline-forgotten",
    file: "src/kernel/time.ts",
    find: `if (turn.state.phase === "forward" && turn.now >= turn.state.deadlineAt) passDeadline(turn);`,
    replace: "",
    why: "A run that waits for nobody never ends (K3).",
  },
  {
    name: "signal-taken-twice",
    file: "src/kernel/control.ts",
    find: "if (state.signalIds.includes(input.id)) return null;",
    replace: "",
    why: "A signal that was delivered twice is taken twice.",
  },
  {
    name: "round-keeps-its-key",
    file: "src/kernel/units.ts",
    find: "const iteration = unit.iteration === 0 ?",
    replace: "const iteration = unit.iteration >= 0 ?",
    why: "All rounds of a repeat share one key: the second is taken for the first (K6).",
  },
];

const DRIVER: readonly Omit<Mutant, "first">[] = [
  {
    name: "lost-attempts-forgotten",
    file: "src/driver/driver.ts",
    find: `return [...lost, ...unsent, () => ({ t: "tick" })];`,
    replace: `return [...unsent, () => ({ t: "tick" })];`,
    why: "What died with its life is waited for until its timeout, and its death is never noticed (D5).",
  },
  {
    name: "performs-before-it-appends",
    file: "src/driver/driver.ts",
    find: "this.#ports.journal.append(row, state, snapshot);",
    replace:
      "for (const flight of starting) void this.#ports.perform(flight.call).catch(() => {}); this.#ports.journal.append(row, state, snapshot);",
    why: "Something happens of which the journal knows nothing (D1).",
  },
  {
    name: "alarm-after-the-deadline",
    file: "src/driver/alarm.ts",
    find: "this.#setBy(Math.min(nextDeadline(state), short ? wakeAt + WATCHDOG_MS : wakeAt, others));",
    replace:
      "this.#setBy(Math.min(nextDeadline(state) + 60_000, short ? wakeAt + WATCHDOG_MS : wakeAt + 60_000, others));",
    why: "A life that dies is woken after the deadline of what it had in flight (K3).",
  },
  {
    name: "alarm-never-moved-earlier",
    file: "src/driver/alarm.ts",
    find: "if (this.#armedAt === null || this.#armedAt > at || this.#armedAt <= now)",
    replace: "if (this.#armedAt === null || this.#armedAt <= now)",
    why: "A short deadline stands behind a far alarm (K3).",
  },
  {
    name: "past-alarm-trusted",
    file: "src/driver/alarm.ts",
    find: "|| this.#armedAt <= now)",
    replace: ")",
    why: "An alarm that was lost is never set again, and the run hangs.",
  },
  {
    name: "late-counts-as-lost",
    file: "src/driver/flights.ts",
    find: `return unit.status === "unknown" && unit.listening ? "late answer" : null;`,
    replace: "return null;",
    why: "A once attempt that timed out is aborted, and its late answer is not heard (K7).",
  },
  {
    name: "key-of-the-attempt",
    file: "src/driver/turn.ts",
    find: `key: effect === "keyed" ? keyOf(run.id, ref, unit) : null,`,
    replace: 'key: effect === "keyed" ? `${keyOf(run.id, ref, unit)}.${attempt}` : null,',
    why: "Each attempt has a key of its own, so nothing absorbs the second (K6).",
  },
  {
    name: "payload-not-compared",
    file: "src/driver/turn.ts",
    find: `if (filled.kind !== "call" || filled.digest !== unit.digest) {`,
    replace: `if (filled.kind !== "call") {`,
    why: "One key is sent with two payloads (K6).",
  },
  {
    name: "thrown-means-refused",
    file: "src/driver/ends.ts",
    find: `return { kind: sent ? "unclear" : "refused", failure };`,
    replace: `return { kind: "refused", failure };`,
    why: "What threw after it was sent is taken for not having happened (K5).",
  },
  {
    name: "row-numbers-repeat",
    file: "src/driver/driver.ts",
    find: "this.#seq += facts.length;",
    replace: "this.#seq += 1;",
    why: "A row takes the number of an earlier fact (K8).",
  },
  {
    name: "snapshot-not-counted",
    file: "src/driver/driver.ts",
    find: "let seq = snapshot?.seq ?? 1;",
    replace: "let seq = 1;",
    why: "A life that begins from a snapshot numbers its facts from 1 (K8).",
  },
  {
    name: "unsent-called-unclear",
    file: "src/driver/driver.ts",
    find: `endedOf(call, { kind: "refused", failure: UNSENT }),`,
    replace: `endedOf(call, { kind: "success", output: { v: null } }),`,
    why: "An attempt of which nothing was sent counts as done.",
  },
];

export const MUTANTS: readonly Mutant[] = [
  ...KERNEL.map((mutant): Mutant => ({ ...mutant, first: "kernel" })),
  ...DRIVER.map((mutant): Mutant => ({ ...mutant, first: "simulator" })),
];
