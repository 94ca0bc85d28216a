/**
 * The walk of an erasure: through all places where something of a user may stand, as often as it takes.
 *
 * Owns: the order of the places, when an erasure is over. Does not own: what is erased in a place, which each room knows.
 *
 * - W1 every step may be done twice, and after any death: it finds what is there, and erases that. Nothing is remembered but where
 *      a look goes on.
 * - W2 it is over once two looks have found nothing that are SETTLED_MS apart, with none in between that found anything: what was
 *      started or granted before everybody knew is listed by then.
 * - W3 what has to end first (runs, the telling of a provider) holds up nothing else; the erasure comes again.
 * - W4 one pass makes a bounded number of calls, and goes on where it stopped.
 */
import type { Place } from "../directory/index.ts";
import type { Untold } from "../connections/index.ts";
import type { Logger } from "../platform/index.ts";
import type { EraseRunAnswer, RunPlaces } from "../run/index.ts";
import { BEGINNING, type Erasure, type ErasureReport, type Progress, stageAfter } from "./progress.ts";

/** W2. Longer than anybody takes what was known before for true, and than a run goes on without being listed. */
export const SETTLED_MS = 5 * 60_000;
const PAGE = 20;

export interface Found {
  /** Behind which one the next page begins; null: there is none. */
  readonly next: string | null;
  /** Whether there was anything to erase. */
  readonly found: boolean;
  /** Objects that were asked. */
  readonly calls: number;
}

export interface Whose {
  readonly tenant: string;
  readonly user: string;
  /** As the audit writes it. */
  readonly by: string;
}

/** Erases a page of what a place keeps of the user. A rejection ends the pass: the next one begins there. */
export interface Places {
  keys(whose: Whose): Promise<number>;
  hooks(whose: Whose): Promise<readonly string[]>;
  schedules(
    whose: Whose,
    page: Page,
  ): Promise<{ readonly removed: readonly string[]; readonly asked: number; readonly next: string | null }>;
  connections(
    whose: Whose,
    page: Page,
    note: (untold: Untold) => Promise<void>,
  ): Promise<{
    readonly erased: number;
    readonly waiting: number;
    readonly sessions: number;
    readonly next: string | null;
  }>;
  /** Also one that is not listed. */
  connection(
    whose: Whose,
    id: string,
    note: (untold: Untold) => Promise<void>,
  ): Promise<"erased" | "later" | "nothing">;
  links(whose: Whose): Promise<number>;
  events(whose: Whose, page: Page): Promise<{ readonly asked: number; readonly next: string | null }>;
  listRuns(
    whose: Whose,
    after: Place | null,
    limit: number,
  ): Promise<{ readonly runs: readonly Place[]; readonly next: Place | null }>;
  run(
    tenant: string,
    run: string,
    how: { readonly user: string | null; readonly by: string; readonly seen: boolean },
  ): Promise<EraseRunAnswer>;
  /** Its queue, its hook, events. */
  aroundRun(tenant: string, run: string, places: RunPlaces): Promise<void>;
  unlistRuns(tenant: string, runs: readonly Place[]): Promise<void>;
  messages(tenant: string, whose: { readonly user: string } | { readonly run: string }): Promise<number>;
  callers(whose: Whose): Promise<number>;
}

export interface Page {
  readonly after: string;
  readonly limit: number;
}

export interface WalkDeps {
  readonly places: Places;
  /** Resolves once it is kept how far the erasure came. */
  readonly keep: (erasure: Erasure) => Promise<void>;
  readonly finish: (erasure: Erasure) => Promise<void>;
  readonly log: Logger;
  readonly now: () => number;
}

/** Looks that a pass makes at most: to erase, to see that it is erased, and not more. */
const LOOKS = 2;

