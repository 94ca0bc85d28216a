/**
 * What the runs claim, held against what the referee saw.
 *
 * - `killsInFlight`: kills at whose moment some service had a request whose end was not in the journal: it arrived before
 *   the kill, and its attempt was settled only in a later life.
 * - `lost`: a start that was answered and is not there any more, or a `keyed` or `once` step that is claimed as done and
 *   never happened.
 * - `hung`: runs that had not ended when the time was up.
 * - `duplicatedOnce`, `duplicatedKeyed`: deeds on top of one that stood with the same key or reference.
 * - `contradicted`: the run says that it did nothing, or that it took it back, and the deed stands.
 * - `unknown`: steps that became unknown.
 * - `unknownNeedless`: those of them where there was nothing to be unsure of: the effect allows repeating; or no kill fell
 *   into the attempt, and its request never reached a service or was answered with a status that tells.
 * - `unknownUnsent`: those where a kill fell between the row that says `started` and the request. Not needless: that row
 *   is the last thing that anybody could know.
 * - `unknownResolvedWrongly`: the verify said that it happened and it had not, or the other way round.
 * - `unheard`: ended runs whose outbox has not told of it.
 */
import type { Deed, Entry, Referee } from "../world/index.ts";
import type { RunEvent, RunView, StepView, UnitView } from "./client.ts";
import { attemptsOf, entriesBySpan, type Attempt } from "./journal.ts";

/** One life of the server. */
export interface Life {
  readonly from: number;
  /** When the last process of it was gone. */
  readonly killedAt: number;
}

export interface Witness {
  readonly order: string;
  /** Null: its start was answered, and it cannot be found. */
  readonly view: RunView | null;
  readonly events: readonly RunEvent[];
}

export interface Verdict {
  killsInFlight: number;
  runs: number;
  ended: number;
  lost: number;
  hung: number;
  duplicatedOnce: number;
  duplicatedKeyed: number;
  contradicted: number;
  unknown: number;
  unknownNeedless: number;
  unknownUnsent: number;
  unknownResolvedWrongly: number;
  unheard: number;
}

/** Statuses of which a `once` step knows that nothing happened, or that it did. */
const TELLING = (status: number | null): boolean =>
  status !== null && status < 500 && status !== 408 && status !== 0;

const TERMINAL: ReadonlySet<string> = new Set(["succeeded", "failed", "cancelled"]);

export function judge(
  witnesses: readonly Witness[],
  lives: readonly Life[],
  referee: Referee,
  hasEnded: (run: string) => boolean,
  complain: (line: string) => void,
): Verdict {
  const bySpan = entriesBySpan(allEntries(referee));
  const deeds = referee.deeds();
  const verdict: Verdict = {
    killsInFlight: 0,
    runs: witnesses.length,
    ended: 0,
    lost: 0,
    hung: 0,
    duplicatedOnce: 0,
    duplicatedKeyed: 0,
    contradicted: 0,
    unknown: 0,
    unknownNeedless: 0,
    unknownUnsent: 0,
    unknownResolvedWrongly: 0,
    unheard: 0,
  };
  const fault = (field: keyof Verdict, why: string): void => {
    verdict[field] += 1;
    complain(`${field}: ${why}`);
  };
  const inFlight = new Set<Life>();
  for (const { order, view, events } of witnesses) {
    if (view === null) {
      fault("lost", `the run of ${order} cannot be found`);
      continue;
    }
    if (!TERMINAL.has(view.status))
      fault("hung", `${view.id} (${view.workflow}) is ${view.status}: ${standing(view)}`);
    else {
      verdict.ended += 1;
      if (!hasEnded(view.id)) fault("unheard", view.id);
    }
    const attempts = attemptsOf(view.id, events, bySpan);
    for (const life of lives) if (attempts.some((attempt) => wasCut(attempt, life))) inFlight.add(life);
    for (const { name, unit, step } of unitsOf(view)) {
      const own = deeds.filter((deed) => belongs(deed, `${view.id}.${name}`));
      const why = `${view.id} ${name} is ${unit.status}, outcome ${unit.outcome}`;
      if (isEffect(step) && unit.outcome === "done" && own.length === 0)
        fault("lost", `${why}, and never happened`);
      if (isEffect(step) && unit.outcome === "not_done" && own.length > 0)
        fault("contradicted", `${why}, and it happened`);
      if (unit.undone && own.some((deed) => deed.undoneAt === null))
        fault("contradicted", `${why}, undone, and it stands`);
    }
    judgeUnknowns(view, events, attempts, deeds, lives, verdict, fault);
  }
  verdict.killsInFlight = inFlight.size;
  for (const duplicate of referee.duplicates()) {
    const field = duplicate.keyed ? "duplicatedKeyed" : "duplicatedOnce";
    fault(
      field,
      `${duplicate.service} ${duplicate.kind} ${duplicate.reference}: ${duplicate.first}, ${duplicate.second}`,
    );
  }
  return verdict;
}

