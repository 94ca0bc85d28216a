/**
 * Cron expressions: when one fires next.
 *
 * Owns: what an expression may be, and what daylight saving does to it. Does not own: the grammar of fields and the arithmetic of
 * days, which are croner's; intervals, jitter (schedule-timing.ts); what becomes of a tick (schedule-rules.ts).
 *
 * - C1 an expression that never fires is refused, and so is one too long to be honest: what is kept can always be asked.
 * - C2 `next` is strictly later than what it was asked about, on a whole second, and depends on nothing but its argument.
 * - C3 an expression that names its times (no `*` and no `/` in seconds, minutes and hours) fires once for each of them, every day:
 *      a time that the clock leaves out is moved to the first moment after the gap, a time that comes twice counts the first time.
 *      Two that fall on the same moment are one tick.
 * - C4 any other expression follows the wall clock: what the clock leaves out does not fire, what comes twice fires twice.
 */
import { Cron } from "croner";
import { describeError, err, ok, type Result } from "../platform/index.ts";

/** The longest honest expression (every second minute, written out) is shorter. */
export const MAX_EXPRESSION_CHARS = 200;
/** Digits, names, `* , - / # ? L W` and the nicknames (`@daily`). Croner's `+` is left out: nobody else reads it. */
const CHARACTERS = /^[0-9A-Za-z*,/#?@ -]+$/;
/** Names of the tz database. Offsets are refused: a zone that is only an offset forgets daylight saving. */
const TIMEZONE = /^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+){0,2}$/;
const MAX_TIMEZONE_CHARS = 64;
const FIELDS =
  "Write five fields (minute, hour, day of month, month, day of week), six with seconds in front, or @hourly, @daily, @weekly, @monthly or @yearly.";

export interface CronTimes {
  /** The first time after `after`, both in milliseconds since 1970; null: never again. */
  next(after: number): number | null;
}

export interface CronRefusal {
  /** Which part is to be mended. */
  readonly part: "expression" | "timezone";
  readonly code: "cron_invalid" | "cron_never_fires" | "timezone_unknown";
  readonly message: string;
}

/**
 * @param expression 5 fields (minute, hour, day of month, month, day of week), 6 with seconds before them, or a nickname
 * @param now from when on it must fire at least once
 */
export function parseCron(expression: string, timezone: string, now: number): Result<CronTimes, CronRefusal> {
  if (!isTimezone(timezone))
    return refuse(
      "timezone",
      "timezone_unknown",
      "There is no such time zone: write one like Europe/Berlin.",
    );
  if (expression.length > MAX_EXPRESSION_CHARS)
    return refuse("expression", "cron_invalid", `At most ${MAX_EXPRESSION_CHARS} characters.`);
  if (!CHARACTERS.test(expression)) return refuse("expression", "cron_invalid", FIELDS);
  const text = expression.trim();
  const fields = text.split(/ +/).length;
  if (!text.startsWith("@") && fields !== 5 && fields !== 6)
    return refuse("expression", "cron_invalid", FIELDS);
  const times = read(text, timezone);
  if (!times.ok) return refuse("expression", "cron_invalid", times.error);
  if (times.value.next(now) === null)
    return refuse(
      "expression",
      "cron_never_fires",
      "No day has all that this asks for: it would never fire.",
    );
  return times;
}

function read(expression: string, timezone: string): Result<CronTimes, string> {
  try {
    // `paused` and no function: croner only does the arithmetic, and sets no timer.
    const cron = new Cron(expression, {
      paused: true,
      timezone,
      mode: "5-or-6-parts",
      fixedTimeRule: "no-wildcard",
    });
    return ok({ next: (after) => cron.nextRun(new Date(after))?.getTime() ?? null });
  } catch (error) {
    // Not its name, and no value at the end: it counts months from 0. What it says of nicknames is about itself.
    const said = describeError(error)
      .message.replace(/^Cron[A-Za-z]*: /, "")
      .replace(/: \S+$/, "");
    return err(expression.startsWith("@") ? FIELDS : `${said.replace(/\.$/, "")}.`);
  }
}

function isTimezone(timezone: string): boolean {
  if (timezone.length > MAX_TIMEZONE_CHARS || !TIMEZONE.test(timezone)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: timezone }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

function refuse(
  part: CronRefusal["part"],
  code: CronRefusal["code"],
  message: string,
): Result<never, CronRefusal> {
  return err({ part, code, message });
}
