import type { Io } from "./io.ts";

/** One key at a time from a terminal, unseen and without Enter. */
export interface Keys {
  /** Gives the terminal back, for a question that is answered with a line; `resume` takes it again. */
  pause(): void;
  resume(): void;
}

/** Calls `onKey` with each key's text until paused. Ctrl-C is the key `\u0003`. */
export function readKeys(io: Io, onKey: (key: string) => void): Keys {
  const { stdin } = io;
  const setRaw = (raw: boolean): void => {
    if ("setRawMode" in stdin && typeof stdin.setRawMode === "function") stdin.setRawMode(raw);
  };
  const onData = (data: Buffer | string): void => {
    for (const key of data.toString()) onKey(key);
  };
  const resume = (): void => {
    setRaw(true);
    stdin.on("data", onData);
    stdin.resume();
  };
  resume();
  return {
    pause() {
      stdin.off("data", onData);
      setRaw(false);
      stdin.pause();
    },
    resume,
  };
}
