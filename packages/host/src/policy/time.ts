import { type Clock, SallyportError } from "../kernel/index.ts";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
export const WEEKDAYS = DAYS;
export type Weekday = (typeof DAYS)[number];

/** When a rule holds; all that is present must. */
export interface TimeWindow {
  /** `08:00-18:00`, from and before, by the wall clock of `timezone`; `22:00-06:00` is over midnight. Any of them. */
  readonly hours?: readonly string[] | undefined;
  readonly weekdays?: readonly Weekday[] | undefined;
  /** A name such as `Europe/Zurich`; UTC when absent. */
  readonly timezone?: string | undefined;
  /** Milliseconds since the epoch; from this moment on, and before this one. */
  readonly from?: number | undefined;
  readonly until?: number | undefined;
}

/** A moment, and whether it can be believed: a clock that was put back is not. */
export interface PolicyTime {
  readonly now: number;
  readonly certain: boolean;
}

export type Met = "yes" | "unclear" | "no";

const HOURS = /^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])$/;
const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;

/** @throws {SallyportError} `usage` for hours, a zone or an interval that are none. */
export function compileTime(window: TimeWindow): (time: PolicyTime) => Met {
  const ranges = window.hours?.map(minutesOf);
  const { weekdays, from = -Infinity, until = Infinity } = window;
  if (!(from < until)) throw malformed("from is not before until, so the rule would never hold");
  const wallClock = ranges || weekdays ? wallClockOf(window.timezone ?? "UTC") : undefined;
  return ({ now, certain }) => {
    if (!certain) return "unclear";
    if (now < from || now >= until) return "no";
    if (wallClock === undefined) return "yes";
    const { weekday, minute } = wallClock(now);
    if (weekdays && !weekdays.includes(weekday)) return "no";
    return ranges === undefined || ranges.some((range) => within(range, minute)) ? "yes" : "no";
  };
}

interface Range {
  readonly from: number;
  readonly to: number;
}

function minutesOf(text: string): Range {
  const [, fromHour, fromMinute, toHour, toMinute] = HOURS.exec(text) ?? [];
  const range = { from: Number(fromHour) * 60 + Number(fromMinute), to: Number(toHour) * 60 + Number(toMinute) };
  if (!(range.to <= DAY_MINUTES) || range.from === range.to)
    throw malformed(`"${text.slice(0, 30)}" is no span of hours`);
  return range;
}

function within({ from, to }: Range, minute: number): boolean {
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

interface WallClock {
  readonly weekday: Weekday;
  readonly minute: number;
}

/** Asking for the time of a zone costs microseconds; within a minute the answer is the same. */
function wallClockOf(timezone: string): (now: number) => WallClock {
  const format = formatOf(timezone);
  let known: { minute: number; clock: WallClock } | undefined;
  return (now) => {
    const minute = Math.floor(now / MINUTE_MS);
    if (known?.minute !== minute) known = { minute, clock: read(format, now) };
    return known.clock;
  };
}

function formatOf(timezone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone: timezone,
      hourCycle: "h23",
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
    });
  } catch (cause) {
    throw malformed(`"${timezone.slice(0, 50)}" is no time zone`, cause);
  }
}

function read(format: Intl.DateTimeFormat, now: number): WallClock {
  const parts = new Map(format.formatToParts(now).map(({ type, value }) => [type, value]));
  const weekday = DAYS.find((day) => day === parts.get("weekday")?.toLowerCase());
  if (weekday === undefined) throw new TypeError("The zone's clock shows no weekday.");
  return { weekday, minute: Number(parts.get("hour")) * 60 + Number(parts.get("minute")) };
}

function malformed(why: string, cause?: unknown): SallyportError {
  return new SallyportError("usage", `This is no time of a rule: ${why}.`, {
    fix: "Write hours: 08:00-18:00, weekdays: [mon, fri], timezone: Europe/Zurich, until: 2030-01-31T18:00:00Z.",
    cause,
  });
}

export interface PolicyClock {
  read(): PolicyTime;
  /** The latest moment ever seen. */
  readonly highest: number;
  /** Believes the clock as it is now, after it was put right. */
  accept(): void;
}

/** What a synchronising clock may be put back; within it, time stands still. */
const SLEW_MS = 5_000;

/**
 * Time that never runs back. While the clock is behind the latest moment ever seen, what depends on it is uncertain: an allow of a past
 * hour does not hold again, and a deny does not lapse, until the clock has caught up or an operator accepts it.
 * @param highest the latest moment known from before, such as that of the last audit event.
 */
export function createPolicyClock(clock: Clock, highest: number): PolicyClock {
  let mark = highest;
  return {
    read() {
      const now = clock.now();
      if (now >= mark) return { now: (mark = now), certain: true };
      return { now: mark, certain: mark - now <= SLEW_MS };
    },
    get highest() {
      return mark;
    },
    accept: () => {
      mark = clock.now();
    },
  };
}