/** One pass. Answers how the erasure stands after it; rejects where a place could not be reached, with all kept that was done. */
export async function walk(deps: WalkDeps, begun: Erasure, calls: number): Promise<Erasure> {
  const { keep, finish, now } = deps;
  let erasure = begun;
  let left = calls;
  for (let looks = 0; looks < LOOKS && left > 0;) {
    const { user, progress } = erasure;
    if (user === null) return erasure;
    const stage = await STAGES[progress.stage](
      deps,
      erasure,
      { ...erasure, user, by: erasure.begunBy },
      (next) => {
        erasure = next;
      },
    );
    left -= Math.max(1, stage.calls);
    const found = erasure.progress.found || stage.found;
    const following = stage.next === null ? stageAfter(progress.stage) : progress.stage;
    if (following !== null) {
      erasure = at(erasure, { ...erasure.progress, stage: following, after: stage.next ?? "", found });
      await keep(erasure);
      continue;
    }
    // The look is over.
    looks += 1;
    const cleanSince = found ? null : (erasure.cleanSince ?? now());
    const { waits } = erasure.progress;
    erasure = {
      ...at(erasure, found && waits !== undefined ? { ...BEGINNING, waits } : BEGINNING),
      cleanSince,
    };
    // W2.
    if (cleanSince !== null && now() >= cleanSince + SETTLED_MS) {
      await finish(erasure);
      return { ...erasure, user: null, status: "done", doneAt: now() };
    }
    await keep(erasure);
    if (!found) break;
  }
  return erasure;
}

type Stage = (
  deps: WalkDeps,
  erasure: Erasure,
  whose: Whose,
  set: (erasure: Erasure) => void,
) => Promise<Found>;

const STAGES: Readonly<Record<Progress["stage"], Stage>> = {
  async keys({ places }, erasure, whose, set) {
    const keys = await places.keys(whose);
    set(counted(erasure, { keys: erasure.report.keys + keys }));
    return { next: null, found: keys > 0, calls: 1 };
  },

  async hooks({ places }, erasure, whose, set) {
    const names = await places.hooks(whose);
    set(counted(erasure, { hooks: [...new Set([...erasure.report.hooks, ...names])] }));
    return { next: null, found: names.length > 0, calls: names.length };
  },

  async schedules({ places }, erasure, whose, set) {
    const { removed, asked, next } = await places.schedules(whose, page(erasure));
    set(counted(erasure, { schedules: [...new Set([...erasure.report.schedules, ...removed])] }));
    return { next, found: removed.length > 0, calls: asked + removed.length };
  },

  async connections(deps, erasure, whose, set) {
    const { places } = deps;
    const { note, current } = noting(deps, erasure, set);
    const { erased, waiting, sessions, next } = await places.connections(whose, page(erasure), note);
    const links = next === null ? await places.links(whose) : 0;
    const waits = {
      runs: 0,
      connections: waitsOf(current(), erasure.progress.after === "").connections + waiting,
    };
    set(
      at(counted(current(), { connections: current().report.connections + erased }), {
        ...current().progress,
        waits,
      }),
    );
    return { next, found: erased + waiting + sessions + links > 0, calls: 3 * (erased + waiting) };
  },

  async events({ places }, erasure, whose) {
    const { asked, next } = await places.events(whose, page(erasure));
    return { next, found: false, calls: asked };
  },

  async runs(deps, erasure, whose, set) {
    const { places } = deps;
    const { note, current } = noting(deps, erasure, set);
    const { after } = erasure.progress;
    const { runs, next } = await places.listRuns(
      whose,
      after === "" ? null : (JSON.parse(after) as Place),
      PAGE,
    );
    let [erased, deleted, waiting, connections] = [0, 0, 0, 0];
    const taken = (): void => {
      connections += 1;
    };
    for (const run of runs) {
      const answer = await eraseListed(deps, whose, run, note, taken);
      if (answer === "later") waiting += 1;
      else if (answer === "erased") erased += 1;
      else deleted += 1;
    }
    const before = waitsOf(current(), false);
    const waits = { ...before, runs: before.runs + waiting };
    const { report } = current();
    set(
      at(
        counted(current(), {
          ...{ runs: report.runs + erased, runs_deleted: report.runs_deleted + deleted },
          connections: report.connections + connections,
        }),
        { ...current().progress, waits },
      ),
    );
    return {
      next: next === null ? null : JSON.stringify(next),
      found: runs.length > 0,
      calls: 4 * runs.length,
    };
  },

  async messages({ places }, _erasure, whose) {
    return { next: null, found: false, calls: await places.messages(whose.tenant, { user: whose.user }) };
  },

  async callers({ places }, erasure, whose, set) {
    const callers = await places.callers(whose);
    set(counted(erasure, { callers: erasure.report.callers + callers }));
    return { next: null, found: callers > 0, calls: 1 };
  },
};

