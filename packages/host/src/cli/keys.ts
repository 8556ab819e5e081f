import type { Io } from "./io.ts";

/** One key at a time from a terminal, unseen and without Enter. */
export interface Keys {
  /** Gives the terminal back, for a question that is answered with a line; `resume` takes it again. */
  pause(): void;
  resume(): void;
}

/**
 * Calls `onKey` with each key's text until paused. What was typed while it was paused is dropped: it was meant for something else than
 * what is on the screen by then. Ctrl-C is the key `\u0003`.
 */
export function readKeys(io: Io, onKey: (key: string) => void): Keys {
  const { stdin } = io;
  const setRaw = (raw: boolean): void => {
    if ("setRawMode" in stdin && typeof stdin.setRawMode === "function") stdin.setRawMode(raw);
  };
  let times = 0;
  let isReading = false;
  const onData = (data: Buffer | string): void => {
    if (isReading) for (const key of data.toString()) onKey(key);
  };
  const resume = (): void => {
    setRaw(true);
    stdin.on("data", onData);
    stdin.resume();
    const time = ++times;
    // What waits in the terminal comes with the next look at it, which lies between the two.
    setImmediate(() =>
      setImmediate(() => {
        if (time === times) isReading = true;
      }),
    );
  };
  resume();
  return {
    pause() {
      times++;
      isReading = false;
      stdin.off("data", onData);
      setRaw(false);
      stdin.pause();
    },
    resume,
  };
}
