import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { MAIN } from "./process.ts";

/** The command on a terminal of its own (util-linux `script`), with a person who types. */
export interface Terminal {
  /** Resolves once the screen has shown this, after what was waited for before. @throws when the command ended without. */
  shows(text: string | RegExp): Promise<void>;
  type(text: string): void;
  /** All that was shown, without colours and cursor movements. */
  readonly screen: string;
  readonly exit: Promise<number>;
}

/** Runs `sallyport …` on a terminal of 120 columns. It is ended with the test's signal. */
export function openTerminal(args: readonly string[], env: NodeJS.ProcessEnv, signal: AbortSignal): Terminal {
  const words = [process.execPath, MAIN, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  const child = spawn("script", ["-qec", `stty cols 120 rows 40; exec ${words.join(" ")}`, "/dev/null"], {
    env: { ...env, TERM: "xterm", SHELL: "/bin/sh" },
    stdio: ["pipe", "pipe", "inherit"],
    signal,
  });
  child.on("error", () => undefined);
  let raw = "";
  let read = 0;
  let wake: (() => void) | undefined;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    raw += text;
    wake?.();
  });
  let ended = false;
  const exit = new Promise<number>((resolve) => {
    child.once("close", (code) => {
      ended = true;
      resolve(code ?? -1);
      wake?.();
    });
  });
  const screen = (): string => stripVTControlCharacters(raw).replaceAll("\r", "");
  return {
    get screen() {
      return screen();
    },
    exit,
    async shows(text) {
      for (;;) {
        const rest = screen().slice(read);
        const found = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
        if (found !== -1) {
          read += found + (typeof text === "string" ? text.length : 1);
          return;
        }
        if (ended) throw new Error(`The command ended and never showed ${String(text)}:\n${screen()}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    type: (text) => void child.stdin.write(text),
  };
}
