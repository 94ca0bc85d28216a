/**
 * What a cron expression means, by looking at every minute: the judge of src/triggers/cron.ts. It knows five fields of numbers,
 * lists, ranges and steps, and shares nothing with the library: the zone's clock is asked of Intl, minute by minute.
 */
const MINUTE_MS = 60_000;

interface Wall {
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly weekday: number;
  /** Minutes since 1970 as the wall shows them. */
  readonly shown: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();
const walls = new Map<string, Map<number, Wall>>();

function wallOf(at: number, timezone: string): Wall {
  const known = walls.get(timezone) ?? new Map<number, Wall>();
  walls.set(timezone, known);
  const seen = known.get(at) ?? readWall(at, timezone);
  known.set(at, seen);
  return seen;
}

function readWall(at: number, timezone: string): Wall {
  let format = formats.get(timezone);
  if (format === undefined) {
    const numeric = "numeric";
    format = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: timezone, hourCycle: "h23", year: numeric, month: numeric, day: numeric },
      ...{ hour: numeric, minute: numeric },
    });
    formats.set(timezone, format);
  }
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const of = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type)!;
  return wall(Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute")) / MINUTE_MS);
}

function wall(shown: number): Wall {
  const date = new Date(shown * MINUTE_MS);
  return {
    ...{ minute: date.getUTCMinutes(), hour: date.getUTCHours(), day: date.getUTCDate(), shown },
    ...{ month: date.getUTCMonth() + 1, weekday: date.getUTCDay() },
  };
}

/** Which values a field names. */
function named(field: string, least: number, most: number): ReadonlySet<number> {
  const values = new Set<number>();
  for (const part of field.split(",")) {
    const [range = "", step] = part.split("/");
    const [from = "", to] = range.split("-");
    const low = from === "*" ? least : Number(from);
    const high = from === "*" ? most : Number(to ?? from);
    for (let value = low; value <= high; value += Number(step ?? 1)) values.add(value);
  }
  return values;
}

function reader(expression: string): (at: Wall) => boolean {
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = expression.split(" ");
  const minutes = named(minute, 0, 59);
  const hours = named(hour, 0, 23);
  const days = named(day, 1, 31);
  const months = named(month, 1, 12);
  const weekdays = named(weekday, 0, 6);
  return (at) => {
    if (!minutes.has(at.minute) || !hours.has(at.hour) || !months.has(at.month)) return false;
    // As every cron does: where both are named, either is enough.
    return day === "*" || weekday === "*"
      ? days.has(at.day) && weekdays.has(at.weekday)
      : days.has(at.day) || weekdays.has(at.weekday);
  };
}

/** All times in (from, to], which stand on whole minutes. */
export function naiveTimes(expression: string, timezone: string, from: number, to: number): number[] {
  const [minute = "", hour = ""] = expression.split(" ");
  const fits = reader(expression);
  const namesItsTimes = !/[*/]/.test(minute + hour);
  const times: number[] = [];
  let before = wallOf(from, timezone).shown;
  let furthest = before;
  // The wall may stand in a repeated hour when the look begins.
  for (let at = from - 24 * 60 * MINUTE_MS; at < from; at += MINUTE_MS)
    furthest = Math.max(furthest, wallOf(at, timezone).shown);
  for (let at = from + MINUTE_MS; at <= to; at += MINUTE_MS) {
    const now = wallOf(at, timezone);
    let fires = fits(now);
    if (namesItsTimes) {
      fires &&= now.shown > furthest;
      for (let skipped = before + 1; skipped < now.shown; skipped += 1)
        fires ||= skipped > furthest && fits(wall(skipped));
    }
    if (fires) times.push(at);
    before = now.shown;
    furthest = Math.max(furthest, now.shown);
  }
  return times;
}