/** A run, all places around it, and at last its line in the list: by that it is found again until all of it is done. */
async function eraseListed(
  { places, log }: WalkDeps,
  whose: Whose,
  run: Place,
  note: (untold: Untold) => Promise<void>,
  taken: () => void,
): Promise<"erased" | "later" | "gone"> {
  const { tenant, user, by } = whose;
  let answer: EraseRunAnswer;
  try {
    answer = await places.run(tenant, run.id, { user, by, seen: false });
    if (answer.kind === "places") {
      for (const id of answer.places.connections) {
        const connection = await places.connection(whose, id, note);
        if (connection === "later") return "later";
        if (connection === "erased") taken();
      }
      await places.aroundRun(tenant, run.id, answer.places);
      answer = await places.run(tenant, run.id, { user, by, seen: true });
    }
  } catch (error) {
    // W3: one object that cannot be reached holds up no other.
    log.warn("erasure_run_not_reached", { tenant, run: run.id, error });
    return "later";
  }
  if (answer.kind === "later" || answer.kind === "places" || answer.kind === "not_ended") return "later";
  await places.unlistRuns(tenant, [run]);
  return answer.kind === "erased" ? "erased" : "gone";
}

/** One run alone, whoever's it is. */
export async function eraseOneRun(
  { places }: Pick<WalkDeps, "places">,
  tenant: string,
  run: Place,
  by: string,
): Promise<"erased" | "later" | "not_ended" | "gone"> {
  let answer = await places.run(tenant, run.id, { user: null, by, seen: false });
  if (answer.kind === "places") {
    await places.aroundRun(tenant, run.id, answer.places);
    await places.messages(tenant, { run: run.id });
    answer = await places.run(tenant, run.id, { user: null, by, seen: true });
  }
  if (answer.kind === "later" || answer.kind === "not_ended") return answer.kind;
  if (answer.kind === "places" || answer.kind === "not_theirs") return "later";
  await places.unlistRuns(tenant, [run]);
  // What was told of its end meanwhile.
  await places.messages(tenant, { run: run.id });
  return answer.kind;
}

function page({ progress }: Erasure): Page {
  return { after: progress.after, limit: PAGE };
}

function counted(erasure: Erasure, more: Partial<ErasureReport>): Erasure {
  return { ...erasure, report: { ...erasure.report, ...more } };
}

function at(erasure: Erasure, progress: Progress): Erasure {
  return { ...erasure, progress };
}

/** @param anew this look counts from here */
function waitsOf({ progress }: Erasure, anew: boolean): NonNullable<Progress["waits"]> {
  return anew || progress.waits === undefined ? { runs: 0, connections: 0 } : progress.waits;
}

/** What a place could not tell a provider is kept as it happens; `current`: the erasure with all of it. */
function noting(
  { keep }: WalkDeps,
  erasure: Erasure,
  set: (erasure: Erasure) => void,
): { readonly note: (untold: Untold) => Promise<void>; readonly current: () => Erasure } {
  let current = erasure;
  return {
    current: () => current,
    async note(untold) {
      const { report } = current;
      const others = report.provider_not_told.filter(({ connection }) => connection !== untold.connection);
      current = counted(current, { provider_not_told: [...others, untold] });
      set(current);
      await keep(current);
    },
  };
}
