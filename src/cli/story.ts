/**
 * Tells the journal of a run, fact by fact, as lines for a terminal. Pure: state in, lines out.
 * Knows facts by their names only, so that a run of a newer server is told too, with gaps.
 */
import type { Colour } from "./paint.ts";

/** An event of `GET /v1/runs/{run}/events`. */
export interface RunEvent {
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** One line of the tale: when, who, what. */
export interface Line {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly who: string;
  readonly what: string;
  readonly colour?: Colour;
}

/** What the teller knows besides the journal. */
export interface Background {
  /** What a service asked for with Retry-After, in seconds; null where nobody knows. */
  readonly retryAfter: (step: string, status: number) => number | null;
  /** Whether every attempt of a step carries the same idempotency key. */
  readonly isKeyed: (step: string) => boolean;
}

export interface Storyteller {
  /** Mostly one line; none where the fact is not worth one, or not yet. */
  readonly tell: (event: RunEvent) => readonly Line[];
}

export function createStoryteller(background: Background): Storyteller {
  /** When the attempt in flight began, by unit. */
  const began = new Map<string, number>();
  /** That undoing begins is told once something is undone: a run that did nothing says so of itself too. */
  let undoing: Line | null = null;
  const lineOf = createLineTeller(began, background);
  return {
    tell: (event) => {
      const line = lineOf(event);
      if (event.type === "undoing") {
        undoing = line;
        return [];
      }
      const lines = line === null ? [] : [line];
      if (undoing === null || event.data["role"] !== "undo") return lines;
      lines.unshift(undoing);
      undoing = null;
      return lines;
    },
  };
}

function createLineTeller(
  began: Map<string, number>,
  background: Background,
): (event: RunEvent) => Line | null {
  return (event) => {
    const { at, type, data } = event;
    const unit = text(data["unit"]);
    const who = unit.replace("/undo", " (undo)").replace("/verify", " (check)");
    const line = (what: string, colour?: Colour): Line => ({
      at,
      who,
      what,
      ...(colour === undefined ? {} : { colour }),
    });
    const took = (): string => spent(at, began.get(unit));
    switch (type) {
      case "started":
        began.set(unit, at);
        return line(`attempt ${number(data["attempt"])}`, "dim");
      case "succeeded":
        return line(`done${took()}${bySomeoneElse(data["by"])}${resultOf(data["output"])}`, "green");
      case "failed":
        return line(`failed: ${failureOf(data)}${outcomeOf(data["outcome"])}`, "red");
      case "retrying":
        return line(retryOf(data, at, background), "yellow");
      case "unknown":
        return line(`outcome unknown: ${failureOf(data)}; it is not repeated blindly`, "red");
      case "waiting":
        return line(waitOf(data, at), "cyan");
      case "parked":
        return line(needOf(record(data["need"])), "yellow");
      case "unparked":
        return line("what it waited for may be there: it looks again", "cyan");
      case "iterated":
        return line(`not there yet; again in ${seconds(number(data["wake_at"]) - at)}`, "cyan");
      case "expanded":
        return line(`${number(data["count"])} items`, "cyan");
      case "skipped":
        return line(
          data["why"] === "when" ? "skipped: its condition does not hold" : "skipped: not needed",
          "dim",
        );
      case "cancelled":
        return line("cancelled: the run no longer wants it", "dim");
      case "late":
        return line("an answer came late; it is noted, and changes nothing", "dim");
      case "resolved":
        return line(`resolved by a person as ${text(data["as"])}`, "cyan");
      default:
        return runLine(event);
    }
  };
}

/** Facts about the run as a whole. */
function runLine({ at, type, data }: RunEvent): Line | null {
  const line = (what: string, colour?: Colour): Line => ({
    at,
    who: "run",
    what,
    ...(colour === undefined ? {} : { colour }),
  });
  switch (type) {
    case "admitted":
      return line("admitted from the queue: it begins", "cyan");
    case "lost":
      return line(`cannot succeed: ${failureOf(data)}`, "red");
    case "undoing":
      return line("undoing what was done, in reverse order", "yellow");
    case "handling":
      return line("the steps for a failed run begin", "yellow");
    case "paused":
    case "resumed":
    case "closed":
      return line(type, "cyan");
    case "signalled":
      return line(`signal ${text(data["name"])}`, "cyan");
    case "grew":
      return line("has new steps", "cyan");
    case "redriven":
      return line(`generation ${number(data["generation"])}`, "cyan");
    case "ended":
      return line(text(data["status"]) || "ended", data["status"] === "succeeded" ? "green" : "red");
    default:
      return null;
  }
}

function retryOf(data: RunEvent["data"], at: number, { retryAfter, isKeyed }: Background): string {
  const failure = record(data["failure"]);
  const status = failure["status"];
  const step = text(data["step"]);
  const asked = typeof status === "number" ? retryAfter(step, status) : null;
  const sameKey = data["role"] === undefined && isKeyed(step) ? "same key " : "";
  const why = typeof status === "number" ? String(status) : nameOf(text(failure["code"]));
  const wish = asked === null ? "" : `, Retry-After: ${asked}`;
  const wait = seconds(number(data["wake_at"]) - at);
  const unclear = data["maybe"] === true ? ", unclear" : "";
  return `${why}${wish}${unclear}; ${sameKey}again in ${wait}`;
}

function nameOf(code: string): string {
  return code === "network" ? "connection lost" : code.replaceAll("_", " ");
}

function waitOf(data: RunEvent["data"], at: number): string {
  const wakeAt = data["wake_at"];
  return typeof wakeAt === "number" ? `sleeps ${seconds(wakeAt - at)}` : "waits for a signal";
}

/** Why a step cannot begin, or go on. */
const NEEDS: Readonly<Record<string, string>> = {
  missing: "waits for a consent: there is none",
  revoked: "waits for a consent: it was taken back",
  expired: "waits for a consent: the last one has ended",
  refresh_lost: "waits for a consent: the last one can no longer be renewed",
  scope_missing: "waits for a consent: the last one does not reach so far",
  rejected: "waits for a consent: the service refuses what the last one gave",
  replaced: "waits for a person: another account has taken the place of the one it used",
  unavailable: "waits: the provider of its access does not answer",
  rate_limited: "waits: the service asked for a pause",
  misconfigured: "waits: the provider of its access refuses this app",
  propagating: "waits: the cloud does not know yet what was changed a moment ago",
};

function needOf(need: Readonly<Record<string, unknown>>): string {
  return NEEDS[text(need["reason"])] ?? "waits for what it lacks";
}

/** The service's own words where there are some, else the code. */
function failureOf(data: RunEvent["data"]): string {
  const failure = record(data["failure"]);
  return text(failure["message"]).replace(/\.$/, "") || text(failure["code"]);
}

function outcomeOf(outcome: unknown): string {
  if (outcome === "unknown") return " (whether it happened is not known)";
  return outcome === "done" ? " (but it happened)" : "";
}

function bySomeoneElse(by: unknown): string {
  switch (by) {
    case "late":
      return ", by a late answer";
    case "verify":
      return ", as its check found";
    case "resolve":
      return ", as a person said";
    case "fallback":
      return ", by its fallback";
    default:
      return "";
  }
}

/** What a service made, by its id: the part of an output that a person looks for. */
function resultOf(output: unknown): string {
  const value = record(record(output)["value"]);
  const id = record(value["body"])["id"] ?? value["id"];
  return typeof id === "string" ? `: ${id}` : "";
}

function spent(at: number, since: number | undefined): string {
  return since === undefined ? "" : ` in ${Math.max(0, Math.round(at - since))} ms`;
}

function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
