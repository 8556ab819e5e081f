import type { Writable } from "node:stream";
import type { Style } from "../render/index.ts";

/** The transcript: what is done, what came of it, and whether it is what was promised. */
export interface Teller {
  chapter(title: string): void;
  say(text: string): void;
  command(text: string): void;
  /** One promise: prints the line and remembers a broken one. */
  step(held: boolean, text: string): void;
  readonly broken: readonly string[];
}

export function createTeller(out: Writable, style: Style): Teller {
  const broken: string[] = [];
  const line = (text: string): void => void out.write(`${text}\n`);
  let chapters = 0;
  return {
    chapter: (title) => line(`\n${style.bold(`${++chapters}. ${title}`)}`),
    say: (text) => line(`   ${text}`),
    command: (text) => line(`   ${style.dim(`$ ${text}`)}`),
    step(held, text) {
      line(`   ${held ? style.good("✔") : style.bad("✘")} ${text}`);
      if (!held) broken.push(text);
    },
    broken,
  };
}