/** Where the steps of a run stand that has not ended. */
function standing(view: RunView): string {
  return view.steps
    .map(({ name, status, deadline_at: deadline }) => `${name} ${status} ${deadline ?? ""}`)
    .join(", ");
}

/** A request of the attempt was with a service when the life ended, and the attempt's end was not in the journal. */
function wasCut(attempt: Attempt, { from, killedAt }: Life): boolean {
  return (
    attempt.startedAt <= killedAt &&
    (attempt.end === null || attempt.end.at > killedAt) &&
    attempt.entries.some((entry) => entry.at >= from && entry.at <= killedAt)
  );
}

function judgeUnknowns(
  view: RunView,
  events: readonly RunEvent[],
  attempts: readonly Attempt[],
  deeds: readonly Deed[],
  lives: readonly Life[],
  verdict: Verdict,
  fault: (field: keyof Verdict, why: string) => void,
): void {
  for (const [i, event] of events.entries()) {
    const { unit } = event.data;
    if (event.type !== "unknown" || unit === undefined) continue;
    verdict.unknown += 1;
    const attempt = attempts.find((one) => one.end === event);
    // What may be repeated is asked about once it is not tried again, and any of its attempts may be the reason.
    const asked = event.data.last === true;
    const doubted = asked
      ? attempts.filter((one) => one.unit === unit && one.startedAt <= event.at)
      : attempt === undefined
        ? []
        : [attempt];
    const why = `${view.id} ${unit} at ${event.seq}, ${story(event, attempts)}`;
    const killed = doubted.some(({ startedAt }) =>
      lives.some(({ killedAt }) => killedAt >= startedAt && killedAt <= event.at),
    );
    const entries = doubted.flatMap((one) => one.entries);
    const step = view.steps.find(({ name }) => name === unit.replace(/[[/].*$/, ""));
    const unsure = entries.some((entry) => entry.answer !== "delivered" || !TELLING(entry.status));
    if (!unit.endsWith("/undo") && step?.effect !== "once" && !asked)
      fault("unknownNeedless", `${why}: the step is ${step?.effect}`);
    else if (!killed && !unsure) fault("unknownNeedless", `${why}: nothing was unsure`);
    else if (killed && entries.length === 0) verdict.unknownUnsent += 1;

    const settled = events.slice(i + 1).find((later) => later.data.unit === unit && later.type !== "late");
    if (settled?.data.by !== "verify") continue;
    const reference = `${view.id}.${unit}`;
    const happened = deeds.some((deed) => belongs(deed, reference) && deed.at <= settled.at + 1);
    // A request that had arrived by then and took effect later: the verify came too early.
    const late = attempts.some(
      (one) =>
        one.unit === unit && one.startedAt <= event.at && one.entries.some((entry) => entry.made.length > 0),
    );
    if (settled.type === "succeeded" ? !happened : happened || late)
      fault("unknownResolvedWrongly", `${why}: ${settled.type}, and the referee saw otherwise`);
  }
}

/** What journal and ledger say of a unit's attempts, in milliseconds from the moment when it became unknown. */
function story(event: RunEvent, attempts: readonly Attempt[]): string {
  const since = (at: number | null): string => (at === null ? "never" : `${Math.round(at - event.at)}`);
  const told = attempts
    .filter(({ unit }) => unit === event.data.unit)
    .map(({ attempt, startedAt, end, entries }) => {
      const requests = entries.map(
        ({ at, endedAt, answer, status, fault, made }) =>
          `arrived ${since(at)}, ${answer} ${status ?? ""} ${since(endedAt)}, ${fault ?? "no fault"}, made ${made.length}`,
      );
      return `#${attempt} started ${since(startedAt)}, ${end?.type ?? "open"} ${since(end?.at ?? null)} (${requests.join("; ")})`;
    });
  return `${event.data.failure?.code ?? ""} [${told.join(" | ")}]`;
}

function* unitsOf(view: RunView): Generator<{ name: string; unit: UnitView; step: StepView }> {
  for (const step of view.steps) {
    if (step.items === undefined) yield { name: step.name, unit: step, step };
    else for (const [i, unit] of step.items.entries()) yield { name: `${step.name}[${i}]`, unit, step };
  }
}

/** Every such step of the workflows here makes exactly one deed. */
function isEffect(step: StepView): boolean {
  return (
    (step.action === "http" || step.action === "code") && (step.effect === "keyed" || step.effect === "once")
  );
}

/** Deeds carry the idempotency key of their unit: `run.step.g0`, `run.step.i2.g0`. */
function belongs(deed: Deed, unit: string): boolean {
  const name = unit.replace(/\[(\d+)\]$/, ".i$1");
  return (deed.reference ?? deed.key ?? "").replace(/\.g\d+$/, "") === name;
}

function allEntries(referee: Referee): Entry[] {
  const entries: Entry[] = [];
  for (let since = 0; ;) {
    const page = referee.ledger(since);
    entries.push(...page.entries);
    since = page.next;
    if (!page.more) return entries;
  }
}
