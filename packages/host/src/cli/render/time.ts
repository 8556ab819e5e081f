import { SallyportError } from "../../kernel/index.ts";

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * `30m`, `12h`, `7d` from now, `18:00` here, or an ISO date, as milliseconds since the epoch.
 * @throws {SallyportError} `usage` for anything else, and for a time that is past.
 */
export function parseExpiry(text: string, now: number): number {
  const relative = /^([1-9]\d{0,5})([smhd])$/.exec(text);
  const time = relative
    ? now + Number(relative[1]) * (UNITS[relative[2] ?? ""] ?? Number.NaN)
    : (nextTimeOfDay(text, now) ?? parseDate(text));
  if (Number.isNaN(time)) {
    throw new SallyportError("usage", `"${text}" is no time.`, {
      detail:
        "A time is a number with s, m, h or d, a time of day such as 18:00, or a date such as 2030-01-31 or 2030-01-31T12:00:00Z.",
      fix: "Write --expires 12h.",
    });
  }
  if (time <= now) {
    throw new SallyportError("usage", `"${text}" is in the past.`, { fix: "Give a time that is still to come." });
  }
  return time;
}

/** `18:00` here, today or tomorrow. */
function nextTimeOfDay(text: string, now: number): number | undefined {
  const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  if (hours === undefined) return undefined;
  const date = new Date(now);
  date.setHours(Number(hours), Number(minutes), 0, 0);
  if (date.getTime() <= now) date.setDate(date.getDate() + 1);
  return date.getTime();
}

/** An ISO date, or how long ago (`30m`), as milliseconds since the epoch. @throws {SallyportError} `usage`. */
export function parsePast(text: string, now: number): number {
  const relative = /^([1-9]\d{0,5})([smhd])$/.exec(text);
  const time = relative ? now - Number(relative[1]) * (UNITS[relative[2] ?? ""] ?? Number.NaN) : parseDate(text);
  if (!Number.isNaN(time)) return Math.max(0, time);
  throw new SallyportError("usage", `"${text}" is no time.`, {
    fix: "Write 30m, 12h, 7d or a date such as 2030-01-31.",
  });
}

function parseDate(text: string): number {
  return /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
}

export function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
