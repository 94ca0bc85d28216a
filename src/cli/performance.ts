/** One run, shown as it happens: what the API tells of it, and between the lines what the referee saw. */
import type { Api, RunView } from "./api.ts";
import { reasonOf } from "./complaint.ts";
import type { Course, Demo } from "./demos.ts";
import { isOfRun, tellEntry, type LedgerEntry, type Referee } from "./referee.ts";
import { createStoryteller, type Background, type Line, type RunEvent } from "./story.ts";

/** Both tales come over the network: lines wait for so long, so that an earlier one can still go before. */
const SETTLE_MS = 120;
/** How long a look into the ledger waits for something new. */
const LEDGER_WAIT_MS = 500;

/** Puts lines of two sources in the order of their times, as far as they come within SETTLE_MS. */
export function createSorter(print: (line: Line) => void): { add: (line: Line) => void; flush: () => void } {
  let waiting: Line[] = [];
  const flush = (until = Infinity): void => {
    waiting.sort((a, b) => a.at - b.at);
    const ready = waiting.filter((line) => line.at <= until);
    waiting = waiting.filter((line) => line.at > until);
    ready.forEach(print);
  };
  return {
    add: (line) => {
      waiting.push(line);
      setTimeout(() => flush(line.at), SETTLE_MS).unref();
    },
    flush: () => flush(),
  };
}

/** Shows a run to its end. Answers why that did not work, or null. */
export async function perform(
  run: string,
  from: {
    readonly api: Api;
    readonly referee: Referee;
    readonly background: Background;
    readonly since: number;
    /** What people do at an event. Where they cannot, it throws, and nobody waits for the end. */
    readonly answer?: (event: RunEvent, add: (line: Line) => void) => Promise<void>;
  },
  print: (line: Line) => void,
): Promise<string | null> {
  const { api, referee, background, since, answer } = from;
  const { add, flush } = createSorter(print);
  const watching = new AbortController();
  const watched = watch(run, { referee, since, signal: watching.signal }, add);
  const { tell } = createStoryteller(background);
  const stuck = Promise.withResolvers<never>();
  const told = async (): Promise<void> => {
    for await (const event of api.follow(run)) {
      tell(event).forEach(add);
      // The story goes on meanwhile: other steps do, too.
      answer?.(event, add).catch(stuck.reject);
    }
  };
  try {
    await Promise.race([told(), stuck.promise]);
    return null;
  } catch (error) {
    return reasonOf(error);
  } finally {
    watching.abort();
    await watched;
    flush();
  }
}

/** Tells what the requests of a run really did, each once, when it is answered. */
async function watch(
  run: string,
  {
    referee,
    since,
    signal,
  }: { readonly referee: Referee; readonly since: number; readonly signal: AbortSignal },
  add: (line: Line) => void,
): Promise<void> {
  const told = new Set<number>();
  /** What the run has made, so that what is taken back without a key is seen as the run's too. */
  const made = new Set<string>();
  let from = since;
  try {
    for (let last = false; !last;) {
      last = signal.aborted;
      const { entries, next } = await referee.ledger(from, last ? 0 : LEDGER_WAIT_MS);
      from = next;
      for (const entry of entries) {
        const line = told.has(entry.seq) || !concerns(run, entry, made) ? null : tellEntry(entry);
        if (line === null) continue;
        told.add(entry.seq);
        add(line);
      }
    }
  } catch (error) {
    add({ at: Date.now(), who: "referee", what: `cannot be heard: ${reasonOf(error)}`, colour: "red" });
  }
}

function concerns(run: string, entry: LedgerEntry, made: Set<string>): boolean {
  const { service } = entry;
  if (!isOfRun(run, entry)) return entry.undid.some((id) => made.has(`${service} ${id}`));
  for (const id of entry.made) made.add(`${service} ${id}`);
  return true;
}

/** What is known of a run besides its journal: its steps, and what the services were told to ask for. */
export function backgroundOf(run: RunView, { services }: Demo, { faults }: Course): Background {
  const keyed = new Set(run.steps.filter(({ effect }) => effect === "keyed").map(({ name }) => name));
  return {
    isKeyed: (step) => keyed.has(step),
    retryAfter: (step, status) =>
      faults.find((rule) => rule.service === services[step] && rule.fault.status === status)?.fault
        .retryAfterSeconds ?? null,
  };
}
