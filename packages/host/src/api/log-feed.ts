import { setTimeout as wait } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { LogLine } from "../host-api.ts";

/** How often a log is looked at by who follows it: the host keeps the last lines and announces none. */
export const LOG_POLL_MS = 250;

/** Gives each line of a log once, though only its last lines can be read, and they are gone with the plugin. */
export function createLogReader(read: () => readonly LogLine[]): { fresh(): readonly LogLine[] } {
  let seen: readonly LogLine[] = [];
  return {
    fresh() {
      const now = [...read()];
      const dropped = seen.findIndex((_, start) => startsWith(now, seen.slice(start)));
      const known = dropped === -1 ? 0 : seen.length - dropped;
      seen = now;
      return now.slice(known);
    },
  };
}

function startsWith(lines: readonly LogLine[], start: readonly LogLine[]): boolean {
  return start.length <= lines.length && start.every((line, index) => isDeepStrictEqual(line, lines[index]));
}

/** The last lines, at most `last` of them, and then each new one, until the signal. */
export async function* followLog(
  read: () => readonly LogLine[],
  last: number,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const reader = createLogReader(read);
  yield* lastOf(reader.fresh(), last);
  while (!signal.aborted) {
    await wait(LOG_POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    yield* reader.fresh();
  }
}

export function lastOf<T>(values: readonly T[], count: number): readonly T[] {
  return count === 0 ? [] : values.slice(-count);
}
